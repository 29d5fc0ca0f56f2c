"""The command ``check``: request each account and path once, and report what is wrong.

``check`` runs a ``CheckRunner`` and prints its results as a table or JSON. Requests are sent as
polling sends them, or by polling itself with ``--full``. Serves nothing, and knows neither the web
server nor the metrics.
"""
