"""What may be sent: the limits of a mail of ours, and how the texts of a rule are filled in. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from types import MappingProxyType
from typing import Final

from postroom.model import Forward, Message, Reply, Send

Letter = Reply | Forward | Send
"""A mail action that sends."""

TAG_HEADER: Final = "X-Postroom-Tag"
"""What every mail of ours carries, so that no Postroom answers it."""

MOST_RECIPIENTS: Final = 50
"""Addresses one mail may go to; Exchange allows 500 (LEARN api/resources/message), which no answer needs."""
LONGEST_TEXT: Final = 50_000
"""Characters of a text as it is written; what is filled in comes on top."""
LONGEST_SUBJECT: Final = 255
LONGEST_VALUE: Final = 200
"""Characters of a value that is filled in: a stranger wrote it."""

_ADDRESS = re.compile(r"[^@\s<>()\[\]\\,;:\"/?#%]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SendingLimits:
    """How much is sent at most, so that no loop and no storm comes of it.

    Attributes:
        per_correspondent: Answers to one address.
        per_conversation: Mails about one conversation.
        per_mailbox: Mails out of one mailbox.
        patience: Seconds that a mail which may be on its way is left alone before it is sent again.
    """

    per_correspondent: Rate = Rate(4, 3600.0)
    per_conversation: Rate = Rate(10, 86_400.0)
    per_mailbox: Rate = Rate(300, 3600.0)
    patience: float = 900.0


FIELDS: Final[Mapping[str, Callable[[Message], str]]] = MappingProxyType(
    {
        "subject": lambda message: message.subject,
        "sender": lambda message: message.sender.name or message.sender.address,
        "sender_address": lambda message: message.sender.address,
        "received_at": lambda message: message.received_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "mailbox": lambda message: message.mailbox,
        "internet_message_id": lambda message: message.internet_message_id,
    }
)
"""What ``{name}`` in a rule's text stands for; there is nothing else."""


def is_address(text: str) -> bool:
    """Say whether a mail can be sent there: a bare SMTP address, without a name, brackets or a second one."""
    return _ADDRESS.fullmatch(text) is not None and text.isprintable()


def fault_of_letter(action: Letter) -> str:
    """Say why this cannot be sent; empty when it can. A handler is not type-checked: any value may be anything."""
    match action:
        case Reply(str() as text, str() as subject, bool()):
            return _fault_of_text(text, subject) or ("" if text.strip() else "a Reply without a text")
        case Forward(tuple() | list() as to, str() as comment):
            return _fault_of_text(comment, "") or _fault_of_recipients(to)
        case Send(tuple() | list() as to, str() as subject, str() as text, tuple() | list() as cc):
            return _fault_of_text(text, subject) or _fault_of_recipients(to) or _fault_of_recipients([*to, *cc])
        case _:
            return f"a {type(action).__name__} with something that is no text or no tuple of addresses"


def _fault_of_text(text: str, subject: str) -> str:
    if len(text) > LONGEST_TEXT:
        return f"a text of {len(text)} characters to send; {LONGEST_TEXT} are allowed"
    if len(subject) > LONGEST_SUBJECT:
        return f"a subject of {len(subject)} characters; {LONGEST_SUBJECT} are allowed"
    return ""


def _fault_of_recipients(addresses: Iterable[object]) -> str:
    found = list(addresses)
    if not found:
        return "a mail to nobody"
    if len(found) > MOST_RECIPIENTS:
        return f"a mail to {len(found)} addresses; {MOST_RECIPIENTS} are allowed"
    wrong = [each for each in found if not isinstance(each, str) or not is_address(each)]
    return f"a recipient that is no mail address: {wrong[0]!r:.80}" if wrong else ""


def fault_of_template(text: str) -> str:
    """Say what is wrong with the braces of a rule's text; empty when nothing is."""
    for found in _PIECE.finditer(text):
        name = found[1]
        if name is not None and name not in FIELDS:
            return f"{{{name}}} is nothing of a mail; there is {', '.join(f'{{{each}}}' for each in FIELDS)}"
        if found[0] in ("{", "}"):
            return f"a brace stands alone; write {found[0] * 2} for the character itself"
    return ""


def fill(text: str, message: Message) -> str:
    """Put the mail's values in: one line each, without control characters, cut to `LONGEST_VALUE`."""

    def piece(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        return one_line(FIELDS[found[1]](message), LONGEST_VALUE) if found[1] in FIELDS else found[0]

    return _PIECE.sub(piece, text)


def filled(action: Letter, message: Message) -> Letter:
    """Return what a rule asks for with its texts filled in. Whom it goes to is never taken from the mail."""
    match action:
        case Reply(text, subject):
            return replace(action, text=fill(text, message), subject=fill(subject, message))
        case Forward(_, comment):
            return replace(action, comment=fill(comment, message))
        case Send(_, subject, text):
            return replace(action, subject=fill(subject, message), text=fill(text, message))


def one_line(text: str, longest: int = LONGEST_SUBJECT) -> str:
    """Return the text on one line: what could end a header or turn the writing round becomes a space."""
    text = text[: 4 * longest]
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    return " ".join(text.split())[:longest]
