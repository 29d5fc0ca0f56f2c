"""Try a configuration for real, before the exporter is run with it."""
