"""Faults on purpose: which request goes wrong, and how.

A `FaultPlan` is a list of rules; the middleware asks it about every request and carries out the first that applies. The
plan knows nothing of tenants or mail, and neither does the state know of faults. What was injected stands in
`FaultPlan.injected`, so that a test can say that each fault was survived.
"""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


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
        probability: Chance of each request that is left, drawn from the plan's seeded generator.
        name: For the record, such as ``throttled delta``.
    """

    effect: Effect
    path: str = "*"
    method: str = "*"
    count: int | None = 1
    after: int = 0
    probability: float = 1.0
    name: str = ""

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
    """A fault that struck."""

    name: str
    method: str
    path: str
    effect: Effect


@dataclass(slots=True)
class FaultPlan:
    """The faults of a simulated tenant; empty and harmless to begin with.

    Attributes:
        seed: Makes faults by probability come out the same in each run.
    """

    seed: int = 0
    faults: list[Fault] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    _chance: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    def add(self, fault: Fault) -> Fault:
        """Add a rule after those that are there; the first that strikes wins."""
        self.faults.append(fault)
        return fault

    def replace(self, faults: Iterable[Fault], *, seed: int | None = None) -> None:
        """Put other rules in place of all, as a profile does; what struck so far stays on record."""
        self.faults[:] = faults
        if seed is not None:
            self._chance.seed(seed)

    def clear(self) -> None:
        """Take every rule away."""
        self.faults.clear()

    def choose(self, method: str, path: str) -> Effect | None:
        """Return the effect on a request and record it; None when it goes well."""
        for fault in self.faults:
            if fault.matches(method, path) and fault.strikes(self._chance):
                self.injected.append(Injected(fault.name, method, path, fault.effect))
                return fault.effect
        return None


def fault_middleware(plan: FaultPlan) -> Middleware:
    """Return the middleware that carries a plan out; it belongs outside everything."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        effect = plan.choose(request.method, request.path)
        return await (handler(request) if effect is None else effect.apply(request, handler))

    return middleware
