"""The command ``backfill``: write the history of the disk usage for a new Prometheus.

``backfill`` collects rows in windows of thirty days, keeps them in a work folder so that a run can
be resumed, and writes OpenMetrics or blocks of a TSDB. Sends its requests as polling does. Serves
nothing, and knows neither the web server nor the simulator.
"""
