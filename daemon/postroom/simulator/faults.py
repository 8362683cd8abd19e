"""Faults on purpose: which request goes wrong, and how.

A `FaultPlan` is a list of rules; the middleware asks it about every request and carries out the first that applies. The
plan knows nothing of tenants or mail, and neither does the state know of faults. What was injected stands in
`FaultPlan.injected` and is counted in `FaultPlan.counts`, so that a test can say that each fault was survived.
"""

from __future__ import annotations

import fnmatch
import itertools
import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

REMEMBERED = 10_000
"""Strikes whose particulars are kept; older ones are only counted."""

_log = logging.getLogger(__name__)


class Effect(Protocol):
    """How a request goes wrong."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer in place of `handler`, or with a spoilt form of its answer."""
        ...


@dataclass(slots=True)
class Fault:
    """One rule of a plan.

    Attributes:
        effect: What happens; see `postroom.simulator.effects`.
        path: Glob over the URL's path; ``*`` spans slashes.
        method: ``GET`` and so on, or ``*``.
        count: How often it strikes; None for always.
        after: How many matching requests pass unharmed first.
        probability: Chance of each request that is left, drawn from a generator of its own.
        name: For the record, such as ``throttled delta``; without one it is called after its effect.
        id: Given by the plan it is added to.
    """

    effect: Effect
    path: str = "*"
    method: str = "*"
    count: int | None = 1
    after: int = 0
    probability: float = 1.0
    name: str = ""
    id: int = 0

    @property
    def label(self) -> str:
        """What it is called in records and counts."""
        return self.name or type(self.effect).__name__

    def matches(self, method: str, path: str) -> bool:
        """Tell whether the rule is about this request at all."""
        return self.method in ("*", method) and fnmatch.fnmatchcase(path, self.path)

    def strikes(self, chance: random.Random) -> bool:
        """Decide about a matching request, and count it."""
        if self.after > 0:
            self.after -= 1
            return False
        if self.count == 0 or (self.probability < 1.0 and chance.random() >= self.probability):
            return False
        if self.count is not None:
            self.count -= 1
        return True


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that struck; `number` counts all strikes of the plan from 1."""

    name: str
    method: str
    path: str
    effect: Effect
    number: int = 0


@dataclass(slots=True)
class FaultPlan:
    """The faults of a simulated tenant; empty and harmless to begin with.

    Attributes:
        seed: Makes faults by probability come out the same in each run: whether a rule strikes at its n-th matching
            request depends on the seed and on its place in the plan, not on what other rules did meanwhile.
        injected: What struck, in order; the newest `REMEMBERED`.
        counts: How often each fault struck, by its label.
    """

    seed: int = 0
    faults: list[Fault] = field(default_factory=list, init=False)
    injected: list[Injected] = field(default_factory=list, init=False)
    counts: Counter[str] = field(default_factory=Counter, init=False)
    _chances: dict[int, random.Random] = field(default_factory=dict, init=False, repr=False)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1), init=False, repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), init=False, repr=False)

    def add(self, fault: Fault) -> Fault:
        """Add a rule after those that are there; the first that strikes wins."""
        fault.id = next(self._ids)
        self._chances[fault.id] = random.Random(f"{self.seed}/{len(self.faults)}")  # noqa: S311 - repeatable on purpose
        self.faults.append(fault)
        return fault

    def remove(self, fault_id: int) -> bool:
        """Take one rule away; False when there is none with this id."""
        left = [fault for fault in self.faults if fault.id != fault_id]
        removed = len(left) < len(self.faults)
        self.faults[:] = left
        self._chances.pop(fault_id, None)
        return removed

    def replace(self, faults: Iterable[Fault], *, seed: int | None = None) -> None:
        """Put other rules in place of all, as a profile does; what struck so far stays on record."""
        self.clear()
        if seed is not None:
            self.seed = seed
        for fault in faults:
            self.add(fault)

    def clear(self) -> None:
        """Take every rule away."""
        self.faults.clear()
        self._chances.clear()

    def forget(self) -> None:
        """Take what struck off the record; the numbers of strikes go on."""
        self.injected.clear()
        self.counts.clear()

    def choose(self, method: str, path: str) -> Effect | None:
        """Return the effect on a request and record it; None when it goes well."""
        for fault in self.faults:
            if fault.matches(method, path) and fault.strikes(self._chances[fault.id]):
                self.note(fault.label, method, path, fault.effect)
                return fault.effect
        return None

    def note(self, name: str, method: str, path: str, effect: Effect) -> None:
        """Put a strike on record."""
        self.counts[name] += 1
        self.injected.append(Injected(name, method, path, effect, next(self._numbers)))
        if len(self.injected) >= 2 * REMEMBERED:
            del self.injected[:-REMEMBERED]
        _log.info("fault injected: %s on %s %s", name, method, path)


def fault_middleware(plan: FaultPlan) -> Middleware:
    """Return the middleware that carries a plan out; it belongs outside everything."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        effect = plan.choose(request.method, request.path) if plan.faults else None
        return await (handler(request) if effect is None else effect.apply(request, handler))

    return middleware
