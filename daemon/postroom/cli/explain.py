"""`postroom messages explain`: the rules of now against a mail, beside what was decided when it came."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from postroom.cli.common import config_option, echo, json_option, print_json, when
from postroom.cli.views import find_messages, last_words
from postroom.config import is_nameless, load_rules
from postroom.errors import PostroomError
from postroom.journal.records import ActionRecord, MessageDetail
from postroom.model import Message
from postroom.pipeline.route import route
from postroom.rule import Rule


@dataclass(frozen=True, slots=True)
class Explained:
    """What is found of one rule.

    Attributes:
        matched: Whether it matches now; None when that takes what the journal does not keep, or nobody asks.
        number: Its place among the mailbox's rules, counted from 1.
        then: Whether a rule of this name matched when the mail came.
        looked_at: False behind a rule that stops.
    """

    rule: str
    number: int
    matched: bool | None
    why: tuple[str, ...]
    then: bool
    looked_at: bool = True


@click.command()
@config_option
@click.argument("message")
@json_option
def explain(path: Path, message: str, as_json: bool) -> None:
    """Say, rule by rule, why a MESSAGE matched or did not.

    The rules are those of the configuration now, and beside each stands whether a rule of its name matched when the
    mail came. For attachment names, headers and sizes, which the journal does not keep, that is the answer. Mail
    actions that wait say why, and until when.
    """
    for detail in find_messages(path, message):
        found = explained(*_wanted(path, detail), detail.rules, datetime.now(UTC))
        if as_json:
            print_json({"message": detail.record.id, "rules": [asdict(each) for each in found]})
        else:
            _show(found)
            _show_waiting(detail.actions)


def _wanted(path: Path, detail: MessageDetail) -> tuple[Message, tuple[Rule, ...]]:
    record = detail.record
    if detail.snapshot is None and record.settled is not None:
        raise PostroomError(
            f"The details of message {record.id} were pruned: it was settled longer ago than `retention.snapshots`.",
            remedy="`postroom messages show` tells what is still known of it.",
        )
    if detail.snapshot is None:
        raise PostroomError(
            f"Message {record.id} was in {record.mailbox}/{record.folder} before Postroom watched it.",
            remedy="Such mail is remembered but never looked at; `start: all` in the configuration takes it too.",
        )
    rules = load_rules(path, record.mailbox)
    if rules is None:
        raise PostroomError(
            f"{record.mailbox} is not in the configuration any more.",
            remedy="`postroom messages show` tells what was decided when the mail came.",
        )
    return detail.snapshot, rules


def explained(message: Message, rules: Sequence[Rule], then: Collection[str], now: datetime) -> list[Explained]:
    """Apply the rules one by one; what cannot be decided now is taken as it was, by the rules that matched `then`."""
    found: list[Explained] = []
    stopped = ""
    for number, rule in enumerate(rules, 1):
        if stopped:
            found.append(Explained(rule.name, number, None, (stopped,), rule.name in then, looked_at=False))
            continue
        (finding,) = route(message, (rule,), now).findings
        found.append(Explained(rule.name, number, finding.matched, finding.why, rule.name in then))
        if rule.stop and (finding.matched or (finding.matched is None and rule.name in then)):
            stopped = f"rule {rule.name!r} stops" + ("" if finding.matched else ", and matched when the mail came")
    return found


def _show(found: Sequence[Explained]) -> None:
    for each in found:
        echo(f"{_called(each)}: {_answer(each)}")
        for line in each.why:
            echo(f"    {line}")


def _called(each: Explained) -> str:
    """Return what the rule is called, and of one without a name where it stands."""
    return f"{each.rule} (rule {each.number})" if is_nameless(each.rule) else each.rule


def _show_waiting(actions: Sequence[ActionRecord]) -> None:
    """Say why what a rule, or a handler, asked for has not come about yet."""
    for each in actions:
        if each.state == "ready" and (why := last_words(each)):
            until = "" if each.due_at is None else f" until {when(each.due_at)}"
            echo(f"mail actions of {each.origin} wait{until}")
            echo(f"    {why}")


def _answer(each: Explained) -> str:
    came = f"{'matched' if each.then else 'did not match'} when the mail came"
    if not each.looked_at:
        return f"not looked at  ({came})" if each.then else "not looked at"
    if each.matched is None:
        return f"{came}; the journal does not keep what would decide it now"
    words = "matches" if each.matched else "does not match"
    return f"{words}  ({came})" if each.matched or each.then else words
