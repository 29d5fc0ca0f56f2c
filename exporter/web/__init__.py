"""Serve HTTP: listening sockets, connections and their limits, pages, and the status page.

``build_app`` makes the application from what it shows, ``serve`` serves it. The pages send what
``metrics`` has rendered before. Knows nothing of the configuration, and asks ScaleEngine nothing.
"""
