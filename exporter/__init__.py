"""Prometheus exporter for ScaleEngine: disk usage by CPU user, file counts by path."""

__version__ = "0.1.0"
