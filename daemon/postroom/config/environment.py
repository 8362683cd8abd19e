"""The environment in the file: ``${NAME}``, ``${NAME:-default}``, and ``$${`` for a literal ``${``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from postroom.config.nodes import Node, replaced
from postroom.config.problems import Findings, Id, Path, closest

_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-[^}]*)?\}|\$\{")


def expanded(node: Node, environ: Mapping[str, str], findings: Findings) -> Node:
    """Return the tree with the environment put into its texts; keys stay as they are.

    As in the shell, the default stands in for a variable that is unset or empty. An unset variable without a default
    is a problem, and the text is cut out, so that nothing more is said of it.
    """
    changes: dict[Path, Node | None] = {}
    for text in _texts(node):
        assert isinstance(text.content, str), "see _texts"
        whole = _expand(text, text.content, environ, findings)
        changes[text.path] = None if whole is None else replace(text, content=whole, source=text.content)
    return replaced(node, changes) or replace(node, content={})


def _texts(node: Node) -> Iterator[Node]:
    """Yield the texts with something to put in."""
    if isinstance(node.content, str):
        if "${" in node.content:
            yield node
    elif isinstance(node.content, Mapping):
        for child in node.content.values():
            yield from _texts(child)
    elif isinstance(node.content, tuple):
        for child in node.content:
            yield from _texts(child)


def _expand(node: Node, text: str, environ: Mapping[str, str], findings: Findings) -> str | None:
    """Return the text with its variables put in; None when there is a problem with one."""
    bad = False

    def value(found: re.Match[str]) -> str:
        nonlocal bad
        name, fallback = found["name"], found["fallback"]
        if found[0] == "$${":
            return "${"
        if name is not None and (fallback is not None or name in environ):
            return environ.get(name) or (fallback or "")[2:]
        bad = True
        if name is None:
            findings.add(Id.BAD_VARIABLE, node.place, _MALFORMED)
        else:
            findings.add(Id.VARIABLE_NOT_SET, node.place, _not_set(name, environ))
        return ""

    whole = _VARIABLE.sub(value, text)
    return None if bad else whole


_MALFORMED = (
    "this ${ is not closed or names no variable; write ${NAME}, ${NAME:-default}, or $${ for the characters themselves"
)


def _not_set(name: str, environ: Mapping[str, str]) -> str:
    guess = closest(name, [other for other in environ if other[:2] == name[:2]])
    hint = f" (did you mean {guess}?)" if guess is not None else ""
    return f"the environment has no variable {name}{hint}; set it, or give a default with ${{{name}:-...}}"
