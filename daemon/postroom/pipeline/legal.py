"""Is what a handler returned fit to be stored? Nobody type-checks plug-ins, and the journal takes only sound values."""

from __future__ import annotations

import math

from postroom.model import (
    Categorise,
    Delete,
    Done,
    Flag,
    Forward,
    MarkRead,
    MoveTo,
    Reject,
    Reply,
    Retry,
    Send,
    Skip,
)
from postroom.outgoing import fault_of_letter

_FLAGS = ("flagged", "complete", "notFlagged")


def fault_of(answer: object) -> str:
    """Say what is wrong with a handler's answer; empty when nothing is. Returning nothing is sound."""
    match answer:
        case None | Skip(str()) | Reject(str()):
            return ""
        case Done(str(), actions):
            return _fault_of_actions(actions)
        case Retry(str(), after):
            return "" if after is None or _is_number(after) else "a Retry whose `after` is no number of seconds"
        case Done() | Skip() | Retry() | Reject():
            return f"a {type(answer).__name__} whose note or reason is no text"
        case _:
            return f"a {type(answer).__name__}; it must return Done, Skip, Retry, Reject or nothing"


def _fault_of_actions(actions: object) -> str:
    if not isinstance(actions, tuple | list):
        return "a Done whose `actions` are no tuple"
    for action in actions:
        if isinstance(action, Reply | Forward | Send):
            if fault := fault_of_letter(action):
                return f"a Done that asks for {fault}"
        elif not _is_sound(action):
            return f"a Done with {action!r:.80} among its actions, which is none"
    if sum(isinstance(action, MoveTo | Delete) for action in actions) > 1:
        return "a Done that moves or deletes its mail more than once"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_sound(action: object) -> bool:
    match action:
        case MarkRead(bool()) | MoveTo(str()) | Delete():
            return True
        case Flag(str() as status):
            return status in _FLAGS
        case Categorise(tuple() | list() as names):
            return all(isinstance(name, str) for name in names)
        case _:
            return False
