"""Finished attempts, counted: as cheap as can be, for it happens for every mail; metrics read it at each scrape."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

BOUNDS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds up to which an attempt falls into each bucket; the last bucket takes the rest."""


@dataclass(slots=True)
class Spread:
    """How long the attempts of a handler took: how many fell into each bucket, and all seconds together."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def cumulated(self) -> Iterator[tuple[str, int]]:
        """Yield each bucket's upper bound, as Prometheus writes it, with how many took no longer."""
        return zip([*(str(bound) for bound in BOUNDS), "+Inf"], accumulate(self.buckets), strict=True)


class Tally:
    """Counts finished attempts.

    Attributes:
        counts: (handler, state) -> how many.
        spreads: Handler -> how long they took.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.spreads: dict[str, Spread] = {}

    def add(self, handler: str, state: str, seconds: float) -> None:
        """Count an attempt."""
        self.counts[handler, state] += 1
        spread = self.spreads.get(handler)
        if spread is None:
            spread = self.spreads[handler] = Spread()
        spread.buckets[bisect_left(BOUNDS, seconds)] += 1
        spread.seconds += seconds
