"""About two hundred mails as a company gets them, good and bad: what the demo works through.

Made by seeded generators, one file a kind, so that every run sees the same bytes. Every address is in an ``.example``
domain (RFC 2606); no mail here was ever sent.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from postroom.simulator.corpus import (
    auto_replies,
    bounces,
    broken,
    charsets,
    dmarc,
    file_names,
    invoices,
    large,
    nested,
    newsletters,
    orders,
    questions,
    signed,
)
from postroom.simulator.corpus.desk import DemoMail, Desk

__all__ = ["DemoMail", "corpus"]

_KINDS = (
    invoices,
    orders,
    dmarc,
    questions,
    newsletters,
    bounces,
    auto_replies,
    charsets,
    file_names,
    broken,
    nested,
    signed,
    large,
)
_NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def corpus(now: datetime = _NOW) -> Iterator[DemoMail]:
    """Yield the demo's mails, oldest first; the same bytes for the same `now`, which the Date headers lead up to."""
    mails = [
        mail
        for kind in _KINDS
        for mail in kind.mails(Desk(random.Random(kind.__name__), now))  # noqa: S311 - the same mails every time
    ]
    yield from sorted(mails, key=lambda mail: mail.age, reverse=True)
