"""Does a condition hold for a mail? Three answers: yes, no, and "that needs details a delta page does not tell".

Pure. With a `Trace` the same evaluation also says why, for `postroom messages explain`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from postroom.model import Details, Message
from postroom.ports import Detail
from postroom.rule import AgeIs, AllOf, AnyOf, Condition, HasAttachments, HeaderIs, Not, Pattern, SizeIs, TextIs

NO_DETAILS = Details()


@dataclass(frozen=True, slots=True)
class Facts:
    """A mail and all that is known of it at the time of asking."""

    message: Message
    now: datetime
    details: Details = NO_DETAILS


@dataclass(slots=True)
class Trace:
    """What an evaluation found: one line a condition, and the details it would have needed."""

    lines: list[str] = field(default_factory=list)
    missing: set[Detail] = field(default_factory=set)


def holds(condition: Condition, facts: Facts, trace: Trace) -> bool | None:
    """Say whether the condition holds; None when details are missing, which are then in ``trace.missing``."""
    match condition:
        case AllOf(conditions):
            return _all(conditions, facts, trace)
        case AnyOf(conditions):
            answer = _all([Not(each) for each in conditions], facts, trace)
            return None if answer is None else not answer
        case Not(inner):
            answer = holds(inner, facts, trace)
            return None if answer is None else not answer
        case _:
            return _leaf(condition, facts, trace)


def _all(conditions: Iterable[Condition], facts: Facts, trace: Trace) -> bool | None:
    """Three-valued and; the first no ends it, and then nothing is missing for its sake."""
    inner = Trace(trace.lines)
    unknown = False
    for condition in conditions:
        answer = holds(condition, facts, inner)
        if answer is False:
            return False
        unknown = unknown or answer is None
    trace.missing |= inner.missing
    return None if unknown else True


def _leaf(condition: TextIs | HeaderIs | HasAttachments | SizeIs | AgeIs, facts: Facts, trace: Trace) -> bool | None:
    match condition:
        case TextIs(name, patterns):
            return _text_is(name, _texts(name, facts), patterns, trace)
        case HeaderIs(name, patterns):
            return _text_is(f"header {name}", _header(name, facts), patterns, trace)
        case HasAttachments(wanted):
            has = facts.message.has_attachments
            trace.lines.append(f"has_attachments is {str(has).lower()}")
            return has is wanted
        case SizeIs(least, most):
            size = facts.details.size if facts.message.size is None else facts.message.size
            return _within("size", size, least, most, trace)
        case AgeIs(least, most):
            age = (facts.now - facts.message.received_at).total_seconds()
            return _within("age", age, least, most, trace)
        case _:
            assert_never(condition)


def _texts(name: str, facts: Facts) -> Iterable[str] | None:
    """Return the texts a field consists of; None when they have not been read."""
    message = facts.message
    match name:
        case "from":
            return (message.sender.address, message.sender.name)
        case "to":
            return [address.address for address in (*message.to, *message.cc)]
        case "subject":
            return (message.subject,)
        case "importance":
            return (message.importance,)
        case "category":
            return message.categories
        case _:
            return () if not message.has_attachments else facts.details.attachments


def _header(name: str, facts: Facts) -> Iterable[str] | None:
    headers = facts.details.headers
    return None if headers is None else [value for key, value in headers if key.lower() == name.lower()]


_NEEDS: dict[str, Detail] = {"attachment": "attachments", "size": "size"}


def _text_is(name: str, texts: Iterable[str] | None, patterns: tuple[Pattern, ...], trace: Trace) -> bool | None:
    if texts is None:
        return _missing(name, trace)
    for text in texts:
        for pattern in patterns:
            if pattern.matches(text):
                trace.lines.append(f"{name} {text[:80]!r} fits {pattern.source!r}")
                return True
    wanted = ", ".join(repr(pattern.source) for pattern in patterns)
    seen = ", ".join(repr(text[:80]) for text in texts) or "nothing"
    trace.lines.append(f"{name} is {seen}, wanted {wanted}")
    return False


def _missing(name: str, trace: Trace) -> bool | None:
    """Note what is needed; the answer is unknown."""
    need = _NEEDS.get(name, "headers")
    trace.missing.add(need)
    trace.lines.append(f"{name} needs the mail's {need}, which have not been read")
    return None


def _within(name: str, value: float | None, least: float | None, most: float | None, trace: Trace) -> bool | None:
    if value is None:
        return _missing(name, trace)
    answer = (least is None or value >= least) and (most is None or value <= most)
    limits = " and ".join(
        text
        for text in (
            f"at least {least:g}" if least is not None else "",
            f"at most {most:g}" if most is not None else "",
        )
        if text
    )
    trace.lines.append(f"{name} is {value:g}, wanted {limits}")
    return answer
