"""Why a condition holds for a mail or does not: the way `match.holds` went, told for `postroom messages explain`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from postroom.pipeline.match import Facts, Leaf, age_of, holds, need_of, size_of, texts_of
from postroom.rule import AgeIs, AllOf, AnyOf, Condition, HasAttachments, HeaderIs, Not, SizeIs, TextIs

SHOWN = 80
"""Characters of a text that an explanation quotes, and texts of a field that it lists: strangers decide how many."""


def why(condition: Condition, facts: Facts) -> list[str]:
    """Return a line for each question that `holds` asked, in its order."""
    match condition:
        case AllOf(conditions):
            return _why_until(False, conditions, facts)
        case AnyOf(conditions):
            return _why_until(True, conditions, facts)
        case Not(inner):
            return why(inner, facts)
        case _:
            return [_because(condition, facts)]


def _why_until(decisive: bool, conditions: Iterable[Condition], facts: Facts) -> list[str]:  # noqa: FBT001 - or, and
    lines: list[str] = []
    for condition in conditions:
        lines += why(condition, facts)
        if holds(condition, facts) is decisive:
            break
    return lines


def _because(condition: Leaf, facts: Facts) -> str:
    """Say what was found and what was wanted."""
    match condition:
        case TextIs() | HeaderIs():
            name = condition.field if isinstance(condition, TextIs) else f"header {condition.name}"
            return _because_of_text(name, condition, texts_of(condition, facts))
        case HasAttachments(wanted):
            has = facts.message.has_attachments
            return f"has_attachments is {str(has).lower()}, wanted {str(wanted).lower()}"
        case SizeIs(least, most):
            return _because_of_number("size", size_of(facts), least, most, condition)
        case AgeIs(least, most):
            return _because_of_number("age", age_of(facts), least, most, condition)
        case _:
            assert_never(condition)


def _because_of_text(name: str, condition: TextIs | HeaderIs, texts: Iterable[str] | None) -> str:
    if texts is None:
        return _unread(name, condition)
    texts = list(texts)
    for text in texts:
        for pattern in condition.patterns:
            if pattern.matches(text):
                return f"{name} {text[:SHOWN]!r} fits {pattern.source!r}"
    wanted = ", ".join(repr(pattern.source) for pattern in condition.patterns)
    seen = ", ".join(repr(text[:SHOWN]) for text in texts[:SHOWN]) or "nothing"
    return f"{name} is {seen}, wanted {wanted}"


def _because_of_number(name: str, value: float | None, least: float | None, most: float | None, leaf: Leaf) -> str:
    if value is None:
        return _unread(name, leaf)
    limits = [f"at least {least:g}" if least is not None else "", f"at most {most:g}" if most is not None else ""]
    return f"{name} is {value:g}, wanted {' and '.join(limit for limit in limits if limit) or 'any'}"


def _unread(name: str, condition: Leaf) -> str:
    return f"{name} needs the mail's {need_of(condition)}, not read so far"
