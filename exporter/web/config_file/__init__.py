"""The web configuration file: TLS, basic auth, headers and a rate limit.

The format is the exporter-toolkit's. Each key is honoured, or refused with a sentence that says
what to write; none is ignored. To check a file, `load_web_config`; to serve, make a LiveWebConfig,
listen with its `ssl_context` and `protect` the application.
"""

from exporter.web.config_file.live import LiveWebConfig
from exporter.web.config_file.middleware import protect
from exporter.web.config_file.web_config import WebConfig, load_web_config

__all__ = ["LiveWebConfig", "WebConfig", "load_web_config", "protect"]
