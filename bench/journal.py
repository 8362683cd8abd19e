"""What the journal costs: CPU per message with one delivery, stored, claimed and settled, nothing else around it.

Pages of 50 are committed, turns of 100 claimed and settled, as the daemon does it under load. The best of the rounds
counts: the others measure what else the machine was doing.

Usage: journal.py [--messages 20000] [--rounds 5] [--url sqlite:////path/journal.db]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from postroom.journal import SqlJournal, open_journal
from postroom.model import Address, DeliveryState, Message, Settlement, Verdict
from postroom.ports import ActionRequest, FolderSpec, MatchedRule, NewMessage, PageCommit, Siblings

PAGE, TURN = 50, 100
START = datetime(2026, 1, 1, tzinfo=UTC)
SENDER = Address("Accounts Receivable", "accounts@supplier.example")


def mail(number: int) -> NewMessage:
    """Return a message of the size that a delta page tells: about a kilobyte of snapshot."""
    message = Message(
        id=f"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{'Qx4f' * 22}{number:015}",
        mailbox="bench@contoso.example",
        folder="Inbox",
        received_at=START + timedelta(seconds=number),
        sent_at=START + timedelta(seconds=number),
        internet_message_id=f"<{number}.abcdef0123456789@mail.supplier.example>",
        conversation_id="AAQkAG" + "x" * 90,
        subject=f"Invoice {number} for your order",
        sender=SENDER,
        sent_from=SENDER,
        to=(Address("Bench", "bench@contoso.example"),),
        preview="Dear all, " * 20,
    )
    return NewMessage(message, (MatchedRule("everything", ("noop",)),))


def conclude(_siblings: Siblings) -> list[ActionRequest]:
    """Ask for nothing."""
    return []


class Round:
    """One run over a fresh journal, with a stopwatch that runs only inside it."""

    def __init__(self, journal: SqlJournal, folder: int) -> None:
        self.journal = journal
        self.folder = folder
        self.commits = self.turns = 0.0
        self.settled: list[Settlement] = []

    async def commit(self, page: PageCommit) -> None:
        """Store a page."""
        before = time.process_time()
        await self.journal.commit_page(page)
        self.commits += time.process_time() - before

    async def turn(self) -> bool:
        """Settle what was claimed and claim more; False when there was nothing left."""
        now = START + timedelta(days=1)
        before = time.process_time()
        claimed = await self.journal.turn(self.settled, {"noop": TURN}, now, conclude)
        self.turns += time.process_time() - before
        done, self.settled = bool(self.settled), []
        for delivery in claimed:
            self.settled.append(Settlement(delivery, Verdict(DeliveryState.DONE), now, now))
        return done or bool(claimed)


def pages(folder: int, first: int, count: int) -> Iterator[PageCommit]:
    """Yield the pages, made ahead so that making them is not measured."""
    for start in range(first, first + count, PAGE):
        messages = [mail(number) for number in range(start, start + PAGE)]
        yield PageCommit(folder, messages, f"https://graph/delta?token={start}", "round", START)


async def run(url: str, count: int) -> tuple[float, float]:
    """Return microseconds of CPU per message: committing, and claiming with settling."""
    journal = await open_journal(url)
    (folder,) = await journal.adopt([FolderSpec("bench", "bench@contoso.example", "Inbox", None)], START)
    stored = (await journal.counts())["messages"]
    work = list(pages(folder.key, stored, count))
    gc.collect()
    gc.freeze()
    current = Round(journal, folder.key)
    for number, page in enumerate(work):
        await current.commit(page)
        if number % (TURN // PAGE):
            await current.turn()
    while await current.turn():
        pass
    await journal.close()
    gc.unfreeze()
    return current.commits / count * 1e6, current.turns / count * 1e6


def main() -> None:
    """Print a line a round, and the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", default="")
    options = parser.parse_args()
    best = float("inf")
    for number in range(1, options.rounds + 1):
        with tempfile.TemporaryDirectory() as directory:
            url = options.url or f"sqlite:///{directory}/journal.db"
            commit, turn = asyncio.run(run(url, options.messages // PAGE * PAGE))
        best = min(best, commit + turn)
        print(f"round {number}: {commit + turn:5.1f} us/message (page {commit:.1f}, claim and settle {turn:.1f})")
    print(f"best: {best:.1f} us of CPU per message and delivery")


if __name__ == "__main__":
    main()
