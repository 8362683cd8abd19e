"""What pydantic finds, in our words: its error types to a problem id and a sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from postroom.config.nodes import Node, plain
from postroom.config.problems import Id, suggestion
from postroom.config.units import DURATION_PATTERN as DURATION
from postroom.config.units import format_duration

_LONGEST_SHOWN = 60
_OURS = frozenset(id_.value for id_ in Id)


def _kind(wanted: str, advice: str) -> tuple[Id, str]:
    return Id.WRONG_KIND, f"must be {wanted}, not {{kind}}; {advice}"


_MAPPING = _kind("a mapping", "write `key: value` lines under it")
_LIST = _kind("a list", "write [one, two], or lines that begin with `- `")
_TEXT = _kind("text", "put it in quotes")
_WHOLE = _kind("a whole number", "write one such as 3")
_NUMBER = _kind("a number", "write one such as 3 or 0.5")
_BOOLEAN = _kind("true or false", "write one of the two")

WORDS: Mapping[str, tuple[Id, str]] = {
    "missing": (Id.MISSING_SETTING, "is missing; add `{name}: ...` here"),
    "extra_forbidden": (Id.UNKNOWN_SETTING, "there is no such setting{guess}; correct or remove it"),
    "literal_error": (Id.NOT_A_CHOICE, "{value} is not one of {expected}{guess}; write one of them"),
    "enum": (Id.NOT_A_CHOICE, "{value} is not one of {expected}{guess}; write one of them"),
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "mapping_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "string_type": _TEXT,
    "path_type": _TEXT,
    "url_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "greater_than": (Id.OUT_OF_RANGE, "{value} is too small; write a number above {gt}"),
    "greater_than_equal": (Id.OUT_OF_RANGE, "{value} is too small; write {ge} or more"),
    "less_than": (Id.OUT_OF_RANGE, "{value} is too large; write a number below {lt}"),
    "less_than_equal": (Id.OUT_OF_RANGE, "{value} is too large; write {le} or less"),
    "too_short": (Id.OUT_OF_RANGE, "has {actual_length} entries; give at least {min_length}, or leave it out"),
    "too_long": (Id.OUT_OF_RANGE, "has {actual_length} entries; give at most {max_length}"),
    "string_too_short": (Id.OUT_OF_RANGE, "the text is too short; write at least {min_length} characters"),
    "string_too_long": (Id.OUT_OF_RANGE, "the text is too long; write at most {max_length} characters"),
    "string_pattern_mismatch": (Id.BAD_VALUE, "{value} does not have the form {pattern}; correct it"),
    "url_parsing": (Id.BAD_URL, "{value} is not a web address; write it like https://erp.example/hook"),
    "url_scheme": (Id.BAD_URL, "{value} has the wrong scheme; write one that begins with {expected_schemes}"),
    "value_error": (Id.BAD_VALUE, "{error}; correct it"),
    "assertion_error": (Id.BAD_VALUE, "{error}; correct it"),
}


ELSEWHERE: Mapping[str, str] = {
    "type": "; write `use`",
    "if": "; write `when`",
    "match": "; write `when`",
    **dict.fromkeys(
        ("client_secret", "client_secret_file", "certificate_file", "federated_token_file", "managed_identity"),
        "; it belongs under `credential`",
    ),
}
"""What people write in the place of a setting that has another name or another place -> what to do instead."""


def _meant(name: str, known: tuple[str, ...]) -> str:
    """Say which setting is meant; a handler's own option is known by `use` and `with` beside it."""
    elsewhere = ELSEWHERE.get(name, "")
    wanted = elsewhere.partition("`")[2].rstrip("`")
    if wanted in known:
        return elsewhere
    guess = suggestion(name, known)
    return f"{guess}; an option of the handler belongs under `with`" if {"use", "with"} <= set(known) else guess


def describe(error: ErrorDetails, node: Node, name: str, known: tuple[str, ...]) -> tuple[Id, str]:
    """Return the problem's id and text.

    Args:
        error: As pydantic gives it.
        node: Where it is, or the mapping in which something is missing.
        name: The setting's name.
        known: The settings that exist where this one stands.
    """
    kind = str(error["type"])
    context = {key: _bare(value, node) for key, value in error.get("ctx", {}).items()}
    if kind in _OURS:
        return Id(kind), error["msg"].replace("{value}", shown(node)).replace("{{", "{").replace("}}", "}")
    id_, sentence = WORDS.get(kind, (Id.BAD_VALUE, "{message}; correct it"))
    choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    content = node.content if isinstance(node.content, str) else ""
    texts = {
        **context,
        "name": name,
        "value": shown(node),
        "kind": _kind_of(node),
        "guess": _meant(name, known) if kind == "extra_forbidden" else _closest_choice(content, choices),
        "message": _uncapitalised(error["msg"]),
    }
    return id_, without_values(re.sub(r"\{(\w+)\}", lambda found: str(texts.get(found[1], found[0])), sentence), node)


def shown(node: Node) -> str:
    """Return the value as it may be shown: a variable stays a variable, for its value may be a secret."""
    if node.source:
        return repr(node.source)
    text = repr(node.content) if isinstance(node.content, str) else str(plain(node))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def without_values(text: str, node: Node) -> str:
    """Take the values of variables out of a text that a handler's own validator wrote."""
    if node.source and isinstance(node.content, str) and node.content.strip():
        text = text.replace(node.content, node.source)
    children = node.content.values() if isinstance(node.content, Mapping) else node.content
    for child in children if isinstance(children, tuple | type({}.values())) else ():
        text = without_values(text, child)
    return text


def _closest_choice(value: str, choices: list[str]) -> str:
    guess = suggestion(value, choices) if value and choices else ""
    return guess if "did you mean" in guess else ""


def _bare(value: Any, node: Node) -> str:
    """Return what pydantic compared with as it is written: a limit of a duration is a duration."""
    if isinstance(value, int | float) and isinstance(node.content, str) and re.fullmatch(DURATION, node.content):
        return format_duration(value)
    return _uncapitalised(str(value)) if isinstance(value, Exception) else str(value)


def _uncapitalised(text: str) -> str:
    text = text.strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _kind_of(node: Node) -> str:
    content = node.content
    if isinstance(content, Mapping):
        return "a mapping"
    if isinstance(content, tuple):
        return "a list"
    if content is None:
        return "nothing"
    if isinstance(content, bool):
        return str(content).lower()
    return "text" if isinstance(content, str) else "a number"
