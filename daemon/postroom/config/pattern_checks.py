"""The third pass over the patterns of a rule: is there a text they can fit?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postroom.config.nodes import Node
from postroom.config.problems import Findings, Id
from postroom.config.rule_sections import WhenSection
from postroom.config.wording import shown

_WILDCARDS = frozenset("*?[")


def check_patterns(when: WhenSection, node: Node, findings: Findings) -> None:
    """Report globs without a wildcard that are written as if they could match a part."""
    for setting, patterns in (("from", when.from_), ("to", when.to)):
        for text, at in _whole(patterns, node.child(setting) or node):
            if "@" not in text or "<" in text:
                advice = "write *@supplier.example for a domain, name@* for a name, or the bare address"
                findings.add(
                    Id.NEVER_MATCHES, at.place, f"no address is {shown(at)}, and it must be a whole one; {advice}"
                )
    for _, at in _whole(when.subject, node.child("subject") or node):
        text = (
            f"{shown(at)} must be the whole subject; write *invoice* to find a part, or /^invoice$/ if whole is meant"
        )
        findings.add(Id.WHOLE_SUBJECT, at.place, text)
    for inner, at in _nested(when, node):
        check_patterns(inner, at, findings)


def _whole(patterns: Sequence[str] | None, node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the globs that only one text fits, each with its place."""
    for index, text in enumerate(patterns or ()):
        regular = len(text) > 1 and text[0] == text[-1] == "/"
        if not regular and not _WILDCARDS & set(text):
            yield text, node.child(index) or node


def _nested(when: WhenSection, node: Node) -> Iterator[tuple[WhenSection, Node]]:
    for setting, sections in (("any", when.any_), ("all", when.all_)):
        at = node.child(setting) or node
        for index, inner in enumerate(sections or ()):
            yield inner, at.child(index) or at
    if when.not_ is not None:
        yield when.not_, node.child("not") or node
