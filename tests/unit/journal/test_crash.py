"""kill -9 at any instant loses nothing that was committed."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from postroom.journal import JournalViews, SqlJournal, open_journal
from postroom.model import DeliveryState
from postroom.ports import FolderSpec

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = FolderSpec("default", "a@contoso.example", "Inbox", None)

DAEMON = """
import asyncio, sys
from datetime import UTC, datetime
from postroom.journal import open_journal
from postroom.model import DeliveryState, Message, Settlement, Verdict
from postroom.ports import FolderSpec, MatchedRule, NewMessage, PageCommit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DONE = Verdict(DeliveryState.DONE)

def mail(number):
    message = Message(id=f"id {number}", mailbox="a@contoso.example", folder="Inbox", received_at=NOW)
    return NewMessage(message, (MatchedRule("all", ("archive",)),))

async def main():
    journal = await open_journal(sys.argv[1])
    await journal.recover()
    (folder,) = await journal.adopt([FolderSpec("default", "a@contoso.example", "Inbox", None)], NOW)
    page, running = int(folder.link or 0), []
    while True:
        await journal.commit_page(
            PageCommit(folder.key, [mail(page * 10 + n) for n in range(10)], str(page + 1), "round", NOW)
        )
        page += 1
        print("page", page, flush=True)
        settled = [Settlement(delivery, DONE, NOW, NOW) for delivery in running]
        running = await journal.turn(settled, {"archive": 15}, NOW, lambda siblings: [])
        for item in settled:
            print("done", item.delivery.id, flush=True)

asyncio.run(main())
"""


async def run_and_kill(url: str, lines: int) -> list[list[str]]:
    """Let a daemon work until it has said `lines` things, kill it, and return all that it said."""
    daemon = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DAEMON,
        url,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "daemon")},
    )
    assert daemon.stdout is not None
    said = [await daemon.stdout.readline() for _ in range(lines)]
    daemon.kill()
    said += (await daemon.stdout.read()).splitlines(keepends=True)
    await daemon.wait()
    return [line.decode().split() for line in said if line.endswith(b"\n")]


async def done_ids(journal: SqlJournal) -> set[int]:
    rows = await JournalViews(journal).deliveries(state=DeliveryState.DONE, limit=1_000_000)
    return {row.id for row in rows}


@pytest.mark.slow
async def test_what_was_committed_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    pages, done = 0, set[int]()
    for kill in range(4):
        for kind, number in await run_and_kill(url, lines=7 + 13 * kill):
            if kind == "page":
                pages = max(pages, int(number))
            else:
                done.add(int(number))
        journal = await open_journal(url)
        try:
            (folder,) = await journal.adopt([SPEC], NOW)
            counts = await journal.counts()
            stored = int(folder.link or 0)
            assert stored >= pages, "a page that was said to be stored is stored"
            assert counts["messages"] == stored * 10, "the link and its messages stand together"
            assert sum(counts[f"deliveries.{state}"] for state in DeliveryState) == stored * 10
            assert done <= await done_ids(journal), "what was said to be done is done"
        finally:
            await journal.close()
    journal = await open_journal(url)
    assert await journal.recover() <= 15
    assert (await journal.counts())["deliveries.running"] == 0
    await journal.close()
