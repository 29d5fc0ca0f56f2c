"""The section tls_server_config, and its SSLContext."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    InstanceOf,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from exporter.web.config_file.go_values import (
    Switch,
    choose_suites,
    parse_client_auth_type,
    parse_curve,
    parse_suite,
    parse_tls_version,
)
from exporter.yamlfile.files import FileError, read_bytes
from exporter.yamlfile.models import (
    FieldError,
    StrictModel,
    require_items,
    require_plain_text,
    resolve_path,
)

_MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""Bytes; the bundle of authorities with which systems come has a quarter of a megabyte."""
_MISFITS: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_WEAK: Final = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")
_UNLOCK: Final = "openssl pkey -in locked.pem -out key.pem writes it without"


@dataclass(frozen=True, slots=True)
class Pem:
    """What is in the web configuration, or in the file that it names."""

    content: bytes = field(repr=False)
    file: Path | None = None

    @contextmanager
    def as_file(self) -> Iterator[str]:
        """Return a path from which OpenSSL can read the content: memory only this process can open.

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

    def describe(self, fault: str) -> str:
        """Return the message about a fault of the content, such as "holds no certificate"."""
        return fault if self.file is None else f"names a file that {fault}"


def read_pem(file: Path) -> Pem:
    """Read a file; raises FieldError with the reason why that cannot be done."""
    try:
        return Pem(read_bytes(file, _MAX_FILE_BYTES), file)
    except FileError as error:
        raise FieldError(f"names a file that {error}") from None


def require_certificates(pem: Pem) -> Pem:
    """Return what holds certificates and nothing broken, or raise FieldError."""
    try:
        with pem.as_file() as path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise FieldError(
            pem.describe("holds no certificate in PEM form, or a broken one")
        ) from None
    return pem


def require_key(pem: Pem) -> Pem:
    """Return what looks like a private key, or raise FieldError."""
    if b"PRIVATE KEY-----" not in pem.content:
        raise FieldError(pem.describe("holds no private key in PEM form"))
    return pem


def _encode_inline(value: object) -> object:
    return Pem(value.encode(errors="replace")) if isinstance(value, str) else value


def _read_file(value: object, info: ValidationInfo[Path | None]) -> object:
    path = resolve_path(info.context or Path(), value)
    return read_pem(path) if isinstance(path, Path) else path


def _check_one_curve(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > 1:
        raise FieldError(
            "names several curves, and Python's ssl takes one alone; name the first, or leave the "
            "key out for OpenSSL's own choice"
        )
    return names


_Text = Annotated[InstanceOf[Pem], BeforeValidator(_encode_inline)]
_File = Annotated[InstanceOf[Pem], BeforeValidator(_read_file)]
_Certificates = Annotated[_Text, AfterValidator(require_certificates)]
_CertificatesFile = Annotated[_File, AfterValidator(require_certificates)]
_Key = Annotated[_Text, AfterValidator(require_key)]
_KeyFile = Annotated[_File, AfterValidator(require_key)]
_Version = Annotated[ssl.TLSVersion, BeforeValidator(parse_tls_version)]


class TlsServer(StrictModel):
    """How the exporter proves who it is, who may connect, and how they speak."""

    cert: _Certificates | None = None
    """The server's certificate, and those between it and its authority."""

    cert_file: _CertificatesFile | None = None
    """A file with them. A relative path begins at the folder of the web configuration."""

    key: _Key | None = None
    """The certificate's private key, without a passphrase."""

    key_file: _KeyFile | None = None
    """A file with it."""

    client_ca: _Certificates | None = None
    """The authorities whose client certificates are let in; without any, those of the system."""

    client_ca_file: _CertificatesFile | None = None
    """A file with them."""

    client_auth_type: Annotated[ssl.VerifyMode, BeforeValidator(parse_client_auth_type)] = (
        ssl.CERT_NONE
    )
    """Whether clients must have a certificate."""

    client_allowed_sans: Annotated[
        tuple[Annotated[str, AfterValidator(require_plain_text)], ...],
        AfterValidator(require_items),
    ] = ()
    """The names of which a client's certificate must have one."""

    min_version: _Version = ssl.TLSVersion.TLSv1_2
    """The oldest TLS version that is spoken."""

    max_version: _Version = ssl.TLSVersion.TLSv1_3
    """The newest."""

    cipher_suites: tuple[Annotated[str, AfterValidator(parse_suite)], ...] = ()
    """The suites of TLS 1.2, as Go names them; none means OpenSSL's own choice."""

    prefer_server_cipher_suites: Switch = True
    """Whether the order of the suites here counts, or the client's."""

    curve_preferences: Annotated[
        tuple[Annotated[str, AfterValidator(parse_curve)], ...], AfterValidator(_check_one_curve)
    ] = ()
    """The curve for the key exchange; none means OpenSSL's own choice."""

    _context: ssl.SSLContext = PrivateAttr()

    @model_validator(mode="after")
    def _can_be_served(self) -> Self:
        # A key that does not fit its certificate is reported here, with every other mistake.
        if (self.cert or self.cert_file) and (self.key or self.key_file):
            self._context = build_context(self)
        return self

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the section; there is none without cert and key."""
        return self._context

    def certificates(self) -> Iterator[tuple[str, Pem]]:
        """Return the certificates of the server and of the authorities, each with its key."""
        for key in ("cert", "cert_file", "client_ca", "client_ca_file"):
            pem = getattr(self, key)
            if pem:
                yield key, pem

    def named_files(self) -> tuple[Pem, ...]:
        """Return the certificates and the key that are in files of their own."""
        return tuple(filter(None, (self.cert_file, self.key_file, self.client_ca_file)))


def build_context(tls: TlsServer) -> ssl.SSLContext:
    """Return a context with all settings of the section, or raise FieldError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = tls.min_version
    context.maximum_version = tls.max_version
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        choose_suites(context, tls.cipher_suites)
    except FieldError as error:
        raise FieldError(str(error), "cipher_suites") from None
    for name in tls.curve_preferences:
        _choose_curve(context, name)
    _load_key(context, tls)
    _load_authorities(context, tls)
    return context


def _choose_curve(context: ssl.SSLContext, name: str) -> None:
    try:
        context.set_ecdh_curve(name)
    except (ssl.SSLError, ValueError):  # as Python 3.11.2 does with X25519
        raise FieldError(
            f"names {name}, which this Python cannot choose; take CurveP256, or a newer Python",
            "curve_preferences",
        ) from None


def _load_authorities(context: ssl.SSLContext, tls: TlsServer) -> None:
    context.verify_mode = tls.client_auth_type
    # As in Go, any certificate among the authorities is trusted, a root or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    authorities = tls.client_ca or tls.client_ca_file
    if authorities:
        with authorities.as_file() as path:
            context.load_verify_locations(cafile=path)
    elif tls.client_auth_type != ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)


def _load_key(context: ssl.SSLContext, tls: TlsServer) -> None:
    certificate = tls.cert or tls.cert_file or Pem(b"")
    private = tls.key or tls.key_file or Pem(b"")
    of_certificate = "cert" if tls.cert else "cert_file"
    of_key = "key" if tls.key else "key_file"

    def locked() -> str:
        # Called instead of a prompt on the terminal.
        fault = f"holds a key with a passphrase, which cannot be entered here; {_UNLOCK}"
        raise FieldError(private.describe(fault), of_key)

    try:
        with certificate.as_file() as cert_path, private.as_file() as key_path:
            context.load_cert_chain(cert_path, key_path, locked)
    except ssl.SSLError as error:
        reason = error.reason
    else:
        return
    if reason in _MISFITS:
        raise FieldError(private.describe("holds the key of another certificate"), of_key)
    if reason in _WEAK:
        fault = "holds a certificate too weak for OpenSSL; RSA needs 2048 bits, signatures SHA-256"
        raise FieldError(certificate.describe(fault), of_certificate)
    raise FieldError(private.describe("holds no private key that OpenSSL can read"), of_key)
