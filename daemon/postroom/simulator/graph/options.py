"""Reads the other system query options: ``$select``, ``$expand``, ``$orderby``, ``$top``, ``$skip``, ``$count``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from postroom.simulator.graph.faults import GraphFault, bad_request

LARGEST_TOP = 1000
_TOP_LEVEL_COMMA = re.compile(r",(?![^()]*\))")
_EXPANSION = re.compile(r"\s*([\w.]+)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ``$orderby``."""

    name: str
    descending: bool


@lru_cache(maxsize=512)
def read_select(text: str, known: frozenset[str], kind: str) -> tuple[str, ...]:
    """Return the properties selected, in the spelling of `known`; empty when nothing is; raises GraphFault 400."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    spelling = {name.lower(): name for name in known}
    unknown = next((name for name in names if name.lower() not in spelling and name != "*"), None)
    if unknown is not None:
        raise _no_property(unknown, kind)
    return () if "*" in names else tuple(dict.fromkeys(spelling[name.lower()] for name in names))


def read_expand(text: str, known: frozenset[str], kind: str) -> dict[str, str]:
    """Return what is to be expanded, with the options of each; raises GraphFault 400."""
    expansions: dict[str, str] = {}
    for piece in _TOP_LEVEL_COMMA.split(text):
        match = _EXPANSION.match(piece)
        name = next((one for one in known if match and one.lower() == match[1].lower()), None)
        if match is None or name is None:
            raise _no_property(piece.strip(), kind)
        expansions[name] = match[2] or ""
    return expansions


def read_orderby(text: str, allowed: frozenset[str]) -> tuple[Order, ...]:
    """Return the terms of an ordering; raises GraphFault 400."""
    terms: list[Order] = []
    for piece in text.split(","):
        name, _, direction = piece.strip().partition(" ")
        known = next((one for one in allowed if one.lower() == name.lower()), None)
        if known is None or direction.strip().lower() not in ("", "asc", "desc"):
            raise GraphFault(
                400, "ErrorInvalidUrlQuery", f"The orderby clause '{piece.strip()[:100]}' is not supported."
            )
        terms.append(Order(known, direction.strip().lower() == "desc"))
    return tuple(terms)


def read_number(options: Mapping[str, str], name: str, default: int, largest: int = 1 << 31) -> int:
    """Return a whole number from 0 to `largest`; raises GraphFault 400."""
    text = options.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or int(text) > largest:
        raise bad_request(
            f"Invalid value '{text[:50]}' for ${name} query option found. It must be from 0 to {largest}."
        )
    return int(text)


def read_flag(options: Mapping[str, str], name: str) -> bool:
    """Return a truth value; raises GraphFault 400."""
    text = options.get(name, "false").lower()
    if text not in ("true", "false"):
        raise bad_request(f"Invalid value '{text[:50]}' for ${name} query option found.")
    return text == "true"


def _no_property(name: str, kind: str) -> GraphFault:
    return bad_request(
        "Parsing OData Select and Expand failed: "
        f"Could not find a property named '{name[:100]}' on type 'microsoft.graph.{kind}'."
    )
