"""The third pass over what rules forward: does it come back to the mailbox it went out of?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from postroom.config.nodes import Node
from postroom.config.problems import Findings, Id
from postroom.config.rule_checks import placed_rules
from postroom.config.sections import File
from postroom.config.shape import Shaped


class _Forward(NamedTuple):
    """One address that a rule of a mailbox forwards to; addresses are folded."""

    source: str
    target: str
    node: Node


def check_loops(shaped: Shaped[File], findings: Findings) -> None:
    """Report each forward that closes a circle of mailboxes, at the last of it in the file; once for two mailboxes."""
    onward: dict[str, dict[str, Node]] = {}
    for source, target, node in _forwards(shaped, findings):
        if target in onward.get(source, ()):
            continue
        if target == source:
            text = "this is the mailbox itself, whose forwards would come back to it; name another address"
            findings.add(Id.FORWARD_LOOP, node.place, text)
        elif back := _way(onward, target, source):
            text = (
                f"what this mailbox forwards comes back to it by the forward on {back}; let one of them go elsewhere, "
                "or stop there"
            )
            findings.add(Id.FORWARD_LOOP, node.place, text)
        onward.setdefault(source, {})[target] = node


def _forwards(shaped: Shaped[File], findings: Findings) -> Iterator[_Forward]:
    for number, mailbox in enumerate(shaped.model.mailboxes):
        node = shaped.node("mailboxes", number)
        if not mailbox.address or findings.touched((*node.path, "address")):
            continue
        for rule, at in placed_rules(mailbox, node):
            for actions, setting in ((rule.then, "then"), (rule.on_failure, "on_failure")):
                if actions.forward is not None and not findings.touched((*at.path, setting)):
                    for index, target in enumerate(actions.forward.to):
                        yield _Forward(mailbox.address.casefold(), target.casefold(), _place(at, setting, index))


def _place(rule: Node, setting: str, index: int) -> Node:
    """Return where an address stands; a forward may be written as the address, a list of them, or a mapping."""
    forward = (rule.child(setting) or rule).child("forward") or rule
    to = forward.child("to") or forward
    return to.child(index) or to


def _way(onward: Mapping[str, Mapping[str, Node]], start: str, goal: str) -> str:
    """Say by which lines mail of `start` comes to `goal`, as in ``line 4, line 9``; empty when it does not."""
    seen, open_ = {start}, [(start, list[Node]())]
    while open_:
        here, path = open_.pop(0)
        if here == goal:
            return ", ".join(f"line {node.line}" for node in path)
        for there, node in onward.get(here, {}).items():
            if there not in seen:
                seen.add(there)
                open_.append((there, [*path, node]))
    return ""
