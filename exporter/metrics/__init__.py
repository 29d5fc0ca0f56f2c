"""What is known, as metrics: families from snapshots, and the counters of the exporter."""
