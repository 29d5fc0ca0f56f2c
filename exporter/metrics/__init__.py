"""Render what is known of each target as Prometheus' text format, and publish it.

``build_metrics`` makes the registry, ``Publisher`` renders in a thread, and ``Exposition`` is what
a scrape gets. Knows nothing of HTTP, and of the API only its errors and the record of requests.
"""
