"""`postroom messages`: what was seen, what became of it, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from postroom.cli.common import config_option, counted, json_option, limit_option, print_json, run_async
from postroom.cli.explain import explain
from postroom.cli.known import check_known
from postroom.cli.tables import show_table
from postroom.cli.views import find_messages, last_words, reason_option, state_option, with_views
from postroom.errors import PostroomError
from postroom.journal import JournalViews
from postroom.journal.codec import encode_actions
from postroom.journal.records import ActionRecord, DeliveryRecord, MessageDetail, MessageRecord
from postroom.model import MailAction
from postroom.ports import ROUTING


@click.group()
def messages() -> None:
    """Look at messages and at what became of them."""


@messages.command("list", short_help="List messages and what became of them.")
@config_option
@click.option("--mailbox", default="", metavar="ADDRESS", help="Only this mailbox.")
@state_option
@click.option("--text", default="", help="Only those with this text in subject or sender.")
@limit_option
@json_option
def list_messages(*, path: Path, mailbox: str, state: Any, text: str, limit: int, as_json: bool) -> None:
    """List messages, newest first, with the state of their deliveries, and of mail actions that are not done.

    An answer that a limit of `sending` withheld is named as well.
    """

    async def asked(views: JournalViews) -> list[MessageRecord]:
        found = await views.messages(mailbox=mailbox, state=state, text=text, limit=limit)
        if not found:
            await check_known(path, views, mailbox=mailbox)
        return found

    found = run_async(with_views(path, asked))
    if as_json:
        print_json([asdict(message) for message in found])
        return
    columns = ("id", "received", "mailbox", "from", "subject", "deliveries")
    show_table("Messages", columns, [_row(message) for message in found], under=("from", "subject", "deliveries"))


def _row(message: MessageRecord) -> tuple[object, ...]:
    return message.id, message.received_at, message.mailbox, message.sender, message.subject, _became(message)


def _became(message: MessageRecord) -> str:
    """Say what became of a message, or why nothing was to become of it."""
    left = {origin: state for origin, state in message.actions.items() if state != "done"}
    left |= dict.fromkeys(message.withheld, "(answer withheld by a limit)")
    if message.deliveries or left:
        return ", ".join(f"{name} {state}" for name, state in (*message.deliveries.items(), *left.items()))
    if message.settled is not None:
        return pruned_words(message.settled)
    if not message.dispatched:
        return "before start"
    return f"no handler (rule {', '.join(message.rules)})" if message.rules else "no rule matched"


def pruned_words(settled: Mapping[str, str]) -> str:
    """Say what is still known of a mail whose details were pruned: ``pruned (archive done, rule all then done)``."""
    said = ", ".join(f"{name} {state}" for name, state in settled.items())
    return f"pruned ({said or 'no handler'})"


@messages.command(short_help="Show everything that is known of a message.")
@config_option
@click.argument("message")
@json_option
def show(path: Path, message: str, as_json: bool) -> None:
    """Show everything that is known of a MESSAGE: its id here, Graph's id, or its Message-ID."""
    found = find_messages(path, message)
    if as_json:
        print_json([_as_json(each) for each in found])
        return
    for each in found:
        _show(each)


@messages.command("retry-actions", short_help="Carry out given-up mail actions again.")
@config_option
@click.argument("message")
def retry_actions(path: Path, message: str) -> None:
    """Carry out again the mail actions of a MESSAGE that were given up: its id here, Graph's id, or its Message-ID.

    A running daemon notices within a second.
    """
    found = find_messages(path, message)
    ids = [each.record.id for each in found]
    retried = run_async(with_views(path, lambda views: views.retry_actions(ids, datetime.now(UTC))))
    if not (retried.again or retried.under_way):
        raise _none("retried", message, found)
    click.echo(f"{_sets(retried.again)} ready again.")
    if retried.under_way:
        click.echo(f"{_sets(retried.under_way)} under way anyway: not dead, but waiting for the next try.")


@messages.command("discard-actions", short_help="Give dead mail actions up.")
@config_option
@click.argument("message")
@reason_option
def discard_actions(path: Path, message: str, reason: str) -> None:
    """Give up the dead mail actions of a MESSAGE: its id here, Graph's id, or its Message-ID.

    They are never carried out again, unless `retry-actions` says so. What is still being tried is left alone.
    """
    found = find_messages(path, message)
    ids = [each.record.id for each in found]
    count = run_async(with_views(path, lambda views: views.discard_actions(ids, reason, datetime.now(UTC))))
    if not count:
        raise _none("discarded", message, found)
    click.echo(f"{_sets(count)} discarded.")


def _none(verb: str, message: str, found: Sequence[MessageDetail]) -> PostroomError:
    """Say why no mail actions of a message were `verb`."""
    states: dict[str, list[str]] = {}
    for each in (action for detail in found for action in detail.actions):
        states.setdefault(each.state, []).append(each.origin)
    present = ", ".join(f"{state} ({', '.join(origins)})" for state, origins in states.items())
    why = (
        f"the mail actions of message {message} are {present}" if present else f"message {message} has no mail actions"
    )
    return PostroomError(
        f"Nothing was {verb}: {why}.", remedy="`postroom messages list --dead` shows where mail actions were given up."
    )


def _sets(count: int) -> str:
    return counted(count, "set of mail actions is", "sets of mail actions are")


def _as_json(detail: MessageDetail) -> dict[str, Any]:
    """Say mail actions in the words of the configuration: `asdict` alone would lose what each is."""
    actions = [{**asdict(each), "actions": _plain(each.actions)} for each in detail.actions]
    return {**asdict(detail), "actions": actions}


def _rules(detail: MessageDetail) -> str:
    if any(ROUTING in handlers for handlers in detail.rules.values()):
        return "not evaluated: Graph could not show the mail"
    return ", ".join(detail.rules) or ("none matched" if detail.record.settled is None else "")


def _show(detail: MessageDetail) -> None:
    record, snapshot = detail.record, detail.snapshot
    facts: list[tuple[str, object]] = [
        ("id", record.id),
        ("mailbox", record.mailbox),
        ("folder", record.folder),
        ("from", record.sender),
        ("subject", record.subject),
        ("received", record.received_at),
        ("seen", record.seen_at),
        ("Message-ID", record.internet_message_id),
        ("Graph id", record.graph_id),
        ("rules", _rules(detail)),
    ]
    if snapshot is not None:
        facts.insert(4, ("to", ", ".join(map(str, snapshot.to))))
    if snapshot is None and record.settled is not None:
        facts.append(("details", f"{pruned_words(record.settled)}: dropped after `retention.snapshots`"))
    elif not record.dispatched:
        facts.append(("dispatched", "no: it was there before Postroom was (start)"))
    show_table(f"Message {record.id}", ("what", "value"), facts)
    if detail.deliveries:
        columns = ("id", "handler", "rule", "state", "attempt", "due", "note or error")
        show_table("Deliveries", columns, [_delivery(each) for each in detail.deliveries], under=("note or error",))
    failed = [
        (delivery, each.attempt, each.outcome, each.ended_at, each.error)
        for delivery, attempts in detail.attempts.items()
        for each in attempts
    ]
    if failed:
        attempt = ("delivery", "attempt", "outcome", "ended", "error")
        show_table("Attempts that failed", attempt, failed, under=("error",))
    if detail.actions:
        rows = [
            (each.origin, _words(each.actions), each.state, each.attempt, _due(each), last_words(each))
            for each in detail.actions
        ]
        asked = ("origin", "actions", "state", "attempt", "due", "note or error")
        show_table("Mail actions", asked, rows, under=("actions", "note or error"))


def _delivery(each: DeliveryRecord) -> tuple[object, ...]:
    return each.id, each.handler, each.rule, each.state, each.attempt, _due(each), last_words(each)


def _due(each: DeliveryRecord | ActionRecord) -> object:
    return each.due_at if each.state == "ready" and each.due_at else ""


def _words(actions: tuple[MailAction, ...]) -> str:
    """Say mail actions as the configuration would: ``mark_read: true, move_to: Done``."""
    said = [
        f"{kind}: {json.dumps(value, ensure_ascii=False)}" for each in _plain(actions) for kind, value in each.items()
    ]
    return ", ".join(said)


def _plain(actions: tuple[MailAction, ...]) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = json.loads(encode_actions(actions))
    return plain


messages.add_command(explain)
