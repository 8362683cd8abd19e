"""Does a condition hold for a mail? Three answers: yes, no, and "that needs details a delta page does not tell".

Pure. `holds` keeps no record of its way, for it runs for every rule of every mail; `needs` goes the same way again when
the answer stayed open, and `reasons.why` when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from postroom.model import Details, Message
from postroom.ports import Detail
from postroom.rule import (
    AgeIs,
    AllOf,
    AnyOf,
    Condition,
    HasAttachments,
    HeaderIs,
    Not,
    Pattern,
    SizeIs,
    TextField,
    TextIs,
)

NO_DETAILS = Details()

Leaf = TextIs | HeaderIs | HasAttachments | SizeIs | AgeIs
"""A condition that asks the mail itself."""


class Facts(NamedTuple):
    """A mail and all that is known of it at the time of asking."""

    message: Message
    now: datetime
    details: Details = NO_DETAILS


def holds(condition: Condition, facts: Facts) -> bool | None:
    """Say whether the condition holds; None when that takes details which have not been read."""
    match condition:
        case TextIs() | HeaderIs():
            return _fits(condition.patterns, texts_of(condition, facts))
        case HasAttachments(wanted):
            return facts.message.has_attachments is wanted
        case AllOf(conditions):
            return _until(False, conditions, facts)
        case AnyOf(conditions):
            return _until(True, conditions, facts)
        case Not(inner):
            return _opposite(holds(inner, facts))
        case _:
            return _within(condition, facts)


def needs(condition: Condition, facts: Facts) -> frozenset[Detail]:
    """Return the details that keep the answer open; none when it is decided without them."""
    if holds(condition, facts) is not None:
        return frozenset()
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return frozenset[Detail]().union(*(needs(each, facts) for each in conditions))
        case Not(inner):
            return needs(inner, facts)
        case _:
            return frozenset((need_of(condition),))


def _until(decisive: bool, conditions: Iterable[Condition], facts: Facts) -> bool | None:  # noqa: FBT001 - or, and
    """Three-valued `or` (True decides) and `and` (False decides)."""
    answer: bool | None = not decisive
    for condition in conditions:
        found = holds(condition, facts)
        if found is decisive:
            return decisive
        if found is None:
            answer = None
    return answer


def _opposite(answer: bool | None) -> bool | None:  # noqa: FBT001 - the negation of an answer
    return None if answer is None else not answer


def _fits(patterns: tuple[Pattern, ...], texts: Iterable[str] | None) -> bool | None:
    if texts is None:
        return None
    for text in texts:
        for pattern in patterns:
            if pattern.matches(text):
                return True
    return False


def _within(limits: SizeIs | AgeIs, facts: Facts) -> bool | None:
    value = size_of(facts) if isinstance(limits, SizeIs) else age_of(facts)
    if value is None:
        return None
    return (limits.least is None or value >= limits.least) and (limits.most is None or value <= limits.most)


_TEXTS: Mapping[TextField, Callable[[Facts], Iterable[str] | None]] = {
    # The name beside the address is whatever the sender wrote, ``boss@contoso.example`` included: it is not asked.
    "from": lambda facts: (facts.message.sender.address,),
    "to": lambda facts: [address.address for address in (*facts.message.to, *facts.message.cc)],
    "subject": lambda facts: (facts.message.subject,),
    "importance": lambda facts: (facts.message.importance,),
    "category": lambda facts: facts.message.categories,
    "attachment": lambda facts: facts.details.attachments if facts.message.has_attachments else (),
}


def texts_of(condition: TextIs | HeaderIs, facts: Facts) -> Iterable[str] | None:
    """Return the texts a condition looks at; None when they have not been read."""
    if isinstance(condition, TextIs):
        return _TEXTS[condition.field](facts)
    return _header(condition.name.lower(), facts.details)


def _header(name: str, details: Details) -> Iterable[str] | None:
    return None if details.headers is None else [value for key, value in details.headers if key.lower() == name]


def size_of(facts: Facts) -> int | None:
    """Return the mail's size in bytes; None when it has not been read."""
    return facts.details.size if facts.message.size is None else facts.message.size


def age_of(facts: Facts) -> float:
    """Return the seconds since the mail was received."""
    return (facts.now - facts.message.received_at).total_seconds()


def need_of(condition: Leaf) -> Detail:
    """Return the detail whose absence leaves the condition open."""
    if isinstance(condition, SizeIs):
        return "size"
    return "headers" if isinstance(condition, HeaderIs) else "attachments"
