"""Mails with attachments of some megabytes: noise, which no compression makes small."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import PEOPLE, DemoMail, Desk

SIZES = (1_000_000, 2_000_000, 3_500_000, 5_000_000)
"""Bytes of each attachment; a little over those Graph hands out inline (3 MB), and under."""


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield one mail a size."""
    for index, size in enumerate(SIZES):
        message = desk.letter("orders", PEOPLE[index], f"Drawings, {size // 1000} kB", "The drawings you asked for.\n")
        desk.attach(message, desk.chance.randbytes(size), "application/zip", f"drawings-{index}.zip")
        yield desk.post("orders", message, "large")
