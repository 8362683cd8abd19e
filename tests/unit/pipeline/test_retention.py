"""What need not be known any longer is dropped, step by step, and never an id of a mail that still exists."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postroom.errors import JournalError, Unavailable
from postroom.journal import JournalViews, open_journal
from postroom.model import DeliveryState, RetentionPolicy, Settlement, Verdict
from postroom.pipeline.forgetting import CERTAIN, certain
from postroom.pipeline.pruning import STEP
from postroom.pipeline.retention import RUNS_TO_SWEEP, SENT_AT_ONCE, Retention, interval
from postroom.ports import FolderSpec, MatchedRule, NewMessage, PageCommit, SendPlan, Windows
from postroom.testing import ManualClock, make_message
from support.pipeline import MAILBOX, FailingJournal, Notes, ScriptedMail

DAY = 86_400.0
RULES = (MatchedRule("all", ("erp",)),)


@pytest.fixture
async def journal(journal_url):
    journal = await open_journal(journal_url)
    yield FailingJournal(journal)
    await journal.close()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def mail():
    return ScriptedMail()


@pytest.fixture
def keeper(journal, clock, mail):
    made = Retention(journal=journal, clock=clock, report=Notes())
    made.policy, made.mails = RetentionPolicy(30 * DAY, 400 * DAY), {MAILBOX: mail}
    return made


@pytest.fixture
def handled(journal, clock):
    """Have so many mails handled, and one more seen that is the newest."""

    async def handle(count: int, *, last: bool = True) -> list[str]:
        [folder] = await journal.adopt([FolderSpec("default", MAILBOX, "Inbox", None)], clock.now())
        messages = [make_message() for _ in range(count + last)]
        page = [NewMessage(message, RULES) for message in messages]
        result = await journal.commit_page(
            PageCommit(folder.key, page, "link", "round", clock.now(), room={"erp": count})
        )
        done = Verdict(DeliveryState.DONE)
        settled = [Settlement(delivery, done, clock.now(), clock.now()) for delivery in result.claimed]
        await journal.turn(settled, {}, clock.now(), lambda _: [])
        return [message.id for message in messages[:count]]

    return handle


async def names(journal) -> list[str]:
    return [row.graph_id for row in await JournalViews(journal.real).messages(limit=10_000)]


def pruned(keeper) -> int:
    return sum(fields["messages"] for fields in keeper._report.named("pruned"))


async def test_details_go_when_their_time_is_up_and_not_before(keeper, handled, clock):
    await handled(3)
    await clock.advance(30 * DAY)
    await keeper.run()
    assert pruned(keeper) == 0
    await clock.advance(1)
    await keeper.run()
    assert pruned(keeper) == 3


async def test_many_mails_are_pruned_in_steps_that_leave_the_journal_to_others(keeper, handled, clock, journal):
    await handled(2 * STEP + 1)
    await clock.advance(31 * DAY)
    await keeper.run()
    assert pruned(keeper) == 2 * STEP + 1
    assert journal.calls["prune"] == 3


async def test_what_was_not_settled_the_first_time_is_looked_at_again_later(keeper, handled, clock, journal):
    await handled(0)
    await handled(0)
    await clock.advance(31 * DAY)
    await keeper.run()
    assert pruned(keeper) == 0
    [open_one] = await journal.turn([], {"erp": 1}, clock.now(), lambda _: [])
    done = Settlement(open_one, Verdict(DeliveryState.DONE), clock.now(), clock.now())
    await journal.turn([done], {}, clock.now(), lambda _: [])
    await clock.advance(31 * DAY)
    for _ in range(RUNS_TO_SWEEP):
        await keeper.run()
    assert pruned(keeper) == 1


async def test_an_id_goes_only_when_the_mailbox_says_that_the_mail_is_gone(keeper, handled, clock, mail, journal):
    gone, there = await handled(2)
    mail.gone.add(gone)
    await clock.advance(401 * DAY)
    await keeper.run()
    await clock.advance(CERTAIN)
    await keeper.run()
    assert there in await names(journal)
    assert gone not in await names(journal)
    assert keeper._report.named("forgotten") == [{"messages": 1}]


async def test_a_mail_is_gone_for_longer_than_a_page_may_be_in_hand_before_it_is_forgotten(
    keeper, handled, clock, mail, journal
):
    gone, back = await handled(2)
    mail.gone.update((gone, back))
    await clock.advance(401 * DAY)
    await keeper.run()
    await clock.advance(CERTAIN - 1)
    await keeper.run()
    assert gone in await names(journal)
    mail.gone.remove(back)
    await clock.advance(1)
    await keeper.run()
    assert gone not in await names(journal)
    assert back in await names(journal)


@pytest.mark.parametrize(("ids", "seconds"), [(400 * DAY, CERTAIN), (DAY, CERTAIN), (60.0, 3.0)])
def test_where_ids_are_kept_for_less_than_a_day_it_is_asked_again_sooner(ids, seconds):
    assert certain(ids) == seconds


async def test_a_mailbox_that_does_not_answer_keeps_its_ids_and_is_not_asked_on(keeper, handled, clock, mail, journal):
    await handled(3)
    mail.is_gone = failing = Failing()
    await clock.advance(401 * DAY)
    await keeper.run()
    assert len(await names(journal)) == 4
    assert failing.asked == 1


class Failing:
    asked = 0

    async def __call__(self, message_id: str) -> bool:
        self.asked += 1
        raise Unavailable("Out of order.")


async def test_ids_of_a_mailbox_that_is_not_configured_any_more_stay(keeper, handled, clock, journal):
    await handled(1)
    keeper.mails = {}
    await clock.advance(401 * DAY)
    await keeper.run()
    assert len(await names(journal)) == 2


async def test_what_is_kept_for_ever_is_kept(keeper, handled, clock, journal, mail):
    (gone,) = await handled(1)
    mail.gone.add(gone)
    keeper.policy = RetentionPolicy(None, None)
    await clock.advance(4000 * DAY)
    await keeper.run()
    assert pruned(keeper) == 0
    assert len(await names(journal)) == 2


async def test_whom_we_wrote_to_is_forgotten_with_time_also_where_nothing_is_sent_any_more(keeper, clock, journal):
    ever = Windows(clock.now() - timedelta(days=1), clock.now() - timedelta(days=1), clock.now() - timedelta(days=1))
    for number in range(SENT_AT_ONCE + 1):
        plan = SendPlan(f"key-{number}", "gone@b.example", "", ("anna@x.example",))
        await journal.reserve_send(plan, ever, lambda _: None, clock.now())
    keeper.policy, keeper.mails = RetentionPolicy(None, None), {}
    await clock.advance(90 * DAY)
    await keeper.run()
    assert await journal.send_record("key-0") is not None
    await clock.advance(1)
    for _ in range(RUNS_TO_SWEEP + 2):
        await keeper.run()

    def left(connection):
        tables = ("sends", "correspondents")
        return [connection.exec_driver_sql(f"select count(*) from {each}").scalar() for each in tables]

    assert await journal.real.database.read(left) == [0, 0]


async def test_a_journal_that_fails_is_a_problem_until_it_works(keeper, journal):
    journal.failures["prune"].append(JournalError("Full."))
    await keeper.run()
    assert [subject for subject, _ in keeper._report.problems] == ["retention"]
    await keeper.run()
    assert keeper._report.well == ["retention"]


@pytest.mark.parametrize(
    ("snapshots", "ids", "seconds"), [(30 * DAY, 400 * DAY, 60), (None, None, 60), (100.0, None, 5), (1.0, 1.0, 1)]
)
def test_short_periods_are_looked_at_more_often(snapshots, ids, seconds):
    assert interval(RetentionPolicy(snapshots, ids)) == seconds
