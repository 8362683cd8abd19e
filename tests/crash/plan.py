"""What is done to the daemon, life by life: at which point it ends, or when, and what leads it there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from typing import Literal

Stimulus = Literal["", "kill", "power", "filed", "stop", "hangup", "reset", "refuse", "park", "outage", "vanish"]

STIMULI: dict[str, Stimulus] = {
    "stop": "stop",
    "reload": "hangup",
    "restart": "reset",
    "reconciliation": "reset",
    "failure": "refuse",
    "parking": "park",
    "hold": "outage",
    "release": "outage",
    "forgetting": "vanish",
}
"""What leads the daemon to points of this kind; to the others it comes by itself."""

COUNTS = {
    "handler": (1, 6, 25),
    "outcome": (1, 6, 25),
    "page": (1, 2, 5),
    "turn": (1, 3, 8),
    "action": (1, 4, 9),
    "send": (1, 1, 2),
}
"""At which time a point of this kind is the end; at the first where it says nothing."""

SLOW = ("walks",)
"""Points that take the daemon a quarter of a minute to come to: once each is enough."""

LATE = ("pruning", "forgetting")
"""Points that only old mail comes to: they are kept for the end."""

FIRST = ("schema.written",)
"""Points that only a new journal comes to."""

POWER_FAILS: tuple[Stimulus, ...] = ("power", "filed")
"""At a random instant, and as soon as mail was moved that a handler is not done with."""

RANDOM, POWER = "at random (SIGKILL)", "power cut"


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the daemon.

    Attributes:
        row: What it is called in the table: a failure point, or how it ends.
        crash_at: ``point:count``, or empty.
        delay: Seconds after the start, or after READY, at which the stimulus comes.
    """

    row: str
    crash_at: str = ""
    stimulus: Stimulus = ""
    delay: float = 0.0


def plan(points: Sequence[str], kills: int, seed: int) -> tuple[list[Life], list[Life]]:
    """Return the lives a new journal begins with, and all others in the order of chance; `kills` in all."""
    chance = Random(seed)
    power = max(kills // 25, 1)
    at_random = max(kills // 6, 1)
    once = [point for point in points if _kind(point) in SLOW]
    late = [_at(point, 0) for point in points if _kind(point) in LATE]
    often = [point for point in points if _kind(point) not in SLOW + LATE and point not in FIRST]
    first = [_at(point, 0) for point in FIRST if point in points]
    left = kills - power - at_random - len(once) - len(first) - len(late)
    lives = [
        *(_at(point, 0) for point in once),
        *(_at(point, turn) for point, turn in islice(_in_turns(often), max(left, len(often)))),
        *(Life(RANDOM, stimulus="kill", delay=chance.uniform(0.1, 2.0)) for _ in range(at_random)),
        *(Life(POWER, stimulus=how, delay=chance.uniform(0.8, 2.0)) for how in islice(cycle(POWER_FAILS), power)),
    ]
    chance.shuffle(lives)
    return first, [*lives, *late]


def _in_turns(points: Sequence[str]) -> Iterator[tuple[str, int]]:
    for number, point in enumerate(cycle(points)):
        yield point, number // len(points)


def _at(point: str, turn: int) -> Life:
    kind = _kind(point)
    counts = COUNTS.get(kind, (1,))
    return Life(point, f"{point}:{counts[turn % len(counts)]}", STIMULI.get(kind, ""), delay=0.3 * (1 + turn % 3))


def _kind(point: str) -> str:
    return point.partition(".")[0]
