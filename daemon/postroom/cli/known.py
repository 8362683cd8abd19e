"""Filters that name a handler or a mailbox which nobody knows: a slip, and no empty list."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from postroom.config import Names, load_names
from postroom.config.problems import suggestion
from postroom.errors import ConfigError, PostroomError
from postroom.journal import JournalViews
from postroom.ports import ROUTING


def names_in(path: Path) -> Names | None:
    """Return what the configuration calls its handlers and mailboxes; None where that cannot be read."""
    try:
        return load_names(path)
    except ConfigError:
        return None


async def check_known(path: Path, views: JournalViews, *, handler: str = "", mailbox: str = "") -> None:
    """Raise PostroomError where journal and configuration know no handler or mailbox of that name; empty is any."""
    names = names_in(path)
    if handler:
        known = {*await views.handlers(), *(names.handlers if names else ())}
        _check("handler", handler, known, handler in known or handler == ROUTING, names)
    if mailbox:
        known = {*(each.address for each in await views.mailboxes()), *(names.folders if names else ())}
        folded = {each.casefold() for each in known}
        _check("mailbox", mailbox, known, mailbox.strip().casefold() in folded, names)


def _check(what: str, name: str, known: Iterable[str], is_known: bool, names: Names | None) -> None:
    if is_known:
        return
    where = "in the journal or in the configuration" if names else "in the journal, and the configuration is unreadable"
    raise PostroomError(
        f"There is no {what} {name!r}{suggestion(name, known)} {where}.",
        remedy=f"`postroom mailboxes list` and `deliveries list` show each {what} that has had mail.",
    )
