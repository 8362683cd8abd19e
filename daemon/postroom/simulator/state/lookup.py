"""Finds messages by what lies on disk without reading the disk for every question.

What filters and searches ask about is read once a message and kept from then on; a mailbox nobody filters keeps
nothing. The last results are kept too, so that walking through the pages of a query does not run it for every page.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from postroom.simulator.state.message import Address, StoredMessage

if TYPE_CHECKING:
    from postroom.simulator.state.store import MessageStore

_RESULTS_KEPT = 8
_NOBODY = Address("", "")


class Facts(NamedTuple):
    """Of a message's envelope what filters, orders and indexes ask for."""

    subject: str
    sent_from: Address
    sender: Address
    sent: int | None
    message_id: str
    conversation: bytes


def conversation(mailbox_id: str, thread: str, item: int) -> bytes:
    """Return what the mails of one conversation share; one without a thread is its own."""
    name = f"{mailbox_id} {thread or item}"
    return blake2b(name.encode("utf-8", "replace"), digest_size=16).digest()


INDEXED: dict[str, Callable[[Facts], Hashable]] = {
    "message_id": lambda facts: facts.message_id.casefold(),
    "conversation": lambda facts: facts.conversation,
    "sent_from": lambda facts: facts.sent_from.address.casefold(),
}
"""What can be looked up directly, by the key it is looked up with."""


class Lookup:
    """What is known of one mailbox's messages."""

    __slots__ = ("_facts", "_index", "_mailbox", "_results", "_upto")

    def __init__(self, mailbox: MessageStore) -> None:
        self._mailbox = mailbox
        self._facts: dict[int, Facts] = {}
        self._index: dict[tuple[str, Hashable], set[int]] = {}
        self._upto = 0
        self._results: dict[Hashable, tuple[int, Sequence[StoredMessage]]] = {}

    def facts(self, message: StoredMessage) -> Facts:
        """Return what is known of a message, reading its envelope at most once."""
        found = self._facts.get(message.item)
        if found is None:
            envelope = self._mailbox.contents.envelope(message)
            found = self._facts[message.item] = Facts(
                envelope.subject,
                envelope.sent_from or _NOBODY,
                envelope.sender or _NOBODY,
                envelope.sent,
                envelope.message_id,
                conversation(self._mailbox.id, envelope.thread, message.item),
            )
        return found

    def having(self, name: str, value: Hashable) -> list[StoredMessage]:
        """Return the messages of which a fact named in `INDEXED` has this value, in no order."""
        self._read_on()
        items = self._index.get((name, value), ())
        found = [message for item in items if (message := self._mailbox.find(item)) is not None]
        return [message for message in found if INDEXED[name](self.facts(message)) == value]

    def forget(self, message: StoredMessage) -> None:
        """Take notice that the message is about to say something else."""
        facts = self._facts.pop(message.item, None)
        if message.item > self._upto or facts is None:
            return
        for name, key in INDEXED.items():
            self._index.get((name, key(facts)), set()).discard(message.item)
        self._upto = min(self._upto, message.item - 1)

    def remembered(self, question: Hashable, answer: Callable[[], Sequence[StoredMessage]]) -> Sequence[StoredMessage]:
        """Return the answer to a question about the mailbox as it is, asked anew only after a change."""
        seq, found = self._results.pop(question, (-1, ()))
        if seq != self._mailbox.seq:
            found = answer()
        self._results[question] = (self._mailbox.seq, found)
        if len(self._results) > _RESULTS_KEPT:
            del self._results[next(iter(self._results))]
        return found

    def _read_on(self) -> None:
        """Index what came since; item numbers only ever grow."""
        messages, upto = self._mailbox.messages, self._upto
        for item in self._mailbox.newest_items():
            if item <= upto:
                break
            self._upto = max(self._upto, item)
            self._add(messages[item])

    def _add(self, message: StoredMessage) -> None:
        facts = self.facts(message)
        for name, key in INDEXED.items():
            self._index.setdefault((name, key(facts)), set()).add(message.item)
