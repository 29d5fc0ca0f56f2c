"""Which environment variables may change what the program does.

Libraries read variables of their own, and newer versions of them read others. Some of them end this
program (``PROMETHEUS_MULTIPROC_DIR`` of a folder that is missing), falsify it (the same of one that
has old counters), write down its TLS keys (``SSLKEYLOGFILE``), turn off its proxy
(``REQUEST_METHOD``), colour what is no terminal (``FORCE_COLOR``) or choose slower code
(``AIOHTTP_NO_EXTENSIONS`` and the like). So everything is removed but what is listed here. The
program itself reads its flags, and what a configuration names as ``${NAME}``, from a copy.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Final

KEPT: Final[Mapping[str, str]] = {
    "HTTP_PROXY": "the way to the API, in capitals or not, as everywhere",
    "HTTPS_PROXY": "the same",
    "ALL_PROXY": "the same",
    "NO_PROXY": "the same",
    "REQUESTS_CA_BUNDLE": "the certificates to trust at the API",
    "CURL_CA_BUNDLE": "the same",
    "SSL_CERT_FILE": "no certificates: a failure says that it is not used",
    "SSL_CERT_DIR": "the same",
    "NO_COLOR": "no colours",
    "TERM": "what the terminal can do",
    "COLUMNS": "the width of the terminal",
    "COMP_WORDS": "the completions of a shell: the words that are written so far",
    "COMP_CWORD": "the same: which of them is to be completed",
    "PYTHON*": "the interpreter: whoever sets them means every Python program",
    "LANG": "the C library: the encoding of standard streams",
    "LANGUAGE": "the same",
    "LC_*": "the same",
    "TZ": "the C library: the local time",
    "PATH": "where the program promtool is",
    "TMPDIR": "where temporary files go: those of a history may be large",
    "RES_OPTIONS": "the C library: how names are resolved",
    "LOCALDOMAIN": "the same",
    "HOSTALIASES": "the same",
    "OPENSSL_*": "OpenSSL: the rules of this machine for TLS",
}
"""Names, or beginnings of names before a ``*``, each with what it is read for."""

_IN_ANY_CASE: Final = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_PATTERN: Final = re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in KEPT))


def restrict_environment(environ: MutableMapping[str, str]) -> Mapping[str, str]:
    """Remove what is not listed from the environment, and what is empty; return a copy of before.

    An empty variable means to some libraries something else than one that is not set.
    """
    before = dict(environ)
    for name, value in before.items():
        if not value or not _is_kept(name):
            del environ[name]
    return before


def _is_kept(name: str) -> bool:
    return name.upper() in _IN_ANY_CASE or _PATTERN.fullmatch(name) is not None
