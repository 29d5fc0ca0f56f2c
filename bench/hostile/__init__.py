"""Attacks on the exporter, by its HTTP clients and by the API, and what each one costs.

`python -m bench.hostile` runs every attack against the whole program under a memory limit.
"""
