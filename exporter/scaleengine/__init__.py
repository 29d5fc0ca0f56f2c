"""The ScaleEngine API: signing, calls, answers. Knows nothing of polling or Prometheus."""
