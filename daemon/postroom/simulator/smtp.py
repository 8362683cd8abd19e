"""The door for mail from outside: an SMTP listener that delivers to the simulated mailboxes, byte for byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from aiosmtpd.smtp import SMTP, Envelope, Session

LARGEST_MESSAGE = 150 * 1024 * 1024
"""Bytes accepted; the most Exchange Online lets an administrator allow (its sending and receiving limits)."""

LONGEST_LINE = 1024 * 1024
"""Bytes in a line; RFC 5321 says 1000, but broken mail is what a simulated tenant is for."""


class MailDrop(Protocol):
    """Where mail goes: the two questions a listener asks."""

    def knows(self, address: str) -> bool:
        """Tell whether there is a mailbox with this address."""
        ...

    def deliver(self, address: str, raw: bytes) -> object:
        """Put a mail into that mailbox's inbox."""
        ...


class Postman:
    """aiosmtpd's handler: refuses strangers' mailboxes, delivers a copy to every recipient."""

    def __init__(self, drop: MailDrop) -> None:
        self._drop = drop

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds hooks by these names
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept a recipient we have a mailbox for."""
        if not self._drop.knows(address):
            return "550 5.1.1 Recipient address rejected: there is no such mailbox"
        if address.lower() not in (known.lower() for known in envelope.rcpt_tos):
            envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd finds hooks by these names
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Deliver; the answer comes when the mail can be fetched."""
        raw = envelope.original_content or b""
        for address in envelope.rcpt_tos:
            self._drop.deliver(address, raw)
        return "250 2.0.0 Delivered"


class _Connection(SMTP):
    line_length_limit = LONGEST_LINE

    def abort(self) -> None:
        """Hang up at once, when the listener stops."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


class SmtpListener:
    """An SMTP server on a bound socket, in the running event loop.

    Args:
        drop: Where mail goes.
        sock: Bound, not yet listening; closed by `stop`.
        largest: Bytes of the largest mail accepted; 552 beyond.
    """

    def __init__(self, drop: MailDrop, sock: socket.socket, *, largest: int = LARGEST_MESSAGE) -> None:
        self._postman = Postman(drop)
        self._socket = sock
        self._largest = largest
        self._connections: list[_Connection] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept connections."""
        self._server = await asyncio.get_running_loop().create_server(self._connect(), sock=self._socket)

    async def stop(self) -> None:
        """Stop listening and hang up; what was answered with 250 has been delivered."""
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections:
            connection.abort()
        self._connections.clear()
        await self._server.wait_closed()
        self._server = None

    def _connect(self) -> Callable[[], _Connection]:
        loop = asyncio.get_running_loop()

        def protocol() -> _Connection:
            self._connections = [old for old in self._connections if old.transport is not None]
            connection = _Connection(
                self._postman,
                data_size_limit=self._largest,
                enable_SMTPUTF8=True,
                hostname="mail.postroom.example",
                ident="Postroom simulated tenant",
                loop=loop,
            )
            self._connections.append(connection)
            return connection

        return protocol
