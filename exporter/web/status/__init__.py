"""The status page, and the same as JSON: what is wrong now, each account, and the exporter."""
