"""Deliveries for handlers that the configuration does not have: they would wait, and nothing would come of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from postroom.cli.known import names_in
from postroom.errors import PostroomError
from postroom.journal import JournalViews
from postroom.journal.records import DeliveryRecord
from postroom.model import DeliveryState
from postroom.ports import ROUTING

WHY = "no handler of this name is configured"


def handlers_in(path: Path) -> Collection[str] | None:
    """Return the handlers that deliveries may be for; None where the configuration cannot be read."""
    names = names_in(path)
    return None if names is None else {*names.handlers, ROUTING}


def marked(found: Iterable[DeliveryRecord], path: Path) -> list[DeliveryRecord]:
    """Return deliveries with the reason on those that wait for a handler nobody has."""
    served = handlers_in(path)
    return [replace(each, held=WHY) if _waits_in_vain(each, served) else each for each in found]


def _waits_in_vain(delivery: DeliveryRecord, served: Collection[str] | None) -> bool:
    return served is not None and delivery.state == DeliveryState.READY and delivery.handler not in served


async def check_served(path: Path, views: JournalViews, ids: Sequence[int]) -> None:
    """Raise PostroomError where a delivery that is to be retried is for a handler which nobody has."""
    served = handlers_in(path)
    if served is None:
        return
    vain = {key: name for key, name in (await views.handlers_of(ids)).items() if name not in served}
    if vain:
        first, name = min(vain.items())
        more = f", and {len(vain) - 1} more" if len(vain) > 1 else ""
        raise PostroomError(
            f"Nothing was retried: delivery {first}{more} would wait for ever, for {WHY}: {name}.",
            remedy=f"Put {name} back under `handlers`, reload, and retry; or give it up with "
            f"`postroom deliveries discard {first} --reason ...`.",
        )


async def retry_dead(
    path: Path, views: JournalViews, handler: str, mailbox: str, now: datetime
) -> tuple[Counter[str], list[str]]:
    """Retry the dead letters that fit, but for those of handlers nobody has: these are left.

    Returns how many are retried by handler, and the handlers whose are left.
    """
    served = handlers_in(path)
    retried, left = Counter[str](), list[str]()
    for name in [handler] if handler else await views.handlers():
        if served is None or name in served:
            retried[name] = await views.retry_dead(now, handler=name, mailbox=mailbox)
        elif await views.deliveries(state=DeliveryState.DEAD, handler=name, mailbox=mailbox, limit=1):
            left.append(name)
    return +retried, left
