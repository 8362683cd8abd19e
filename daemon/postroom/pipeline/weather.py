"""What an outcome says of the weather: which failures have a cause in common."""

from __future__ import annotations

import re
from datetime import datetime

from postroom.errors import GraphError
from postroom.model import Delivery, Retry
from postroom.pipeline.breaker import Failure
from postroom.pipeline.handle import for_the_log

LONGEST_KIND = 120
"""Characters that tell one kind of failure from another."""

_GRAPH = frozenset({GraphError.__name__, *(each.__name__ for each in GraphError.__subclasses__())})
_CRASH = re.compile(r"Crashed: (\w+)")
_NUMBERS = re.compile(r"\d+")


def failure(outcome: Retry, delivery: Delivery, started_at: datetime) -> Failure:
    """Describe a failed attempt."""
    message = delivery.message
    kind = kind_of(outcome.reason)
    return Failure(
        delivery.id,
        message.internet_message_id or message.id,
        message.mailbox,
        kind,
        for_the_log(outcome.reason),
        started_at,
        of_mailbox=kind in _GRAPH,
        after=outcome.after or 0.0,
    )


def is_defect(reason: str) -> bool:
    """Say whether the handler crashed by itself, and not on what the system or the network did not do (OSError)."""
    crash = _CRASH.match(reason)
    return crash is not None and crash[1] not in _names_of(OSError)


def _names_of(kind: type[BaseException]) -> set[str]:
    """Return the names of an exception and of all that are derived from it, libraries' own included."""
    return {kind.__name__}.union(*(_names_of(each) for each in kind.__subclasses__()))


def kind_of(reason: str) -> str:
    """Return what failures of one cause have in common: of a crash its exception and place, else the first words.

    What follows a colon is about the one mail, and numbers differ each time.
    """
    if reason.startswith("Crashed: "):
        return for_the_log(reason)
    return _NUMBERS.sub("#", reason.partition(": ")[0])[:LONGEST_KIND]
