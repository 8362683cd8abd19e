"""The file as a tree that knows where each of its values stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from postroom.config.problems import Path, Place

Scalar = str | int | float | bool | None
Plain = dict[str, "Plain"] | list["Plain"] | Scalar


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place.

    Attributes:
        path: As in the file, even when the tree around it has since lost siblings.
        line: Of the value, from 1.
        column: Of the value, from 1.
        key: Line and column of its key, where it has one.
        source: The text before the environment was put in, or empty when it holds no variable.
    """

    path: Path
    line: int
    column: int
    content: Mapping[str, Node] | tuple[Node, ...] | Scalar
    key: tuple[int, int] | None = None
    source: str = ""

    @property
    def place(self) -> Place:
        """Where the value stands."""
        return Place(self.path, self.line, self.column)

    @property
    def key_place(self) -> Place:
        """Where its key stands, or the value itself when it is an element of a list."""
        line, column = self.key or (self.line, self.column)
        return Place(self.path, line, column)

    def child(self, part: str | int) -> Node | None:
        """Return the value under a key or an index, or None."""
        if isinstance(self.content, Mapping):
            return self.content.get(part) if isinstance(part, str) else None
        if isinstance(self.content, tuple) and isinstance(part, int) and part < len(self.content):
            return self.content[part]
        return None


def plain(node: Node) -> Plain:
    """Return the value as dicts, lists and scalars."""
    if isinstance(node.content, Mapping):
        return {key: plain(child) for key, child in node.content.items()}
    if isinstance(node.content, tuple):
        return [plain(child) for child in node.content]
    return node.content


def resolve(root: Node, location: Path) -> tuple[Node, Path]:
    """Follow `location` and return the last node that exists, with the parts behind it that do not.

    Parts in between that the tree does not know are skipped: pydantic puts the names of union members there.
    """
    node, rest = root, list[str | int]()
    for part in location:
        child = node.child(part)
        if child is None:
            rest.append(part)
        else:
            node, rest = child, []
    return node, tuple(rest)


def replaced(node: Node, changes: Mapping[Path, Node | None]) -> Node | None:
    """Return the tree with the nodes at these paths exchanged, or left out where the change is None."""
    if node.path in changes:
        return changes[node.path]
    if isinstance(node.content, Mapping):
        pairs = {key: replaced(child, changes) for key, child in node.content.items()}
        return replace(node, content={key: child for key, child in pairs.items() if child is not None})
    if isinstance(node.content, tuple):
        children = (replaced(child, changes) for child in node.content)
        return replace(node, content=tuple(child for child in children if child is not None))
    return node
