"""Which rules apply to a mail, and why: pure, so that `poll` and `postroom messages explain` share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from postroom.model import Details, Message
from postroom.pipeline.match import NO_DETAILS, Facts, holds, needs
from postroom.pipeline.reasons import why
from postroom.ports import Detail, MatchedRule
from postroom.rule import Rule

NOTHING = frozenset[Detail]()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one rule. `matched` is None when it needs details, or was not looked at after a `stop`."""

    rule: str
    matched: bool | None
    why: tuple[str, ...]


class Routed(NamedTuple):
    """The rules that apply to a mail, in order.

    Attributes:
        undecided: Rules that need details which have not been read.
        missing: Those details; empty when the routing is final.
        facts: What was asked about, so that the findings can be told when somebody wants them.
        rules: All rules that were to be applied.
    """

    matched: tuple[Rule, ...]
    undecided: tuple[Rule, ...]
    missing: frozenset[Detail]
    facts: Facts
    rules: Sequence[Rule]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found of each rule, in order, in words."""
        findings: list[Finding] = []
        stopped_by = ""
        for rule in self.rules:
            if stopped_by:
                findings.append(Finding(rule.name, None, (f"not looked at: rule {stopped_by!r} stops",)))
                continue
            answer = holds(rule.when, self.facts)
            findings.append(Finding(rule.name, answer, tuple(why(rule.when, self.facts))))
            stopped_by = rule.name if answer and rule.stop else ""
        return tuple(findings)


def route(message: Message, rules: Sequence[Rule], now: datetime, details: Details = NO_DETAILS) -> Routed:
    """Apply the rules in order; every match counts until one says `stop`."""
    facts = Facts(message, now, details)
    matched: list[Rule] = []
    undecided: list[Rule] = []
    for rule in rules:
        answer = holds(rule.when, facts)
        if answer is None:
            undecided.append(rule)
        elif answer:
            matched.append(rule)
            if rule.stop:
                # An undecided rule before this one may stop first: then nothing here is final, and `missing` says so.
                break
    missing = frozenset[Detail]().union(*(needs(rule.when, facts) for rule in undecided)) if undecided else NOTHING
    return Routed(tuple(matched), tuple(undecided), missing, facts, rules)


def as_matched(rules: Sequence[Rule]) -> tuple[MatchedRule, ...]:
    """Turn rules into what the journal stores: a rule without handlers has its actions due at once."""
    return tuple(MatchedRule(rule.name, rule.handle, () if rule.handle else rule.then) for rule in rules)
