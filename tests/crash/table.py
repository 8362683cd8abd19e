"""What came of it, as a table by failure point, and the verdict. Pure but for writing the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crash.lane import Death
from crash.plan import POWER, RANDOM
from crash.truth import Findings

MOST_REPEATS = 0.05
"""Of all deliveries, after kills. What a power cut repeats, all since the log was last copied, is told apart."""

BEGIN, END = "<!-- crash table -->", "<!-- /crash table -->"


@dataclass(slots=True)
class Row:
    """What came of all lives that ended at one point."""

    kills: int = 0
    under_way: int = 0
    repeats: int = 0
    lost: int = 0


@dataclass(slots=True)
class Result:
    """All lanes together."""

    rows: dict[str, Row] = field(default_factory=dict)
    deliveries: int = 0
    undone: int = 0
    forgotten: int = 0
    sent: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def total(self) -> Row:
        """The sum of the rows."""
        rows = self.rows.values()
        return Row(*(sum(getattr(row, name) for row in rows) for name in ("kills", "under_way", "repeats", "lost")))

    @property
    def cuts(self) -> Row:
        """What came of the power cuts."""
        return self.rows.get(POWER, Row())

    @property
    def repeats(self) -> int:
        """Repeats after kills."""
        return self.total.repeats - self.cuts.repeats


def gather(points: Iterable[str], lanes: Sequence[tuple[Sequence[Death], Findings]]) -> Result:
    """Add up what the lanes found, with a row for each point, reached or not."""
    result = Result({name: Row() for name in (*points, RANDOM, POWER)})
    for deaths, found in lanes:
        _add_deaths(result, deaths, found)
        result.deliveries += found.deliveries
        result.undone += found.undone.total()
        result.forgotten += found.forgotten
        result.sent += found.sent
        result.faults += found.faults
    return result


def _add_deaths(result: Result, deaths: Sequence[Death], found: Findings) -> None:
    for death in deaths:
        name = death.row if death.as_planned else RANDOM
        result.missed[death.row] += not death.as_planned
        row = result.rows[name]
        row.kills += 1
        row.under_way += death.under_way
        row.repeats += found.repeats[death.life]
        row.lost += found.lost[death.life] + found.undone[death.life]
    # What came in the last life, which nobody ended, is charged to the life before it.
    late = found.lost[len(deaths)] + found.undone[len(deaths)]
    if late and deaths:
        result.rows[deaths[-1].row].lost += late


def verdict(result: Result, kills: int, deliveries: int) -> list[str]:
    """Say what is wrong; nothing when all promises were kept and the run was long enough."""
    total = result.total
    wrong = list(result.faults[:10])
    if total.lost:
        wrong.append(f"{total.lost} lost ({result.undone} of them mails whose `then` was not carried out)")
    if result.repeats > MOST_REPEATS * result.deliveries:
        wrong.append(
            f"{result.repeats} repeats after kills are more than {MOST_REPEATS:.0%} of {result.deliveries} deliveries"
        )
    if never := [name for name, row in result.rows.items() if not row.kills]:
        wrong.append(f"nothing ended at {', '.join(never)}")
    if total.kills < kills or result.deliveries < deliveries:
        wrong.append(
            f"too short to prove anything: {total.kills} kills and {result.deliveries} deliveries, "
            f"at least {kills} and {deliveries} are wanted"
        )
    return wrong


def markdown(result: Result, meanings: dict[str, str]) -> str:
    """Return the table as it stands in the docs."""
    total = result.total
    lines = [
        "| where the process ended | kills | deliveries under way | repeats | lost |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {_name(name, meanings)} | {row.kills} | {row.under_way} | {row.repeats} | {row.lost} |"
            for name, row in result.rows.items()
        ),
        f"| **all** | **{total.kills}** | **{total.under_way}** | **{total.repeats}** | **{total.lost}** |",
    ]
    return "\n".join(lines)


def summary(result: Result) -> str:
    """Say the outcome in a sentence."""
    total = result.total
    share = result.repeats / result.deliveries if result.deliveries else 0.0
    return (
        f"{total.kills} kills, {result.deliveries:,} deliveries: {total.lost} lost. Kills led to {result.repeats} "
        f"repeats ({share:.1%}), each with the same key and a higher attempt; {result.cuts.kills} power cuts to "
        f"{result.cuts.repeats}, each with the same key, of which {result.forgotten} had lost their attempt with the "
        f"journal's end. {result.sent} mails were sent by `then`, each once."
    )


def _name(name: str, meanings: dict[str, str]) -> str:
    return f"`{name}`: {meanings[name]}" if name in meanings else name


def write(page: Path, text: str) -> None:
    """Put the text between the markers of a page."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no {BEGIN} ... {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
