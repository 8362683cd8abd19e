"""Who wants to be told of changes of messages, and what happened since they were told last.

Sources: GDC resources/subscription.md, LEARN change-notifications-overview, outlook-change-notifications-overview.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from postroom.simulator.state.errors import TooManySubscriptions, UnknownSubscription

if TYPE_CHECKING:
    from postroom.simulator.state.changes import Change
    from postroom.simulator.state.folder import Folder
    from postroom.simulator.state.mailbox import Mailbox
    from postroom.simulator.state.message import StoredMessage

LARGEST_NUMBER = 1000
"""Active subscriptions a mailbox has at most, of all apps together (LEARN change-notifications-overview)."""

Kind = Literal["created", "updated", "deleted"]
LifecycleEvent = Literal["reauthorizationRequired", "subscriptionRemoved", "missed"]
"""What can become of a subscription (change-notifications-lifecycle-events.md)."""


class Event(NamedTuple):
    """A change to tell: its kind, and what the message's ids are made of."""

    kind: Kind
    folder: Folder
    item: int
    entered: int
    seq: int


@dataclass(slots=True)
class Subscription:
    """One subscription to the messages of a mailbox, or of one of its folders.

    Attributes:
        expires: Seconds since 1970; after that it is gone.
        passes: Tells whether a message passes its ``$filter``; None without one.
        matched: With a filter, the items that pass it.
        seen: Sequence number up to which changes were told.
    """

    id: str
    app_id: str
    tenant_id: str
    mailbox: Mailbox
    folder: Folder | None
    resource: str
    kinds: frozenset[str]
    change_type: str
    url: str
    lifecycle_url: str | None
    client_state: str | None
    tls: str
    immutable: bool
    expires: float
    passes: Callable[[StoredMessage], bool] | None = None
    matched: set[int] = field(default_factory=set)
    seen: int = 0

    def begin(self) -> None:
        """Take the mailbox as it is for known."""
        self.seen = self.mailbox.seq
        if self.passes is not None:
            self.matched = {one.item for folder in self._folders() for one in folder.messages if self.passes(one)}

    def news(self) -> list[Event]:
        """Return the changes wanted since the last call, oldest first."""
        found = sorted(self._changes(), key=lambda pair: pair[1].seq)
        events = [self._event(folder, change) for folder, change in found]
        self.seen = self.mailbox.seq
        return [event for event in events if event is not None and event.kind in self.kinds]

    def _folders(self) -> Iterator[Folder]:
        return iter((self.folder,)) if self.folder is not None else iter(self.mailbox.folders)

    def _changes(self) -> Iterator[tuple[Folder, Change]]:
        for folder in self._folders():
            if folder.log.last > self.seen:
                yield from ((folder, change) for change in folder.log.after(self.seen))

    def _event(self, folder: Folder, change: Change) -> Event | None:
        kind: Kind = "deleted" if change.left else "created" if change.seq == change.entered else "updated"
        if self.passes is not None:
            found = self._filtered(kind, folder, change.item)
            if found is None:
                return None
            kind = found
        return Event(kind, folder, change.item, change.entered, change.seq)

    def _filtered(self, kind: Kind, folder: Folder, item: int) -> Kind | None:
        """Tell what a change is to someone who sees only what passes the filter."""
        assert self.passes is not None
        before = item in self.matched
        message = self.mailbox.find(item)
        after = kind != "deleted" and message is not None and message.folder is folder and self.passes(message)
        (self.matched.add if after else self.matched.discard)(item)
        if not after:
            return "deleted" if before else None
        return kind if before and kind == "updated" else "created"


class Subscriptions:
    """All subscriptions of the tenant.

    Attributes:
        allowed_hosts: Hosts besides this machine that may be notified.
        on_lifecycle: Called with a subscription and the event its app is to be told.
        retry_for: Seconds for which a notification that nobody takes is tried again, beginning `retry_first` seconds
            after the first attempt.
        delivered: Notifications taken by their receiver; `dropped` those given up.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Subscription] = {}
        self._by_mailbox: dict[str, dict[str, Subscription]] = {}
        self.allowed_hosts: set[str] = set()
        self.on_lifecycle: list[Callable[[Subscription, str], None]] = []
        self.retry_first = 1.0
        self.retry_for = 4 * 3600.0
        self.delivered = self.dropped = 0

    @property
    def all(self) -> Mapping[str, Subscription]:
        """All of them, by id."""
        return MappingProxyType(self._by_id)

    def check_number(self, mailbox: Mailbox) -> None:
        """Refuse a mailbox that has as many as it may; raises TooManySubscriptions."""
        if len(self.about(mailbox)) >= LARGEST_NUMBER:
            raise TooManySubscriptions(
                f"The mailbox has reached its limit of {LARGEST_NUMBER} active subscriptions, of all applications."
            )

    def add(self, subscription: Subscription) -> None:
        """Take one in; raises TooManySubscriptions."""
        self.check_number(subscription.mailbox)
        subscription.begin()
        self._by_id[subscription.id] = subscription
        self._by_mailbox.setdefault(subscription.mailbox.id, {})[subscription.id] = subscription

    def find(self, subscription_id: str, app_id: str) -> Subscription:
        """Find one of an app's; raises UnknownSubscription."""
        found = self._by_id.get(subscription_id.lower())
        if found is None or found.app_id != app_id:
            raise UnknownSubscription("The object was not found.")
        return found

    def of(self, app_id: str) -> list[Subscription]:
        """Return an app's subscriptions, oldest first."""
        return [one for one in self._by_id.values() if one.app_id == app_id]

    def about(self, mailbox: Mailbox) -> list[Subscription]:
        """Return the subscriptions to a mailbox."""
        return list(self._by_mailbox.get(mailbox.id, {}).values())

    def remove(self, subscription: Subscription) -> None:
        """Forget one."""
        self._by_id.pop(subscription.id, None)
        self._by_mailbox.get(subscription.mailbox.id, {}).pop(subscription.id, None)

    def expire(self, now: float) -> None:
        """Forget those whose time is over."""
        for one in [one for one in self._by_id.values() if one.expires <= now]:
            self.remove(one)

    def announce(self, subscription: Subscription, event: LifecycleEvent) -> None:
        """Tell a subscription's app what became of it; after ``subscriptionRemoved`` it is gone."""
        if event == "subscriptionRemoved":
            self.remove(subscription)
        for listener in self.on_lifecycle:
            listener(subscription, event)
