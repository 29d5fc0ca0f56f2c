"""The configuration file: its model, loading, and an error message with position for each mistake.

``load_files`` reads files and returns frozen values with all defaults, or raises ConfigError with
everything that is wrong. Durations are floats in seconds. Knows nothing of polling or the API: it
names what is configured, and ``settings`` turns that into what the service runs with.
"""

from exporter.config.fields import FILE_TYPES, FileType
from exporter.config.loading import (
    Fingerprint,
    LoadedConfig,
    list_inline_secrets,
    list_named_files,
    load,
    load_files,
    take_fingerprint,
)
from exporter.config.model import (
    AccountConfig,
    ApiConfig,
    Config,
    CountedPath,
    DiskUsageConfig,
    FilesConfig,
    LimitsConfig,
)
from exporter.config.secrets import Secret, SecretError
from exporter.config.writing import (
    build_json_schema,
    compress_redacted_config,
    format_config,
    format_config_schema,
)
from exporter.yamlfile.problems import ConfigError, Problem

__all__ = [
    "FILE_TYPES",
    "AccountConfig",
    "ApiConfig",
    "Config",
    "ConfigError",
    "CountedPath",
    "DiskUsageConfig",
    "FileType",
    "FilesConfig",
    "Fingerprint",
    "LimitsConfig",
    "LoadedConfig",
    "Problem",
    "Secret",
    "SecretError",
    "build_json_schema",
    "compress_redacted_config",
    "format_config",
    "format_config_schema",
    "list_inline_secrets",
    "list_named_files",
    "load",
    "load_files",
    "take_fingerprint",
]
