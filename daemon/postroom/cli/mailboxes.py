"""`postroom mailboxes`: the watched mailboxes as the journal knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from postroom.cli.common import config_option, json_option, print_json, run_async
from postroom.cli.known import names_in
from postroom.cli.tables import show_table
from postroom.cli.views import with_views
from postroom.config import Names
from postroom.journal.records import FolderRecord, MailboxRecord
from postroom.model import canonical_folder


@click.group()
def mailboxes() -> None:
    """Look at the watched mailboxes."""


@mailboxes.command("list", short_help="List mailboxes and folders.")
@config_option
@json_option
def list_mailboxes(path: Path, as_json: bool) -> None:
    """List mailboxes and folders: when each was last walked, what is waiting, what went wrong.

    What is waiting and what is dead is the whole mailbox's, and stands at its first folder. Of a folder that the
    configuration does not have any more the mode is `not watched`. Where there are several tenants, each mailbox is
    listed with its own.
    """
    found = run_async(with_views(path, lambda views: views.mailboxes()))
    watched = _watched(names_in(path))
    if as_json:
        print_json([_as_json(mailbox, watched) for mailbox in found])
        return
    columns: tuple[str, ...] = ("mailbox", "folder", "last round", "mode", "waiting", "dead", "last error")
    rows = [_row(mailbox, folder, watched) for mailbox in found for folder in mailbox.folders]
    if len({mailbox.tenant for mailbox in found}) > 1:
        columns = ("tenant", *columns)
        tenants = [mailbox.tenant for mailbox in found for _ in mailbox.folders]
        rows = [(tenant, *row) for tenant, row in zip(tenants, rows, strict=True)]
    show_table("Mailboxes", columns, rows, under=("last round", "mode", "last error"))


Watched = Callable[[MailboxRecord, FolderRecord], bool | None]
"""Says whether the configuration has a folder of the journal; None where that cannot be told."""


def _watched(names: Names | None) -> Watched:
    if names is None:
        return lambda _mailbox, _folder: None
    folders = {(address.casefold(), canonical_folder(each)) for address, own in names.folders.items() for each in own}
    return lambda mailbox, folder: (mailbox.address.casefold(), canonical_folder(folder.name)) in folders


def _as_json(mailbox: MailboxRecord, watched: Watched) -> dict[str, object]:
    folders = [{**asdict(each), "watched": watched(mailbox, each)} for each in mailbox.folders]
    return {**asdict(mailbox), "folders": folders}


def _row(mailbox: MailboxRecord, folder: FolderRecord, watched: Watched) -> tuple[object, ...]:
    last = folder.last_round_at or "never"
    mode = folder.mode if folder.walk == "round" else f"{folder.mode}, first walk"
    if watched(mailbox, folder) is False:
        mode = "not watched"
    elif mailbox.parked_at is not None:
        mode = f"parked since {mailbox.parked_at:%Y-%m-%d %H:%M}"
    is_first = folder is mailbox.folders[0]
    waiting, dead = (_counted(mailbox, "ready", "running"), _counted(mailbox, "dead")) if is_first else ("", "")
    return mailbox.address, folder.name, last, mode, waiting, dead, folder.last_error


def _counted(mailbox: MailboxRecord, *states: str) -> str:
    """Say how many deliveries, and where there are any how many sets of mail actions: ``2 + 1 actions``."""
    of_deliveries, of_actions = (
        sum(some.get(state, 0) for state in states) for some in (mailbox.backlog, mailbox.actions)
    )
    return f"{of_deliveries} + {of_actions} actions" if of_actions else str(of_deliveries)
