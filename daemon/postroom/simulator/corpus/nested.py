"""Mails in mails: forwarded as attachments, several deep."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage

from postroom.simulator.corpus.desk import PEOPLE, SUPPLIERS, DemoMail, Desk
from postroom.simulator.corpus.invoices import pdf

COUNT = 6


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield invoices wrapped in one to six mails."""
    for depth in range(1, COUNT + 1):
        message = desk.letter("invoices", SUPPLIERS[0], f"Invoice inside, {depth} deep", "Original.\n")
        desk.attach(message, pdf([f"Depth {depth}"]), "application/pdf", f"depth-{depth}.pdf")
        for level in range(depth):
            message = _forward(desk, message, level)
        yield desk.post("invoices", message, "nested")


def _forward(desk: Desk, inner: EmailMessage, level: int) -> EmailMessage:
    outer = desk.letter("invoices", PEOPLE[level % len(PEOPLE)], f"Fwd: {inner['Subject']}", "See below.\n")
    desk.mixed(outer).add_attachment(inner)
    return outer
