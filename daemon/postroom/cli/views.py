"""What the commands that look into the journal share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from postroom import config
from postroom.cli.common import run_async
from postroom.errors import PostroomError
from postroom.journal import JournalViews, open_journal
from postroom.journal.records import ActionRecord, DeliveryRecord, MessageDetail
from postroom.model import DeliveryState

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def last_words(record: DeliveryRecord | ActionRecord) -> str:
    """Return what was last said of it: why it is held or was given up stands over the error that led there."""
    if isinstance(record, DeliveryRecord) and record.held:
        return f"held: {record.held}"
    given_up = record.state == DeliveryState.DISCARDED
    return record.note if given_up and record.note else record.error or record.note


async def with_views(path: Path, use: Callable[[JournalViews], Coroutine[Any, Any, T]]) -> T:
    """Open the journal of the configuration at `path` beside a running daemon, use it, and close it.

    Nothing else of the configuration need be right: dead letters are looked at when something is wrong.
    """
    journal = await open_journal(config.load_journal(path), exclusive=False)
    try:
        return await use(JournalViews(journal))
    finally:
        await journal.close()


def find_messages(path: Path, key: str) -> list[MessageDetail]:
    """Return the messages that `key` names: an id here, Graph's id or a Message-ID; raises PostroomError for none."""
    found = run_async(with_views(path, lambda views: views.find(key)))
    if not found:
        raise PostroomError(
            f"The journal has no message {key!r}.",
            remedy="Give the id that `postroom messages list` shows, Graph's id, or the Message-ID of the mail.",
        )
    return found


def _reason(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("Say in a few words why: the journal keeps it for who asks later.")
    return value.strip()


reason_option = click.option("--reason", required=True, callback=_reason, help="Why; kept in the journal.")


def _state(_context: click.Context, _option: click.Parameter, value: str | None) -> DeliveryState | None:
    return None if value is None else DeliveryState(value)


def state_option(command: F) -> F:
    """Add `--state` and its short form `--dead`; the command's `state` is a `DeliveryState` or None."""
    states = click.Choice([state.value for state in DeliveryState])
    only = click.option(
        "--state",
        type=states,
        default=None,
        callback=_state,
        help="Only in this state; messages: a delivery of theirs, or mail actions.",
    )
    dead = click.option(
        "--dead", "state", flag_value=DeliveryState.DEAD.value, callback=_state, help="Short for --state dead."
    )
    return only(dead(command))
