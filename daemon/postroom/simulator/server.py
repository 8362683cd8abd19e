"""The simulated tenant as a running server: Entra and Graph on one HTTPS port, SMTP on another."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from aiohttp import web

from postroom.simulator.application import application
from postroom.simulator.entra import Entra
from postroom.simulator.facts import TenantFacts
from postroom.simulator.faults import FaultPlan
from postroom.simulator.identity import register
from postroom.simulator.listen import bind, parse_place, reached_as
from postroom.simulator.record import Record
from postroom.simulator.smtp import SmtpListener
from postroom.simulator.state import TenantState, UnknownMailbox
from postroom.simulator.tls import LOOPBACK_NAMES, make_authority, server_context, write_private


class SimulatedTenant(TenantFacts):
    """A Microsoft 365 tenant on this machine, as an async context manager; everything it needs is in its attributes.

    Attributes, besides those of `TenantFacts`, all there once it is entered:
        state: The mailboxes.
        entra: The sign-in.
        faults: What shall go wrong. All three may be changed while it runs.

    Args:
        directory: Where keys, certificates and spooled mail go; made if missing, never removed.
        mailboxes: Addresses, at least one.
        listen: ``host:port`` for HTTPS; port 0 takes a free one.
        smtp: The same for SMTP, or None.
        clock: Says what time it is, aware; the system's without one.
        token_lifetime: Seconds an access token lives.
        roles: Application permissions the app was granted.
        tls: Serve plain HTTP when False.
        record: Takes every Graph exchange; see `postroom.simulator.record`.
    """

    state: TenantState
    entra: Entra

    def __init__(
        self,
        directory: Path,
        *,
        mailboxes: Sequence[str],
        listen: str = "127.0.0.1:0",
        smtp: str | None = "127.0.0.1:0",
        clock: Callable[[], datetime] | None = None,
        token_lifetime: int = 3599,
        roles: Sequence[str] = ("Mail.ReadWrite", "Mail.Send"),
        tls: bool = True,
        record: Record | None = None,
    ) -> None:
        self.directory = directory
        self.mailboxes = tuple(mailboxes)
        self.faults = FaultPlan()
        self._listen, self._smtp = listen, smtp
        self._clock = clock or (lambda: datetime.now(UTC))
        self._token_lifetime, self._roles = token_lifetime, roles
        self._tls, self._record = tls, record
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start listening; raises PostroomError when a port is taken, ValueError when an address is none."""
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and hang up."""
        await self._stack.aclose()

    def deliver(self, address: str, raw: bytes) -> None:
        """Put a mail into a mailbox's inbox; the daemon finds it at its next poll."""
        self.state.deliver_mime(address, raw)

    def knows(self, address: str) -> bool:
        """Tell whether there is a mailbox with this address or id."""
        try:
            self.state.mailbox(address)
        except UnknownMailbox:
            return False
        return True

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        await asyncio.to_thread(self.directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        sock = stack.enter_context(bind(place := parse_place(self._listen)))
        reached = reached_as(place, sock)
        scheme = "https" if self._tls else "http"
        self.graph = self.login = f"{scheme}://{reached}"
        names = dict.fromkeys((reached.host, *LOOPBACK_NAMES))
        resources = [f"{scheme}://{f'[{name}]' if ':' in name else name}:{reached.port}" for name in names]
        self.state = TenantState(self.directory, self._clock)
        stack.callback(self.state.close)
        for address in self.mailboxes:
            self.state.add_mailbox(address)
        self.entra, self.identity = await register(
            self.directory,
            login=self.login,
            resources=resources,
            clock=self._clock,
            token_lifetime=self._token_lifetime,
            roles=self._roles,
            domains=sorted({address.rpartition("@")[2] for address in self.mailboxes}),
        )
        self.ca_file, context = await asyncio.to_thread(self._certify, list(names))
        await self._serve(stack, sock, context)
        await self._open_door(stack)

    def _certify(self, names: Sequence[str]) -> tuple[Path | None, ssl.SSLContext | None]:
        if not self._tls:
            return None, None
        authority = make_authority()
        server = write_private(self.directory / "server.pem", authority.server_pem(names))
        return write_private(self.directory / "ca.pem", authority.pem()), server_context(server)

    async def _serve(
        self, stack: contextlib.AsyncExitStack, sock: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        runner = web.AppRunner(
            application(self.state, self.entra, self.faults, self._record), access_log=None, shutdown_timeout=0.5
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.SockSite(runner, sock, ssl_context=context).start()

    async def _open_door(self, stack: contextlib.AsyncExitStack) -> None:
        self.smtp = ""
        if self._smtp is None:
            return
        sock = stack.enter_context(bind(place := parse_place(self._smtp)))
        listener = SmtpListener(self, sock)
        stack.push_async_callback(listener.stop)
        await listener.start()
        self.smtp = str(reached_as(place, sock))
