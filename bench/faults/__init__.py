"""Try faults of every kind on the whole exporter: what it shows meanwhile, and how it recovers.

The exporter polls a simulated account over real sockets, on a clock that runs faster than the
wall's. Everything that it publishes is compared with what was true of the account at that time.
"""
