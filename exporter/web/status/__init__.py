"""The status page, and the same content as JSON: current problems, each account, the exporter.

``StatusPages`` are the HTTP handlers. An ``Observation`` is taken once for each page;
``build_overview`` and ``build_account`` make the models of it, which are rendered as HTML or JSON.
Knows nothing of the polling loop: it reads the store only, and asks ScaleEngine nothing.
"""
