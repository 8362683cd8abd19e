"""`postroom mailboxes`: the watched mailboxes as the journal knows them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from postroom.cli.common import config_option, json_option, print_json, run_async
from postroom.cli.tables import show_table
from postroom.cli.views import with_views
from postroom.journal.records import FolderRecord, MailboxRecord


@click.group()
def mailboxes() -> None:
    """Look at the watched mailboxes."""


@mailboxes.command("list", short_help="List mailboxes and folders.")
@config_option
@json_option
def list_mailboxes(path: Path, as_json: bool) -> None:
    """List mailboxes and folders: when each was last walked, what is waiting, what went wrong."""
    found = run_async(with_views(path, lambda views: views.mailboxes()))
    if as_json:
        print_json([asdict(mailbox) for mailbox in found])
        return
    rows = [_row(mailbox, folder) for mailbox in found for folder in mailbox.folders]
    show_table("Mailboxes", ("mailbox", "folder", "last round", "mode", "waiting", "dead", "last error"), rows)


def _row(mailbox: MailboxRecord, folder: FolderRecord) -> tuple[object, ...]:
    last = folder.last_round_at or "never"
    mode = folder.mode if folder.walk == "round" else f"{folder.mode}, first walk"
    if mailbox.parked_at is not None:
        mode = f"parked since {mailbox.parked_at:%Y-%m-%d %H:%M}"
    waiting, dead = _counted(mailbox, "ready", "running"), _counted(mailbox, "dead")
    return mailbox.address, folder.name, last, mode, waiting, dead, folder.last_error


def _counted(mailbox: MailboxRecord, *states: str) -> str:
    """Say how many deliveries, and where there are any how many sets of mail actions: ``2 + 1 actions``."""
    of_deliveries, of_actions = (
        sum(some.get(state, 0) for state in states) for some in (mailbox.backlog, mailbox.actions)
    )
    return f"{of_deliveries} + {of_actions} actions" if of_actions else str(of_deliveries)
