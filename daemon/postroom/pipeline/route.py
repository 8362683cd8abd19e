"""Which rules apply to a mail, and why: pure, so that `poll` and `postroom messages explain` share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from postroom.model import Details, Message
from postroom.pipeline.match import NO_DETAILS, Facts, Trace, holds
from postroom.ports import Detail, MatchedRule
from postroom.rule import Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one rule. `matched` is None when it needs details, or was not looked at after a `stop`."""

    rule: str
    matched: bool | None
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """The rules that apply to a mail, in order.

    Attributes:
        undecided: Rules that need details which have not been read.
        missing: Those details; empty when the routing is final.
    """

    matched: tuple[Rule, ...]
    undecided: tuple[Rule, ...]
    missing: frozenset[Detail]
    findings: tuple[Finding, ...]


def route(message: Message, rules: Sequence[Rule], now: datetime, details: Details = NO_DETAILS) -> Routing:
    """Apply the rules in order; every match counts until one says `stop`."""
    facts = Facts(message, now, details)
    matched: list[Rule] = []
    undecided: list[Rule] = []
    missing: set[Detail] = set()
    findings: list[Finding] = []
    stopped_by = ""
    for rule in rules:
        if stopped_by:
            findings.append(Finding(rule.name, None, (f"not looked at: rule {stopped_by!r} stops",)))
            continue
        trace = Trace()
        answer = holds(rule.when, facts, trace)
        findings.append(Finding(rule.name, answer, tuple(trace.lines)))
        if answer is None:
            undecided.append(rule)
            missing |= trace.missing
        elif answer:
            matched.append(rule)
            # An undecided rule before this one may stop first: then nothing here is final, and `missing` says so.
            stopped_by = rule.name if rule.stop else ""
    return Routing(tuple(matched), tuple(undecided), frozenset(missing), tuple(findings))


def as_matched(rules: Sequence[Rule]) -> tuple[MatchedRule, ...]:
    """Turn rules into what the journal stores: a rule without handlers has its actions due at once."""
    return tuple(MatchedRule(rule.name, rule.handle, () if rule.handle else rule.then) for rule in rules)
