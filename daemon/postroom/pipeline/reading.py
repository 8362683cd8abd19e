"""One message as its rules need it: what becomes of it at once, or when Graph has been asked for more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from postroom.errors import NotFound, PostroomError, Refused, RuleError
from postroom.model import Message
from postroom.pipeline.limits import within
from postroom.pipeline.route import as_matched, route
from postroom.ports import UNDATED, UNROUTED, Clock, Entry, Mail, MatchedRule, NewMessage, WatchedFolder
from postroom.rule import Rule

LOOK_LIMIT = 180.0
"""Seconds to read what one message's entry does not tell; each request in it has its own, shorter limit."""

GONE_WAIT = 2.0
"""Seconds after which a message that was not found is asked for again: fresh mail has been seen to answer 404."""

T = TypeVar("T")


class Reader:
    """Reads messages of one mailbox and evaluates their rules."""

    def __init__(self, rules: Sequence[Rule], *, mail: Mail, clock: Clock) -> None:
        self._rules = rules
        self._mail = mail
        self._clock = clock
        self._matched: dict[tuple[str, ...], tuple[MatchedRule, ...]] = {}

    def at_once(self, folder: WatchedFolder, message: Message, now: datetime) -> NewMessage | None:
        """Say what becomes of a message without reading more of it; None when that cannot be said."""
        if _is_before_start(folder, message.received_at):
            return NewMessage(message, dispatch=False)
        try:
            routing = route(message, self._rules, now)
        except RuleError as error:
            return _dead(message, error)
        return None if routing.missing else NewMessage(message, self._as_matched(routing.matched))

    def _as_matched(self, rules: tuple[Rule, ...]) -> tuple[MatchedRule, ...]:
        """Return what is stored of these rules; most mail matches as other mail did, and shares it."""
        names = tuple([rule.name for rule in rules])
        matched = self._matched.get(names)
        if matched is None:
            matched = self._matched[names] = as_matched(rules)
        return matched

    async def read(self, folder: WatchedFolder, entry: Entry, now: datetime) -> NewMessage | None:
        """Read one message as far as its rules need; None when it is gone.

        Raises GraphError and AuthError when it cannot be read now; `Refused` when it never can be.
        """
        message = entry.message
        async with within(LOOK_LIMIT, f"to read a message in {folder.name} of {folder.mailbox}", folder.mailbox):
            if message is None:
                message = await self._twice(lambda: self._mail.message(entry.id, folder.name))
            if message is None:
                return None
            try:
                return self.at_once(folder, message, now) or await self._with_details(message, now)
            except RuleError as error:
                return _dead(message, error)

    async def _with_details(self, message: Message, now: datetime) -> NewMessage:
        routing = route(message, self._rules, now)
        try:
            details = await self._twice(lambda: self._mail.details(message.id, routing.missing))
        except NotFound:
            # Of fresh mail the details may be missing for longer; only the message itself tells that it is gone.
            if await self._mail.message(message.id, message.folder) is not None:
                raise
            return NewMessage(message, self._as_matched(routing.matched))
        routing = route(message, self._rules, now, details)
        if routing.missing:
            raise Refused(
                f"Graph did not tell the {' and '.join(sorted(routing.missing))} of a message.",
                remedy="Look at the rule: it asks for something this mail does not have.",
                mailbox=message.mailbox,
            )
        return NewMessage(message, self._as_matched(routing.matched))

    async def _twice(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read something, and when it is not there once more a little later."""
        try:
            found = await read()
        except NotFound:
            found = None
        if found is None:
            await self._clock.sleep(GONE_WAIT)
            found = await read()
        return found


def _dead(message: Message, error: PostroomError) -> NewMessage:
    """Make a dead letter of a message whose rules can never be evaluated: an operator shall see it."""
    return NewMessage(message, (UNROUTED,), failure=unreadable(error))


def remembered(folder: WatchedFolder, entry: Entry) -> NewMessage | None:
    """Remember a message that its time of receipt alone decides on: whether it can be read matters to nobody."""
    if entry.received_at is None or not _is_before_start(folder, entry.received_at):
        return None
    return NewMessage(_known_of(folder, entry, entry.received_at), dispatch=False)


def set_aside(folder: WatchedFolder, entry: Entry, now: datetime, failure: str = "") -> NewMessage:
    """Have a message read again later, on its own; `failure`: when an operator says so.

    What the page tells the time of has been held against the floor already. Of the rest nobody knows it, and by the
    time it can be read the walk that the floor is for is over: so the delivery carries that it was found in one.
    """
    is_undated = entry.message is None and entry.received_at is None
    rule = UNDATED if is_undated and folder.walk == "full" and folder.floor is not None else UNROUTED
    return NewMessage(_known_of(folder, entry, now), (rule,), failure=failure)


def unreadable(error: PostroomError) -> str:
    """Say why a message is a dead letter: its rules can never be evaluated."""
    return f"Its rules could not be evaluated: {error}"


def _is_before_start(folder: WatchedFolder, received_at: datetime) -> bool:
    return folder.walk == "full" and folder.floor is not None and received_at < folder.floor


def _known_of(folder: WatchedFolder, entry: Entry, now: datetime) -> Message:
    """Return what a page told of a message, or a stand-in where it told too little."""
    received_at = entry.received_at or now
    return entry.message or Message(id=entry.id, mailbox=folder.mailbox, folder=folder.name, received_at=received_at)
