"""The Grafana dashboard: written row by row here, made into `dashboard.json` beside it."""
