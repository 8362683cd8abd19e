"""What can be done to a running tenant from outside, in plain values. Every method raises ValueError or StateError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from postroom.simulator.corpus import corpus
from postroom.simulator.effect_json import effect_json, fault_from, fault_json
from postroom.simulator.state import Folder, Limits, Mailbox, StoredMessage, UnknownMessage

if TYPE_CHECKING:
    from postroom.simulator.server import SimulatedTenant

CONDITIONS = ("full", "licensed", "moving", "provisioned")
"""What a mailbox may be, besides being there; see `postroom.simulator.state.Mailbox`."""

LIMITS = tuple(each.name for each in fields(Limits) if each.name != "refused" and each.name[0] != "_")
"""What can be set of the limits; see `postroom.simulator.state.Limits`."""

MOST_LISTED = 200
"""Messages and strikes in one answer."""


class Controls:
    """The levers of a tenant."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        self.tenant = tenant

    # What there is

    def state(self) -> dict[str, Any]:
        """Tell everything at a glance; `client_secret` and the like are those of a tenant that is not real."""
        return {
            "tenant": self.tenant.describe(),
            "clock": self.clock(),
            "profile": self.tenant.weather.profile.name,
            "seed": self.tenant.faults.seed,
            "faults": self.faults(),
            "nuisances": self.tenant.weather.nuisances,
            "injected": self.counts(),
            "mailboxes": self.mailboxes(),
        }

    def clock(self) -> dict[str, Any]:
        """Tell the time in the tenant."""
        clock = self.tenant.clock
        return {"now": clock().astimezone(UTC).isoformat(), "frozen": clock.is_frozen, "ahead": round(clock.ahead, 3)}

    def profiles(self) -> list[dict[str, Any]]:
        """List the named profiles."""
        in_force = self.tenant.weather.profile
        known = self.tenant.weather.profiles.values()
        return [{"name": each.name, "summary": each.summary, "in_force": each is in_force} for each in known]

    def faults(self) -> list[dict[str, Any]]:
        """List the rules in force."""
        return [fault_json(fault) for fault in self.tenant.faults.faults]

    def counts(self) -> dict[str, int]:
        """Tell how often each fault and each nuisance struck."""
        return dict(self.tenant.weather.struck)

    def injected(self, after: int = 0) -> list[dict[str, Any]]:
        """List what struck after the strike with that number, oldest first, so many at a time."""
        new = [struck for struck in self.tenant.faults.injected if struck.number > after]
        return [
            {
                "number": struck.number,
                "name": struck.name,
                "method": struck.method,
                "path": struck.path,
                **effect_json(struck.effect),
            }
            for struck in new[:MOST_LISTED]
        ]

    def mailboxes(self) -> list[dict[str, Any]]:
        """List the mailboxes with their counts."""
        return [mailbox_json(mailbox) for mailbox in self.tenant.state.mailboxes.values()]

    def mailbox(self, address: str) -> dict[str, Any]:
        """Tell of one mailbox and its folders."""
        mailbox = self.tenant.state.mailbox(address)
        return {**mailbox_json(mailbox), "folders": [folder_json(folder) for folder in _tree(mailbox.root)]}

    def messages(self, address: str, folder: str = "inbox", skip: int = 0) -> list[dict[str, Any]]:
        """List a folder's messages, newest first, so many at a time."""
        mailbox = self.tenant.state.mailbox(address)
        messages = mailbox.folder(folder).messages
        end = max(len(messages) - skip, 0)
        return [message_json(mailbox, each) for each in reversed(messages[max(end - MOST_LISTED, 0) : end])]

    def outbox(self, skip: int = 0) -> list[dict[str, Any]]:
        """List what was sent, one entry for each recipient, oldest first, so many at a time."""
        return [each._asdict() for each in islice(self.tenant.state.outbox, skip, skip + MOST_LISTED)]

    # The weather

    def use_profile(self, name: str, seed: int | None = None) -> dict[str, Any]:
        """Change the weather."""
        self.tenant.use_profile(name, seed=seed)
        return {"profile": self.tenant.weather.profile.name, "seed": self.tenant.faults.seed, "faults": self.faults()}

    def add_fault(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Add a rule; see `effect_json.fault_from`."""
        return fault_json(self.tenant.faults.add(fault_from(document)))

    def remove_fault(self, fault_id: int) -> None:
        """Take a rule away."""
        if not self.tenant.faults.remove(fault_id):
            raise UnknownMessage(f"There is no fault {fault_id}.")

    def disturb(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Set nuisances of change tracking; see `postroom.simulator.state.Nuisance`."""
        self.tenant.weather.disturb(document)
        return self.tenant.weather.nuisances

    def clear_faults(self) -> None:
        """Take all rules away: the weather is calm then."""
        self.tenant.use_profile("calm")

    def forget(self) -> None:
        """Count from nothing again what struck."""
        self.tenant.weather.forget()

    def limits(self) -> dict[str, Any]:
        """Tell how much an app may ask, and how often each limit refused."""
        limits = self.tenant.state.limits
        return {**{name: getattr(limits, name) for name in LIMITS}, "refused": dict(limits.refused)}

    def set_limits(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Put other limits in force, or the same; what was counted so far counts no longer."""
        self.tenant.state.limits = self.tenant.state.limits.renewed(**changes)
        return self.limits()

    # The clock

    def advance(self, seconds: float) -> dict[str, Any]:
        """Put the clock forward."""
        try:
            self.tenant.clock.advance(seconds)
        except OverflowError as error:
            raise ValueError(f"The clock cannot be put there: {error}") from None
        return self.clock()

    def freeze(self, at: str = "") -> dict[str, Any]:
        """Stop the clock, where it is or at an ISO 8601 time."""
        self.tenant.clock.freeze(datetime.fromisoformat(at) if at else None)
        return self.clock()

    def resume(self) -> dict[str, Any]:
        """Let the clock go on."""
        self.tenant.clock.resume()
        return self.clock()

    def reset_clock(self) -> dict[str, Any]:
        """Put the clock back to the present, and let it go on from there."""
        self.tenant.clock.reset()
        return self.clock()

    # The mail

    def deliver(
        self, address: str, raw: bytes, *, folder: str = "inbox", received_at: datetime | None = None
    ) -> dict[str, Any]:
        """Put a mail into a mailbox, however broken it is."""
        mailbox = self.tenant.state.mailbox(address)
        stored = self.tenant.state.deliver_mime(address, raw, folder=folder, received_at=received_at)
        return message_json(mailbox, stored)

    def deliver_samples(self) -> int:
        """Spread the demo's mails over the mailboxes; returns how many there are."""
        addresses = list(self.tenant.state.mailboxes)
        now = self.tenant.clock()
        delivered = 0
        for delivered, mail in enumerate(corpus(now), start=1):
            named = (address for address in addresses if address.startswith(f"{mail.mailbox}@"))
            address = next(named, addresses[delivered % len(addresses)])
            self.tenant.state.deliver_mime(address, mail.raw, received_at=now - mail.age)
        return delivered

    def find(self, address: str, message_id: str) -> tuple[Mailbox, StoredMessage]:
        """Find a message by either of its ids."""
        mailbox = self.tenant.state.mailbox(address)
        return mailbox, mailbox.message(message_id)

    def move(self, address: str, message_id: str, folder: str) -> dict[str, Any]:
        """Move a message, as its owner would in Outlook."""
        mailbox, message = self.find(address, message_id)
        mailbox.move(message, mailbox.folder(folder))
        return message_json(mailbox, message)

    def mark(self, address: str, message_id: str, *, is_read: bool) -> dict[str, Any]:
        """Mark a message read or unread."""
        mailbox, message = self.find(address, message_id)
        mailbox.update(message, is_read=is_read)
        return message_json(mailbox, message)

    def delete(self, address: str, message_id: str) -> None:
        """Delete a message: into the Deleted Items, and from there for good."""
        mailbox, message = self.find(address, message_id)
        bin_folder = mailbox.folder("deleteditems")
        if message.folder is bin_folder:
            mailbox.delete(message)
        else:
            mailbox.move(message, bin_folder)

    def reset_delta(self, address: str, folder: str = "inbox") -> None:
        """Make every delta link of a folder void."""
        self.tenant.state.mailbox(address).reset_delta(folder)

    def set_condition(self, address: str, conditions: Mapping[str, object]) -> dict[str, Any]:
        """Make a mailbox full, unlicensed, moving or not yet opened, or undo that."""
        mailbox = self.tenant.state.mailbox(address)
        if wrong := [
            name for name, value in conditions.items() if name not in CONDITIONS or not isinstance(value, bool)
        ]:
            raise ValueError(f"{', '.join(wrong)}: a condition is one of {', '.join(CONDITIONS)}, true or false")
        for name, value in conditions.items():
            setattr(mailbox, name, value)
        return mailbox_json(mailbox)

    def add_mailbox(self, address: str) -> dict[str, Any]:
        """Create a mailbox."""
        local, at, domain = address.rpartition("@")
        if not (local and at and domain) or any(character.isspace() for character in address):
            raise ValueError(f"{address[:200]!r} is not a mail address, such as invoices@contoso.example")
        return mailbox_json(self.tenant.state.add_mailbox(address))


def mailbox_json(mailbox: Mailbox) -> dict[str, Any]:
    """Write a mailbox in short."""
    inbox = mailbox.folder("inbox")
    return {
        "address": mailbox.address,
        "id": mailbox.id,
        "messages": len(mailbox.messages),
        "inbox": len(inbox.messages),
        "unread": inbox.unread,
        **{name: getattr(mailbox, name) for name in CONDITIONS},
    }


def folder_json(folder: Folder) -> dict[str, Any]:
    """Write a folder in short."""
    return {"id": folder.id, "name": folder.display_name, "messages": len(folder.messages), "unread": folder.unread}


def message_json(mailbox: Mailbox, message: StoredMessage) -> dict[str, Any]:
    """Write a message in short."""
    envelope = mailbox.contents.envelope(message)
    sender = envelope.sent_from or envelope.sender
    return {
        "id": mailbox.default_id(message),
        "immutable_id": mailbox.immutable_id(message),
        "folder": message.folder.display_name,
        "subject": envelope.subject,
        "from": sender.address if sender else "",
        "from_name": sender.name if sender else "",
        "received_at": datetime.fromtimestamp(message.received, UTC).isoformat(),
        "size": message.size,
        "is_read": message.is_read,
        "has_attachments": message.has_attachments,
    }


def _tree(folder: Folder) -> list[Folder]:
    """List the folders below a folder, parents first."""
    return [below for child in folder.children for below in (child, *_tree(child))]
