"""From PyYAML's graph of nodes to our tree: keys are texts and unique, aliases are expanded within limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import yaml

from postroom.config.nodes import Node, Scalar
from postroom.config.problems import Findings, Id, Path, Place

TAG = "tag:yaml.org,2002:"
"""What YAML's own tags begin with."""
MOST_NODES = 300_000
"""Values of a file, aliases expanded."""
DEEPEST = 40
"""Levels of nesting."""


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text, 10)


_READERS: Mapping[str, Callable[[str], Scalar]] = {
    f"{TAG}str": str,
    f"{TAG}merge": str,
    f"{TAG}bool": lambda text: {"true": True, "false": False}[text.lower()],
    f"{TAG}null": lambda _: None,
    f"{TAG}int": _integer,
    f"{TAG}float": float,
}


def place_of(node: yaml.Node, path: Path) -> Place:
    """Return where a node begins."""
    return Place(path, node.start_mark.line + 1, node.start_mark.column + 1)


class TooLargeError(Exception):
    """The tree outgrows a limit, by aliases or by nesting."""

    def __init__(self, text: str, place: Place) -> None:
        super().__init__(text)
        self.place = place


class TreeBuilder:
    """Turns YAML's graph of nodes into our tree."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._count = 0

    def node(self, source: yaml.Node, path: Path, key: yaml.Node | None) -> Node:
        """Return the tree below `source`; raises TooLargeError."""
        place = place_of(source, path)
        self._count_one(source, path)
        at = (key.start_mark.line + 1, key.start_mark.column + 1) if key else None
        return Node(path, place.line, place.column, self._content(source, path), at)

    def _count_one(self, source: yaml.Node, path: Path) -> None:
        self._count += 1
        if self._count > MOST_NODES:
            raise TooLargeError(f"the file has more than {MOST_NODES:,} values", place_of(source, ()))
        if len(path) > DEEPEST:
            raise TooLargeError(f"the nesting is deeper than {DEEPEST} levels", place_of(source, ()))

    def _content(self, source: yaml.Node, path: Path) -> dict[str, Node] | tuple[Node, ...] | Scalar:
        if isinstance(source, yaml.MappingNode):
            self._check_tag(source, "map", path)
            return self._mapping(source, path)
        if isinstance(source, yaml.SequenceNode):
            self._check_tag(source, "seq", path)
            return tuple(self.node(child, (*path, index), None) for index, child in enumerate(source.value))
        return self._scalar(source, path)

    def _check_tag(self, source: yaml.Node, usual: str, path: Path) -> None:
        if source.tag != TAG + usual:
            text = f"the tag {source.tag} has no meaning here; remove it"
            self._findings.add(Id.UNSUPPORTED_YAML, place_of(source, path), text)

    def _scalar(self, source: yaml.Node, path: Path) -> Scalar:
        reader = _READERS.get(source.tag)
        if reader is None:
            text = f"the tag {source.tag} has no meaning here; remove it"
            self._findings.add(Id.UNSUPPORTED_YAML, place_of(source, path), text)
            return str(source.value)
        try:
            return reader(source.value)
        except (ValueError, KeyError):
            text = f"this cannot be read as the {source.tag.removeprefix(TAG)} it looks like; put it in quotes"
            self._findings.add(Id.UNSUPPORTED_YAML, place_of(source, path), text)
            return str(source.value)

    def _mapping(self, source: yaml.MappingNode, path: Path) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in source.value:
            if key.tag == f"{TAG}merge":
                for name, node in self._merged(value, path).items():
                    merged.setdefault(name, node)
            elif not isinstance(key, yaml.ScalarNode):
                text = "a key must be plain text, not a list or a mapping; write `key: value`"
                self._findings.add(Id.UNSUPPORTED_YAML, place_of(key, path), text)
            elif key.value in own:
                first = own[key.value].key_place.line
                text = f"this key stands on line {first} already; keep one of the two"
                self._findings.add(Id.DUPLICATE_KEY, place_of(key, (*path, key.value)), text)
            else:
                own[key.value] = self.node(value, (*path, key.value), key)
        return {**merged, **own}

    def _merged(self, source: yaml.Node, path: Path) -> dict[str, Node]:
        self._count_one(source, path)
        if isinstance(source, yaml.MappingNode):
            return self._mapping(source, path)
        if isinstance(source, yaml.SequenceNode):
            merged: dict[str, Node] = {}
            for child in source.value:
                merged = {**self._merged(child, path), **merged}
            return merged
        text = "`<<` takes an alias of a mapping, or a list of them; write `<<: *name`"
        self._findings.add(Id.UNSUPPORTED_YAML, place_of(source, path), text)
        return {}
