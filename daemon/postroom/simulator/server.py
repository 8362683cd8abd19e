"""The simulated tenant as a running server: Entra and Graph on one HTTPS port, everything else on its own."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from aiohttp import web

from postroom.simulator.application import application
from postroom.simulator.clock import SimulatedClock
from postroom.simulator.entra import Entra, managed_identity_routes
from postroom.simulator.facts import TenantFacts
from postroom.simulator.faults import FaultPlan, fault_middleware
from postroom.simulator.identity import Registration, add_managed_identity, add_tenant, register
from postroom.simulator.listen import bind, parse_place, reached_as
from postroom.simulator.listeners import serve
from postroom.simulator.profiles import Profile
from postroom.simulator.record import Record
from postroom.simulator.request_clock import TENANT_CLOCK
from postroom.simulator.smtp import SmtpListener
from postroom.simulator.state import StoredMessage, TenantState, UnknownMailbox
from postroom.simulator.tls import LOOPBACK_NAMES, make_authority, server_context, write_private
from postroom.simulator.weather import Weather


class SimulatedTenant(TenantFacts):
    """A Microsoft 365 tenant on this machine, as an async context manager; everything it needs is in its attributes.

    Attributes, besides those of `TenantFacts`, all there once it is entered:
        state: The mailboxes.
        entra: The sign-in.
        clock: The time in the tenant; advance or freeze it.
        faults: What shall go wrong.
        weather: The named profile of faults in force. All may be changed while it runs.

    Args:
        directory: Where keys, certificates and spooled mail go; made if missing, never removed.
        mailboxes: Addresses, at least one.
        listen: ``host:port`` for HTTPS; port 0 takes a free one.
        smtp: The same for SMTP, or None.
        control: The same for the start page and the control endpoint, or None.
        managed_identity: The same for the endpoint that hands machines in Azure their tokens, or None.
        clock: Says what time it is, aware; the system's without one.
        token_lifetime: Seconds an access token lives.
        roles: Application permissions the app was granted.
        tls: Serve plain HTTP when False.
        profile: The weather to begin with; see `postroom.simulator.profiles`.
        seed: Makes faults by chance come out the same again.
        record: Takes every Graph exchange; see `postroom.simulator.record`.
    """

    state: TenantState
    entra: Entra
    weather: Weather

    def __init__(
        self,
        directory: Path,
        *,
        mailboxes: Sequence[str],
        listen: str = "127.0.0.1:0",
        smtp: str | None = "127.0.0.1:0",
        control: str | None = None,
        managed_identity: str | None = None,
        clock: Callable[[], datetime] | None = None,
        token_lifetime: int = 3599,
        roles: Sequence[str] = ("Mail.ReadWrite", "Mail.Send"),
        tls: bool = True,
        profile: str = "calm",
        seed: int = 0,
        record: Record | None = None,
    ) -> None:
        self.directory = directory
        self.mailboxes = tuple(mailboxes)
        self.faults = FaultPlan(seed)
        self.clock = clock if isinstance(clock, SimulatedClock) else SimulatedClock(clock)
        self._listen, self._smtp, self._control, self._metadata = listen, smtp, control, managed_identity
        self._token_lifetime, self._roles = token_lifetime, roles
        self._tls, self._record, self._profile = tls, record, profile
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start listening; raises PostroomError when a port is taken, ValueError for no address or no profile."""
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and hang up."""
        await self._stack.aclose()

    def deliver(self, address: str, raw: bytes) -> StoredMessage:
        """Put a mail into a mailbox's inbox; the daemon finds it at its next poll."""
        return self.state.deliver_mime(address, raw)

    def knows(self, address: str) -> bool:
        """Tell whether there is a mailbox with this address or id."""
        try:
            self.state.mailbox(address)
        except UnknownMailbox:
            return False
        return True

    def use_profile(self, name: str, *, seed: int | None = None) -> Profile:
        """Change the weather; raises ValueError for a profile there is not."""
        return self.weather.use(name, seed=seed)

    def add_tenant(self, mailboxes: Sequence[str], *, roles: Sequence[str] | None = None) -> Registration:
        """Set up another tenant with mailboxes, and an app in it that sees these alone."""
        domains = sorted({address.rpartition("@")[2] for address in mailboxes})
        added = add_tenant(self.entra, domains, roles=self._roles if roles is None else roles)
        for address in mailboxes:
            self.state.add_mailbox(address)
        return added

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        await asyncio.to_thread(self.directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        sock = stack.enter_context(bind(place := parse_place(self._listen)))
        reached = reached_as(place, sock)
        scheme = "https" if self._tls else "http"
        self.graph = self.login = f"{scheme}://{reached}"
        names = dict.fromkeys((reached.host, *LOOPBACK_NAMES))
        resources = [f"{scheme}://{f'[{name}]' if ':' in name else name}:{reached.port}" for name in names]
        self._fill(stack)
        await self._register(resources)
        self.ca_file, context = await asyncio.to_thread(self._certify, list(names))
        await serve(stack, application(self.state, self.entra, self.faults, self._record), sock, context)
        await self._open_door(stack)
        await self._serve_metadata(stack)
        await self._serve_control(stack)

    def _fill(self, stack: contextlib.AsyncExitStack) -> None:
        self.state = TenantState(self.directory, self.clock)
        stack.callback(self.state.close)
        for address in self.mailboxes:
            self.state.add_mailbox(address)
        self.weather = Weather(self.state, self.faults)
        if self._profile != "calm":  # the calm one would clear what was added before the start
            self.weather.use(self._profile)

    async def _register(self, resources: Sequence[str]) -> None:
        self.entra, self.identity = await register(
            self.directory,
            login=self.login,
            resources=resources,
            clock=self.clock,
            token_lifetime=self._token_lifetime,
            roles=self._roles,
            domains=sorted({address.rpartition("@")[2] for address in self.mailboxes}),
        )

    def _certify(self, names: Sequence[str]) -> tuple[Path | None, ssl.SSLContext | None]:
        if not self._tls:
            return None, None
        authority = make_authority()
        server = write_private(self.directory / "server.pem", authority.server_pem(names))
        return write_private(self.directory / "ca.pem", authority.pem()), server_context(server)

    async def _open_door(self, stack: contextlib.AsyncExitStack) -> None:
        self.smtp = ""
        if self._smtp is None:
            return
        sock = stack.enter_context(bind(place := parse_place(self._smtp)))
        listener = SmtpListener(self, sock)
        stack.push_async_callback(listener.stop)
        await listener.start()
        self.smtp = str(reached_as(place, sock))

    async def _serve_metadata(self, stack: contextlib.AsyncExitStack) -> None:
        self.metadata = ""
        if self._metadata is None:
            return
        self.identity_header = secrets.token_hex(16)
        add_managed_identity(self.entra.directories[0], "machine", roles=self._roles)
        plain = web.Application(middlewares=[fault_middleware(self.faults)])
        plain[TENANT_CLOCK] = self.state.now
        plain.add_routes(managed_identity_routes(self.entra, self.identity_header))
        sock = stack.enter_context(bind(place := parse_place(self._metadata)))
        await serve(stack, plain, sock, None)
        self.metadata = f"http://{reached_as(place, sock)}"

    async def _serve_control(self, stack: contextlib.AsyncExitStack) -> None:
        self.control = ""
        if self._control is None:
            return
        from postroom.simulator.control import control_application  # noqa: PLC0415 - only who asks loads templates

        sock = stack.enter_context(bind(place := parse_place(self._control)))
        await serve(stack, control_application(self), sock, None)
        self.control = f"http://{reached_as(place, sock)}"
