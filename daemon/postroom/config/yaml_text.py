"""The first pass: YAML text to a tree with positions.

Scalars are read as YAML 1.2 reads them, like the editors that use the schema do: ``no`` and ``on`` are words, dates are
text. Aliases and ``<<`` work; what they expand to is limited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from postroom.config.nodes import Node, Scalar
from postroom.config.problems import Findings, Id, Path, Place

LARGEST = 5_000_000
"""Characters of a configuration file."""
MOST_NODES = 300_000
"""Values of a file, aliases expanded."""
DEEPEST = 40
"""Levels of nesting."""

_TAG = "tag:yaml.org,2002:"


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
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text, 10)


_READERS: Mapping[str, Callable[[str], Scalar]] = {
    f"{_TAG}str": str,
    f"{_TAG}merge": str,
    f"{_TAG}bool": lambda text: {"true": True, "false": False}[text.lower()],
    f"{_TAG}null": lambda _: None,
    f"{_TAG}int": _integer,
    f"{_TAG}float": float,
}

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
        findings.add(Id.WRONG_KIND, _place(document, ()), "the file must be a mapping; begin with `version: 1`")
        return None
    try:
        return _Tree(findings).node(document, (), None)
    except _TooLargeError as error:
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
    mark = error.problem_mark or error.context_mark
    return Place((), mark.line + 1, mark.column + 1) if mark else Place((), 1, 1)


def _sentence(error: yaml.MarkedYAMLError) -> str:
    raw = " ".join(filter(None, (error.context, error.problem)))
    for sign, hint in _HINTS:
        if sign in raw:
            return f"this is not YAML: {hint}"
    return f"this is not YAML: {raw}; correct the line or put the text in quotes"


def _place(node: yaml.Node, path: Path) -> Place:
    return Place(path, node.start_mark.line + 1, node.start_mark.column + 1)


class _TooLargeError(Exception):
    def __init__(self, text: str, place: Place) -> None:
        super().__init__(text)
        self.place = place


class _Tree:
    """Turns YAML's graph of nodes into our tree."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._count = 0

    def node(self, source: yaml.Node, path: Path, key: yaml.Node | None) -> Node:
        place = _place(source, path)
        self._count += 1
        if self._count > MOST_NODES:
            raise _TooLargeError(f"the file has more than {MOST_NODES:,} values", place)
        if len(path) > DEEPEST:
            raise _TooLargeError(f"the nesting is deeper than {DEEPEST} levels", place)
        at = (key.start_mark.line + 1, key.start_mark.column + 1) if key else None
        return Node(path, place.line, place.column, self._content(source, path), at)

    def _content(self, source: yaml.Node, path: Path) -> dict[str, Node] | tuple[Node, ...] | Scalar:
        if isinstance(source, yaml.MappingNode):
            return self._mapping(source, path)
        if isinstance(source, yaml.SequenceNode):
            return tuple(self.node(child, (*path, index), None) for index, child in enumerate(source.value))
        return self._scalar(source, path)

    def _scalar(self, source: yaml.Node, path: Path) -> Scalar:
        reader = _READERS.get(source.tag)
        if reader is None:
            text = f"the tag {source.tag} has no meaning here; remove it"
            self._findings.add(Id.UNSUPPORTED_YAML, _place(source, path), text)
            return str(source.value)
        try:
            return reader(source.value)
        except (ValueError, KeyError):
            text = f"this cannot be read as the {source.tag.removeprefix(_TAG)} it looks like; put it in quotes"
            self._findings.add(Id.UNSUPPORTED_YAML, _place(source, path), text)
            return str(source.value)

    def _mapping(self, source: yaml.MappingNode, path: Path) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in source.value:
            if key.tag == f"{_TAG}merge":
                for name, node in self._merged(value, path).items():
                    merged.setdefault(name, node)
            elif not isinstance(key, yaml.ScalarNode):
                text = "a key must be plain text, not a list or a mapping; write `key: value`"
                self._findings.add(Id.UNSUPPORTED_YAML, _place(key, path), text)
            elif key.value in own:
                first = own[key.value].key_place.line
                text = f"this key stands on line {first} already; keep one of the two"
                self._findings.add(Id.DUPLICATE_KEY, _place(key, (*path, key.value)), text)
            else:
                own[key.value] = self.node(value, (*path, key.value), key)
        return {**merged, **own}

    def _merged(self, source: yaml.Node, path: Path) -> dict[str, Node]:
        if isinstance(source, yaml.MappingNode):
            self._count += 1
            if len(path) > DEEPEST:
                raise _TooLargeError(f"the nesting is deeper than {DEEPEST} levels", _place(source, path))
            return self._mapping(source, path)
        if isinstance(source, yaml.SequenceNode):
            merged: dict[str, Node] = {}
            for child in source.value:
                merged = {**self._merged(child, path), **merged}
            return merged
        text = "`<<` takes an alias of a mapping, or a list of them; write `<<: *name`"
        self._findings.add(Id.UNSUPPORTED_YAML, _place(source, path), text)
        return {}
