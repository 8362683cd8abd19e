"""What `ports.Journal` promises, asked of each database: SQLite always, PostgreSQL where there is a server.

POSTROOM_TEST_POSTGRES holds the URL of a database on it, such as postgresql://postgres@localhost/postgres; each test
makes and drops a database of its own beside that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from postroom.errors import JournalError, JournalLocked, PostroomError
from postroom.journal import JournalViews, SqlJournal, open_journal, pages, retention
from postroom.journal.records import Retried
from postroom.model import (
    Address,
    Categorise,
    Delete,
    Delivery,
    DeliveryState,
    Forward,
    MailAction,
    MarkRead,
    Message,
    MoveTo,
    Reply,
    Settlement,
    Verdict,
)
from postroom.ports import (
    ROUTING,
    UNDATED,
    UNROUTED,
    ActionRequest,
    ActionResult,
    Busy,
    FolderSpec,
    HeldHandler,
    MailboxLimit,
    MatchedRule,
    NewMessage,
    PageCommit,
    PageResult,
    Refusal,
    SendPlan,
    SendRecord,
    Siblings,
    Traffic,
    WatchedFolder,
    Windows,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVER = os.environ.get("POSTROOM_TEST_POSTGRES")
DONE = Verdict(DeliveryState.DONE)
DEAD = Verdict(DeliveryState.DEAD, error="refused")


@pytest.fixture(params=["sqlite", *(["postgresql"] if SERVER else [])])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield request.getfixturevalue("journal_url")
        return
    server = sa.make_url(SERVER).set(drivername="postgresql+psycopg")
    name = f"postroom_{uuid.uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@dataclass
class Bench:
    """A journal with two watched folders of one mailbox, and one of another."""

    journal: SqlJournal
    inbox: WatchedFolder
    archive: WatchedFolder
    other: WatchedFolder

    @property
    def views(self) -> JournalViews:
        return JournalViews(self.journal)

    async def commit(
        self, *messages: NewMessage, folder: WatchedFolder | None = None, link: str = "link", **room: int
    ) -> PageResult:
        page = PageCommit((folder or self.inbox).key, messages, link, "round", NOW, room=room)
        return await self.journal.commit_page(page)

    async def claim(self, at: datetime = NOW, **room: int) -> list[Delivery]:
        return await self.journal.turn([], room or {"archive": 100, "erp": 100}, at, conclude_nothing)

    async def settle(self, *deliveries: Delivery, verdict: Verdict = DONE, at: datetime = NOW) -> None:
        await self.journal.turn(settlements(deliveries, verdict), {}, at, conclude_nothing)

    async def asked_about(self, *deliveries: Delivery) -> list[Siblings]:
        """Settle as done; returns what rules were asked about."""
        asked: list[Siblings] = []

        def conclude(siblings: Siblings) -> list[ActionRequest]:
            asked.append(siblings)
            return []

        await self.journal.turn(settlements(deliveries, DONE), {}, NOW, conclude)
        return asked

    async def states(self) -> dict[tuple[str, str], str]:
        """(subject, handler) -> state."""
        return {(row.subject, row.handler): row.state for row in await self.views.deliveries(limit=10_000)}

    async def stored(self) -> list[WatchedFolder]:
        return await self.journal.adopt(FOLDERS, NOW)


FOLDERS = [
    FolderSpec("default", "a@contoso.example", "Inbox", None),
    FolderSpec("default", "a@contoso.example", "Archive", NOW),
    FolderSpec("default", "b@contoso.example", "Inbox", None),
]


@pytest.fixture
async def bench(url: str) -> AsyncIterator[Bench]:
    journal = await open_journal(url)
    await journal.recover()
    yield Bench(journal, *await journal.adopt(FOLDERS, NOW))
    await journal.close()


def conclude_nothing(_siblings: Siblings) -> list[ActionRequest]:
    return []


def rule(*handlers: str, name: str = "suppliers", actions: tuple[MailAction, ...] = ()) -> MatchedRule:
    return MatchedRule(name, handlers, actions)


def mail(
    number: int, *rules: MatchedRule, dispatch: bool = True, failure: str = "", folder: str = "Inbox"
) -> NewMessage:
    message = Message(
        id=f"AAkALg{number:06}",
        mailbox="a@contoso.example",
        folder=folder,
        received_at=NOW + timedelta(seconds=number),
        internet_message_id=f"<{number}@supplier.example>",
        subject=f"mail {number}",
        sender=Address("Sam", "sam@supplier.example"),
    )
    return NewMessage(message, rules or (rule("archive"),), dispatch, failure)


def settlements(deliveries: Sequence[Delivery], verdict: Verdict) -> list[Settlement]:
    return [Settlement(delivery, verdict, NOW, NOW + timedelta(seconds=1)) for delivery in deliveries]


def retry(seconds: float) -> Verdict:
    return Verdict(DeliveryState.READY, due_at=NOW + timedelta(seconds=seconds), error="busy")


# Of pages.


async def test_a_page_is_stored_with_the_link_that_follows_it(bench: Bench) -> None:
    result = await bench.commit(mail(1), mail(2), link="https://graph/next")
    assert result == PageResult(fresh=2, deliveries=2)
    folder, *_ = await bench.stored()
    assert (folder.link, folder.walk) == ("https://graph/next", "round")
    assert await bench.states() == {("mail 1", "archive"): "ready", ("mail 2", "archive"): "ready"}


async def test_the_id_of_the_folder_is_stored_with_its_link_and_forgotten_with_it(bench: Bench) -> None:
    await bench.journal.commit_page(PageCommit(bench.inbox.key, [], "next", "full", NOW, graph_id="AAMkFolder"))
    folder, *_ = await bench.stored()
    assert (folder.link, folder.graph_id) == ("next", "AAMkFolder")
    await bench.journal.restart_walk(folder.key, None, NOW)
    folder, *_ = await bench.stored()
    assert (folder.link, folder.graph_id) == (None, None)


@pytest.mark.parametrize("spelling", ["inbox", "INBOX", "/Inbox/", " inbox "])
async def test_a_folder_spelled_otherwise_is_the_same_and_shown_as_configured(bench: Bench, spelling: str) -> None:
    await bench.commit(mail(1), link="first")
    spec = replace(FOLDERS[0], folder=spelling)
    (folder,) = await bench.journal.adopt([spec], NOW)
    assert (folder.key, folder.link, folder.name) == (bench.inbox.key, "first", spelling)
    shown = {each.address: each.folders for each in await bench.views.mailboxes()}
    assert [each.name for each in shown["a@contoso.example"]] == [spelling, "Archive"]


async def test_two_spellings_of_a_new_folder_make_one(bench: Bench) -> None:
    one, two = (replace(FOLDERS[0], folder=name) for name in ("Inbox/Straße", "inbox/STRASSE"))
    first, second = await bench.journal.adopt([one, two], NOW)
    assert first.key == second.key


async def test_a_page_that_cannot_be_stored_leaves_nothing_behind_and_the_link_where_it_was(bench: Bench) -> None:
    await bench.commit(mail(1), link="first")
    impossible = MatchedRule("suppliers", (None,))  # type: ignore[arg-type] - a handler without a name is refused late
    with pytest.raises(JournalError):
        await bench.commit(mail(2), mail(3, impossible), link="second")
    folder, *_ = await bench.stored()
    assert folder.link == "first"
    assert [row.subject for row in await bench.views.messages()] == ["mail 1"]
    assert (await bench.commit(mail(2), link="second")).fresh == 1


async def test_a_message_known_in_the_same_folder_is_suppressed(bench: Bench) -> None:
    await bench.commit(mail(1))
    assert await bench.commit(mail(1), mail(2)) == PageResult(fresh=1, known=1, deliveries=1)


async def test_an_id_that_comes_twice_in_a_page_counts_once(bench: Bench) -> None:
    assert await bench.commit(mail(1), mail(1)) == PageResult(fresh=1, deliveries=1)


async def test_the_same_id_in_another_mailbox_is_another_message(bench: Bench) -> None:
    await bench.commit(mail(1))
    assert await bench.commit(mail(1), folder=bench.other) == PageResult(fresh=1, deliveries=1)


async def test_a_message_that_moved_here_goes_to_the_handlers_that_never_had_it(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive")))
    moved = mail(1, rule("archive", "erp", name="here"), folder="Archive")
    assert await bench.commit(moved, folder=bench.archive) == PageResult(fresh=1, deliveries=1)
    assert await bench.states() == {("mail 1", "archive"): "ready", ("mail 1", "erp"): "ready"}
    (detail,) = await bench.views.find("AAkALg000001")
    assert detail.record.folder == "Archive"
    assert detail.rules == {"suppliers": ("archive",), "here": ("archive", "erp")}
    assert detail.snapshot == moved.message


async def test_a_rule_all_of_whose_handlers_had_a_message_before_it_moved_here_asks_for_nothing(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive")))
    await bench.settle(*await bench.claim())
    moved = mail(1, rule("archive", name="renamed"), rule("erp", name="more"), folder="Archive")
    assert await bench.commit(moved, folder=bench.archive) == PageResult(fresh=1, deliveries=1)
    asked = await bench.asked_about(*await bench.claim())
    assert [dict(each.rules) for each in asked] == [{"suppliers": ("archive",), "more": ("erp",)}]


async def test_a_message_that_moves_while_it_waits_stays_with_the_rule_that_it_waits_for(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive")))
    await bench.commit(mail(1, rule("archive"), rule("archive", name="more"), folder="Archive"), folder=bench.archive)
    asked = await bench.asked_about(*await bench.claim())
    assert [dict(each.rules) for each in asked] == [{"suppliers": ("archive",)}]


TIDY, SHARE = rule(name="tidy", actions=(MarkRead(),)), rule(name="share", actions=(Forward(("b@contoso.example",)),))


@pytest.mark.parametrize(
    ("before", "now", "asked"),
    [
        ((TIDY,), (TIDY, SHARE), {"rule tidy then", "rule share then"}),
        ((TIDY,), (SHARE,), {"rule tidy then", "rule share then"}),
        ((TIDY,), (rule(name="tidy", actions=SHARE.actions),), {"rule tidy then"}),
        ((SHARE,), (rule(name="renamed", actions=SHARE.actions),), {"rule share then"}),
        ((SHARE,), (SHARE, rule(name="other", actions=SHARE.actions)), {"rule share then", "rule other then"}),
    ],
)
async def test_a_rule_without_handlers_acts_on_a_message_that_moved_where_it_had_not_done_so_by_any_name(
    bench: Bench, before: tuple[MatchedRule, ...], now: tuple[MatchedRule, ...], asked: set[str]
) -> None:
    await bench.commit(mail(1, *before))
    await bench.commit(mail(1, *now, folder="Archive"), folder=bench.archive)
    (detail,) = await bench.views.find("AAkALg000001")
    assert {row.origin for row in detail.actions} == asked


async def test_a_rule_without_handlers_acts_on_a_message_that_was_there_before_the_start_and_moved(
    bench: Bench,
) -> None:
    await bench.commit(mail(1, TIDY, dispatch=False))
    assert (await bench.commit(mail(1, TIDY, folder="Archive"), folder=bench.archive)).actions == 1


async def test_messages_that_a_round_has_missed_are_taken_in_and_the_folder_stays_as_it_is(bench: Bench) -> None:
    await bench.commit(mail(1), link="here")
    await bench.journal.walked({bench.inbox.key: NOW})
    before = (await bench.stored())[0], (await bench.views.mailboxes())[0].folders
    later = NOW + timedelta(hours=1)
    page = PageCommit(bench.inbox.key, [mail(1), mail(2)], None, "round", later, advance=False)
    assert await bench.journal.commit_page(page) == PageResult(fresh=1, known=1, deliveries=1)
    assert ((await bench.stored())[0], (await bench.views.mailboxes())[0].folders) == before


async def test_a_folder_remembers_when_it_was_last_compared(bench: Bench) -> None:
    assert (await bench.stored())[0].reconciled_at is None
    await bench.journal.reconciled(bench.inbox.key, NOW)
    assert [each.reconciled_at for each in await bench.stored()] == [NOW, None, None]


async def test_an_account_tells_how_it_stands_with_each_message_of_a_folder_and_a_period(bench: Bench) -> None:
    both = rule("archive", "erp")
    await bench.commit(mail(1, both), mail(2, both), mail(3, both), mail(4, dispatch=False), mail(99))
    acting = rule(name="tidy", actions=(MarkRead(),))
    await bench.commit(mail(5, acting), NewMessage(mail(6).message), link="next")
    await bench.commit(mail(7), folder=bench.archive)
    claimed = {(each.message.subject, each.handler): each for each in await bench.claim()}
    await bench.settle(claimed["mail 1", "archive"], claimed["mail 1", "erp"], claimed["mail 2", "archive"])
    await bench.settle(claimed["mail 2", "erp"], verdict=DEAD)
    found = await bench.views.account(bench.inbox.key, NOW, NOW + timedelta(seconds=99))
    assert {key[-1]: each.state for key, each in found.items()} == {
        "1": "done",
        "2": "dead",
        "3": "running",
        "4": "remembered",
        "5": "ready",
        "6": "no rule",
    }
    assert found["AAkALg000001"].received_at == mail(1).message.received_at


async def test_what_waits_too_long_is_hastened_and_nothing_else(bench: Bench) -> None:
    await bench.commit(*map(mail, range(1, 5)))
    soon, late, later, done = await bench.claim()
    for delivery, seconds in ((soon, 10.0), (late, 1_000.0), (later, 90_000.0)):
        await bench.settle(delivery, verdict=retry(seconds))
    await bench.settle(done)
    second, day = timedelta(seconds=1), timedelta(days=1)

    assert await bench.journal.hasten(NOW, timedelta(), NOW + day) == 1
    assert await waits(bench) == [10.0, 1_000.0, 86_400.0]
    assert await bench.journal.hasten(NOW + 20 * second, 900 * second, NOW + 3_600 * second) == 2
    assert await waits(bench) == [10.0, 100.0, 3_600.0]


async def test_what_is_past_lies_not_in_the_future_when_the_clock_was_put_right(bench: Bench) -> None:
    await bench.commit(mail(1))
    hour = timedelta(hours=1)
    plan = SendPlan("key", "a@contoso.example", "talk", ("anna@supplier.example",))
    await bench.journal.reserve_send(plan, Windows(NOW, NOW, NOW), lambda _: None, NOW + hour)
    await bench.journal.hasten(NOW - hour, timedelta(), NOW)
    assert [row.seen_at for row in await bench.views.messages()] == [NOW - hour]
    record = await bench.journal.send_record("key")
    assert record is not None
    assert record.at == NOW - hour
    assert (await bench.stored())[1].floor == NOW - hour


async def waits(bench: Bench) -> list[float]:
    ready = await bench.views.deliveries(state=DeliveryState.READY)
    return sorted((each.due_at - NOW).total_seconds() for each in ready)


async def test_mail_under_the_floor_is_remembered_without_content_and_never_delivered(bench: Bench) -> None:
    assert await bench.commit(mail(1, dispatch=False)) == PageResult(fresh=1)
    (detail,) = await bench.views.find("AAkALg000001")
    assert (detail.record.dispatched, detail.snapshot, detail.deliveries) == (False, None, ())
    assert await bench.commit(mail(1)) == PageResult(known=1)


async def test_mail_remembered_under_the_floor_is_new_when_it_is_met_in_another_folder(bench: Bench) -> None:
    await bench.commit(mail(1, dispatch=False))
    assert await bench.commit(mail(1), folder=bench.archive) == PageResult(fresh=1, deliveries=1)
    (claimed,) = await bench.claim()
    assert claimed.message == mail(1).message


async def test_dispatched_mail_met_under_another_folders_floor_keeps_its_deliveries(bench: Bench) -> None:
    await bench.commit(mail(1))
    assert await bench.commit(mail(1, dispatch=False), folder=bench.archive) == PageResult(fresh=1)
    assert len(await bench.claim()) == 1


async def test_mail_whose_rules_could_not_be_evaluated_starts_as_a_dead_letter(bench: Bench) -> None:
    acting = rule(name="tidy", actions=(MarkRead(),))
    result = await bench.commit(mail(1, rule("archive"), acting, failure="Graph refused the headers"))
    assert result == PageResult(fresh=1, deliveries=1)
    (delivery,) = await bench.views.deliveries()
    assert (delivery.state, delivery.attempt, delivery.error) == ("dead", 0, "Graph refused the headers")


async def test_a_rule_without_handlers_has_its_actions_recorded_at_once_and_only_once(bench: Bench) -> None:
    acting = rule(name="tidy", actions=(MoveTo("Done"), MarkRead()))
    assert await bench.commit(mail(1, acting), mail(2, acting)) == PageResult(fresh=2, actions=2)
    assert await bench.commit(mail(1, acting), folder=bench.archive) == PageResult(fresh=1)
    tasks = await bench.journal.claim_actions(10, NOW)
    assert [(task.message_id, task.origin, task.actions) for task in tasks] == [
        ("AAkALg000001", "rule tidy then", (MoveTo("Done"), MarkRead())),
        ("AAkALg000002", "rule tidy then", (MoveTo("Done"), MarkRead())),
    ]


async def test_a_handler_named_by_two_rules_gets_one_delivery_from_the_first(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive", name="first"), rule("archive", "erp", name="second")))
    claimed = await bench.claim()
    assert {(delivery.handler, delivery.rule) for delivery in claimed} == {("archive", "first"), ("erp", "second")}


async def test_a_page_larger_than_any_list_of_parameters_is_stored_whole(bench: Bench) -> None:
    page = [mail(number) for number in range(1_203)]
    assert (await bench.commit(*page)).deliveries == 1_203
    assert await bench.commit(*page) == PageResult(known=1_203)


async def test_known_tells_what_was_last_seen_in_this_very_folder(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    await bench.commit(mail(2), folder=bench.archive)
    ids = ["AAkALg000001", "AAkALg000002", "AAkALg000003"]
    assert await bench.journal.known(bench.inbox.key, ids) == {"AAkALg000001"}
    assert await bench.journal.known(bench.archive.key, ids) == {"AAkALg000002"}
    assert await bench.journal.known(bench.inbox.key, []) == frozenset()


async def test_a_page_for_a_folder_that_was_never_adopted_is_refused(bench: Bench) -> None:
    with pytest.raises(JournalError, match="no folder 4711"):
        await bench.journal.commit_page(PageCommit(4711, [], "link", "round", NOW))


async def test_a_strangers_text_is_stored_whatever_it_is(bench: Bench) -> None:
    hostile = replace(
        mail(1).message, subject="nul \0 and half \ud800 a pair", preview="\udfff\0", sender=Address("", "\0")
    )
    assert (await bench.commit(NewMessage(hostile, (rule("archive"),)))).deliveries == 1
    (delivery,) = await bench.claim()
    assert delivery.message.subject == "nul \0 and half ? a pair"
    assert [row.subject for row in await bench.views.messages()] == ["nul  and half ? a pair"]


# Of folders.


async def test_adopting_a_folder_again_keeps_its_link_and_its_floor(bench: Bench) -> None:
    await bench.journal.commit_page(PageCommit(bench.archive.key, [], "next", "full", NOW, floor=NOW))
    later = [replace(spec, floor=NOW + timedelta(days=1)) for spec in FOLDERS]
    again = await bench.journal.adopt(later, NOW)
    assert again == [bench.inbox, replace(bench.archive, link="next"), bench.other]
    assert again[1].floor == NOW


async def test_deliveries_that_wait_for_a_handler_nobody_has_are_counted(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive", "erp")), mail(2, rule("archive")), mail(3, rule("done", "books")))
    await bench.settle(*await bench.claim(done=1))
    assert await bench.journal.unserved(["erp"]) == {"archive": 2, "books": 1}
    assert await bench.journal.unserved(["erp", "archive", "books"]) == {}


GUID, OTHER = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"


def spelt(tenant: str, guid: str = "") -> FolderSpec:
    return FolderSpec(tenant, "t@contoso.example", "Inbox", None, guid)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([spelt(GUID, GUID)], [spelt("contoso.example", GUID)]),
        ([spelt("contoso.example", GUID)], [spelt(GUID, GUID)]),
        ([spelt("contoso.example"), spelt("contoso.example", GUID)], [spelt(GUID, GUID)]),
        ([spelt("contoso.example", GUID), spelt("contoso.example")], [spelt(GUID, GUID)]),
        ([spelt("contoso.example", GUID)], [spelt("contoso.example")]),
        ([spelt("contoso.example")], [spelt("contoso.example", GUID)]),
    ],
)
async def test_a_tenant_that_is_spelt_otherwise_is_the_same(
    bench: Bench, before: list[FolderSpec], after: list[FolderSpec]
) -> None:
    for spec in before:
        (folder,) = await bench.journal.adopt([spec], NOW)
    await bench.commit(mail(1), folder=folder)
    for spec in after:
        (again,) = await bench.journal.adopt([spec], NOW)
        assert (again.key, again.link) == (folder.key, "link")
    assert await bench.views.folder(after[-1].tenant, "t@contoso.example", "Inbox")


@pytest.mark.parametrize(
    ("before", "after", "remedy"),
    [
        (spelt("contoso.example"), spelt(GUID, GUID), "Put `tenant_id: contoso.example` back and start or reload"),
        (spelt(GUID, GUID), spelt("contoso.example"), "Start again once the login host answers"),
        (spelt("default"), spelt("contoso.example"), "put `tenant_id: default` back"),
    ],
)
async def test_where_nobody_can_say_whether_it_is_the_same_tenant_nothing_begins_anew(
    bench: Bench, before: FolderSpec, after: FolderSpec, remedy: str
) -> None:
    (folder,) = await bench.journal.adopt([before], NOW)
    with pytest.raises(JournalError, match="whether that is the same tenant") as caught:
        await bench.journal.adopt([after], NOW)
    assert remedy in caught.value.remedy
    assert await bench.journal.adopt([before], NOW) == [folder]


async def test_an_address_that_went_to_another_tenant_is_another_mailbox(bench: Bench) -> None:
    (folder,) = await bench.journal.adopt([spelt("contoso.example", GUID)], NOW)
    (other,) = await bench.journal.adopt([spelt("fabrikam.example", OTHER)], NOW)
    assert other.key != folder.key
    assert [each.key for each in await bench.journal.adopt([spelt("contoso.example", GUID)], NOW)] == [folder.key]


async def test_one_address_may_be_watched_in_two_tenants(bench: Bench) -> None:
    both = [spelt("contoso.example"), spelt("fabrikam.example")]
    keys = [each.key for each in await bench.journal.adopt(both, NOW)]
    assert [each.key for each in await bench.journal.adopt(both, NOW)] == keys
    assert len(set(keys)) == 2


async def renamed(bench: Bench) -> WatchedFolder:
    """Walk the archive for a while, then adopt a folder of another name in its place."""
    page = PageCommit(bench.archive.key, [mail(1, folder="Archive")], "D1", "round", NOW, floor=NOW, graph_id="AAMkA")
    await bench.journal.commit_page(page)
    new = replace(FOLDERS[1], folder="Archiv", floor=NOW + timedelta(days=1))
    (folder,) = await bench.journal.adopt([new], NOW)
    assert folder.link is None
    return folder


async def test_a_new_name_of_a_folder_goes_on_where_the_old_one_stood(bench: Bench) -> None:
    folder = await renamed(bench)
    before = await bench.journal.take_over(folder.key, "AAMkA", [folder.key])
    (after,) = await bench.journal.adopt([replace(FOLDERS[1], folder="Archiv")], NOW)
    assert before == replace(bench.archive, link="D1", walk="round", graph_id="AAMkA")
    assert after == replace(before, name="Archiv")
    assert await bench.journal.known(after.key, ["AAkALg000001"]) == {"AAkALg000001"}
    shown = {each.address: each.folders for each in await bench.views.mailboxes()}
    assert [each.name for each in shown["a@contoso.example"]] == ["Inbox", "Archiv"]
    [message] = await bench.views.messages()
    assert await bench.journal.folder_of(message.id) == after.key
    assert await bench.journal.folder_of(message.id + 1) is None


async def test_a_folder_that_is_watched_under_its_name_is_not_taken_over(bench: Bench) -> None:
    folder = await renamed(bench)
    assert await bench.journal.take_over(folder.key, "AAMkA", [bench.archive.key]) is None
    _, archive, _ = await bench.stored()
    assert archive == replace(bench.archive, link="D1", walk="round", graph_id="AAMkA")


async def test_only_a_folder_without_a_page_takes_over_and_only_one_of_its_mailbox(bench: Bench) -> None:
    folder = await renamed(bench)
    assert await bench.journal.take_over(bench.other.key, "AAMkA", []) is None
    assert await bench.journal.take_over(folder.key, "AAMkB", []) is None
    await bench.commit(folder=folder, link="L1")
    await bench.journal.restart_walk(folder.key, None, NOW)
    assert await bench.journal.take_over(folder.key, "AAMkA", []) is None


async def test_folders_are_adopted_in_the_order_asked_for_old_and_new_together(bench: Bench) -> None:
    new = FolderSpec("default", "c@contoso.example", "Inbox/Scans", None)
    first, second = await bench.journal.adopt([new, FOLDERS[0]], NOW)
    assert (first.mailbox, first.name, first.link, first.walk, first.mode) == (
        "c@contoso.example",
        "Inbox/Scans",
        None,
        "full",
        "delta",
    )
    assert second == bench.inbox


async def test_after_a_resync_the_folder_is_listed_again_and_what_is_known_stays_suppressed(bench: Bench) -> None:
    await bench.commit(mail(1), link="dead link")
    await bench.journal.restart_walk(bench.inbox.key, NOW, NOW)
    folder, *_ = await bench.stored()
    assert (folder.link, folder.walk, folder.floor) == (None, "full", NOW)
    assert await bench.commit(mail(1)) == PageResult(known=1)


async def test_a_folders_failure_is_shown_until_its_next_page(bench: Bench) -> None:
    await bench.journal.folder_failed(bench.inbox.key, "403 Forbidden", NOW)
    mailbox, _ = await bench.views.mailboxes()
    assert [(folder.last_error, folder.last_error_at) for folder in mailbox.folders] == [
        ("403 Forbidden", NOW),
        ("", None),
    ]
    await bench.commit()
    mailbox, _ = await bench.views.mailboxes()
    assert (mailbox.folders[0].last_error, mailbox.folders[0].last_round_at) == ("", NOW)


async def test_a_mailbox_is_shown_as_parked_until_it_returns_or_the_daemon_starts_anew(bench: Bench) -> None:
    async def parked() -> list[datetime | None]:
        return [mailbox.parked_at for mailbox in await bench.views.mailboxes()]

    await bench.journal.parked(bench.inbox.key, NOW)
    assert await parked() == [NOW, None]
    await bench.journal.parked(bench.inbox.key, None)
    assert await parked() == [None, None]
    await bench.journal.parked(bench.inbox.key, NOW)
    await bench.stored()
    assert await parked() == [None, None]


async def test_rounds_that_brought_nothing_are_noted_together_and_end_an_older_failure(bench: Bench) -> None:
    later = NOW + timedelta(minutes=1)
    inbox, scans, *_ = await bench.stored()
    await bench.journal.folder_failed(inbox.key, "403 Forbidden", NOW)
    await bench.journal.folder_failed(scans.key, "503 since", later + timedelta(seconds=1))
    await bench.journal.walked({inbox.key: later, scans.key: later})
    await bench.journal.walked({})
    mailbox, _ = await bench.views.mailboxes()
    assert [(folder.last_round_at, folder.last_error) for folder in mailbox.folders] == [
        (later, ""),
        (later, "503 since"),
    ]


# Of turns that claim.


async def test_a_claimed_delivery_is_running_with_its_attempt_already_counted(bench: Bench) -> None:
    await bench.commit(mail(1))
    (claimed,) = await bench.claim()
    (stored,) = await bench.views.deliveries()
    assert (claimed.attempt, claimed.suspect, claimed.granted) == (1, False, 0)
    assert (stored.state, stored.attempt, stored.started_at) == ("running", 1, NOW)
    assert claimed.message == mail(1).message
    assert await bench.claim() == []


async def test_what_has_room_is_claimed_with_its_page(bench: Bench) -> None:
    result = await bench.commit(mail(1, rule("archive", "erp")), mail(2, rule("archive")), archive=5)

    assert (result.deliveries, len(result.claimed)) == (3, 2)
    assert [(each.message, each.handler, each.rule, each.attempt) for each in result.claimed] == [
        (mail(number).message, "archive", "suppliers", 1) for number in (1, 2)
    ]
    assert [(each.handler, each.attempt) for each in await bench.claim()] == [("erp", 1)]
    await bench.settle(*result.claimed)
    assert (await bench.states())["mail 1", "archive"] == "done"
    assert (await bench.views.deliveries(handler="archive"))[0].started_at == NOW


async def test_a_page_claims_no_more_than_there_is_room_for(bench: Bench) -> None:
    result = await bench.commit(mail(1), mail(2), mail(3), archive=2, erp=5)

    assert [each.message.subject for each in result.claimed] == ["mail 1", "mail 2"]
    assert [each.message.subject for each in await bench.claim()] == ["mail 3"]


async def test_a_page_overtakes_nobody_who_waits_for_the_same_handler(bench: Bench) -> None:
    await bench.commit(mail(1), folder=bench.other)
    result = await bench.commit(mail(2, rule("archive", "erp")), archive=5, erp=5)

    assert [each.handler for each in result.claimed] == ["erp"]
    assert [(each.message.subject, each.handler) for each in await bench.claim()] == [
        ("mail 1", "archive"),
        ("mail 2", "archive"),
    ]


async def test_what_waits_for_a_later_time_keeps_no_page_from_being_claimed(bench: Bench) -> None:
    await bench.settle(*(await bench.commit(mail(1), archive=5)).claimed, verdict=retry(60))

    assert [each.message.subject for each in (await bench.commit(mail(2), archive=5)).claimed] == ["mail 2"]


async def test_a_page_claims_nothing_that_starts_as_a_dead_letter_or_that_the_handler_had(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive")))
    await bench.settle(*(await bench.claim()))
    moved = mail(1, rule("archive", "erp", name="here"), folder="Archive")
    unreadable = mail(2, rule("archive"), failure="no headers")

    result = await bench.commit(moved, unreadable, folder=bench.archive, archive=5, erp=5)

    assert [(each.handler, each.message.folder) for each in result.claimed] == [("erp", "Archive")]
    assert (await bench.states())["mail 2", "archive"] == "dead"


@pytest.mark.parametrize("unread", [UNROUTED, UNDATED])
async def test_a_mail_set_aside_is_delivered_by_its_rules_once_they_are_known(
    bench: Bench, unread: MatchedRule
) -> None:
    stub = NewMessage(replace(mail(1).message, subject="", received_at=NOW), (unread,))
    await bench.commit(stub, mail(2, rule("erp")))
    known = mail(1, rule("archive"), rule(name="read", actions=(MarkRead(),)))
    page = PageCommit(bench.inbox.key, [known], None, "round", NOW, advance=False, again=True)

    assert (await bench.journal.commit_page(page)).deliveries == 1
    assert (await bench.journal.commit_page(page)).deliveries == 0, "once is enough"

    assert await bench.states() == {
        ("mail 1", ROUTING): "ready",
        ("mail 1", "archive"): "ready",
        ("mail 2", "erp"): "ready",
    }
    [task] = await bench.journal.claim_actions(10, NOW)
    assert task.origin == "rule read then"
    [detail] = await bench.views.find(known.message.id)
    assert dict(detail.rules) == {"suppliers": ("archive",), "read": ()}
    assert detail.record.received_at == known.message.received_at


async def test_a_mail_known_in_a_folder_is_not_routed_again_by_its_page(bench: Bench) -> None:
    await bench.commit(NewMessage(mail(1).message, (UNROUTED,)))
    assert (await bench.commit(mail(1, rule("archive")))).known == 1
    assert await bench.states() == {("mail 1", ROUTING): "ready"}


async def test_what_a_page_claimed_is_taken_back_after_a_crash_like_any_other(bench: Bench) -> None:
    await bench.commit(mail(1), archive=5)

    assert await bench.journal.recover() == 1
    assert [(each.attempt, each.suspect) for each in await bench.claim()] == [(2, True)]


async def test_claims_stay_within_the_room_of_each_handler(bench: Bench) -> None:
    await bench.commit(*(mail(number, rule("archive", "erp", "print")) for number in range(50)))
    claimed = await bench.claim(archive=7, erp=3, missing=5, none=0)
    assert Counter(delivery.handler for delivery in claimed) == {"archive": 7, "erp": 3}


async def test_a_handler_with_little_room_gets_no_more_though_another_has_plenty(bench: Bench) -> None:
    await bench.commit(*(mail(number) for number in range(5)))
    assert len(await bench.claim(archive=1, erp=10)) == 1


async def test_no_claim_is_made_without_room(bench: Bench) -> None:
    await bench.commit(mail(1))
    assert await bench.journal.turn([], {}, NOW, conclude_nothing) == []
    assert await bench.claim(archive=0) == []


async def test_a_backlog_in_one_mailbox_does_not_delay_the_fresh_mail_of_another(bench: Bench) -> None:
    await bench.commit(*(mail(number) for number in range(2_000)))
    await bench.commit(mail(9_000), folder=bench.other)
    claimed = await bench.claim(archive=4)
    assert "mail 9000" in {delivery.message.subject for delivery in claimed}
    assert len(claimed) == 4


async def test_within_a_mailbox_the_oldest_due_comes_first(bench: Bench) -> None:
    await bench.commit(*(mail(number) for number in range(20)))
    subjects = [(await bench.claim(archive=1))[0].message.subject for _ in range(5)]
    assert subjects == [f"mail {number}" for number in range(5)]


async def test_every_mailbox_has_its_turn_though_there_is_room_for_one_only(bench: Bench) -> None:
    specs = [FolderSpec("default", f"m{number}@contoso.example", "Inbox", None) for number in range(5)]
    for folder in await bench.journal.adopt(specs, NOW):
        box = folder.mailbox
        page = [mail(n)._replace(message=replace(mail(n).message, mailbox=box)) for n in range(10)]
        await bench.commit(*page, folder=folder)
    served = Counter([(await bench.claim(archive=1))[0].message.mailbox for _ in range(20)])
    assert served == {spec.mailbox: 4 for spec in specs}


async def test_what_is_not_due_yet_is_left_and_next_due_says_when_it_is(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(*await bench.claim(), verdict=retry(60))
    assert await bench.claim() == []
    assert await bench.journal.next_due() == NOW + timedelta(seconds=60)
    (again,) = await bench.claim(at=NOW + timedelta(seconds=60))
    assert again.attempt == 2
    assert await bench.journal.next_due() is None


async def test_due_deliveries_fill_the_room_though_many_mailboxes_only_wait(bench: Bench) -> None:
    specs = [FolderSpec("default", f"m{number}@contoso.example", "Inbox", None) for number in range(70)]
    for folder in await bench.journal.adopt(specs, NOW):
        await bench.commit(mail(1), folder=folder)
    await bench.settle(*await bench.claim(), verdict=retry(3600))
    await bench.commit(*(mail(number) for number in range(30)))
    assert len(await bench.claim(archive=10)) == 10


async def backlogs(bench: Bench, **counts: int) -> dict[str, str]:
    """Put so many mails into mailboxes, the first the oldest; returns their addresses."""
    specs = [FolderSpec("default", f"{name}@contoso.example", "Inbox", None) for name in counts]
    for count, folder in zip(counts.values(), await bench.journal.adopt(specs, NOW), strict=True):
        news = [mail(number, rule("archive", "erp")) for number in range(count)]
        page = [new._replace(message=replace(new.message, mailbox=folder.mailbox)) for new in news]
        await bench.commit(*page, folder=folder)
    return {name: f"{name}@contoso.example" for name in counts}


async def claimed_of(bench: Bench, room: int, **limits: MailboxLimit) -> Counter[tuple[str, str]]:
    claimed = await bench.journal.turn([], dict.fromkeys(limits, room), NOW, conclude_nothing, limits=limits)
    return Counter((delivery.handler, delivery.message.mailbox.partition("@")[0]) for delivery in claimed)


async def test_of_one_mailbox_no_more_is_claimed_than_its_limit_says_however_much_room_there_is(bench: Bench) -> None:
    where = await backlogs(bench, slow=30, other=3)
    limit = MailboxLimit(4, {where["other"]: 2})
    assert await claimed_of(bench, 10, erp=limit) == {("erp", "slow"): 4, ("erp", "other"): 2}
    assert await claimed_of(bench, 10, erp=MailboxLimit(7, {})) == {("erp", "slow"): 7, ("erp", "other"): 1}
    both = await claimed_of(bench, 4, erp=MailboxLimit(1, {}), archive=limit)
    assert both == {("erp", "slow"): 1, ("archive", "slow"): 2, ("archive", "other"): 2}


async def test_a_limit_holds_though_there_is_room_for_all_that_is_due(bench: Bench) -> None:
    await backlogs(bench, slow=5)
    assert await claimed_of(bench, 10, erp=MailboxLimit(4, {})) == {("erp", "slow"): 4}


async def test_behind_the_backlog_of_a_mailbox_that_may_have_no_more_the_others_have_their_turns(bench: Bench) -> None:
    where = await backlogs(bench, slow=300, first=2, second=2, third=2)
    limit = MailboxLimit(1, {where["slow"]: 0})
    served = [await claimed_of(bench, 1, erp=limit) for _ in range(7)]
    assert sum(served[:3], Counter()) == {("erp", "first"): 1, ("erp", "second"): 1, ("erp", "third"): 1}
    assert sum(served, Counter()) == {("erp", "first"): 2, ("erp", "second"): 2, ("erp", "third"): 2}


async def test_mailboxes_that_only_wait_hide_nobody_who_is_due_behind_one_that_may_have_no_more(bench: Bench) -> None:
    await backlogs(bench, **{f"waiting{number}": 1 for number in range(20)})
    await bench.settle(*await bench.claim(erp=100), verdict=retry(3600))
    where = await backlogs(bench, slow=50, other=1)
    assert await claimed_of(bench, 1, erp=MailboxLimit(1, {where["slow"]: 0})) == {("erp", "other"): 1}


async def test_who_is_tried_out_gets_the_newest_mail_that_has_never_run(bench: Bench) -> None:
    await bench.commit(*(mail(number) for number in range(3)))
    [oldest] = await bench.claim(archive=1)
    await bench.settle(oldest, verdict=retry(0))
    await bench.commit(mail(3, rule("erp")))

    async def probe(room: int = 1) -> list[str]:
        claimed = await bench.journal.turn([], {"archive": room}, NOW, conclude_nothing, probed=["archive", "erp"])
        return [delivery.message.subject for delivery in claimed]

    assert await probe(0) == []
    assert [await probe(), await probe(5), await probe(), await probe()] == [["mail 2"], ["mail 1"], ["mail 0"], []]


async def test_next_due_looks_at_mail_actions_too(bench: Bench) -> None:
    assert await bench.journal.next_due() is None
    await bench.commit(mail(1, rule(name="tidy", actions=(MarkRead(),))))
    assert await bench.journal.next_due() == NOW


async def test_a_delivery_whose_snapshot_is_damaged_becomes_a_dead_letter_and_stops_nobody(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    await bench.journal.database.write(
        lambda connection: connection.execute(
            sa.text("UPDATE messages SET snapshot = '{' WHERE graph_id = 'AAkALg000001'")
        )
    )
    assert [delivery.message.subject for delivery in await bench.claim()] == ["mail 2"]
    dead = await bench.views.deliveries(state=DeliveryState.DEAD)
    assert [row.subject for row in dead] == ["mail 1"]
    assert "cannot be read" in dead[0].error


# Of turns that settle.


async def test_a_done_delivery_is_done_with_its_note_and_without_attempt_rows(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(*await bench.claim(), verdict=Verdict(DeliveryState.DONE, note="2 saved"))
    (detail,) = await bench.views.find("1")
    assert [(row.state, row.note, row.settled_at) for row in detail.deliveries] == [("done", "2 saved", NOW)]
    assert detail.attempts == {}


async def test_attempts_that_failed_are_remembered_and_count_upwards(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(*await bench.claim(), verdict=retry(0))
    await bench.settle(*await bench.claim(), verdict=DEAD)
    (detail,) = await bench.views.find("1")
    (attempts,) = detail.attempts.values()
    assert [(row.attempt, row.outcome, row.error) for row in attempts] == [(1, "retry", "busy"), (2, "dead", "refused")]
    assert attempts[0].ended_at == NOW + timedelta(seconds=1)
    assert detail.record.deliveries == {"archive": "dead"}


async def test_an_attempt_that_does_not_count_is_given_back(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(*await bench.claim(), verdict=Verdict(DeliveryState.READY, due_at=NOW, counted=False))
    (detail,) = await bench.views.find("1")
    assert (detail.deliveries[0].attempt, detail.attempts) == (0, {})
    (again,) = await bench.claim()
    assert again.attempt == 1


async def test_a_stale_settlement_changes_nothing(bench: Bench) -> None:
    await bench.commit(mail(1))
    (first,) = await bench.claim()
    await bench.settle(first, verdict=retry(0))
    (second,) = await bench.claim()
    await bench.settle(first, verdict=Verdict(DeliveryState.DONE, actions=(MarkRead(),)))
    (detail,) = await bench.views.find("1")
    assert (detail.deliveries[0].state, detail.deliveries[0].attempt, detail.actions) == ("running", 2, ())
    await bench.settle(second, second)
    await bench.settle(second, verdict=DEAD)
    assert await bench.states() == {("mail 1", "archive"): "done"}


async def test_what_is_simply_done_in_a_quiet_mailbox_is_settled_and_nobody_is_asked(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive", "erp")), mail(2, rule("archive")))
    [first, second, third] = sorted(await bench.claim(), key=lambda each: (each.message_id, each.handler))
    asked: list[Siblings] = []

    def conclude(siblings: Siblings) -> list[ActionRequest]:
        asked.append(siblings)
        return []

    noted = settlements([second], Verdict(DeliveryState.DONE, note="saved"))
    stale = settlements([third._replace(attempt=7)], DONE)
    await bench.journal.turn([*settlements([first], DONE), *noted, *stale], {}, NOW, conclude, {first.message.mailbox})

    assert await bench.states() == {
        ("mail 1", "archive"): "done",
        ("mail 1", "erp"): "done",
        ("mail 2", "archive"): "running",
    }
    assert [(each.message_id, each.states) for each in asked] == [
        (second.message_id, {"archive": "done", "erp": "done"})
    ]


async def test_settling_and_claiming_are_one_transaction(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    claimed = await bench.claim(archive=1)

    def fail(_siblings: Siblings) -> list[ActionRequest]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bench.journal.turn(settlements(claimed, DONE), {"archive": 1}, NOW, fail)
    assert await bench.states() == {("mail 1", "archive"): "running", ("mail 2", "archive"): "ready"}


async def test_conclude_sees_every_delivery_of_the_message_the_present_settlement_included(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive", "erp"), rule(name="tidy", actions=(MarkRead(),))))
    archive, erp = sorted(await bench.claim(), key=lambda delivery: delivery.handler)
    seen: list[Siblings] = []

    def conclude(siblings: Siblings) -> list[ActionRequest]:
        seen.append(siblings)
        return [ActionRequest(siblings.message_id, "rule suppliers then", (MoveTo("Done"),))]

    await bench.journal.turn(settlements([archive], DONE), {}, NOW, conclude)
    await bench.journal.turn(settlements([erp], retry(0)), {}, NOW, conclude)
    (erp,) = await bench.claim()
    await bench.journal.turn(settlements([erp], DEAD), {}, NOW, conclude)
    states = [dict(siblings.states) for siblings in seen]
    assert states == [{"archive": "done", "erp": "running"}, {"archive": "done", "erp": "dead"}]
    assert seen[0].rules == {"suppliers": ("archive", "erp"), "tidy": ()}
    assert (seen[0].mailbox, seen[0].folder, seen[0].message_id) == ("a@contoso.example", "Inbox", archive.message_id)
    (detail,) = await bench.views.find("1")
    assert [row.origin for row in detail.actions] == ["rule tidy then", "rule suppliers then"]


async def test_two_deliveries_of_a_message_that_end_together_are_concluded_once(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive", "erp")))
    seen: list[Siblings] = []
    await bench.journal.turn(
        settlements(await bench.claim(), DONE), {}, NOW, lambda siblings: seen.append(siblings) or []
    )
    assert [dict(siblings.states) for siblings in seen] == [{"archive": "done", "erp": "done"}]


async def test_actions_a_handler_asked_for_are_recorded_under_its_name(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(
        *await bench.claim(), verdict=Verdict(DeliveryState.DONE, actions=(Categorise(("Paid", "2026")),))
    )
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert (task.mailbox, task.message_id, task.origin, task.actions, task.attempt) == (
        "a@contoso.example",
        "AAkALg000001",
        "handler archive",
        (Categorise(("Paid", "2026")),),
        1,
    )


# Of what a crash leaves.


async def test_what_was_running_is_ready_again_as_a_suspect_with_its_attempt_remembered(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    await bench.claim(archive=1)
    assert await bench.journal.recover() == 1
    assert await bench.states() == {("mail 1", "archive"): "ready", ("mail 2", "archive"): "ready"}
    (detail,) = await bench.views.find("1")
    (attempts,) = detail.attempts.values()
    assert [(row.attempt, row.outcome, row.started_at, row.ended_at) for row in attempts] == [(1, "cut off", NOW, None)]
    claimed = await bench.claim()
    assert [(delivery.message.subject, delivery.attempt, delivery.suspect) for delivery in claimed] == [
        ("mail 1", 2, True),
        ("mail 2", 1, False),
    ]


async def test_of_suspects_one_runs_at_a_time_the_one_with_the_fewest_attempts_first(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2), mail(3))
    await bench.settle(*await bench.claim(archive=1), verdict=retry(0))
    await bench.claim()
    assert await bench.journal.recover() == 3
    order = []
    while claimed := await bench.claim():
        assert await bench.claim() == []
        order.append((claimed[0].message.subject, claimed[0].attempt, len(claimed)))
        await bench.settle(*claimed)
    assert order == [("mail 2", 2, 1), ("mail 3", 2, 1), ("mail 1", 3, 1)]


async def test_a_suspect_that_failed_without_killing_the_daemon_is_a_suspect_no_more(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.claim()
    await bench.journal.recover()
    await bench.settle(*await bench.claim(), verdict=Verdict(DeliveryState.READY, due_at=NOW, counted=False))
    (again,) = await bench.claim()
    assert again.suspect, "it was stopped before it could show what it does"
    await bench.settle(again, verdict=retry(0))
    (again,) = await bench.claim()
    assert not again.suspect


async def test_the_first_crash_costs_nobody_an_attempt_and_each_crash_as_a_suspect_does(bench: Bench) -> None:
    await bench.commit(mail(1))
    counted = []
    for _ in range(3):
        await bench.claim()
        await bench.journal.recover()
        (row,) = await bench.views.deliveries()
        counted.append((row.attempt, row.granted))
    assert counted == [(1, 1), (2, 1), (3, 1)]


async def test_an_attempt_that_is_forgiven_keeps_its_number_and_moves_the_limit(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(
        *await bench.claim(), verdict=Verdict(DeliveryState.READY, due_at=NOW, forgiven=True, error="down")
    )
    (again,) = await bench.claim()
    assert (again.attempt, again.granted) == (2, 1)
    (detail,) = await bench.views.find("1")
    assert [(row.attempt, row.outcome, row.error) for row in detail.attempts[again.id]] == [(1, "forgiven", "down")]


async def test_of_attempts_forgiven_in_a_row_the_first_and_the_last_are_kept(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    down = Verdict(DeliveryState.READY, due_at=NOW, forgiven=True, error="down")
    wrong = Verdict(DeliveryState.READY, due_at=NOW, error="wrong")
    for verdict in (down, down, down, down, wrong, down, wrong, down, down, down):
        await bench.settle(*await bench.claim(), verdict=verdict)
    for number in ("1", "2"):
        (detail,) = await bench.views.find(number)
        kept = [[(row.attempt, row.outcome) for row in rows] for rows in detail.attempts.values()]
        forgiven, counted = "forgiven", "retry"
        alike = [(1, forgiven), (4, forgiven), (5, counted), (6, forgiven), (7, counted), (8, forgiven), (10, forgiven)]
        assert kept == [alike] * len(detail.deliveries)


async def test_what_was_cut_off_after_it_began_keeps_its_number_and_what_did_not_begin_gives_it_back(
    bench: Bench,
) -> None:
    await bench.commit(mail(1))
    cut_off = Verdict(DeliveryState.READY, due_at=NOW, counted=False)
    await bench.settle(*await bench.claim(), verdict=cut_off)
    (again,) = await bench.claim()
    assert (again.attempt, again.granted) == (1, 0)
    await bench.settle(again, verdict=replace(cut_off, forgiven=True))
    (again,) = await bench.claim()
    assert (again.attempt, again.granted) == (2, 1)


async def test_a_suspect_needs_room_like_any_other(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    await bench.claim(archive=1)
    await bench.journal.recover()
    assert await bench.claim(erp=1) == []
    assert [delivery.suspect for delivery in await bench.claim(archive=1)] == [True]


# Of mail actions.


async def test_one_action_a_message_is_claimed_and_busy_messages_are_left_out(bench: Bench) -> None:
    both = (rule(name="read", actions=(MarkRead(),)), rule(name="move", actions=(MoveTo("Done"),)))
    await bench.commit(mail(1, *both), mail(2, *both), mail(3, *both))
    first = await bench.journal.claim_actions(10, NOW, ["AAkALg000003"])
    assert [(task.message_id, task.origin) for task in first] == [
        ("AAkALg000001", "rule read then"),
        ("AAkALg000002", "rule read then"),
    ]
    assert await bench.journal.claim_actions(10, NOW, ["AAkALg000003"]) == []
    await bench.journal.settle_actions([ActionResult(first[0], "done", NOW, note="marked")])
    (second,) = await bench.journal.claim_actions(10, NOW, ["AAkALg000003"])
    assert (second.message_id, second.origin) == ("AAkALg000001", "rule move then")
    assert len(await bench.journal.claim_actions(1, NOW)) == 1


async def test_what_one_mailbox_waits_for_is_found_behind_the_backlog_of_another(bench: Bench) -> None:
    reads = rule(name="read", actions=(MarkRead(),))
    await bench.commit(*(mail(number, reads) for number in range(1, 30)))
    await bench.commit(mail(30, reads), mail(31, reads), folder=bench.other)
    most = MailboxLimit(5, {"a@contoso.example": 2})
    claimed = await bench.journal.claim_actions(20, NOW, (), most)
    assert Counter(task.mailbox for task in claimed) == {"a@contoso.example": 2, "b@contoso.example": 2}
    full = MailboxLimit(5, {"a@contoso.example": 0, "b@contoso.example": 3})
    assert await bench.journal.claim_actions(20, NOW, (), full) == []


async def test_mailboxes_with_more_than_there_is_room_for_are_taken_in_turn(bench: Bench) -> None:
    reads = rule(name="read", actions=(MarkRead(),))
    await bench.commit(*(mail(number, reads) for number in range(1, 10)))
    await bench.commit(*(mail(number, reads) for number in range(10, 20)), folder=bench.other)
    turns = [await bench.journal.claim_actions(3, NOW, (), MailboxLimit(3, {})) for _ in range(4)]
    assert [{task.mailbox for task in turn} for turn in turns] == [
        {"a@contoso.example"},
        {"b@contoso.example"},
        {"a@contoso.example"},
        {"b@contoso.example"},
    ]


async def test_a_deletion_is_told_what_else_is_to_be_done_with_its_message(bench: Bench) -> None:
    deletes = rule(name="bin", actions=(Delete(),))
    forwards = rule(name="share", actions=(Forward(("bob@contoso.example",)),))
    await bench.commit(mail(1, deletes, rule("erp"), forwards), mail(2, deletes))

    first, alone = await bench.journal.claim_actions(10, NOW)
    assert (first.waits_until, alone.waits_until) == (NOW, None)

    later = NOW + timedelta(hours=1)
    await bench.journal.settle_actions([ActionResult(first, "ready", NOW, due_at=later, counted=False)])
    await bench.settle(*await bench.claim(erp=1))
    (forward,) = await bench.journal.claim_actions(10, NOW)
    assert forward.waits_until is None
    held = later + timedelta(hours=2)
    await bench.journal.settle_actions([ActionResult(forward, "ready", NOW, due_at=held, counted=False)])
    (again,) = await bench.journal.claim_actions(10, later)
    assert (again.origin, again.attempt, again.waits_until) == ("rule bin then", 1, held)


async def test_deletions_of_one_message_do_not_wait_for_each_other(bench: Bench) -> None:
    plain = rule(name="bin", actions=(Delete(),))
    sends = rule(name="share", actions=(Forward(("bob@contoso.example",)), Delete()))
    await bench.commit(mail(1, plain, rule(name="also", actions=(Delete(),)), sends))
    waits = {}
    for _ in range(3):
        (task,) = await bench.journal.claim_actions(10, NOW)
        waits[task.origin] = task.waits_until
        at = NOW + timedelta(hours=1) if task.waits_until else None
        state = "ready" if task.waits_until else "done"
        await bench.journal.settle_actions([ActionResult(task, state, NOW, due_at=at)])
    assert waits == {"rule bin then": NOW, "rule also then": NOW, "rule share then": None}


BIN = rule(name="bin", actions=(Delete(),))


async def test_a_mail_with_a_dead_letter_is_not_deleted_until_that_is_done(bench: Bench) -> None:
    await bench.commit(mail(1, BIN, rule("erp")))
    (erp,) = await bench.claim()
    await bench.settle(erp, verdict=DEAD)
    assert await bench.journal.claim_actions(10, NOW + timedelta(days=365)) == []
    (waiting,) = (await bench.views.find("1"))[0].actions
    why = f"kept until what was given up is retried or discarded: delivery {erp.id} (erp)"
    assert (waiting.state, waiting.attempt, waiting.due_at, waiting.note) == ("ready", 0, None, why)

    await bench.views.retry([erp.id], NOW)
    (again,) = await bench.claim()
    (waits,) = await bench.journal.claim_actions(10, NOW)
    assert waits.waits_until == NOW
    await bench.journal.settle_actions([ActionResult(waits, "ready", NOW, due_at=NOW, counted=False)])
    await bench.settle(again)
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert (task.origin, task.attempt, task.waits_until) == ("rule bin then", 1, None)


async def test_a_mail_whose_dead_letter_fails_again_stays(bench: Bench) -> None:
    await bench.commit(mail(1, BIN, rule("erp")))
    (erp,) = await bench.claim()
    await bench.settle(erp, verdict=DEAD)
    assert await bench.journal.claim_actions(10, NOW) == []
    await bench.views.retry([erp.id], NOW)
    await bench.settle(*await bench.claim(), verdict=DEAD)
    assert await bench.journal.claim_actions(10, NOW) == []


async def test_a_mail_with_two_dead_letters_is_deleted_when_both_are_discarded(bench: Bench) -> None:
    await bench.commit(mail(1, BIN, rule("erp", "archive")))
    await bench.settle(*(claimed := await bench.claim()), verdict=DEAD)
    for delivery in claimed:
        assert await bench.journal.claim_actions(10, NOW) == []
        await bench.views.discard([delivery.id], "old", NOW)
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert (task.origin, task.waits_until) == ("rule bin then", None)


@pytest.mark.parametrize("ends", ["retry", "discard"])
async def test_a_mail_with_mail_actions_that_were_given_up_is_not_deleted_until_they_are_done_or_discarded(
    bench: Bench, ends: str
) -> None:
    await bench.commit(mail(1, rule(name="share", actions=(Forward(("b@contoso.example",)),)), BIN))
    (share,) = await bench.journal.claim_actions(10, NOW)
    await bench.journal.settle_actions([ActionResult(share, "dead", NOW, error="refused")])
    assert await bench.journal.claim_actions(10, NOW) == []
    assert "mail actions of rule share then" in (await bench.views.find("1"))[0].actions[1].note
    if ends == "retry":
        await bench.views.retry_actions([share.number], NOW)
        (again,) = await bench.journal.claim_actions(1, NOW)
        await bench.journal.settle_actions([ActionResult(again, "done", NOW)])
    else:
        await bench.views.discard_actions([share.number], "old", NOW)
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert (task.origin, task.waits_until) == ("rule bin then", None)


@pytest.mark.parametrize(("handler", "deleted"), [("erp", ["rule bin then"]), ("archive", [])])
async def test_a_mail_is_deleted_in_spite_of_a_dead_letter_only_where_its_rule_asks_for_that(
    bench: Bench, handler: str, deleted: list[str]
) -> None:
    def conclude(siblings: Siblings) -> list[ActionRequest]:
        return [ActionRequest(siblings.message_id, "rule erp on_failure", (Delete(),))]

    await bench.commit(mail(1, BIN, rule("erp", name="erp"), rule("archive")))
    of = {delivery.handler: delivery for delivery in await bench.claim()}
    dead = of.pop(handler)
    settled = [*settlements([dead], DEAD), *settlements(list(of.values()), DONE)]
    await bench.journal.turn(settled, {}, NOW, conclude if handler == "erp" else conclude_nothing)
    assert [task.origin for task in await bench.journal.claim_actions(10, NOW)] == deleted


async def test_a_deletion_that_was_given_up_keeps_no_mail_from_another(bench: Bench) -> None:
    await bench.commit(mail(1, BIN, rule(name="also", actions=(Delete(),))))
    (task,) = await bench.journal.claim_actions(10, NOW)
    await bench.journal.settle_actions([ActionResult(task, "dead", NOW, error="refused")])
    assert [each.origin for each in await bench.journal.claim_actions(10, NOW)] == ["rule also then"]


async def test_a_deletion_that_was_put_off_goes_on_when_another_is_asked_for_because_of_what_kept_the_mail(
    bench: Bench,
) -> None:
    def conclude(siblings: Siblings) -> list[ActionRequest]:
        return [ActionRequest(siblings.message_id, "rule more on_failure", (Delete(),))]

    await bench.commit(mail(1, BIN, rule("erp")))
    await bench.settle(*await bench.claim(), verdict=DEAD)
    assert await bench.journal.claim_actions(10, NOW) == []
    moved = mail(1, rule("erp", "archive", name="more"), folder="Archive")
    await bench.commit(moved, folder=bench.archive)
    await bench.journal.turn(settlements(await bench.claim(), DEAD), {}, NOW, conclude)
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert (task.origin, task.waits_until) == ("rule more on_failure", NOW)
    await bench.journal.settle_actions([ActionResult(task, "ready", NOW, due_at=LATER, counted=False)])
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert (task.origin, task.waits_until) == ("rule bin then", None)


async def test_a_start_does_not_take_a_deletion_that_is_put_off_for_timed_by_a_clock_that_was_ahead(
    bench: Bench,
) -> None:
    await bench.commit(mail(1, BIN, rule("erp")))
    await bench.settle(*await bench.claim(), verdict=DEAD)
    assert await bench.journal.claim_actions(10, NOW) == []
    assert await bench.journal.hasten(NOW, timedelta(), NOW + timedelta(days=1)) == 0
    assert await bench.journal.hasten(NOW, timedelta(days=1), NOW + timedelta(days=1)) == 0


async def test_actions_are_tried_again_when_due_and_end_done_or_dead(bench: Bench) -> None:
    await bench.commit(mail(1, rule(name="read", actions=(MarkRead(),))))
    (task,) = await bench.journal.claim_actions(10, NOW)
    later = NOW + timedelta(seconds=30)
    await bench.journal.settle_actions([ActionResult(task, "ready", NOW, due_at=later, error="throttled")])
    assert await bench.journal.claim_actions(10, NOW) == []
    assert await bench.journal.next_due() == later
    (again,) = await bench.journal.claim_actions(10, later)
    assert again.attempt == 2
    await bench.journal.settle_actions([ActionResult(task, "done", NOW)])
    await bench.journal.settle_actions([ActionResult(again, "dead", later, error="forbidden")])
    (detail,) = await bench.views.find("1")
    assert [(row.state, row.error, row.settled_at) for row in detail.actions] == [("dead", "forbidden", later)]


@pytest.mark.parametrize(
    "damaged", ["{", "[{}, 1]", '[{"shred": true}]', '[{"mark_read": "yes"}]', '[{"categories": 7}]', '"move"']
)
async def test_mail_actions_that_cannot_be_read_are_dead_and_stop_nobody(bench: Bench, damaged: str) -> None:
    reads = rule(name="read", actions=(MarkRead(),))
    await bench.commit(mail(1, reads), mail(2, reads))
    damage = sa.text("UPDATE actions SET actions = :damaged WHERE id = 1").bindparams(damaged=damaged)
    await bench.journal.database.write(lambda connection: connection.execute(damage))

    assert [task.message_id for task in await bench.journal.claim_actions(10, NOW)] == ["AAkALg000002"]

    (detail,) = await bench.views.find("1")
    assert [(row.state, row.actions, row.settled_at) for row in detail.actions] == [("dead", (), NOW)]
    assert detail.actions[0].error
    assert (await bench.views.summary()).actions["mark_read", "running"] == 1


async def dead_action(bench: Bench) -> None:
    """Leave message 1 with a mail action that was given up, and a delivery that is dead."""
    await bench.commit(mail(1, rule("archive"), rule(name="read", actions=(MarkRead(),))))
    await bench.settle(*await bench.claim(), verdict=DEAD)
    (task,) = await bench.journal.claim_actions(10, NOW)
    await bench.journal.settle_actions([ActionResult(task, "dead", NOW, error="forbidden")])


async def test_an_operators_retry_of_a_delivery_readies_the_dead_mail_actions_of_its_message(bench: Bench) -> None:
    await dead_action(bench)
    assert await bench.views.retry([1], NOW) == 1
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert task.attempt == 1


async def test_an_operator_can_have_dead_mail_actions_tried_again(bench: Bench) -> None:
    await dead_action(bench)
    assert await bench.views.retry_actions([2], NOW) == Retried(0, 0)
    assert await bench.views.retry_actions([1], NOW) == Retried(1, 0)
    assert await bench.views.retry_actions([1], NOW) == Retried(0, 1)
    assert len(await bench.journal.claim_actions(10, NOW)) == 1


async def test_dead_mail_actions_can_be_given_up_and_taken_up_again_all_the_same(bench: Bench) -> None:
    await dead_action(bench)
    assert await bench.views.discard_actions([1], "moved by hand", NOW) == 1
    assert await bench.views.discard_actions([1], "moved by hand", NOW) == 0
    assert await bench.journal.claim_actions(10, NOW) == []
    counts = await bench.journal.counts()
    assert (counts["actions.discarded"], counts["actions.dead"], counts["actions.done"]) == (1, 0, 0)
    assert await bench.views.retry_actions([1], NOW) == Retried(1, 0)
    assert len(await bench.journal.claim_actions(10, NOW)) == 1


async def test_a_mail_is_pruned_once_its_dead_mail_actions_are_given_up(bench: Bench) -> None:
    await bench.commit(mail(1, rule(name="read", actions=(MarkRead(),))))
    await bench.commit(mail(9, rule("archive")), link="next")
    (task,) = await bench.journal.claim_actions(10, NOW)
    await bench.journal.settle_actions([ActionResult(task, "dead", NOW, error="gone")])
    later = NOW + timedelta(days=1)
    assert (await bench.journal.prune(later, 0, 100)).count == 0
    await bench.views.discard_actions([1], "gone", NOW)
    assert (await bench.journal.prune(later, 0, 100)).count == 1
    account = await bench.views.account(bench.inbox.key, NOW, later)
    assert [each.state for each in account.values()] == ["discarded", "ready"]


async def test_mail_actions_that_are_not_done_keep_their_mail_from_counting_as_done(bench: Bench) -> None:
    await bench.commit(mail(1, rule(name="read", actions=(MarkRead(),))))
    (task,) = await bench.journal.claim_actions(10, NOW)
    await bench.journal.settle_actions([ActionResult(task, "dead", NOW, error="gone")])
    await bench.commit(mail(5, rule("archive"), rule(name="tidy", actions=(MarkRead(),))), link="next")
    await bench.settle(*await bench.claim())
    states = await bench.views.account(bench.inbox.key, NOW, NOW + timedelta(days=1))
    assert [each.state for each in states.values()] == ["dead", "ready"]
    (box, _) = await bench.views.mailboxes()
    assert dict(box.actions) == {"dead": 1, "ready": 1}
    assert [each.subject for each in await bench.views.messages(state=DeliveryState.DEAD)] == ["mail 1"]


@pytest.mark.parametrize("key", [2**31, 2**63, 10**20, 0, -1, -(10**20)])
async def test_an_id_that_no_delivery_can_have_is_refused_in_words(bench: Bench, key: int) -> None:
    with pytest.raises(PostroomError, match=f"delivery {key} does not exist"):
        await bench.views.retry([key], NOW)
    with pytest.raises(PostroomError, match=f"delivery {key} does not exist"):
        await bench.views.discard([key], "no use", NOW)


async def test_a_limit_beyond_what_a_database_counts_lists_everything(bench: Bench) -> None:
    await bench.commit(mail(1))
    assert len(await bench.views.deliveries(limit=10**20)) == 1
    assert len(await bench.views.messages(limit=10**20)) == 1


async def test_a_mailbox_is_found_whatever_the_case_of_its_address(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(*await bench.claim(), verdict=DEAD)
    assert len(await bench.views.deliveries(mailbox="A@Contoso.Example")) == 1
    assert len(await bench.views.messages(mailbox="A@Contoso.Example")) == 1
    assert await bench.views.retry_dead(NOW, mailbox="A@CONTOSO.example") == 1


async def test_actions_cut_off_by_a_crash_are_carried_out_again(bench: Bench) -> None:
    await bench.commit(mail(1, rule(name="read", actions=(MarkRead(),))))
    await bench.journal.claim_actions(10, NOW)
    assert await bench.journal.recover() == 0
    assert [task.attempt for task in await bench.journal.claim_actions(10, NOW)] == [2]


# Of what handlers keep.


async def test_an_effect_is_claimed_once_for_a_delivery(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    first, second = await bench.claim()
    assert await bench.journal.claim_effect(first.id, "posted")
    assert not await bench.journal.claim_effect(first.id, "posted")
    assert await bench.journal.claim_effect(first.id, "printed")
    assert await bench.journal.claim_effect(second.id, "posted")


async def test_a_handlers_state_is_its_own_and_the_last_value_holds(bench: Bench) -> None:
    assert await bench.journal.state_get("erp", "cursor") is None
    await bench.journal.state_set("erp", "cursor", "1")
    await bench.journal.state_set("erp", "cursor", "2")
    await bench.journal.state_set("archive", "cursor", "3")
    assert await bench.journal.state_get("erp", "cursor") == "2"


async def test_nobody_gets_the_same_sum_though_many_add_at_once(bench: Bench) -> None:
    sums = await asyncio.gather(*(bench.journal.state_add("erp", "number", 1) for _ in range(20)))
    assert sorted(sums) == list(range(1, 21))
    assert await bench.journal.state_add("erp", "number", 5) == 25
    assert await bench.journal.state_get("erp", "number") == "25"


@pytest.mark.parametrize("other", ['"7"', "true", "1.5", "[]"])
async def test_nothing_is_added_to_what_is_no_whole_number(bench: Bench, other: str) -> None:
    await bench.journal.state_set("erp", "number", other)
    with pytest.raises(TypeError, match="no whole number"):
        await bench.journal.state_add("erp", "number", 1)
    assert await bench.journal.state_get("erp", "number") == other


# Of what an operator sees and says.


async def test_counts_tell_messages_deliveries_and_actions_by_state(bench: Bench) -> None:
    await bench.commit(*(mail(number) for number in range(5)), mail(9, rule(name="tidy", actions=(MarkRead(),))))
    first, second, *_ = await bench.claim(archive=3)
    await bench.settle(first)
    await bench.settle(second, verdict=DEAD)
    counts = await bench.journal.counts()
    assert {name: count for name, count in counts.items() if count} == {
        "messages": 6,
        "deliveries.ready": 2,
        "deliveries.running": 1,
        "deliveries.done": 1,
        "deliveries.dead": 1,
        "actions.ready": 1,
    }
    assert counts["deliveries.discarded"] == counts["actions.dead"] == 0
    mailbox, other = await bench.views.mailboxes()
    assert (mailbox.backlog, other.backlog) == ({"ready": 2, "running": 1, "dead": 1}, {})


async def test_messages_are_listed_newest_first_and_filtered(bench: Bench) -> None:
    await bench.commit(*(mail(number) for number in range(1, 13)))
    await bench.commit(mail(20), folder=bench.other)
    await bench.settle(*await bench.claim(archive=1), verdict=DEAD)

    async def subjects(**filters: object) -> list[str]:
        return [row.subject for row in await bench.views.messages(**filters)]  # type: ignore[arg-type]

    assert await subjects(limit=2) == ["mail 20", "mail 12"]
    assert await subjects(mailbox="b@contoso.example") == ["mail 20"]
    assert len(await subjects(state=DeliveryState.DEAD)) == 1
    assert await subjects(text="IL 11") == ["mail 11"]
    assert await subjects(text="100%") == []
    assert len(await subjects(text="supplier.EXAMPLE")) == 13


async def test_messages_are_newest_by_when_they_were_received_in_whatever_order_they_were_met(bench: Bench) -> None:
    await bench.commit(mail(5), mail(9), mail(1))
    await bench.commit(mail(7), mail(9), folder=bench.other)
    listed = [(row.subject, row.id) for row in await bench.views.messages(limit=4)]
    assert listed == [("mail 9", 5), ("mail 9", 2), ("mail 7", 4), ("mail 5", 1)]


async def test_a_message_is_found_by_our_id_by_graphs_and_by_its_internet_message_id(bench: Bench) -> None:
    await bench.commit(mail(7))
    await bench.commit(mail(7), folder=bench.other)
    by_ours, by_graph, by_internet = [
        [detail.record.mailbox for detail in await bench.views.find(key)]
        for key in ("2", "AAkALg000007", "<7@supplier.example>")
    ]
    assert by_ours == ["b@contoso.example"]
    assert by_graph == by_internet == ["a@contoso.example", "b@contoso.example"]
    assert await bench.views.find("99999999999999999999") == []


async def test_the_summary_counts_by_handler_and_by_kind_of_action(bench: Bench) -> None:
    tidy = rule(name="tidy", actions=(MoveTo("Done"), MarkRead()))
    await bench.commit(mail(1, rule("archive", "erp")), mail(2, tidy), mail(3, tidy))
    await bench.settle(*await bench.claim(erp=1))
    summary = await bench.views.summary()
    assert summary.messages == 3
    assert summary.deliveries == {("archive", "ready"): 1, ("erp", "done"): 1}
    assert summary.actions == {("mark_read", "ready"): 2, ("move_to", "ready"): 2}


async def test_an_operators_retry_makes_a_dead_letter_due_and_forgives_its_attempts(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(*await bench.claim(), verdict=retry(0))
    await bench.settle(*await bench.claim(), verdict=DEAD)
    assert await bench.views.retry([1], NOW) == 1
    (again,) = await bench.claim()
    assert (again.attempt, again.granted) == (3, 2)


async def test_all_dead_letters_of_a_handler_can_be_retried_at_once(bench: Bench) -> None:
    await bench.commit(*(mail(number, rule("archive", "erp")) for number in range(3)))
    await bench.settle(*await bench.claim(), verdict=DEAD)
    assert await bench.views.retry_dead(NOW, handler="erp", mailbox="b@contoso.example") == 0
    assert await bench.views.retry_dead(NOW, handler="erp") == 3
    assert {delivery.handler for delivery in await bench.claim()} == {"erp"}


async def test_a_waiting_delivery_can_be_retried_now(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.settle(*await bench.claim(), verdict=retry(3600))
    await bench.views.retry([1], NOW)
    assert [delivery.attempt for delivery in await bench.claim()] == [2]


async def test_a_discarded_delivery_is_never_claimed_and_says_why(bench: Bench) -> None:
    await bench.commit(mail(1))
    assert await bench.views.discard([1], "spam", NOW) == 1
    assert await bench.claim() == []
    (row,) = await bench.views.deliveries(state=DeliveryState.DISCARDED, handler="archive", mailbox="a@contoso.example")
    assert (row.note, row.settled_at) == ("spam", NOW)


async def test_an_operators_word_on_deliveries_it_does_not_fit_changes_none(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    await bench.claim(archive=1)
    with pytest.raises(PostroomError, match=r"delivery 1 is running, delivery 77 does not exist.* dead, ready"):
        await bench.views.discard([1, 2, 77], "spam", NOW)
    with pytest.raises(PostroomError, match="delivery 1 is running"):
        await bench.views.retry([1], NOW)
    assert await bench.states() == {("mail 1", "archive"): "running", ("mail 2", "archive"): "ready"}


async def test_the_command_line_reads_and_writes_while_the_daemon_holds_the_journal(bench: Bench, url: str) -> None:
    await bench.commit(mail(1))
    side = await open_journal(url, exclusive=False)
    try:
        views = JournalViews(side)
        assert len(await views.messages()) == 1
        await views.discard([1], "spam", NOW)
    finally:
        await side.close()
    assert await bench.states() == {("mail 1", "archive"): "discarded"}


# Of opening and closing.


async def test_a_second_daemon_is_kept_out_until_the_first_has_closed(bench: Bench, url: str) -> None:
    with pytest.raises(JournalLocked, match="Another daemon"):
        await open_journal(url)
    await bench.journal.close()
    again = await open_journal(url)
    await again.close()


async def test_everything_is_there_after_closing_and_opening_again(bench: Bench, url: str) -> None:
    await bench.commit(mail(1), link="kept")
    await bench.journal.close()
    again = await open_journal(url)
    try:
        folder, *_ = await again.adopt(FOLDERS, NOW)
        assert folder.link == "kept"
        assert len(await again.turn([], {"archive": 5}, NOW, conclude_nothing)) == 1
    finally:
        await again.close()


async def test_a_closed_journal_says_so(bench: Bench) -> None:
    await bench.journal.close()
    with pytest.raises(JournalError, match="is closed"):
        await bench.commit(mail(1))


# Of retention.

LATER = NOW + timedelta(days=31)
LONG_AGO = LATER - timedelta(days=30)


async def settled_mail(bench: Bench, count: int = 3, **fields: Any) -> None:
    """Have mails 1 to `count` handled; one more follows them, for the newest is never pruned."""
    await bench.commit(*(mail(number, **fields) for number in range(1, count + 1)))
    await bench.settle(*await bench.claim(archive=count))
    await bench.commit(mail(99, rule("erp")))


async def pruned(bench: Bench, before: datetime = LONG_AGO) -> int:
    return (await bench.journal.prune(before, 0, 100)).count


async def test_of_a_mail_settled_long_ago_stays_who_had_it_and_nothing_personal(bench: Bench) -> None:
    await settled_mail(bench, 1)
    assert await pruned(bench) == 1
    (detail,) = await bench.views.find("AAkALg000001")
    assert (detail.record.subject, detail.record.sender, detail.record.internet_message_id) == ("", "", "")
    assert (detail.snapshot, detail.deliveries, detail.actions, detail.rules) == (None, (), (), {})
    assert dict(detail.record.settled or {}) == {"archive": "done"}
    query = sa.select(sa.func.count()).select_from(sa.text("deliveries"))
    assert await bench.journal.database.read(lambda connection: connection.scalar(query)) == 1


async def test_a_pruned_mail_is_known_when_its_folder_is_listed_again(bench: Bench) -> None:
    await settled_mail(bench)
    await pruned(bench)
    await bench.journal.restart_walk(bench.inbox.key, None, LATER)
    assert await bench.commit(mail(1), mail(2), mail(3), archive=9) == PageResult(fresh=0, known=3)


async def test_a_pruned_mail_that_moves_goes_only_to_handlers_that_never_had_it(bench: Bench) -> None:
    await settled_mail(bench, 1)
    await pruned(bench)
    again = mail(1, rule("archive", "erp"), folder="Archive")
    assert (await bench.commit(again, folder=bench.archive)).deliveries == 1
    states = await bench.states()
    assert states[("mail 1", "erp")] == "ready"
    assert ("mail 1", "archive") not in states


async def test_what_was_settled_before_pruning_counts_for_the_rule_that_waits_for_all(bench: Bench) -> None:
    await settled_mail(bench, 1)
    await pruned(bench)
    await bench.commit(mail(1, rule("archive", "erp"), folder="Archive"), folder=bench.archive)
    deliveries = await bench.claim(erp=9)
    seen: list[Siblings] = []

    def conclude(siblings: Siblings) -> list[ActionRequest]:
        seen.append(siblings)
        return []

    await bench.journal.turn(settlements(deliveries, DONE), {}, LATER, conclude)
    states = [each.states for each in seen if each.rules == {"suppliers": ("archive", "erp")}]
    assert states == [{"archive": DeliveryState.DONE, "erp": DeliveryState.DONE}]


async def test_mail_actions_that_were_carried_out_before_pruning_are_not_asked_for_again(bench: Bench) -> None:
    idle = rule(name="tidy", actions=(MarkRead(),))
    await bench.commit(mail(1, idle))
    (task,) = await bench.journal.claim_actions(5, NOW)
    await bench.journal.settle_actions([ActionResult(task, "done", NOW)])
    await bench.commit(mail(99))
    assert await pruned(bench) == 1
    assert (await bench.commit(mail(1, idle, folder="Archive"), folder=bench.archive)).actions == 0


@pytest.mark.parametrize(("now", "actions"), [((SHARE,), 0), ((TIDY, SHARE), 1)])
async def test_of_a_pruned_mail_a_rule_without_handlers_may_be_one_that_was_renamed(
    bench: Bench, now: tuple[MatchedRule, ...], actions: int
) -> None:
    await bench.commit(mail(1, TIDY))
    (task,) = await bench.journal.claim_actions(5, NOW)
    await bench.journal.settle_actions([ActionResult(task, "done", NOW)])
    await bench.commit(mail(99))
    await pruned(bench)
    assert (await bench.commit(mail(1, *now, folder="Archive"), folder=bench.archive)).actions == actions


async def test_what_a_rule_asked_for_before_pruning_is_not_asked_for_when_it_gets_another_handler(bench: Bench) -> None:
    def conclude(siblings: Siblings) -> list[ActionRequest]:
        return [ActionRequest(siblings.message_id, "rule suppliers then", (MarkRead(),))]

    await bench.commit(mail(1, rule("archive")))
    await bench.journal.turn(settlements(await bench.claim(), DONE), {}, NOW, conclude)
    (task,) = await bench.journal.claim_actions(5, NOW)
    await bench.journal.settle_actions([ActionResult(task, "done", NOW)])
    await bench.commit(mail(99))
    assert await pruned(bench) == 1
    await bench.commit(mail(1, rule("archive", "erp"), folder="Archive"), folder=bench.archive)
    await bench.journal.turn(settlements(await bench.claim(erp=9), DONE), {}, LATER, conclude)
    assert await bench.journal.claim_actions(5, LATER) == []


async def test_a_mail_that_was_pruned_moved_and_handled_is_pruned_again_and_all_is_known(bench: Bench) -> None:
    await settled_mail(bench, 1)
    await pruned(bench)
    await bench.commit(mail(1, rule("erp"), folder="Archive"), folder=bench.archive)
    await bench.settle(*await bench.claim(erp=9))
    await bench.commit(mail(100, rule("print")))
    assert await pruned(bench) == 2
    (detail,) = await bench.views.find("AAkALg000001")
    assert dict(detail.record.settled or {}) == {"archive": "done", "erp": "done"}


@pytest.mark.parametrize("verdict", [DEAD, retry(60), Verdict(DeliveryState.READY, due_at=NOW, counted=False)])
async def test_a_mail_with_a_delivery_that_is_dead_or_not_settled_keeps_its_details(
    bench: Bench, verdict: Verdict
) -> None:
    await bench.commit(mail(1, rule("archive", "erp")))
    archive, erp = sorted(await bench.claim(), key=lambda delivery: delivery.handler)
    await bench.settle(archive)
    await bench.settle(erp, verdict=verdict)
    await bench.commit(mail(99))
    assert await pruned(bench) == 0
    assert (await bench.views.find("AAkALg000001"))[0].snapshot is not None


async def test_a_discarded_dead_letter_is_pruned_and_a_retried_one_waits_until_it_is_settled(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    deliveries = await bench.claim()
    await bench.settle(*deliveries, verdict=DEAD)
    await bench.commit(mail(99))
    first, second = sorted(delivery.id for delivery in deliveries)
    await bench.views.discard([first], "spam", NOW)
    await bench.views.retry([second], NOW)
    assert await pruned(bench) == 1
    await bench.settle(*await bench.claim(archive=1))
    assert await pruned(bench) == 1


@pytest.mark.parametrize("state", ["ready", "dead"])
async def test_a_mail_with_a_mail_action_that_is_due_or_given_up_keeps_its_details(bench: Bench, state: str) -> None:
    await bench.commit(mail(1, rule(actions=(MarkRead(),))))
    (task,) = await bench.journal.claim_actions(5, NOW)
    await bench.journal.settle_actions([ActionResult(task, state, NOW)])
    await bench.commit(mail(99))
    assert await pruned(bench) == 0


async def test_what_was_settled_a_moment_ago_keeps_its_details_however_old_the_mail_is(bench: Bench) -> None:
    await bench.commit(mail(1))
    await bench.journal.turn(settlements(await bench.claim(), DONE), {}, LATER, conclude_nothing)
    await bench.commit(mail(99))
    assert await pruned(bench) == 0


async def test_mail_that_was_only_remembered_loses_its_subject_too_and_is_new_in_another_folder(bench: Bench) -> None:
    await bench.commit(mail(1, dispatch=False), mail(99))
    assert await pruned(bench) == 1
    assert [row.subject for row in await bench.views.messages()] == ["mail 99", ""]
    assert (await bench.commit(mail(1))).known == 1
    assert (await bench.commit(mail(1, folder="Archive"), folder=bench.archive)).deliveries == 1


async def test_pruning_goes_on_where_it_was_and_says_when_what_follows_is_too_young(bench: Bench) -> None:
    await settled_mail(bench, 5)
    await bench.journal.commit_page(PageCommit(bench.inbox.key, [mail(7)], "link", "round", LATER))
    after, counts, more = 0, [], True
    while more:
        step = await bench.journal.prune(LONG_AGO, after, 2)
        after, more = step.upto, step.more
        counts.append(step.count)
    assert counts == [2, 2, 1, 0]
    assert (await bench.journal.prune(LONG_AGO, after, 2)).count == 0


async def test_no_id_is_given_twice_when_all_was_pruned_and_forgotten(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    deliveries = await bench.claim()
    await bench.settle(*deliveries)
    await pruned(bench)
    await bench.journal.forget([row.id for row in await bench.views.messages()])
    await bench.commit(mail(3))
    fresh = {delivery.id for delivery in await bench.claim()}
    assert min(fresh) > max(delivery.id for delivery in deliveries)


async def test_only_pruned_mail_can_be_forgotten_and_it_is_then_unknown(bench: Bench) -> None:
    await settled_mail(bench, 2)
    everything = [row.id for row in await bench.views.messages()]
    assert await bench.journal.forget(everything) == 0
    await pruned(bench)
    found = await bench.journal.forgettable(LONG_AGO, 0, 100)
    ids = {graph_id: key for key, _, graph_id in found.messages}
    assert set(ids) == {"AAkALg000001", "AAkALg000002"}
    assert {address for _, address, _ in found.messages} == {"a@contoso.example"}
    assert await bench.journal.forget([ids["AAkALg000001"]]) == 1
    assert await bench.journal.known(bench.inbox.key, list(ids)) == {"AAkALg000002"}
    assert (await bench.journal.forgettable(NOW, 0, 100)).messages == ()


async def test_effects_and_attempts_go_with_their_delivery(bench: Bench) -> None:
    await bench.commit(mail(1))
    (delivery,) = await bench.claim()
    assert await bench.journal.claim_effect(delivery.id, "mailed")
    await bench.settle(delivery, verdict=retry(0))
    await bench.settle(*await bench.claim())
    await bench.commit(mail(99))
    assert await pruned(bench) == 1
    for table in ("effects", "attempts"):
        query = sa.select(sa.func.count()).select_from(sa.text(table))
        assert await bench.journal.database.read(lambda connection, query=query: connection.scalar(query)) == 0


async def test_the_journal_knows_how_large_it_is(bench: Bench) -> None:
    before = await bench.journal.size()
    await bench.commit(*(mail(number) for number in range(500)))
    assert await bench.journal.size() > before > 0


async def test_a_delivery_that_was_pruned_cannot_be_retried_and_the_error_says_why(bench: Bench) -> None:
    await settled_mail(bench, 1)
    await pruned(bench)
    with pytest.raises(PostroomError, match="delivery 1 was settled long ago and pruned"):
        await bench.views.retry([1], LATER)
    with pytest.raises(PostroomError, match="delivery 4711 does not exist"):
        await bench.views.retry([4711], LATER)


class Gate:
    """Holds the transaction that calls a function until another one has ended, or for a moment if that one waits."""

    def __init__(self, patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self._reached, self._open = threading.Event(), threading.Event()
        self._function = getattr(module, name)
        patch.setattr(module, name, self._held)

    def _held(self, *values: Any) -> Any:
        self._reached.set()
        self._open.wait(0.3)
        return self._function(*values)

    async def beside(self, held: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> tuple[Any, Any]:
        """Run `other` as soon as `held` has come to the gate; returns what each returned or raised."""
        waiting = asyncio.create_task(held)
        assert await asyncio.to_thread(self._reached.wait, 10)
        (said,) = await asyncio.gather(other, return_exceptions=True)
        self._open.set()
        return await waiting, said


async def test_a_mail_that_moves_while_it_is_pruned_keeps_its_new_delivery(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled_mail(bench, 1)
    moved = bench.commit(mail(1, rule("erp", name="new"), folder="Archive"), folder=bench.archive)
    gone, result = await Gate(monkeypatch, retention, "_drop").beside(bench.journal.prune(LONG_AGO, 0, 100), moved)
    assert (gone.count, result.deliveries) == (1, 1)
    assert ("mail 1", "erp") in await bench.states()


async def test_a_mail_that_is_given_to_a_handler_is_not_pruned_at_the_same_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled_mail(bench, 2)
    both = (mail(number, rule("erp", name="new"), folder="Archive") for number in (1, 2))
    moved = bench.commit(*both, folder=bench.archive)
    result, gone = await Gate(monkeypatch, pages, "deliver").beside(moved, bench.journal.prune(LONG_AGO, 0, 100))
    assert (gone.count, result.deliveries) == (0, 2)
    assert {("mail 1", "erp"), ("mail 2", "erp")} <= (await bench.states()).keys()


async def test_a_delivery_cannot_be_retried_while_it_is_pruned(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await settled_mail(bench, 1)
    await bench.commit(mail(2))
    await bench.views.discard([2, 3], "spam", NOW)
    retried = bench.views.retry([2], LATER)
    gone, said = await Gate(monkeypatch, retention, "_drop").beside(bench.journal.prune(LONG_AGO, 0, 100), retried)
    assert gone.count == 2
    assert isinstance(said, PostroomError)
    assert "delivery 2 was settled long ago and pruned" in str(said)


# Of handlers whose deliveries are held.

HELD = HeldHandler("archive", NOW, "archive could not be reached")


async def test_what_is_held_is_remembered_until_it_is_released(bench: Bench) -> None:
    await bench.journal.hold(HELD, {}, NOW)
    await bench.journal.hold(HELD, {}, NOW)
    assert await bench.journal.held() == [HELD]
    await bench.journal.release("archive", NOW, NOW)
    assert await bench.journal.held() == []


async def test_a_list_says_why_what_is_ready_is_held_and_says_it_of_nothing_else(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive", "erp")), mail(2))
    await bench.settle(*[each for each in await bench.claim(archive=9) if each.message.subject == "mail 2"])
    await bench.journal.recover()
    await bench.journal.hold(HELD, {}, NOW)
    rows = await bench.views.deliveries()
    assert {(row.subject, row.handler): row.held for row in rows} == {
        ("mail 1", "archive"): HELD.reason,
        ("mail 1", "erp"): "",
        ("mail 2", "archive"): "",
    }


async def test_attempts_are_given_back_to_those_that_wait_and_to_no_others(bench: Bench) -> None:
    await bench.commit(mail(1), mail(2))
    first, second = await bench.claim()
    await bench.settle(first, verdict=retry(3600))
    await bench.settle(second, verdict=Verdict(DeliveryState.DEAD, error="no"))
    await bench.journal.hold(HELD, {first.id: 1, second.id: 1}, NOW + timedelta(seconds=30))
    rows = {row.id: row for row in await bench.views.deliveries()}
    assert (rows[first.id].attempt, rows[first.id].granted, rows[first.id].due_at) == (
        1,
        1,
        NOW + timedelta(seconds=30),
    )
    assert (rows[second.id].state, rows[second.id].granted) == ("dead", 0)


async def test_when_it_is_over_what_failed_meanwhile_is_due_and_what_waits_since_before_goes_on_waiting(
    bench: Bench,
) -> None:
    await bench.commit(mail(1), mail(2))
    (before,) = await bench.claim(archive=1)
    await bench.settle(before, verdict=retry(3600))
    (meanwhile,) = await bench.claim(NOW + timedelta(seconds=10), archive=1)
    await bench.settle(meanwhile, verdict=retry(3600))
    later = NOW + timedelta(seconds=60)
    await bench.journal.release("archive", NOW + timedelta(seconds=10), later)
    assert [each.id for each in await bench.claim(later)] == [meanwhile.id]


async def test_whether_an_effect_was_recorded_can_be_asked_without_recording_it(bench: Bench) -> None:
    await bench.commit(mail(1, rule("archive", "erp")))
    first, second = await bench.claim()
    assert not await bench.journal.has_effect(first.id, "mailed")
    assert await bench.journal.claim_effect(first.id, "mailed")
    assert await bench.journal.has_effect(first.id, "mailed")
    assert not await bench.journal.has_effect(second.id, "mailed")


# What is sent.

ANNA, BERT = "anna@x.example", "bert@x.example"
SINCE = Windows(NOW - timedelta(hours=1), NOW - timedelta(hours=2), NOW - timedelta(hours=1))


def plan(number: int, *whom: str, conversation: str = "", mailbox: str = "a@contoso.example") -> SendPlan:
    return SendPlan(f"key-{number}", mailbox, conversation, whom)


async def reserved(bench: Bench, wanted: SendPlan, at: datetime = NOW, windows: Windows = SINCE) -> Traffic:
    """Reserve a mail; returns what was counted before it."""
    seen: list[Traffic] = []
    assert isinstance(await bench.journal.reserve_send(wanted, windows, seen.append, at), SendRecord)
    return seen[0]


async def test_two_mails_reserved_at_one_instant_know_of_each_other(bench: Bench) -> None:
    """Each would like to count while the other counts; where that is possible both find nothing."""
    both_count, counted = threading.Barrier(2), list[int]()

    def decide(traffic: Traffic) -> Busy | None:
        counted.append(traffic.mailbox)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_count.wait(0.3)
        return Busy("one is enough") if traffic.mailbox else None

    both = (bench.journal.reserve_send(plan(number, ANNA), SINCE, decide, NOW) for number in (1, 2))
    found = await asyncio.gather(*both)
    assert sorted(type(each).__name__ for each in found) == ["Busy", "SendRecord"]
    assert counted == [0, 1]


async def test_a_mail_is_known_from_when_it_was_reserved_and_counted_once(bench: Bench) -> None:
    assert await bench.journal.send_record("key-1") is None
    await reserved(bench, plan(1, ANNA))
    record = await bench.journal.send_record("key-1")
    assert record == SendRecord("key-1", "reserved", NOW)
    assert await bench.journal.reserve_send(plan(1, ANNA), SINCE, lambda _: Refusal("never asked"), NOW) == record
    assert await reserved(bench, plan(2, ANNA)) == Traffic(1, 0, 1)


async def test_how_it_stands_with_a_mail_is_remembered(bench: Bench) -> None:
    await reserved(bench, plan(1))
    drafted = SendRecord("key-1", "drafted", NOW, "AAkDraft", "", NOW + timedelta(seconds=1))
    await bench.journal.note_send(drafted)
    assert await bench.journal.send_record("key-1") == drafted
    sent = replace(drafted, state="sent", note="reply: sent")
    await bench.journal.note_send(sent)
    assert await bench.journal.send_record("key-1") == sent


@pytest.mark.parametrize("objection", [Refusal("too many"), Busy("later")])
async def test_what_is_objected_to_is_neither_known_nor_counted(bench: Bench, objection: Refusal | Busy) -> None:
    assert await bench.journal.reserve_send(plan(1, ANNA), SINCE, lambda _: objection, NOW) == objection
    assert await bench.journal.send_record("key-1") is None
    assert await reserved(bench, plan(2, ANNA)) == Traffic()


async def test_what_was_sent_is_counted_by_correspondent_conversation_and_mailbox(bench: Bench) -> None:
    for number in range(3):
        await reserved(bench, plan(number, ANNA, conversation="talk"))
    await reserved(bench, plan(3, BERT))
    await reserved(bench, plan(4, ANNA, conversation="talk", mailbox="b@contoso.example"))
    assert await reserved(bench, plan(5, BERT, ANNA, conversation="talk")) == Traffic(3, 3, 4)
    assert await reserved(bench, plan(6, "new@x.example", conversation="other")) == Traffic(0, 0, 5)


async def test_each_count_looks_back_as_far_as_its_own_window(bench: Bench) -> None:
    await reserved(bench, plan(1, ANNA, conversation="talk"), NOW - timedelta(minutes=90))
    assert await reserved(bench, plan(2, ANNA, conversation="talk")) == Traffic(0, 1, 0)


async def test_what_was_sent_long_ago_is_forgotten(bench: Bench) -> None:
    await reserved(bench, plan(1, ANNA))
    later = NOW + timedelta(days=91)
    await reserved(bench, plan(2), later)
    assert await bench.journal.forget_sends(NOW, 9) == 0
    assert await bench.journal.forget_sends(later, 9) == 1
    assert await bench.journal.send_record("key-1") is None
    assert await reserved(bench, plan(3, ANNA), later) == Traffic(0, 0, 1)


async def test_a_restart_does_not_forget_what_was_sent(bench: Bench, url: str) -> None:
    await reserved(bench, plan(1, ANNA))
    await bench.journal.close()
    journal = await open_journal(url)
    await journal.recover()
    again = replace(bench, journal=journal)
    assert await reserved(again, plan(2, ANNA)) == Traffic(1, 0, 1)
    await journal.close()


async def test_a_try_of_an_action_that_does_not_count_leaves_as_many_as_before(bench: Bench) -> None:
    await bench.commit(mail(1, rule(actions=(Reply("Hello"),))))
    (task,) = await bench.journal.claim_actions(10, NOW)
    assert task.actions == (Reply("Hello"),)
    await bench.journal.settle_actions([ActionResult(task, "ready", NOW, due_at=NOW, counted=False)])
    (again,) = await bench.journal.claim_actions(10, NOW)
    assert again.attempt == task.attempt
