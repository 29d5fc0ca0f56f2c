"""Poll the targets of all accounts on their schedules, and keep the last good snapshot of each.

``Poller`` runs in the event loop of a ``PollingThread``, and replaces states in the ``Store``. This
package decides when a request is sent, retried or withheld, and how a file tree is walked. Knows
nothing of Prometheus, HTTP servers and the configuration: it gets settings, clock and randomness.
"""
