"""The weather over a running tenant: the profile in force, and how it is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from postroom.simulator.faults import FaultPlan
from postroom.simulator.graph.paths import read_path
from postroom.simulator.profiles import PROFILES, Profile
from postroom.simulator.state import StateError, TenantState


@dataclass(frozen=True, slots=True)
class VoidLinks:
    """Every delta link of the folder asked for becomes void, as when its mailbox moves to another server."""

    state: TenantState

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Reset the folder's change tracking, then serve the request: a link gets 410 with a place to begin again."""
        keys = read_path(request.rel_url.raw_path).keys
        with contextlib.suppress(StateError):  # nobody's folder: the request itself says so
            mailbox = self.state.mailbox(keys.get("users", ""))
            mailbox.reset_delta(mailbox.folder(keys.get("mailfolders", "")))
        return await handler(request)


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

    def use(self, name: str, *, seed: int | None = None) -> Profile:
        """Put a profile in the place of all faults; raises ValueError for a name there is not.

        Args:
            name: One of `profiles`.
            seed: Makes chance come out the same again; the present seed without one.
        """
        profile = PROFILES.get(name)
        if profile is None:
            raise ValueError(f"{name!r} is no profile; there are {', '.join(PROFILES)}")
        self.faults.replace(profile.faults(VoidLinks(self._state)), seed=self.faults.seed if seed is None else seed)
        self.profile = profile
        return profile
