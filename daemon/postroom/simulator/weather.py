"""The weather over a running tenant: the profile in force, and how it is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec

from postroom.simulator.faults import FaultPlan
from postroom.simulator.profiles import PROFILES, Profile
from postroom.simulator.state import Nuisance, TenantState

_KEPT = ("struck", "strikes", "chance")
NUISANCES = tuple(field.name for field in fields(Nuisance) if field.name not in (*_KEPT, "seed"))
"""The nuisances there are, by name; see `postroom.simulator.state.Nuisance`."""


class Weather:
    """What goes wrong by itself in a tenant.

    Attributes:
        profile: The profile in force.
        faults: Its rules, and those added singly.
    """

    def __init__(self, state: TenantState, faults: FaultPlan) -> None:
        self.faults = faults
        self.profile = PROFILES["calm"]
        self._state = state

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The profiles there are."""
        return PROFILES

    @property
    def nuisances(self) -> dict[str, Any]:
        """What change tracking does by the way, by name."""
        return {name: getattr(self._state.nuisance, name) for name in NUISANCES}

    @property
    def struck(self) -> Counter[str]:
        """How often each fault and each nuisance struck, by name."""
        return self.faults.counts + self._state.nuisance.struck

    def forget(self) -> None:
        """Take off the record what struck so far, faults and nuisances."""
        self.faults.forget()
        self._state.nuisance.struck.clear()
        self._state.nuisance.strikes.clear()

    def use(self, name: str, *, seed: int | None = None) -> Profile:
        """Put a profile in the place of all faults and nuisances; raises ValueError for a name there is not.

        Args:
            name: One of `profiles`.
            seed: Makes chance come out the same again; the present seed without one.
        """
        profile = PROFILES.get(name)
        if profile is None:
            raise ValueError(f"{name!r} is no profile; there are {', '.join(PROFILES)}")
        self.faults.replace(profile.faults(), seed=self.faults.seed if seed is None else seed)
        self._become(dict(profile.nuisances))
        if self.profile.full or profile.full:
            for mailbox in self._state.mailboxes.values():
                mailbox.full = profile.full
        self.profile = profile
        return profile

    def disturb(self, nuisances: Mapping[str, Any]) -> None:
        """Set some of the nuisances and leave the others; raises ValueError for a name or a value that is none."""
        if unknown := sorted(set(nuisances) - set(NUISANCES)):
            raise ValueError(f"{', '.join(unknown)}: no nuisance; there are {', '.join(NUISANCES)}")
        self._become({**self.nuisances, **nuisances})

    def _become(self, nuisances: Mapping[str, Any]) -> None:
        """Put new nuisances in place; what struck so far stays on record."""
        before = self._state.nuisance
        kinds = {field.name: field.type for field in fields(Nuisance)}
        for name, value in nuisances.items():
            _check(name, value, str(kinds[name]))
        self._state.nuisance = Nuisance(
            seed=self.faults.seed, **nuisances, struck=before.struck, strikes=before.strikes
        )


def _check(name: str, value: object, kind: str) -> None:
    """Refuse a value that is no chance, no switch, no pair of times."""
    expected: Any = {"float": float, "bool": bool, "int": int}.get(kind, tuple[float, float])
    try:
        found: Any = msgspec.convert(value, expected)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from None
    numbers = found if isinstance(found, tuple | list) else [found]
    if any(not 0 <= number <= (1 if expected is float else 1_000_000) for number in numbers):
        raise ValueError(f"{name} is out of range: a chance is from 0 to 1")
