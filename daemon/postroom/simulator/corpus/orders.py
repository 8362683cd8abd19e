"""Orders: a CSV to import, sometimes with an acknowledgement asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from postroom.simulator.corpus.desk import PEOPLE, DemoMail, Desk

COUNT = 24
_ARTICLES = ("bracket", "hinge M6", "washer, steel", 'pipe 1/2"', "gasket")


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the orders; every sixth is of high importance."""
    for index in range(COUNT):
        message = desk.letter(
            "orders", PEOPLE[index % len(PEOPLE)], f"Order {7000 + index}", "Our order is attached.\n"
        )
        if index % 6 == 0:
            message["Importance"] = "high"
            message["X-Priority"] = "1"
        desk.attach(message, _order(desk), "text/csv", f"order-{7000 + index}.csv")
        yield desk.post("orders", message, "order")


def _order(desk: Desk) -> bytes:
    sheet = io.StringIO()
    rows = csv.writer(sheet, lineterminator="\r\n")
    rows.writerow(["position", "article", "quantity"])
    for position in range(1, desk.chance.randrange(3, 12)):
        rows.writerow([position, desk.chance.choice(_ARTICLES), desk.chance.randrange(1, 500)])
    return sheet.getvalue().encode()
