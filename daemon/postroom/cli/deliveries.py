"""`postroom deliveries`: look at deliveries; give dead letters another chance, or give them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from postroom.cli.common import config_option, counted, json_option, limit_option, print_json, run_async
from postroom.cli.known import check_known
from postroom.cli.tables import show_table
from postroom.cli.unserved import WHY, check_served, marked, retry_dead
from postroom.cli.views import last_words, reason_option, state_option, with_views
from postroom.errors import PostroomError
from postroom.journal import JournalViews
from postroom.journal.records import DeliveryRecord
from postroom.model import DeliveryState
from postroom.observe.redact import escape


@click.group()
def deliveries() -> None:
    """Look at deliveries; retry or discard dead letters."""


mailbox_option = click.option("--mailbox", default="", metavar="ADDRESS", help="Only this mailbox.")
handler_option = click.option("--handler", default="", metavar="NAME", help="Only this configured handler.")


@deliveries.command("list")
@config_option
@state_option
@handler_option
@mailbox_option
@limit_option
@json_option
def list_deliveries(*, path: Path, state: Any, handler: str, mailbox: str, limit: int, as_json: bool) -> None:
    """List deliveries, newest first. `--dead` lists the dead letters."""

    async def asked(views: JournalViews) -> list[DeliveryRecord]:
        found = await views.deliveries(state=state, handler=handler, mailbox=mailbox, limit=limit)
        if not found:
            await check_known(path, views, handler=handler, mailbox=mailbox)
        return found

    found = marked(run_async(with_views(path, asked)), path)
    if as_json:
        print_json([asdict(delivery) for delivery in found])
        return
    columns = ("id", "message", "mailbox", "subject", "handler", "state", "attempt", "note or error")
    show_table(
        "Deliveries", columns, [_row(delivery) for delivery in found], under=("mailbox", "subject", "note or error")
    )


def _row(each: DeliveryRecord) -> tuple[object, ...]:
    return (
        each.id,
        each.message_id,
        each.mailbox,
        each.subject,
        each.handler,
        each.state,
        each.attempt,
        last_words(each),
    )


@deliveries.command()
@config_option
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
@click.option("--all-dead", is_flag=True, help="Every dead letter that the filters let through.")
@handler_option
@mailbox_option
def retry(path: Path, ids: tuple[int, ...], all_dead: bool, handler: str, mailbox: str) -> None:
    """Run deliveries again, now, with their retry policy afresh.

    A running daemon notices within a second. The handler sees a higher attempt and the same idempotency key. Where it
    is held, because different mails failed alike, they wait with the others until one mail is done; the command says
    so, and that a reload has one tried at once. Of a mail that could not be read, whose delivery is to `(rules)`, the
    rules are evaluated again. Deliveries for a handler that the configuration does not have are left as they are.
    """
    if bool(ids) == all_dead:
        raise click.UsageError("Name deliveries by their ids, or say --all-dead.")
    now = datetime.now(UTC)
    if ids:
        count = run_async(with_views(path, lambda views: _retry(path, views, ids, now)))
    else:
        count = run_async(with_views(path, lambda views: _retry_dead(path, views, handler, mailbox, now)))
    click.echo(f"{counted(count, 'delivery is', 'deliveries are')} ready again.")


async def _retry(path: Path, views: JournalViews, ids: tuple[int, ...], now: datetime) -> int:
    await check_served(path, views, ids)
    count = await views.retry(ids, now)
    await _say_held(views, set((await views.handlers_of(ids)).values()))
    return count


async def _retry_dead(path: Path, views: JournalViews, handler: str, mailbox: str, now: datetime) -> int:
    """Retry the dead letters that the filters let through; raises PostroomError when they fit no delivery at all.

    So it does where all that fit are for handlers nobody has; where only some are, they are left, and named.
    """
    retried, left = await retry_dead(path, views, handler, mailbox, now)
    count = retried.total()
    await _say_held(views, retried)
    if left and not count:
        raise PostroomError(
            f"Nothing was retried: the dead letters of {', '.join(left)} would wait for ever, for {WHY}.",
            remedy="Put it back under `handlers`, reload, and retry; or `postroom deliveries discard` them.",
        )
    if left:
        click.echo(f"Left as they are, for {WHY}: the dead letters of {', '.join(left)}.", err=True)
    if not count and not await views.deliveries(handler=handler, mailbox=mailbox, limit=1) and (handler or mailbox):
        wanted = " ".join(filter(None, (handler and f"for handler {handler}", mailbox and f"in mailbox {mailbox}")))
        raise PostroomError(
            f"The journal has no delivery {wanted}.", remedy="`postroom deliveries list` shows what there is."
        )
    return count


async def _say_held(views: JournalViews, handlers: Iterable[str]) -> None:
    """Say which of these handlers are held, for then what is ready does not run at once."""
    for name in sorted(handlers):
        for waiting in await views.deliveries(state=DeliveryState.READY, handler=name, limit=1):
            if waiting.held:
                click.echo(
                    f"The handler {name} is held, and these deliveries wait with it: {escape(waiting.held)}\n"
                    "One mail is tried now and then (`postroom health` says when), and the others follow as soon as "
                    "one is done. To have one tried at once, reload the daemon.",
                    err=True,
                )


@deliveries.command(short_help="Give deliveries up.")
@config_option
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
@click.option("--all-waiting", is_flag=True, help="Every delivery that waits for --handler.")
@handler_option
@mailbox_option
@reason_option
def discard(*, path: Path, ids: tuple[int, ...], all_waiting: bool, handler: str, mailbox: str, reason: str) -> None:
    """Give deliveries up: they are never run again, unless `retry` says so."""
    if bool(ids) == all_waiting or all_waiting != bool(handler):
        raise click.UsageError("Name deliveries by their ids, or say --all-waiting --handler NAME.")
    now = datetime.now(UTC)
    if ids:
        count = run_async(with_views(path, lambda views: views.discard(ids, reason, now)))
    else:

        async def waiting(views: JournalViews) -> int:
            count = await views.discard_waiting(handler, mailbox, reason, now)
            if not count:
                await check_known(path, views, handler=handler, mailbox=mailbox)
            return count

        count = run_async(with_views(path, waiting))
    click.echo(f"{counted(count, 'delivery is', 'deliveries are')} discarded.")
