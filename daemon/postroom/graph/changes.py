"""What mail actions come to, given the message as it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from postroom.graph.wire import WireState
from postroom.model import Categorise, Delete, Flag, MailAction, MarkRead, MoveTo

ActionT = TypeVar("ActionT", MarkRead, Flag, MoveTo, Delete)


@dataclass(frozen=True, slots=True)
class Changes:
    """The writes that are left to do.

    Attributes:
        patch: Body of the one PATCH; empty when nothing differs.
        notes: What the patch does, in words.
        destination: Name of the folder to move to.
        delete: Delete it, after all else.
    """

    patch: dict[str, Any]
    notes: tuple[str, ...] = ()
    destination: str | None = None
    delete: bool = False


def changes(state: WireState, actions: Sequence[MailAction]) -> Changes:
    """Compare what is asked for with what is: the last word counts for read, flag and folder, categories add up."""
    patch: dict[str, Any] = {}
    notes: list[str] = []
    if (read := _last(actions, MarkRead)) and read.read != state.is_read:
        patch["isRead"] = read.read
        notes.append("marked read" if read.read else "marked unread")
    present = [name for name in state.categories or () if name]
    if missing := _missing(present, actions):
        patch["categories"] = [*present, *missing]  # Graph replaces the whole list (message-update docs)
        notes.append(f"categorised {', '.join(missing)}")
    if (flag := _last(actions, Flag)) and flag.status != _flag(state):
        patch["flag"] = {"flagStatus": flag.status}
        notes.append(f"flag set to {flag.status}")
    delete, move = _last(actions, Delete) is not None, _last(actions, MoveTo)
    return Changes(patch, tuple(notes), move.folder if move and not delete else None, delete)


def _last(actions: Sequence[MailAction], kind: type[ActionT]) -> ActionT | None:
    return next((action for action in reversed(actions) if isinstance(action, kind)), None)


def _missing(present: Sequence[str], actions: Sequence[MailAction]) -> list[str]:
    """Return the categories to add; Outlook takes upper and lower case for one."""
    missing: dict[str, str] = {}
    for name in (name for action in actions if isinstance(action, Categorise) for name in action.categories):
        missing.setdefault(name.casefold(), name)
    for name in present:
        missing.pop(name.casefold(), None)
    return list(missing.values())


def _flag(state: WireState) -> str:
    return (state.flag.flag_status if state.flag else None) or "notFlagged"
