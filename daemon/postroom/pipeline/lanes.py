"""How many rounds run together: so many for a tenant and for a mailbox, and the slow ones apart from the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

BRISK = 48
"""Places in a tenant for folders that were walked without trouble the last time."""

SLOW = 16
"""Places in a tenant for those that failed or took long: however many they are, the others have theirs."""

PER_MAILBOX = 3
"""Places of one mailbox, which has no more requests in flight than that anyway (`limits.in_flight`)."""


@dataclass(slots=True, eq=False)
class Place:
    """A place that is taken, to be given back by `Lanes.leave`."""

    tenant: str
    mailbox: str
    slow: bool


class Lanes:
    """The places that rounds take. Tenants share none, for one may take no connection while another works."""

    def __init__(self, brisk: int = BRISK, slow: int = SLOW, per_mailbox: int = PER_MAILBOX) -> None:
        self._most = {False: brisk, True: slow}
        self._per_mailbox = per_mailbox
        self._taken: Counter[tuple[str, bool]] = Counter()
        self._mailboxes: Counter[tuple[str, str]] = Counter()

    def is_full(self, tenant: str, *, slow: bool) -> bool:
        """Say whether the tenant has no place left in this lane, whichever mailbox asks."""
        return self._taken[tenant, slow] >= self._most[slow]

    def enter(self, tenant: str, mailbox: str, *, slow: bool) -> Place | None:
        """Take a place, or return None when there is none."""
        if self.is_full(tenant, slow=slow) or self._mailboxes[tenant, mailbox] >= self._per_mailbox:
            return None
        self._taken[tenant, slow] += 1
        self._mailboxes[tenant, mailbox] += 1
        return Place(tenant, mailbox, slow)

    def slow_down(self, place: Place) -> bool:
        """Move to the slow lane, if there is room, so that others need not wait; says whether a place came free."""
        if place.slow or self.is_full(place.tenant, slow=True):
            return False
        self._taken[place.tenant, False] -= 1
        self._taken[place.tenant, True] += 1
        place.slow = True
        return True

    def leave(self, place: Place) -> None:
        """Give the place back."""
        self._taken[place.tenant, place.slow] -= 1
        self._mailboxes[place.tenant, place.mailbox] -= 1
