"""Whatever happens in whatever order, the journal keeps what it promises."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from postroom.journal import JournalViews, open_journal
from postroom.model import Delivery, DeliveryState, MarkRead, Message, MoveTo, Settlement, Verdict
from postroom.ports import (
    ActionRequest,
    ActionResult,
    ActionTask,
    FolderSpec,
    MatchedRule,
    NewMessage,
    PageCommit,
    Siblings,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HANDLERS = ("archive", "erp", "print")
SPECS = [
    FolderSpec("default", address, name, None)
    for address in ("a@contoso.example", "b@contoso.example")
    for name in ("Inbox", "Archive")
]

rules = st.lists(
    st.builds(
        MatchedRule,
        st.sampled_from(["one", "two", "three"]),
        st.lists(st.sampled_from(HANDLERS), unique=True, max_size=3).map(tuple),
        st.sampled_from([(), (MarkRead(),)]),
    ),
    max_size=3,
    unique_by=lambda matched: matched.name,
).map(tuple)
verdicts = st.sampled_from(
    [
        Verdict(DeliveryState.DONE),
        Verdict(DeliveryState.DONE, note="saved", actions=(MoveTo("Done"),)),
        Verdict(DeliveryState.DEAD, error="refused"),
        Verdict(DeliveryState.READY, due_at=START, error="busy"),
        Verdict(DeliveryState.READY, due_at=START + timedelta(minutes=1), error="busy"),
        Verdict(DeliveryState.READY, due_at=START, counted=False),
        Verdict(DeliveryState.READY, due_at=START, forgiven=True, error="down"),
    ]
)
rooms = st.dictionaries(st.sampled_from(HANDLERS), st.integers(0, 4))
times = st.sampled_from([START, START + timedelta(minutes=2)])


def conclude(siblings: Siblings) -> list[ActionRequest]:
    ended = all(state in ("done", "dead") for state in siblings.states.values())
    return [ActionRequest(siblings.message_id, "rule one then", (MarkRead(),))] if ended else []


def conclude_nothing(_siblings: Siblings) -> list[ActionRequest]:
    return []


class JournalMachine(RuleBasedStateMachine):
    """A daemon that polls, dispatches, acts and crashes as it likes, and remembers what it was told."""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.journal = self.run(open_journal("sqlite://"))
        self.folders = self.run(self.journal.adopt(SPECS, START))
        self.links: dict[int, str | None] = {folder.key: None for folder in self.folders}
        self.expected: set[tuple[str, str, str]] = set()
        self.running: list[Delivery] = []
        self.acting: list[ActionTask] = []
        self.settled: list[Settlement] = []
        self.attempts: Counter[int] = Counter()
        self.pruned: set[tuple[str, str, str]] = set()
        self.known: dict[tuple[str, str, str], int] = {}

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.journal.close())
            self.runner.close()

    @rule(
        where=st.integers(0, len(SPECS) - 1),
        mails=st.lists(st.tuples(st.integers(0, 9), rules, st.booleans(), st.sampled_from(["", "no"])), max_size=6),
        link=st.uuids().map(str),
        room=rooms,
    )
    def poll(
        self, where: int, mails: list[tuple[int, tuple[MatchedRule, ...], bool, str]], link: str, room: dict[str, int]
    ) -> None:
        folder = self.folders[where]
        page = {}
        for number, matched, dispatch, failure in mails:
            message = Message(id=f"id {number}", mailbox=folder.mailbox, folder=folder.name, received_at=START)
            page[message.id] = NewMessage(message, matched, dispatch, failure)
        known = self.run(self.journal.known(folder.key, list(page)))
        waiting = self._waiting()
        commit = PageCommit(folder.key, list(page.values()), link, "round", START, room=room)
        result = self.run(self.journal.commit_page(commit))
        self._check_claims(list(result.claimed), room)
        assert not waiting & {delivery.handler for delivery in result.claimed}, "nobody who waits is overtaken"
        self.running += result.claimed
        assert (result.fresh, result.known) == (len(page) - len(known), len(known))
        self.links[folder.key] = link
        for new in page.values():
            if new.message.id not in known and new.dispatch:
                handlers = {handler for matched in new.rules for handler in matched.handlers}
                self.expected |= {(folder.mailbox, new.message.id, handler) for handler in handlers}

    @rule(room=rooms, now=times, quiet=st.sampled_from([(), tuple(spec.mailbox for spec in SPECS)]), data=st.data())
    def turn(self, room: dict[str, int], now: datetime, quiet: tuple[str, ...], data: st.DataObject) -> None:
        ending = [delivery for delivery in self.running if data.draw(st.booleans())]
        settled = [Settlement(delivery, data.draw(verdicts), now, now) for delivery in ending]
        self.running = [delivery for delivery in self.running if delivery not in ending]
        claimed = self.run(self.journal.turn(settled, room, now, conclude_nothing if quiet else conclude, quiet))
        for item in settled:
            self.attempts[item.delivery.id] -= not item.verdict.counted
        self.settled += [item for item in settled if item.verdict.counted]
        self._check_claims(claimed, room)
        self.running += claimed

    def _waiting(self) -> set[str]:
        ready = self.run(JournalViews(self.journal).deliveries(state=DeliveryState.READY, limit=1_000))
        return {row.handler for row in ready if row.due_at <= START and not row.suspect}

    def _check_claims(self, claimed: list[Delivery], room: dict[str, int]) -> None:
        assert all(count <= room.get(handler, 0) for handler, count in Counter(d.handler for d in claimed).items())
        for delivery in claimed:
            assert delivery.attempt == self.attempts[delivery.id] + 1, "attempts count upwards, one by one"
            self.attempts[delivery.id] = delivery.attempt
        assert not {delivery.id for delivery in claimed} & {delivery.id for delivery in self.running}

    @rule()
    def settle_again(self) -> None:
        before = self.run(JournalViews(self.journal).summary())
        self.run(self.journal.turn(self.settled, {}, START, conclude))
        self.run(self.journal.turn(self.settled, {}, START, conclude_nothing, {spec.mailbox for spec in SPECS}))
        assert self.run(JournalViews(self.journal).summary()) == before, "a stale settlement changes nothing"

    @rule()
    def crash(self) -> None:
        assert self.run(self.journal.recover()) == len(self.running)
        self.running, self.acting = [], []

    @rule(limit=st.integers(1, 3), state=st.sampled_from(["done", "ready", "dead"]))
    def act(self, limit: int, state: str) -> None:
        self.run(self.journal.settle_actions([ActionResult(task, state, START) for task in self.acting]))
        self.acting = self.run(self.journal.claim_actions(limit, START))
        assert len({(task.mailbox, task.message_id) for task in self.acting}) == len(self.acting) <= limit

    @rule(after=st.integers(0, 5), limit=st.integers(1, 50), days=st.sampled_from([-1, 1, 30]))
    def prune(self, after: int, limit: int, days: int) -> None:
        before = START + timedelta(days=days)
        open_before = self._open()
        self.run(self.journal.prune(before, after, limit))
        assert self._open() == open_before, "nothing that is not settled is pruned"
        there = {row.id for row in self.run(JournalViews(self.journal).deliveries(limit=1_000))}
        self.pruned |= {key for key, row in self.known.items() if row not in there}

    def _open(self) -> set[tuple[int, str]]:
        rows = self.run(JournalViews(self.journal).deliveries(limit=1_000))
        return {(row.id, row.state) for row in rows if row.state in ("ready", "running", "dead")}

    @rule()
    def retry_all_dead(self) -> None:
        self.run(JournalViews(self.journal).retry_dead(START))

    @rule()
    def discard_one(self) -> None:
        for row in self.run(JournalViews(self.journal).deliveries(state=DeliveryState.READY, limit=1)):
            self.run(JournalViews(self.journal).discard([row.id], "enough", START))

    @invariant()
    def every_dispatched_message_has_its_deliveries_and_no_other_has_any(self) -> None:
        if not hasattr(self, "journal"):
            return
        rows = self.run(JournalViews(self.journal).deliveries(limit=1_000))
        graph_ids = {row.id: row.graph_id for row in self.run(JournalViews(self.journal).messages(limit=1_000))}
        self.known |= {(row.mailbox, graph_ids[row.message_id], row.handler): row.id for row in rows}
        there = Counter((row.mailbox, graph_ids[row.message_id], row.handler) for row in rows)
        assert there == Counter(self.expected - self.pruned), "a delivery that was pruned is not made again"
        assert {row.id for row in rows if row.state == "running"} == {delivery.id for delivery in self.running}
        assert sum(row.suspect for row in rows if row.state == "running") <= 1, "suspects run one by one"

    @invariant()
    def links_and_messages_stand_together_and_no_message_is_there_twice(self) -> None:
        if not hasattr(self, "journal"):
            return
        assert {folder.key: folder.link for folder in self.run(self.journal.adopt(SPECS, START))} == self.links
        keys = [(row.mailbox, row.graph_id) for row in self.run(JournalViews(self.journal).messages(limit=1_000))]
        assert len(keys) == len(set(keys))

    @invariant()
    def counts_agree_with_what_is_stored(self) -> None:
        if not hasattr(self, "journal"):
            return
        counts = self.run(self.journal.counts())
        for table in ("deliveries", "actions"):
            query = sa.text(f"SELECT state, count(*) FROM {table} GROUP BY state")
            stored = dict(self.run(self.journal.database.read(lambda c, query=query: c.execute(query).all())))
            assert {f"{table}.{state}": count for state, count in stored.items()} == {
                name: count for name, count in counts.items() if name.startswith(f"{table}.") and count
            }


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
