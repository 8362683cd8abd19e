"""A clock that was ahead once leaves nothing waiting and nothing in the journal for as long as it was ahead."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postroom.errors import ResyncRequired, Unavailable
from postroom.journal import JournalViews
from postroom.model import Address, DeliveryState, Reply, RetentionPolicy, Send, Settlement, Verdict
from postroom.outgoing import Rate, SendingLimits
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.retention import Retention
from postroom.pipeline.send import Courier
from postroom.pipeline.timepiece import Timepiece
from postroom.ports import ActionTask, FolderSpec, MatchedRule, NewMessage, PageCommit
from postroom.rule import AllOf, Rule
from postroom.testing import ManualClock, make_message
from support.drafts import MemoryDrafts
from support.pipeline import MAILBOX, page

DAY = 86_400.0
RULES = [Rule("all", AllOf(()), handle=("erp",))]
YEAR = timedelta(days=365)


class Wall(ManualClock):
    """A clock whose hands can be moved."""

    ahead = timedelta()

    def now(self):
        return super().now() + self.ahead


@pytest.fixture
def clock():
    return Wall()


@pytest.fixture
def looks(journal, clock, notes):
    """Have the daemon look at the clock; a new one has just been started."""

    def start():
        return Timepiece(journal=journal, clock=clock, report=notes, longest=lambda: 3600.0, hastened=lambda: None)

    return start


@pytest.fixture
def handled(journal, folder, clock):
    """Have so many mails come and be done."""

    async def handle(count):
        at = clock.now()
        new = [NewMessage(make_message(received_at=at), (MatchedRule("all", ("erp",)),)) for _ in range(count)]
        result = await journal.commit_page(PageCommit(folder.key, new, "link", "round", at, room={"erp": count}))
        done = Verdict(DeliveryState.DONE)
        await journal.turn([Settlement(each, done, at, at) for each in result.claimed], {}, at, lambda _: [])

    return handle


@pytest.fixture(params=["while it runs", "while it is away"])
async def set_back(request, clock, looks, handled):
    """Put the clock right, which was a year ahead when the last mail came, and have the daemon notice."""
    clock.ahead = YEAR
    before = looks()
    await before.look()

    async def put_right():
        await handled(1)
        clock.ahead = timedelta()
        await (before if request.param == "while it runs" else looks()).look()

    return put_right


@pytest.fixture
def retention(journal, clock, notes):
    made = Retention(journal=journal, clock=clock, report=notes)
    made.policy = RetentionPolicy(30 * DAY, None)
    return made


@pytest.fixture
def courier(journal, clock, notes):
    return Courier(journal=journal, clock=clock, report=notes)


@pytest.fixture
def asks(mail):
    """Return a task that asks for one mail about a message of its own, all from one correspondent."""
    mail.drafts = MemoryDrafts()

    def ask(number, action, origin="rule all then"):
        message = make_message(sender=Address("Anna", "anna@supplier.example"), subject="x", mailbox=MAILBOX)
        mail.messages[message.id].append(message)
        return ActionTask(number, MAILBOX, message.id, origin, (action,), 1)

    return ask


async def unpruned(journal):
    return [row for row in await JournalViews(journal.real).messages(limit=1000) if row.subject]


async def test_mail_seen_while_it_was_ahead_is_pruned_when_all_the_other_is(
    journal, clock, set_back, retention, handled
):
    await set_back()
    await handled(3)
    await clock.advance(31 * DAY)
    await handled(1)
    await retention.run()
    assert len(await unpruned(journal)) == 1


async def test_one_message_with_a_time_to_come_is_stepped_over(journal, clock, retention, handled):
    clock.ahead = YEAR
    await handled(1)
    clock.ahead = timedelta()
    await handled(3)
    await clock.advance(31 * DAY)
    await handled(1)
    await retention.run()
    assert len(await unpruned(journal)) == 2


async def test_a_mail_that_may_be_on_its_way_is_left_alone_no_longer_than_ever(courier, mail, clock, set_back, asks):
    task, limits = asks(1, Send(("bob@b.example",), "s", "t"), "handler a"), SendingLimits(patience=900.0)
    mail.drafts.before["send"].append(Unavailable("Down.", status=503))
    with pytest.raises(Unavailable):
        await courier.post(task, mail, limits)
    await set_back()
    held = await courier.post(task, mail, limits)
    assert held.due_at == clock.now() + timedelta(seconds=900)
    await clock.advance(900)
    posted = await courier.post(task, mail, limits)
    assert posted.notes == ("send: sent again; the first may have left too",)


async def test_whom_it_answered_meanwhile_is_answered_again_when_the_window_has_passed(
    courier, mail, clock, set_back, asks
):
    limits = SendingLimits(per_correspondent=Rate(2, 3600.0), per_mailbox=Rate(3, 3600.0))
    for number in range(2):
        await courier.post(asks(number, Reply("Hi")), mail, limits)
    await set_back()
    assert "not sent" in (await courier.post(asks(2, Reply("Hi")), mail, limits)).notes[0]
    await clock.advance(3601)
    assert (await courier.post(asks(3, Reply("Hi")), mail, limits)).notes == ("reply: sent",)


async def test_a_folder_first_watched_while_it_was_ahead_begins_now(journal, clock, set_back):
    [watched] = await journal.adopt([FolderSpec("default", MAILBOX, "Archive", clock.now())], clock.now())
    await journal.commit_page(PageCommit(watched.key, [], "link", "round", clock.now(), floor=watched.floor))
    await set_back()
    [watched] = await journal.adopt([FolderSpec("default", MAILBOX, "Archive", None)], clock.now())
    assert watched.floor == clock.now()


async def test_a_clock_that_was_never_ahead_changes_no_time(journal, clock, looks, handled):
    await handled(2)
    before = [row.seen_at for row in await JournalViews(journal.real).messages()]
    await clock.advance(DAY)
    await looks().look()
    assert [row.seen_at for row in await JournalViews(journal.real).messages()] == before


async def test_a_folder_first_watched_while_it_was_ahead_gives_what_comes_after_a_dead_link(
    journal, clock, notes, mail
):
    clock.ahead = YEAR
    [folder] = await journal.adopt([FolderSpec("default", MAILBOX, "Inbox", clock.now())], clock.now())
    mail.script(None, page(delta_link="one"))
    poller = FolderPoller(
        folder, RULES, mail=mail, journal=journal, clock=clock, report=notes, page_size=10, dispatcher=None
    )
    await poller.round()
    clock.ahead = timedelta()
    mail.script("one", page(delta_link="two"))
    await poller.round()
    await clock.advance(60)
    mail.script("two", ResyncRequired("Gone.", status=410))
    mail.delta[None].clear()
    mail.script(None, page(make_message(received_at=clock.now()), delta_link="three"))
    assert (await poller.round()).deliveries == 1
