"""The first pass: YAML text to a tree with positions.

Scalars are read as YAML 1.2 reads them, like the editors that use the schema do: ``no`` and ``on`` are words, dates
are text. Aliases and ``<<`` work; what they expand to is limited. The parser is the one in Python: that in C is ten
times as fast, and ends the process on text that is nested deep enough.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from postroom.config.nodes import Node
from postroom.config.problems import Findings, Id, Place
from postroom.config.yaml_tree import DEEPEST, TAG, TooLargeError, TreeBuilder, place_of

LARGEST = 5_000_000
"""Characters of a configuration file."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that resolves scalars as the YAML 1.2 core schema does."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - the base class declares it so


for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))


_HINTS = (
    (
        "cannot start any token",
        "a tab or a stray character stands here; indent with spaces, and quote text that begins so",
    ),
    ("mapping values are not allowed", "a ':' is not expected here; check the indentation, or put the text in quotes"),
    ("could not find expected ':'", "a key without ':' stands here; check the line above for a missing ':' or quote"),
    (
        "expected <block end>",
        "this line does not fit the indentation of the lines above; line it up with its neighbours",
    ),
    ("expected ',' or '}'", "a '{' is not closed, or a ',' is missing; inside { } put text with ${...} in quotes"),
    ("expected ',' or ']'", "a '[' is not closed, or a ',' is missing; inside [ ] put text with ${...} in quotes"),
    (
        "found undefined alias",
        "there is no anchor of this name above; write &name where it is defined, or quote the '*'",
    ),
    ("unexpected end of stream", "a quote is opened and never closed; close it"),
    ("single document", "a second document begins here; keep everything in one and remove the '---'"),
    ("unknown escape character", "the backslash has no meaning here; use 'single quotes' for text with backslashes"),
)


def read(text: str, findings: Findings) -> Node | None:
    """Parse `text`; what is wrong goes to `findings`, and None comes back when there is no tree to go on with."""
    if len(text) > LARGEST:
        findings.add(
            Id.TOO_LARGE, Place((), 1, 1), f"the file is larger than {LARGEST:,} characters; split the service"
        )
        return None
    document = _composed(text, findings)
    if document is None:
        return None
    if not isinstance(document, yaml.MappingNode):
        findings.add(Id.WRONG_KIND, place_of(document, ()), "the file must be a mapping; begin with `version: 1`")
        return None
    try:
        return TreeBuilder(findings).node(document, (), None)
    except RecursionError:
        findings.add(Id.TOO_LARGE, Place((), 1, 1), "an alias stands within what it names; write it out")
    except TooLargeError as error:
        findings.add(Id.TOO_LARGE, error.place, f"{error}; write it out flatter, or with fewer aliases")
    return None


def _composed(text: str, findings: Findings) -> yaml.Node | None:
    try:
        document = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line, column = _line_column(text, error.position)
        what = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML; delete it"
        findings.add(Id.NOT_YAML, Place((), line, column), what)
    except yaml.MarkedYAMLError as error:
        findings.add(Id.NOT_YAML, _marked(error), _sentence(error))
    except (ValueError, OverflowError) as error:
        # PyYAML's scanner lets a bad \U escape or a huge %YAML version through to int() and chr().
        findings.add(Id.NOT_YAML, Place((), 1, 1), f"an escape or a directive is out of range ({error}); correct it")
    except RecursionError:
        findings.add(
            Id.TOO_LARGE, Place((), 1, 1), f"the nesting is deeper than {DEEPEST} levels; write it out flatter"
        )
    else:
        if document is None:
            findings.add(Id.MISSING_SETTING, Place((), 1, 1), "the file is empty; begin with `version: 1`")
        return document
    return None


def _line_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _marked(error: yaml.MarkedYAMLError) -> Place:
    unclosed = "unexpected end of stream" in (error.problem or "")
    mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
    return Place((), mark.line + 1, mark.column + 1) if mark else Place((), 1, 1)


def _sentence(error: yaml.MarkedYAMLError) -> str:
    raw = " ".join(filter(None, (error.context, error.problem)))
    for sign, hint in _HINTS:
        if sign in raw:
            return f"this is not YAML: {hint}"
    return f"this is not YAML: {raw}; correct the line or put the text in quotes"
