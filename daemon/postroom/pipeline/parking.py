"""Parked mailboxes: whole mailboxes that cannot be used for a reason of their own, and when they are looked at again.

A licence that was removed, a scope that was narrowed, a mailbox on its way to another server: none of it passes within
a minute, and to try each folder again and again would help nobody. So all folders stop, and one of them probes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from postroom.errors import GraphError, PostroomError
from postroom.ports import LONGEST_RETRY_AFTER, Clock

FIRST_PROBE, LONGEST_PROBE = 300.0, 3600.0
"""Seconds to the first probe, and between two at most: a changed grant takes effect within two hours."""

FIRST_PROBE_PASSING, LONGEST_PROBE_PASSING = 60.0, 600.0
"""The same for what passes by itself: a mailbox that Exchange moves, in minutes to hours."""

ANOTHER_LOOK = 5.0
"""Seconds until a folder of a parked mailbox asks again while another one probes."""

CONFIRMED_BY = 2
"""Rounds that have to fail for the mailbox's sake, with none that works in between, before that is believed."""


@dataclass(slots=True)
class Parked:
    """A mailbox that is parked; `wait` and `probe_at` in (monotonic) seconds.

    Attributes:
        error: What the mailbox answered when it was asked last.
        probe: The folder that probes.
        hindrance: Why the last probe did not learn how the mailbox is: no token, an outage, a full disk.
    """

    error: GraphError
    wait: float
    probe_at: float
    probe: str | None = None
    hindrance: BaseException | None = None

    @property
    def present(self) -> BaseException:
        """What is in the way now."""
        return self.hindrance or self.error


def probe_wait(error: GraphError, before: float | None) -> float:
    """Return the seconds to the next probe: doubling, within the limits of its kind, and as long as Graph asks."""
    first, longest = FIRST_PROBE, LONGEST_PROBE
    if error.temporary:
        first, longest = FIRST_PROBE_PASSING, LONGEST_PROBE_PASSING
    wait = first if before is None else min(max(first, 2 * before), longest)
    return max(wait, _asked(error))


def _asked(error: BaseException) -> float:
    return min(getattr(error, "retry_after", None) or 0.0, LONGEST_RETRY_AFTER)


def explained(mailbox: str, parked: Parked) -> PostroomError:
    """Return what an operator is told of a parked mailbox: one problem, whatever number of folders it has."""
    error, hindrance = parked.error, parked.hindrance
    what = f"Mailbox {mailbox} is parked, for it {error.parks}: {error.message}"
    of: PostroomError = error
    if isinstance(hindrance, PostroomError):
        what, of = f"{what} It could not be probed: {hindrance.message}", hindrance
    elif hindrance is not None:
        what = f"{what} It could not be probed: {type(hindrance).__name__}: {hindrance}".rstrip(": ")
    return PostroomError(
        what,
        remedy=f"{of.remedy} One of its folders is tried again in {parked.wait / 60:.0f} min; what came meanwhile is "
        "caught up with by itself.".strip(),
        **of.fields,
    )


class Parking:
    """Which mailboxes are parked. Knows the time, does nothing else but decide."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parked: dict[str, Parked] = {}
        self._accusations: Counter[str] = Counter()

    def __contains__(self, mailbox: str) -> bool:
        return mailbox in self._parked

    def keep(self, mailboxes: Collection[str]) -> None:
        """Forget all but these, and have these probed at once: a reload may be what mended them."""
        self._accusations.clear()
        self._parked = {name: each for name, each in self._parked.items() if name in mailboxes}
        for each in self._parked.values():
            each.probe, each.probe_at = None, self._clock.monotonic()

    def not_before(self, mailbox: str, folder: str) -> float | None:
        """Return when a folder may ask again (monotonic seconds), or None when it may be walked, as a probe or not."""
        parked, now = self._parked.get(mailbox), self._clock.monotonic()
        if parked is None or parked.probe == folder:
            return None
        if parked.probe is not None:
            return now + ANOTHER_LOOK
        if now < parked.probe_at:
            return parked.probe_at
        parked.probe = folder
        return None

    def failed(self, mailbox: str, folder: str, error: BaseException) -> Parked | None:
        """Note that a round has failed; returns how its mailbox is parked, if it is.

        An error that comes from the mailbox itself ends its parking: it answers again, whatever is wrong with a folder.
        One that says nothing of the mailbox, such as a token that cannot be had, leaves it parked.
        """
        parked = self._parked.get(mailbox)
        if parked is None:
            return self._accused(mailbox, error) if isinstance(error, GraphError) and error.parks else None
        if isinstance(error, GraphError) and not error.parks and not error.temporary:
            self.answered(mailbox)
            return None
        if parked.probe != folder:
            return parked
        if isinstance(error, GraphError) and error.parks:
            return self._park(mailbox, error, probe_wait(error, parked.wait))
        return self._park(mailbox, parked.error, max(FIRST_PROBE_PASSING, _asked(error)), error)

    def _accused(self, mailbox: str, error: GraphError) -> Parked | None:
        self._accusations[mailbox] += 1
        if self._accusations[mailbox] < CONFIRMED_BY:
            return None
        del self._accusations[mailbox]
        return self._park(mailbox, error, probe_wait(error, None))

    def _park(self, mailbox: str, error: GraphError, wait: float, hindrance: BaseException | None = None) -> Parked:
        parked = Parked(error, wait, self._clock.monotonic() + wait, hindrance=hindrance)
        self._parked[mailbox] = parked
        return parked

    def given_up(self, mailbox: str, folder: str) -> None:
        """Note that a probe was cut off: another one is due."""
        parked = self._parked.get(mailbox)
        if parked is not None and parked.probe == folder:
            parked.probe = None

    def answered(self, mailbox: str) -> bool:
        """Note that the mailbox works; says whether it was parked."""
        self._accusations.pop(mailbox, None)
        return self._parked.pop(mailbox, None) is not None
