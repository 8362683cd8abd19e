"""`postroom audit`: the proof that nothing is lost, for mailboxes, folders and a period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from postroom.cli.accounts import Accounts, Period
from postroom.cli.common import config_option, counted, echo, json_option, load, print_json, run_async, when
from postroom.cli.progress import folders_done
from postroom.cli.tables import show_table
from postroom.config import Config
from postroom.config.units import parse_duration
from postroom.errors import ExitCode, PostroomError
from postroom.journal import JournalViews, open_journal
from postroom.pipeline.audit import FolderAudit


class Moment(click.ParamType[datetime]):
    """A point in time: a date, a time, or how long ago; UTC unless it says otherwise."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return it aware, in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) - timedelta(seconds=parse_duration(str(value)))
        except (ValueError, OverflowError):
            pass  # then it is a date
        try:
            moment = datetime.fromisoformat(str(value))
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date such as 2026-01-31, and no time ago such as 7d", param, ctx)


WAITING = ("ready", "running")
IDLE = ("remembered", "no handler", "no rule")
COLUMNS = ("mailbox", "folder", "seen", "journalled", "done", "waiting", "dead", "discarded", "no delivery", "to come")
REST = ("before start", "missing", "extra")


@click.command()
@config_option
@click.option("--mailbox", "mailboxes", multiple=True, metavar="ADDRESS", help="Only this mailbox; may be repeated.")
@click.option("--folder", "folders", multiple=True, metavar="NAME", help="Only this folder; may be repeated.")
@click.option("--since", type=Moment(), default="7d", show_default=True, help="From then on: a date, or how long ago.")
@click.option("--until", type=Moment(), default="0s", show_default=True, help="Until then, likewise.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="List at most so many that are missing."
)
@json_option
def audit(
    *,
    path: Path,
    mailboxes: Sequence[str],
    folders: Sequence[str],
    since: datetime,
    until: datetime,
    limit: int,
    as_json: bool,
) -> int:
    """Hold the journal against what Graph lists, and say what became of each message.

    Signs in as the app and reads only, beside a running daemon or without one. Times are those of receipt. Where
    something seems to be missing, the daemon's next round is waited for first, which may just be bringing it.

    Exit code 0 when nothing is missing, 1 when something is, 69 when a folder could not be read, 74 when the journal's
    file is damaged, 77 when the sign-in is refused.
    """
    config, period = load(path), Period(since, until)
    wanted = _wanted(config, mailboxes, folders)
    audits = run_async(_audit(config, wanted, period))
    if as_json:
        print_json({"since": since, "until": until, "folders": [_as_json(each) for each in audits]})
    else:
        _show(audits, period, limit)
    return verdict(audits)


def verdict(audits: Sequence[FolderAudit]) -> ExitCode:
    """Return the exit code: something is missing weighs more than something could not be read."""
    if any(each.missing for each in audits):
        return ExitCode.FAILED
    return ExitCode.UNAVAILABLE if any(each.error for each in audits) else ExitCode.OK


def _wanted(config: Config, mailboxes: Sequence[str], folders: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the watched folders by mailbox that the options leave; raises PostroomError when none is left."""
    boxes, names = {each.casefold() for each in mailboxes}, {each.casefold() for each in folders}
    found = {
        box.address: tuple(name for name in box.folders if not names or name.casefold() in names)
        for box in config.mailboxes
        if not boxes or box.address.casefold() in boxes
    }
    if not any(found.values()):
        raise PostroomError(
            "No watched folder has these names.", remedy="`postroom mailboxes list` shows what is watched."
        )
    return found


async def _audit(config: Config, wanted: Mapping[str, tuple[str, ...]], period: Period) -> list[FolderAudit]:
    journal = await open_journal(config.journal, exclusive=False)
    try:
        views = JournalViews(journal)
        await views.check()
        with folders_done(sum(map(len, wanted.values())), "Reading ...", "looked at") as looked:
            return await Accounts(views, looked).audit(config, wanted, period)
    finally:
        await journal.close()


def _show(audits: Sequence[FolderAudit], period: Period, limit: int) -> None:
    title = f"Mail received from {when(period.since)} to {when(period.until)}"
    read = [each for each in audits if not each.error]
    show_table(title, (*COLUMNS, *REST), [_row(each) for each in read])
    missing = [(each, mail) for each in audits for mail in each.missing]
    if missing:
        rows = [(each.mailbox, each.folder, mail.received_at, mail.subject, mail.id) for each, mail in missing[:limit]]
        columns = ("mailbox", "folder", "received", "subject", "Graph's id")
        show_table(f"Missing ({len(missing)})", columns, rows, under=("subject", "Graph's id"))
    for each in audits:
        if each.error:
            echo(f"{each.mailbox}/{each.folder} could not be read: {each.error}")
    _conclude(read, len(missing), len(audits))


def _row(each: FolderAudit) -> tuple[object, ...]:
    states = each.states
    waiting, idle = (sum(states.get(state, 0) for state in some) for some in (WAITING, IDLE))
    ends = (states.get("done", 0), waiting, states.get("dead", 0), states.get("discarded", 0), idle)
    rest = (each.to_come, each.before_start, len(each.missing), each.extra)
    return (each.mailbox, each.folder, each.seen, each.journalled, *ends, *rest)


def _conclude(audits: Sequence[FolderAudit], missing: int, wanted: int) -> None:
    """Say what follows for the folders that were read, of so many that were wanted: of the others nothing does."""
    unread = wanted - len(audits)
    was = f"{unread} {'was' if unread == 1 else 'were'} not looked at"
    if not audits:
        which = "the one folder was not looked at" if wanted == 1 else f"none of {wanted} folders was looked at"
        click.echo(f"Nothing can be said: {which}.")
        return
    seen = sum(each.seen for each in audits)
    if missing:
        click.echo(f"{counted(missing, 'message is', 'messages are')} in a watched folder and not in the journal.")
        click.echo(
            "    what to do: let the daemon run; it takes them in when it compares next (`reconcile` says how often)."
        )
        if unread:
            click.echo(f"{unread} of {wanted} folders {was.removeprefix(f'{unread} ')}.")
        return
    if dead := sum(each.states.get("dead", 0) for each in audits):
        click.echo(f"{counted(dead, 'message is', 'messages are')} dead: postroom messages list --dead")
    to_come = sum(each.to_come for each in audits)
    later = f", {to_come} of them since the last round" if to_come else ""
    where, there = (f" in {len(audits)} of {wanted} folders, {was}", " there") if unread else ("", "")
    click.echo(f"Nothing is missing{where}: {counted(seen, 'message is', 'messages are')} accounted for{there}{later}.")


def _as_json(each: FolderAudit) -> dict[str, object]:
    return {**asdict(each), "journalled": each.journalled}
