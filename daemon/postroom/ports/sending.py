"""What the journal keeps of mails that we send, and what limits them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class SendPlan:
    """A mail about to be sent. `key` is its own for ever; `correspondents` (lower case) are whom it answers."""

    key: str
    mailbox: str
    conversation: str = ""
    correspondents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many mails were sent of late: to the correspondent who got most, about the conversation, in all."""

    correspondent: int = 0
    conversation: int = 0
    mailbox: int = 0


BY_LIMIT: Final = "as many as `sending` allows"
"""What the note of a mail ends with that was not sent because of a limit, and not because of what it is about."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a mail is not sent, for good."""

    why: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Why a mail is not sent now."""

    why: str


@dataclass(frozen=True, slots=True)
class Windows:
    """Since when each kind of `Traffic` is counted."""

    correspondent: datetime
    conversation: datetime
    mailbox: datetime


@dataclass(frozen=True, slots=True)
class SendRecord:
    """What is known of a mail to be sent.

    Attributes:
        state: ``reserved`` (counted, no draft known), ``drafted`` (from here on it may have been sent), or ``sent``.
        at: When it was reserved.
        tried_at: When it was last about to be sent.
    """

    key: str
    state: Literal["reserved", "drafted", "sent"]
    at: datetime
    draft_id: str = ""
    note: str = ""
    tried_at: datetime | None = None
