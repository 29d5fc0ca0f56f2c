"""The web configuration file: TLS, basic auth, headers and a rate limit.

The format is the exporter-toolkit's. Each key is supported, or rejected with an error that says
what to write instead. Check a file with ``load_web_config``. To serve, make a ``LiveWebConfig``,
listen with its ``ssl_context``, and call ``install_web_config``. Knows nothing of metrics, pages or
polling.
"""

from exporter.web.config_file.live import LiveWebConfig
from exporter.web.config_file.middleware import install_web_config
from exporter.web.config_file.web_config import WebConfig, load_web_config

__all__ = ["LiveWebConfig", "WebConfig", "install_web_config", "load_web_config"]
