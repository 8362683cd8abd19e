"""All mailboxes of a simulated tenant, and the mail that goes between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from postroom.simulator.state.bounce import non_delivery_report
from postroom.simulator.state.content import Contents
from postroom.simulator.state.errors import UnknownMailbox
from postroom.simulator.state.headers import header_end
from postroom.simulator.state.limits import Limits
from postroom.simulator.state.mailbox import Mailbox
from postroom.simulator.state.message import Envelope, StoredMessage
from postroom.simulator.state.nuisance import Nuisance
from postroom.simulator.state.sender import without_fields
from postroom.simulator.state.spool import Spool
from postroom.simulator.state.subscription import Subscriptions
from postroom.simulator.state.upload import Uploads

MOST_DEPARTURES = 100_000


class Departure(NamedTuple):
    """One copy of a sent mail, on its way to one recipient; addresses in lower case."""

    sender: str
    recipient: str
    message_id: str
    subject: str


class TenantState:
    """All mailboxes of a simulated tenant. One thread (the event loop's) uses it; nothing in it waits.

    Args:
        directory: Where mail is kept on disk while the process lives.
        clock: Returns the time, aware.

    Attributes:
        uploads: Large attachments on their way.
        on_change: Called with the mailbox after every change of it; `on_close` when the tenant closes.
        nuisance: What change tracking makes worse than it has to be.
        limits: How much one app may ask of one mailbox.
        cloud: ``global``, ``usgov`` or ``china``; the last two lack some functions (CSDL Fairfax, Mooncake).
        subscriptions: Who wants to be told of changes.
        outbox: What was handed to transport, copy by copy, oldest first; of very much, the last.
        transport_time: Seconds that a draft which was sent is still a draft.
        unknown_user: Graph's code for a mailbox there is not; it varies by data centre: ``ErrorInvalidUser``,
            ``Request_ResourceNotFound`` or ``ResourceNotFound``.
    """

    def __init__(self, directory: Path, clock: Callable[[], datetime]) -> None:
        self._spool = Spool(directory / "mail.spool")
        self._contents = Contents(self._spool)
        self._clock = clock
        self.uploads = Uploads(self._contents, clock)
        self._by_address: dict[str, Mailbox] = {}
        self._by_id: dict[str, Mailbox] = {}
        self.on_change: list[Callable[[Mailbox], None]] = []
        self.on_close: list[Callable[[], None]] = []
        self.nuisance = Nuisance()
        self.limits = Limits()
        self.cloud: Literal["global", "usgov", "china"] = "global"
        self.subscriptions = Subscriptions()
        self.outbox: deque[Departure] = deque(maxlen=MOST_DEPARTURES)
        self.transport_time = 0.0
        self.unknown_user = "ErrorInvalidUser"

    @property
    def mailboxes(self) -> Mapping[str, Mailbox]:
        """All mailboxes, by address in lower case."""
        return MappingProxyType(self._by_address)

    def now(self) -> datetime:
        """Return the time in the tenant."""
        return self._clock()

    def add_mailbox(self, address: str, display_name: str = "", language: str = "en") -> Mailbox:
        """Create a mailbox, or return the one that has this address; its folders are named in its language."""
        if address.lower() in self._by_address:
            return self._by_address[address.lower()]
        mailbox = Mailbox(address, display_name, self._contents, self._clock, self._changed, language=language)
        self._by_address[mailbox.address] = self._by_id[mailbox.id] = mailbox
        return mailbox

    def mailbox(self, address_or_id: str) -> Mailbox:
        """Find a mailbox by address or object id; raises UnknownMailbox."""
        wanted = address_or_id.lower()
        found = self._by_address.get(wanted) or self._by_id.get(wanted)
        if found is None:
            raise UnknownMailbox(f"The requested user '{address_or_id}' is invalid.")
        if found.late:
            found.arrive()
        return found

    def deliver_mime(
        self, address: str, raw: bytes, *, folder: str = "inbox", received_at: datetime | None = None
    ) -> StoredMessage:
        """Put a mail into a mailbox, however broken it is.

        Raises UnknownMailbox, or UnknownFolder and MalformedId for a folder that is neither well known nor an id.
        """
        mailbox = self.mailbox(address)
        received = None if received_at is None else int(received_at.timestamp())
        delay = self.nuisance.delay(mailbox.address)
        return mailbox.add(raw, mailbox.folder(folder), received=received, delay=delay)

    def transport(self, raw: bytes, envelope: Envelope, sender: Mailbox | None = None) -> None:
        """Deliver a sent mail to those of its recipients that have a mailbox here; nobody sees the Bcc field.

        Those who should have one and do not are reported to the sender's inbox. Mail to other domains goes no further
        than the outbox.
        """
        addresses = dict.fromkeys(recipient.address.lower() for recipient in envelope.recipients)
        visible = without_bcc(raw)
        own = sender.address if sender is not None else ""
        self.outbox.extend(Departure(own, address, envelope.message_id, envelope.subject) for address in addresses)
        for address in addresses:
            if address in self._by_address:
                self.deliver_mime(address, visible)
        missing = [address for address in addresses if address not in self._by_address]
        if sender is not None and missing:
            domains = {known.rpartition("@")[2] for known in self._by_address}
            for address in missing:
                if address.rpartition("@")[2] in domains:
                    self.deliver_mime(sender.address, non_delivery_report(visible, envelope, sender, address))

    def close(self) -> None:
        """Let go of the file on disk; without it that happens when the object goes."""
        for listener in self.on_close:
            listener()
        self._spool.close()

    def _changed(self, mailbox: Mailbox) -> None:
        for listener in self.on_change:
            listener(mailbox)


def without_bcc(raw: bytes) -> bytes:
    """Return a mail without its Bcc field, every other byte as it was."""
    end = header_end(raw)
    return without_fields(raw[:end], (b"bcc",)) + raw[end:]
