"""Begin TLS on an accepted connection, with little memory for each."""

import asyncio
import ssl
from asyncio import sslproto
from typing import Final

from exporter.web.connection import Connection

_TIMEOUT_SECONDS: Final = 5.0
_SHUTDOWN_SECONDS: Final = 1.0
_RECORD_BYTES: Final = 16 * 1024  # the most that a TLS record holds (RFC 8446, 5.1)


class _TlsProtocol(sslproto.SSLProtocol):
    """asyncio's TLS with buffers of one record.

    asyncio allocates 256 KiB for each connection, reads 256 KiB ahead, and lets as much wait to be
    sent. Nothing but its constructor takes part in that, and it is not documented: a test shows
    that the sizes below are still those that count.
    """

    max_size = _RECORD_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._set_read_buffer_limits(_RECORD_BYTES)  # type: ignore[attr-defined] # not in typeshed
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(high=1)  # what it holds, the layer above need not
        super().connection_made(transport)

    def resume_writing(self) -> None:
        """Send what waits, as soon as the transport has finished what it does now.

        It calls this while it sends. Were there another error in between, it would end twice, which
        asyncio logs with a traceback.
        """
        self._loop.call_soon(self._resume_writing)

    def _resume_writing(self) -> None:
        if self._transport is not None:
            super().resume_writing()


async def begin_tls(connection: Connection, context: ssl.SSLContext) -> None:
    """Make the handshake, five seconds at most, and let the connection begin then.

    Raises OSError if there is no TLS; the socket is closed then.
    """
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    protocol = _TlsProtocol(
        loop,
        connection,
        context,
        finished,
        server_side=True,
        ssl_handshake_timeout=_TIMEOUT_SECONDS,  # type: ignore[arg-type] # typeshed: whole ones
        ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await loop.connect_accepted_socket(lambda: protocol, connection.accepted)
    await finished
