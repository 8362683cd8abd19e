"""Automatic replies that must never be answered (RFC 3834), and those that only a subject gives away."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import PEOPLE, DemoMail, Desk

COUNT = 14
_MARKS: tuple[dict[str, str], ...] = (
    {"Auto-Submitted": "auto-replied"},
    {"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All"},
    {"Precedence": "auto_reply"},
    {"X-Autoreply": "yes"},
    {},
)


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield out-of-office replies marked in all the usual ways, and in none."""
    for index in range(COUNT):
        message = desk.letter(
            "support", PEOPLE[index % len(PEOPLE)], "Automatic reply: Out of office", "I am back on Monday.\n"
        )
        for name, value in _MARKS[index % len(_MARKS)].items():
            message[name] = value
        yield desk.post("support", message, "auto-reply")
