"""Effects and faults as JSON, for the control endpoint: one object each, ``effect`` names the kind."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from postroom.simulator import effects
from postroom.simulator.entra.errors import REFUSALS
from postroom.simulator.faults import Effect, Fault

EFFECTS: dict[str, type[Any]] = {
    "graph_error": effects.GraphAnswer,
    "entra_error": effects.EntraAnswer,
    "html_page": effects.HtmlPage,
    "empty_body": effects.EmptyBody,
    "reset": effects.Reset,
    "truncated": effects.Truncated,
    "stalled": effects.Stalled,
    "delayed": effects.Delayed,
    "control_characters": effects.ControlCharacters,
}
"""The kinds of effect by their names in JSON."""

LONGEST_WAIT = 24 * 3600.0
"""Seconds that an effect may hold an answer back."""

_RULE = ("path", "method", "count", "after", "probability", "name")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAMES = {kind: name for name, kind in EFFECTS.items()}


def fault_from(document: Mapping[str, Any]) -> Fault:
    """Read a fault: the fields of `Fault`, ``effect`` as a name, and the fields of that effect.

    Raises ValueError, which says what is wrong.
    """
    given = dict(document)
    rule = _convert({name: given.pop(name) for name in _RULE if name in given}, _Rule)
    fault = Fault(effect_from(given), **vars(rule))
    if not 0.0 <= fault.probability <= 1.0 or fault.after < 0 or (fault.count or 0) < 0:
        raise ValueError("probability is from 0 to 1; count and after are not negative")
    if len(fault.path) > 500 or len(fault.name) > 100:  # noqa: PLR2004 - said in the text
        raise ValueError("path has at most 500 characters, name at most 100")
    return fault


def effect_from(document: Mapping[str, Any]) -> Effect:
    """Read an effect; raises ValueError."""
    given = dict(document)
    kind = EFFECTS.get(str(given.pop("effect", "")))
    if kind is None:
        raise ValueError(f"effect is one of {', '.join(EFFECTS)}")
    known = {each.name for each in dataclasses.fields(kind)}
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"{', '.join(unknown)}: not known here; {_NAMES[kind]} has {', '.join(sorted(known)) or 'none'}"
        )
    effect = _convert(given, kind)
    _check(effect)
    return cast("Effect", effect)


def fault_json(fault: Fault) -> dict[str, Any]:
    """Write a fault as `fault_from` reads it, with its id."""
    rule = {name: getattr(fault, name) for name in ("id", *_RULE)}
    return {**rule, "name": fault.label, **effect_json(fault.effect)}


def effect_json(effect: Effect) -> dict[str, Any]:
    """Write an effect; one that only profiles have is told by its class."""
    if type(effect) not in _NAMES:
        return {"effect": type(effect).__name__}
    return {"effect": _NAMES[type(effect)], **dataclasses.asdict(cast("Any", effect))}


def _convert(values: Mapping[str, Any], kind: type[Any]) -> Any:
    """Build a dataclass with its types checked."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


@dataclasses.dataclass
class _Rule:
    """The plain fields of `Fault`, to check their types."""

    path: str = "*"
    method: str = "*"
    count: int | None = 1
    after: int = 0
    probability: float = 1.0
    name: str = ""


def _check(effect: object) -> None:
    """Refuse values that cannot be sent."""
    seconds = getattr(effect, "seconds", 0.0)
    part = getattr(effect, "part", 0.0)
    status = getattr(effect, "status", 200)
    if not 0.0 <= seconds <= LONGEST_WAIT or not 0.0 <= part <= 1.0:
        raise ValueError(f"seconds is from 0 to {LONGEST_WAIT:.0f}, part from 0 to 1")
    if not 200 <= status <= 599:  # noqa: PLR2004 - final HTTP statuses
        raise ValueError("status is from 200 to 599")
    if isinstance(effect, effects.EntraAnswer) and effect.code not in REFUSALS:
        raise ValueError(f"code is one of {', '.join(map(str, REFUSALS))}")
    for name, value in getattr(effect, "headers", {}).items():
        if not _TOKEN.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name!r} is no header that can be sent")
