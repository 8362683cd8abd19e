"""What the demo shows: a live line per mailbox while it runs, a table of everything at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from postroom.cli.demo_account import Account

PLAIN_EVERY = 2.0
"""Seconds between two lines where there is no terminal."""

STATES = ("ready", "running", "done", "dead", "discarded")


class Progress:
    """Shows an account as it grows: redrawn in place in a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None
        self._said = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, account: Account) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if self._live is not None:
            self._live.update(_progress_table(account, now - self._started))
        elif now - self._said >= PLAIN_EVERY:
            self._said = now
            self._console.print(
                f"{now - self._started:5.1f} s  mails in {account.delivered}, journalled {account.journalled},"
                f" deliveries {_sum(account, 'done')} done, {_sum(account, 'dead')} dead letters,"
                f" actions {_actions(account, 'done')} done",
                soft_wrap=True,
            )


def _progress_table(account: Account, seconds: float) -> Table:
    rows = [
        (mailbox, count, account.journalled_by_mailbox.get(mailbox, 0), account.settled_by_mailbox.get(mailbox, 0))
        for mailbox, count in sorted(account.delivered_by_mailbox.items())
    ]
    return _table(
        f"{seconds:4.1f} s",
        ("mailbox", "mails in", "journalled", "settled"),
        rows,
        total=("all", account.delivered, account.journalled, account.settled_count),
    )


def closing_table(account: Account, directory: Path) -> RenderableType:
    """Return the account of everything: mails, deliveries, actions, files, and what is missing."""
    side = Table.grid(padding=(0, 5))
    side.add_row(
        _kinds(account),
        Group(_mailboxes(account), Text(), _deliveries(account)),
        Group(_actions_table(account), Text(), _saved(directory / "state")),
    )
    where = Text(f"Files and journal: {directory / 'state'}", style="dim")
    return Group(Text(), side, Text(), where, _verdict(account))


def _kinds(account: Account) -> Table:
    kinds = Counter(each.kind for each in account.mails)
    return _table("Mails in", ("kind", "mails"), sorted(kinds.items()), total=("all", account.delivered))


def _mailboxes(account: Account) -> Table:
    rows = sorted(account.journalled_by_mailbox.items())
    return _table("Journalled", ("mailbox", "mails"), rows, total=("all", account.journalled))


def _deliveries(account: Account) -> Table:
    seen = [state for state in STATES if any(state == each for _, each in account.deliveries)]
    handlers = sorted({handler for handler, _ in account.deliveries})
    rows = [(name, *(account.deliveries.get((name, state), 0) for state in seen)) for name in handlers]
    return _table("Deliveries", ("handler", *seen), rows, total=("all", *(_sum(account, state) for state in seen)))


def _actions_table(account: Account) -> Table:
    seen = [state for state in STATES if any(state == each for _, each in account.actions)]
    kinds = sorted({kind for kind, _ in account.actions})
    rows = [(kind, *(account.actions.get((kind, state), 0) for state in seen)) for kind in kinds]
    return _table("Mail actions", ("action", *seen), rows, total=("all", *(_actions(account, state) for state in seen)))


def _saved(state: Path) -> Table:
    rows = [(path.name, count) for path, count in _files(state)]
    return _table("Saved files", ("directory", "files"), rows, total=("all", sum(count for _, count in rows)))


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, total: Sequence[object]) -> Table:
    """Make a table of counts: a name first, then numbers, and their sum below."""
    made = Table(
        title=Text(title, style="bold cyan"), title_justify="left", box=box.SIMPLE, pad_edge=False, show_footer=True
    )
    made.show_edge = False
    for position, (column, sum_) in enumerate(zip(columns, total, strict=True)):
        made.add_column(column, str(sum_), justify="right" if position else "left", header_style="dim", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made


def _files(state: Path) -> list[tuple[Path, int]]:
    """Count the files under each directory that a handler wrote to."""
    folders = sorted(path for path in state.iterdir() if path.is_dir())
    return [(folder, sum(path.is_file() for path in folder.rglob("*"))) for folder in folders]


def _verdict(account: Account) -> Text:
    if account.settled:
        return Text(f"All {account.delivered} mails are accounted for.", style="bold green")
    missing = [f"  {each.mailbox} {each.kind} {each.message_id}" for each in account.unaccounted[:20]]
    lines = [f"{len(account.unaccounted)} mails are unaccounted for, {account.open_work} deliveries or actions open:"]
    return Text("\n".join([*lines, *missing]), style="bold red")


def _sum(account: Account, state: str) -> int:
    return sum(count for (_, each), count in account.deliveries.items() if each == state)


def _actions(account: Account, state: str) -> int:
    return sum(count for (_, each), count in account.actions.items() if each == state)
