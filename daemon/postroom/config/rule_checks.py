"""The third pass over the rules of a mailbox: do they have an effect, and does a mail ever come to them?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from postroom.config.nodes import Node
from postroom.config.pattern_checks import check_patterns
from postroom.config.problems import Findings, Id
from postroom.config.rule_sections import RuleSection, WhenSection
from postroom.config.rules import rule_names
from postroom.config.sections import MailboxSection


def check_rules(mailbox: MailboxSection, node: Node, findings: Findings) -> None:
    """Report what is wrong among the rules of the mailbox at `node`."""
    rules = list(placed_rules(mailbox, node))
    if not rules and not findings.touched((*node.path, "rules")):
        text = "this mailbox has no rules, so that its mail is only remembered; add `rules:`"
        findings.add(Id.NO_RULES, node.key_place, text)
    _check_names(rules, findings)
    for rule, at in rules:
        _check_actions(rule, at, findings)
        check_patterns(rule.when, at.child("when") or at, findings)
        if not findings.touched(at.path):
            _check_effect(rule, at, findings)
    _check_order(rules, findings)


def placed_rules(mailbox: MailboxSection, node: Node) -> Iterator[tuple[RuleSection, Node]]:
    """Yield the rules of the mailbox at `node`, each with its own node."""
    at = node.child("rules")
    for index, rule in enumerate(mailbox.rules):
        child = at.child(index) if at is not None else None
        assert child is not None, "each rule of the model was read from the tree"
        yield rule, child


def _check_names(rules: Sequence[tuple[RuleSection, Node]], findings: Findings) -> None:
    seen: dict[str, Node] = {}
    for (_, at), name in zip(rules, rule_names([rule for rule, _ in rules]), strict=True):
        first = seen.setdefault(name, at)
        if first is not at:
            text = f"the rule on line {first.line} has the name {name!r} too; give each its own"
            findings.add(Id.DUPLICATE_RULE, (at.child("name") or at).place, text)


def _check_actions(rule: RuleSection, at: Node, findings: Findings) -> None:
    for actions, setting in ((rule.then, "then"), (rule.on_failure, "on_failure")):
        if actions.delete and actions.move_to is not None:
            text = "a mail cannot be both moved and deleted; keep move_to or delete"
            findings.add(Id.MOVE_AND_DELETE, (at.child(setting) or at).place, text)


def _check_effect(rule: RuleSection, at: Node, findings: Findings) -> None:
    """Report a rule that does nothing, and one that waits for a failure nobody can have."""
    acts = bool(rule.then.model_fields_set)
    if not rule.handle and not acts and not rule.stop:
        findings.add(Id.IDLE_RULE, at.key_place, "this rule does nothing; add `handle:`, `then:` or `stop: true`")
    elif not rule.handle and rule.on_failure.model_fields_set:
        text = "this rule names no handler that could fail; add `handle:`, or remove on_failure"
        findings.add(Id.NEVER_FAILS, (at.child("on_failure") or at).key_place, text)


def _check_order(rules: Sequence[tuple[RuleSection, Node]], findings: Findings) -> None:
    for (rule, at), (_, following) in itertools.pairwise(rules):
        if rule.stop and _takes_all(rule.when) and not findings.touched(at.path):
            name = repr(rule.name) if rule.name else f"the rule on line {at.line}"
            text = f"no mail comes this far, for {name} takes every mail and stops; move it to the end"
            findings.add(Id.UNREACHABLE_RULE, following.place, text)
            return


def _takes_all(when: WhenSection) -> bool:
    return all(name == "all_" and all(map(_takes_all, when.all_ or ())) for name in when.model_fields_set)
