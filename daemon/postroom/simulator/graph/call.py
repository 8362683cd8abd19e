"""One request to Graph, as its operations see it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import web

from postroom.simulator.graph.answers import bytes_answer, json_answer
from postroom.simulator.graph.faults import RAOP, GraphFault, access_denied, bad_request
from postroom.simulator.graph.notifications import Notifier
from postroom.simulator.graph.paths import Path
from postroom.simulator.graph.preferences import Preferences, read_preferences
from postroom.simulator.state import Folder, Mailbox, StoredMessage, TenantState, UnknownMailbox

READ_BASIC = frozenset({"Mail.ReadBasic", "Mail.ReadBasic.All", "Mail.Read", "Mail.ReadWrite"})
READ = frozenset({"Mail.Read", "Mail.ReadWrite"})
WRITE = frozenset({"Mail.ReadWrite"})
SEND = frozenset({"Mail.Send"})
_YOUNG = 10


class Caller(NamedTuple):
    """Who asks: the app, the application permissions it has, and its mailboxes (addresses or ids; None for all).

    `foreign` are the mail domains of other tenants: nobody there is known to this one. `tenant_id` is the app's own.
    """

    app_id: str
    roles: frozenset[str]
    mailboxes: frozenset[str] | None
    foreign: frozenset[str] = frozenset()
    tenant_id: str = ""


@dataclass(slots=True)
class Call:
    """A request with what was read from it; lookups raise GraphFault or StateError.

    Attributes:
        notifier: Tells subscribers.
        options: Query options by name in lower case, without the dollar sign.
    """

    request: web.Request
    caller: Caller
    state: TenantState
    path: Path
    notifier: Notifier
    prefer: Preferences = field(init=False)
    options: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.prefer = read_preferences(",".join(self.request.headers.getall("Prefer", ())))
        self.options = {name.removeprefix("$").lower(): value for name, value in self.request.query.items()}

    @property
    def base(self) -> str:
        """Root of the service as the client addressed it."""
        return f"{self.request.scheme}://{self.request.host}/v1.0"

    @property
    def user(self) -> str:
        """The mailbox as the client named it, ready for a link."""
        return f"users('{quote(self.path.keys['users'].replace(chr(39), chr(39) * 2), safe=chr(39))}')"

    def mailbox(self) -> Mailbox:
        """Find the mailbox addressed, if the app may see it and there is nothing wrong with it."""
        return self.mailbox_of(self.path.keys["users"])

    def mailbox_of(self, name: str) -> Mailbox:
        """Find a mailbox by address or id, likewise."""
        try:
            mailbox = self.state.mailbox(name)
        except UnknownMailbox as error:
            raise GraphFault(404, self.state.unknown_user, error.message) from error
        if mailbox.address.rpartition("@")[2] in self.caller.foreign:
            raise UnknownMailbox(f"The requested user '{name}' is invalid.")
        scope = self.caller.mailboxes
        if scope is not None and not _folded(scope) & {mailbox.address, mailbox.id}:
            raise access_denied(RAOP)
        check_condition(mailbox)
        return mailbox

    def folder(self, mailbox: Mailbox) -> Folder | None:
        """Find the folder addressed; None when the path names none."""
        name = self.path.keys.get("mailfolders")
        return None if name is None else mailbox.folder(name)

    def message(self, mailbox: Mailbox) -> StoredMessage:
        """Find the message addressed."""
        message = mailbox.message(self.path.keys["messages"], self.folder(mailbox))
        young = mailbox.now() - message.created < _YOUNG
        if young and self.state.nuisance.strike("unfound", mailbox.address):
            raise GraphFault(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return message

    def may(self, needed: frozenset[str]) -> bool:
        """Tell whether the app has one of the permissions needed."""
        return not needed.isdisjoint(self.caller.roles)

    def require(self, needed: frozenset[str]) -> None:
        """Refuse an app that has none of the permissions needed, if any is."""
        if needed and not self.may(needed):
            raise access_denied()

    @property
    def is_mime(self) -> bool:
        """Whether the body is MIME in base64 rather than JSON (user-sendmail)."""
        return self.request.content_type == "text/plain"

    async def json(self) -> dict[str, Any]:
        """Read the body as a JSON object."""
        text = await self.request.read()
        if not text:
            raise bad_request("Empty Payload. JSON content expected.")
        typed = "Content-Type" in self.request.headers  # without it Graph reads no JSON (docs-contrib#6337)
        try:
            body = json.loads(text) if typed else None
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid "
                "JSON format."
            )
        return body

    def answer(self, body: dict[str, Any], *, status: int = 200) -> web.Response:
        """Answer with JSON."""
        return self.confirmed(json_answer(self.request, body, status=status))

    def answer_bytes(self, data: bytes, content_type: str) -> web.Response:
        """Answer with content as it is."""
        return self.confirmed(bytes_answer(self.request, data, content_type))

    def confirmed(self, response: web.Response) -> web.Response:
        """Say in an answer which preferences were applied."""
        if self.prefer.applied:
            response.headers["Preference-Applied"] = self.prefer.applied
        return response


class Operation(NamedTuple):
    """What answers a call, and the permissions of which the app needs one."""

    handle: Callable[[Call], Awaitable[web.StreamResponse]]
    needs: frozenset[str]


Operations = dict[tuple[str, str], Operation]
"""By method and path shape."""


@lru_cache(maxsize=64)
def _folded(scope: frozenset[str]) -> frozenset[str]:
    return frozenset(one.lower() for one in scope)


def check_condition(mailbox: Mailbox) -> None:
    """Refuse what a mailbox cannot answer in its present condition (contract of Exchange's error codes)."""
    if not mailbox.licensed:
        raise GraphFault(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    if mailbox.moving:
        raise GraphFault(503, "ErrorMailboxMoveInProgress", "Mailbox move in progress. Try again later.")


def not_supported(what: str) -> GraphFault:
    """Refuse what the simulated tenant does not do, rather than do it wrongly in silence."""
    return GraphFault(501, "NotImplemented", f"The simulated tenant does not support {what}.")
