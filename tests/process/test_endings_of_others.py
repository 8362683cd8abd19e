"""Handlers that end themselves, or their tasks, where nobody asked them to: the daemon says so and does not end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postroom.journal import JournalViews, open_journal
from support.daemon import MAILBOX
from support.pipeline import until
from support.process import daemon_process, ended

PLUG_IN = '''
import asyncio
import sys

from postroom.plugin import Context, Done, Handler, Message, Options


class EndingOptions(Options):
    """Where it ends itself."""

    how: str = ""


async def leave():
    sys.exit()


class Ending(Handler[EndingOptions]):
    """End what nobody asked it to end."""

    async def open(self):
        self.task = asyncio.create_task(asyncio.sleep(3600))
        if self.options.how == "open, exit":
            sys.exit()
        if self.options.how == "open, cancelled":
            self.task.cancel()
            await self.task
        if self.options.how == "open, stop":
            asyncio.get_running_loop().call_later(0.1, asyncio.get_running_loop().stop)

    async def handle(self, message: Message, context: Context):
        if message.subject == "culprit":
            if self.options.how == "gathered":
                await asyncio.gather(leave(), asyncio.sleep(0.01))
            elif self.options.how == "waited for":
                await asyncio.wait_for(asyncio.create_task(leave()), 5)
            elif self.options.how == "behind its back":
                self.left = asyncio.create_task(leave())
        return Done(note="fine")

    async def close(self):
        self.task.cancel()
        if self.options.how == "close, cancelled":
            await self.task
'''

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path, configure) -> Write:
    """Return a way to write the configuration of a daemon whose handler ends itself there."""
    (tmp_path / "plug.py").write_text(PLUG_IN)

    def configuration(how: str) -> Path:
        return configure(
            f"""
handlers:
  h: {{use: "./plug.py:Ending", with: {{how: "{how}"}}, retry: {{attempts: 2, first: 100ms, longest: 1s}}}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [h]}}]}}]
"""
        )

    return configuration


def said(directory: Path, *events: str) -> list[dict[str, Any]]:
    """Return the lines of the log that tell these events."""
    log = directory / "daemon.log"
    lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"] if log.exists() else []
    return [line for line in lines if line["event"] in events]


async def states(directory: Path) -> dict[str, str]:
    journal = await open_journal(f"sqlite:///{directory / 'journal.db'}", exclusive=False)
    try:
        return {row.subject: row.state for row in await JournalViews(journal).deliveries(limit=100)}
    finally:
        await journal.close()


@pytest.mark.parametrize("how", ["gathered", "waited for"])
async def test_a_task_that_exits_costs_its_mail_an_attempt_and_the_daemon_nothing(tmp_path, write, deliver, how):
    config = write(how)
    for subject in ("one", "culprit", "two"):
        deliver(subject)
    async with daemon_process(config) as daemon:
        await until(lambda: any(line.get("state") == "dead" for line in said(tmp_path, "delivery")), limit=30)
        deliver("late")
        await until(lambda: sum(line["fresh"] for line in said(tmp_path, "round")) == 4, limit=30)
        assert daemon.returncode is None
        assert await ended(daemon, signal.SIGTERM) == 0
    assert await states(tmp_path) == {"one": "done", "culprit": "dead", "two": "done", "late": "done"}
    assert [line["error"] for line in said(tmp_path, "exit_ignored")] == ["SystemExit"] * 2
    assert all("plug.py" in line["at"] for line in said(tmp_path, "exit_ignored"))


async def test_a_task_that_exits_behind_its_handlers_back_is_told_of(tmp_path, write, deliver):
    config = write("behind its back")
    deliver("culprit")
    async with daemon_process(config) as daemon:
        await until(lambda: said(tmp_path, "exit_ignored"), limit=30)
        deliver("late")
        await until(lambda: sum(line["fresh"] for line in said(tmp_path, "round")) == 2, limit=30)
        assert await ended(daemon, signal.SIGTERM) == 0
    assert await states(tmp_path) == {"culprit": "done", "late": "done"}


async def test_a_handler_that_stops_the_event_loop_does_not_end_the_daemon(tmp_path, write, deliver):
    async with daemon_process(write("open, stop")) as daemon:
        await until(lambda: said(tmp_path, "exit_ignored"), limit=30)
        deliver("late")
        await until(lambda: said(tmp_path, "round"), limit=30)
        assert await ended(daemon, signal.SIGTERM) == 0


@pytest.mark.parametrize(("how", "what"), [("open, exit", "SystemExit"), ("open, cancelled", "CancelledError")])
async def test_what_ends_while_it_opens_refuses_the_start_in_words(tmp_path, write, how, what):
    async with daemon_process(write(how)) as daemon, asyncio.timeout(30):
        assert await daemon.wait() == 1
    [problem] = said(tmp_path, "problem")
    assert "the handler h (./plug.py:Ending) does not open" in problem["what"]
    assert what in problem["what"]


async def test_what_ends_while_it_opens_refuses_a_reload_and_what_ends_while_it_closes_is_told(tmp_path, write):
    async with daemon_process(write("close, cancelled")) as daemon:
        await until(lambda: said(tmp_path, "watching"), limit=30)
        for number, how in enumerate(("open, exit", "open, cancelled"), start=1):
            write(how)
            daemon.send_signal(signal.SIGHUP)
            await until(lambda number=number: len(said(tmp_path, "reload_failed")) == number, limit=30)
        write("")
        daemon.send_signal(signal.SIGHUP)
        await until(lambda: said(tmp_path, "close_failed"), limit=30)
        assert await ended(daemon, signal.SIGTERM) == 0
    assert ["SystemExit" in line["reason"] for line in said(tmp_path, "reload_failed")] == [True, False]
    [failed] = said(tmp_path, "close_failed")
    assert failed["handler"] == "h"
    assert said(tmp_path, "stopped")


async def test_what_ends_while_it_closes_keeps_the_daemon_from_no_orderly_stop(tmp_path, write):
    async with daemon_process(write("close, cancelled")) as daemon:
        await until(lambda: said(tmp_path, "watching"), limit=30)
        assert await ended(daemon, signal.SIGTERM) == 0
    assert said(tmp_path, "close_failed")
    assert said(tmp_path, "stopped")
