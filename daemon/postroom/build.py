"""From a configuration to the things that run it: connections, open handlers, mailboxes, pollers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from postroom.config import Config, WatchedMailbox
from postroom.graph.budget import Budgets
from postroom.graph.client import GraphClient
from postroom.graph.mail import MailboxMail
from postroom.graph.session import handler_session
from postroom.graph.token import TokenSource
from postroom.openings import OPEN_LIMIT, close_handlers, open_handlers
from postroom.pipeline.desk import Desk
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.due import Watch
from postroom.pipeline.limits import at_most
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.routing import routing
from postroom.pipeline.walkers import Walkers
from postroom.ports import ROUTING, Clock, FolderSpec, Journal, Report
from postroom.tenant import Tenant

NOW_MARGIN = timedelta(minutes=1)
"""How far `start: now` reaches back: receivedDateTime has whole seconds, of another clock, from before delivery."""

CLOSE_LIMIT = 10.0
"""Seconds that connections may take to close."""


@dataclass(slots=True)
class Connection:
    """A tenant with its token and its Graph client."""

    tenant: Tenant
    token: TokenSource
    client: GraphClient

    @property
    def guid(self) -> str:
        """The tenant's GUID: as it is configured, or as the last token says; empty when neither tells."""
        return self.tenant.guid or self.token.tenant_guid

    async def close(self) -> None:
        """Let go of the sockets and of the sign-in thread."""
        await self.client.close()
        await self.token.close()


@dataclass(slots=True)
class Generation:
    """All that belongs to one configuration; a reload makes the next and puts the old away."""

    config: Config
    desk: Desk
    connections: dict[str, Connection] = field(default_factory=dict)


async def build(
    config: Config,
    present: Mapping[str, Connection],
    *,
    clock: Clock,
    report: Report,
    tokens: Mapping[str, TokenSource] = MappingProxyType({}),
) -> Generation:
    """Connect and open everything, taking over `present` connections to unchanged tenants and `tokens` by tenant.

    Raises ConfigError or HandlerError when handlers do not open; what was opened by then is closed again.
    """
    connections: dict[str, Connection] = {}
    desk = Desk({}, {}, {}, handler_session(), config.limits.concurrency)
    generation = Generation(config, desk, connections)
    try:
        for tenant in config.tenants.values():
            connections[tenant.name] = await _connect(
                tenant,
                config,
                {**present, **connections},
                token=tokens.get(tenant.name) or TokenSource(tenant, clock=clock),
                clock=clock,
                report=report,
            )
        desk.handlers = await open_handlers(config, report)
    except BaseException:
        await put_away(generation, keep=present, report=report)
        raise
    desk.mails = {each.address: MailboxMail(connections[each.tenant].client, each.address) for each in config.mailboxes}
    desk.sending = config.sending
    desk.rules = {each.address: {rule.name: rule for rule in each.rules} for each in config.mailboxes}
    return generation


async def _connect(
    tenant: Tenant,
    config: Config,
    present: Mapping[str, Connection],
    *,
    token: TokenSource,
    clock: Clock,
    report: Report,
) -> Connection:
    known = present.get(tenant.name)
    if known is not None and known.tenant == tenant:
        return known

    def retried(**fields: Any) -> None:
        report.event("retry", tenant=tenant.name, **fields)

    client = GraphClient(tenant, token, clock=clock, budgets=_budgets(tenant, config, present, clock), on_retry=retried)
    await client.open()
    return Connection(tenant, token, client)


def _budgets(tenant: Tenant, config: Config, present: Mapping[str, Connection], clock: Clock) -> Budgets:
    """Return what Graph counts for this app in this tenant, also when a new client takes an old one's place."""
    for each in present.values():
        if _app(each.tenant) == _app(tenant):
            return each.client.budgets
    return Budgets(clock, in_flight=config.limits.in_flight, per_window=config.limits.requests)


def _app(tenant: Tenant) -> tuple[str, str, str]:
    return tenant.cloud.graph.lower(), tenant.tenant_id.lower(), tenant.client_id.lower()


async def pollers(
    generation: Generation, *, journal: Journal, clock: Clock, report: Report, dispatcher: Dispatcher
) -> list[Watch]:
    """Return what to watch: a poller for each folder, continuing from its stored link.

    With them the desk gets the handler that evaluates rules.
    """
    now = clock.now()
    config = generation.config
    specs = [
        FolderSpec(
            config.tenants[mailbox.tenant].identity,
            mailbox.address,
            folder,
            _floor(mailbox, now),
            generation.connections[mailbox.tenant].guid,
        )
        for mailbox in config.mailboxes
        for folder in mailbox.folders
    ]
    stored = {(each.mailbox, each.name): each for each in await journal.adopt(specs, now)}
    walkers = {each.address: Walkers() for each in config.mailboxes}
    found = [
        Watch(
            FolderPoller(
                stored[mailbox.address, folder],
                mailbox.rules,
                mail=generation.desk.mails[mailbox.address],
                journal=journal,
                clock=clock,
                report=report,
                page_size=config.limits.page_size,
                delta=config.tenants[mailbox.tenant].cloud.delta,
                dispatcher=dispatcher,
                walkers=walkers[mailbox.address],
            ),
            mailbox.poll,
            mailbox.tenant,
        )
        for mailbox in config.mailboxes
        for folder in mailbox.folders
    ]
    desk = generation.desk
    desk.handlers = {**desk.handlers, ROUTING: routing((each.poller for each in found), journal)}
    return found


def _floor(mailbox: WatchedMailbox, now: datetime) -> datetime | None:
    """Mail received before this is remembered but not dispatched when the folder is first walked."""
    if mailbox.start == "all":
        return None
    return now - NOW_MARGIN if mailbox.start == "now" else mailbox.start


async def put_away(
    generation: Generation, *, keep: Mapping[str, Connection], report: Report, patience: float | None = None
) -> None:
    """Close a generation once nothing runs on its desk, sparing the connections in `keep`.

    The desk is waited for as long as its handlers may take, or for `patience` seconds.
    """
    longest = max((each.timeout for each in generation.desk.handlers.values()), default=0.0) + OPEN_LIMIT
    try:
        async with asyncio.timeout(longest if patience is None else patience):
            await generation.desk.idle.wait()
    except TimeoutError:
        report.event("stranded", deliveries=generation.desk.busy)
    await close_handlers(generation.desk.handlers, report)
    kept = {id(each) for each in keep.values()}
    closing = [generation.desk.http.close()]
    closing += [each.close() for each in generation.connections.values() if id(each) not in kept]
    for failed in await asyncio.gather(*(at_most(CLOSE_LIMIT, each) for each in closing), return_exceptions=True):
        if isinstance(failed, Exception):
            report.event(
                "close_failed", handler="", error=f"A connection: {type(failed).__name__}: {failed}".rstrip(": ")
            )
