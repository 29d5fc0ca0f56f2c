"""The ScaleEngine API: signing, requests, and responses narrowed to typed values.

``Client`` sends one request and raises a ``ScaleEngineError`` with cause and advice. Nothing
outside of this package reads JSON of the API. Knows nothing of polling, Prometheus or the
configuration.
"""
