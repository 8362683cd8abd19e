"""What an operator asks when something has gone wrong: does the audit miss anything, is anything unaccounted for?"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from postroom.cli.accounts import Accounts, Period
from postroom.cli.audit import verdict
from postroom.errors import ExitCode
from postroom.journal import JournalViews
from postroom.pipeline.audit import FolderAudit
from support.daemon import Daemon

EVER = Period(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def told(running: Daemon, name: str) -> list[dict[str, Any]]:
    """Return the lines of the log about an event."""
    lines = map(json.loads, running.log.getvalue().splitlines())
    return [line for line in lines if line["event"] == name]


async def _by_themselves() -> None:
    """Rounds come by themselves: nothing need be done for them."""


async def compared(running: Daemon, rounds: Callable[[], Awaitable[None]] = _by_themselves) -> None:
    """Wait until each folder has been compared with Graph's listing once more, as if an hour had passed.

    `rounds` lets time pass where the test drives the clock.
    """
    watched = {(box.address, folder) for box in running.app.config.mailboxes for folder in box.folders}
    before = len(told(running, "reconciled"))
    for case in running.app.reconciler._cases.values():
        case.at = 0.0
    await rounds()

    async def done() -> bool:
        return {(line["mailbox"], line["folder"]) for line in told(running, "reconciled")[before:]} == watched

    await running.until(done, "one more comparison of each folder")


async def audit(running: Daemon) -> Sequence[FolderAudit]:
    """Do what `postroom audit` does."""
    await running.app.chores.count()  # has the journal know of rounds that brought nothing
    config = running.app.config
    wanted = {box.address: box.folders for box in config.mailboxes}
    return await Accounts(JournalViews(running.app.journal), lambda: None).audit(config, wanted, EVER)


def unaccounted(running: Daemon) -> dict[str, float]:
    """Return the gauge as Prometheus reads it: mailbox -> messages."""
    families = text_string_to_metric_families(running.app.report.metrics.render().decode())
    (gauge,) = (each for each in families if each.name == "postroom_unaccounted_messages")
    return {sample.labels["mailbox"]: sample.value for sample in gauge.samples}


async def nothing_is_unaccounted(
    running: Daemon, rounds: Callable[[], Awaitable[None]] = _by_themselves
) -> Sequence[FolderAudit]:
    """Compare once more; then the gauge is 0 and the audit finds each message that Graph lists in the journal."""
    await compared(running, rounds)
    found = await audit(running)
    assert verdict(found) == ExitCode.OK
    assert all(each.seen == each.journalled for each in found)
    assert unaccounted(running) == dict.fromkeys((box.address for box in running.app.config.mailboxes), 0.0)
    assert set(running.app.report.health.unaccounted.values()) == {0}
    return found
