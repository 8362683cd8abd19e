"""`postroom check --online`: sign in, look each watched folder up, and compare permissions with what is configured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from postroom.cli.progress import folders_done
from postroom.clock import SystemClock
from postroom.config import Config, WatchedMailbox
from postroom.config.problems import WARNINGS, Id
from postroom.errors import AuthError, GraphError, PostroomError, Problem
from postroom.graph.client import GraphClient
from postroom.graph.mail import MailboxMail
from postroom.graph.session import Limits
from postroom.graph.token import TokenSource
from postroom.model import Forward, Reply, Send
from postroom.rule import Rule
from postroom.tenant import Tenant

HASTE = Limits(connect=10.0, read=20.0, total=30.0, wait=10.0, tries=2)
"""Somebody waits for the answer: two tries, and no long waits."""

AT_ONCE = 50
"""Folders looked up at once; each mailbox's own limit of requests in flight holds as well."""

READING = frozenset({"Mail.Read", "Mail.ReadWrite"})
WRITING = frozenset({"Mail.ReadWrite"})
SENDING = frozenset({"Mail.Send"})


@dataclass(frozen=True, slots=True)
class _Look:
    """A watched folder to look up, and where it stands in the file."""

    mailbox: WatchedMailbox
    folder: str
    path: str


async def online(config: Config) -> list[Problem]:
    """Try the configuration against its tenants; returns what is wrong, tenant by tenant."""
    looks = [
        _Look(mailbox, folder, f"mailboxes.{number}.folders.{index}")
        for number, mailbox in enumerate(config.mailboxes)
        for index, folder in enumerate(mailbox.folders)
    ]
    with folders_done(len(looks), "Signing in ...", "looked up") as looked_up:
        found = await asyncio.gather(
            *(
                _try_tenant(config, tenant, [each for each in looks if each.mailbox.tenant == tenant.name], looked_up)
                for tenant in config.tenants.values()
            )
        )
    return [problem for each in found for problem in each]


async def _try_tenant(
    config: Config, tenant: Tenant, looks: list[_Look], looked_up: Callable[[], None]
) -> list[Problem]:
    """Sign in; whoever is refused has no business with the mailboxes, so that nothing else is tried then."""
    place = "tenant" if list(config.tenants) == ["default"] else f"tenants.{tenant.name}"
    clock = SystemClock()
    token = TokenSource(tenant, clock=clock, timeout=HASTE.connect)
    try:
        claims = await token.claims()
        client = GraphClient(tenant, token, clock=clock, in_flight=config.limits.in_flight, limits=HASTE)
        async with client:
            problems = await _try_folders(client, looks, looked_up)
    except PostroomError as error:
        return [_problem(config, error, place)]
    finally:
        await token.close()
    missing = _missing(claims, [each.mailbox for each in looks])
    return [
        *(_told(config, Id.MISSING_PERMISSION, place, text) for text in missing),
        *_once(config, place, problems),
    ]


async def _try_folders(
    client: GraphClient, looks: list[_Look], looked_up: Callable[[], None]
) -> list[tuple[_Look, PostroomError]]:
    """Look the folders up side by side; returns those that failed, with why."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def look(each: _Look) -> tuple[_Look, PostroomError] | None:
        async with slots:
            try:
                await MailboxMail(client, each.mailbox.address).folder_id(each.folder)
            except PostroomError as error:
                return each, error
            finally:
                looked_up()
        return None

    return [failed for failed in await asyncio.gather(*map(look, looks)) if failed is not None]


def _once(config: Config, place: str, failed: Iterable[tuple[_Look, PostroomError]]) -> list[Problem]:
    """Tell of each folder, but only once of a Graph that cannot be reached at all."""
    problems: dict[str, Problem] = {}
    for look, error in failed:
        own = _id(error) is Id.FOLDER_NOT_READ
        problems.setdefault(look.path if own else _id(error), _problem(config, error, look.path if own else place))
    return list(problems.values())


def _id(error: PostroomError) -> Id:
    if isinstance(error, AuthError):
        return Id.UNREACHABLE if error.code == "unreachable" or error.temporary else Id.SIGN_IN_REFUSED
    return (
        Id.UNREACHABLE if isinstance(error, GraphError) and error.temporary and not error.status else Id.FOLDER_NOT_READ
    )


def _problem(config: Config, error: PostroomError, path: str) -> Problem:
    """Say what happened, what to do, and the id to quote in a support case."""
    request = error.fields.get("request_id") or error.fields.get("trace_id")
    return _told(config, _id(error), path, f"{error} (request-id {request})" if request else str(error))


def _told(config: Config, id_: Id, path: str, text: str) -> Problem:
    return Problem(id_.value, "warning" if id_ in WARNINGS else "error", path, text, str(config.path or ""))


def _missing(claims: Mapping[str, Any], mailboxes: list[WatchedMailbox]) -> list[str]:
    """Say which permissions are needed and not in the token; one without any is under RBAC for Applications."""
    roles = set(claims.get("roles") or ())
    acting = next((each for each in mailboxes if any(rule.then or rule.on_failure for rule in each.rules)), None)
    needs = [(READING, "reading mail")]
    if acting is not None:
        needs.append((WRITING, f"the mail actions of {acting.address}"))
    if (sending := next((each for each in mailboxes if any(map(_sends, each.rules))), None)) is not None:
        needs.append((SENDING, f"what the rules of {sending.address} send"))
    has = ", ".join(sorted(roles))
    return [
        f"{what} needs {min(needed)}, and the token has {has} only; grant it to the app and give admin consent, unless "
        "RBAC for Applications in Exchange grants it"
        for needed, what in needs
        if roles and not roles & needed
    ]


def _sends(rule: Rule) -> bool:
    return any(isinstance(action, Reply | Forward | Send) for action in (*rule.then, *rule.on_failure))
