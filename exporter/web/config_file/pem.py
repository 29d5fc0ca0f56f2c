"""Certificates and keys in PEM form (RFC 7468), kept in memory alone."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.documents.fields import FieldError
from exporter.documents.files import FileError, read_bytes

_LARGEST_FILE: Final = 4 * 1024 * 1024
"""Bytes; the bundle of authorities with which systems come has a quarter of a megabyte."""


@dataclass(frozen=True, slots=True)
class Pem:
    """What stands in the web configuration, or in the file that it names."""

    content: bytes = field(repr=False)
    file: Path | None = None

    @contextmanager
    def as_file(self) -> Iterator[str]:
        """Give a path from which OpenSSL can read the content: memory, open to this process alone.

        Python's ssl takes keys from files only, and a key must not lie where others could read it.
        Raises FieldError when there is no memory or no /proc.
        """
        try:
            with os.fdopen(os.memfd_create("pem"), "wb") as memory:
                memory.write(self.content)
                memory.flush()
                yield f"/proc/self/fd/{memory.fileno()}"
        except ssl.SSLError:
            raise
        except OSError as error:
            raise FieldError(f"cannot be handed to OpenSSL: {error.strerror}") from None

    def said(self, fault: str) -> str:
        """Give the sentence about a fault of the content, such as "holds no certificate"."""
        return fault if self.file is None else f"names a file that {fault}"


def read_pem(file: Path) -> Pem:
    """Read a file; raises FieldError with the reason why that cannot be done."""
    try:
        return Pem(read_bytes(file, _LARGEST_FILE), file)
    except FileError as error:
        raise FieldError(f"names a file that {error}") from None


def holding_certificates(pem: Pem) -> Pem:
    """Give what holds certificates and nothing broken, or raise FieldError."""
    try:
        with pem.as_file() as path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise FieldError(pem.said("holds no certificate in PEM form, or a broken one")) from None
    return pem


def holding_key(pem: Pem) -> Pem:
    """Give what looks like a private key, or raise FieldError."""
    if b"PRIVATE KEY-----" not in pem.content:
        raise FieldError(pem.said("holds no private key in PEM form"))
    return pem
