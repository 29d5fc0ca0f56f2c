"""The ScaleEngine API: signing, requests, responses. Knows nothing of polling or Prometheus."""
