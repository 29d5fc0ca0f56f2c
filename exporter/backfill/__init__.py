"""The command ``backfill``: the history of the disk usage, for a Prometheus that is new."""
