"""Mail actions: carried out one at a time a message, retried on their own."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager

import pytest

from postroom.errors import Forbidden, JournalError, Throttled, Unavailable
from postroom.model import Delete, DeliveryState, Forward, MarkRead, MoveTo, Reply, Settlement, Verdict
from postroom.outgoing import Rate, SendingLimits
from postroom.pipeline import act
from postroom.pipeline.act import EACH, LAST, POLICY, PROGRESS, SUBJECT, Actor
from postroom.pipeline.backlog import AFTER, BUSY_WAIT
from postroom.pipeline.gone import AGAIN, ONCE
from postroom.pipeline.unserved import ABSENT_WAIT
from postroom.pipeline.unstored import OUTCOMES, SENDS
from postroom.ports import GONE, MatchedRule, NewMessage, PageCommit
from postroom.testing import make_message
from support.drafts import MemoryDrafts
from support.pipeline import MAILBOX, counted, desk, until


@pytest.fixture
def acting(journal, clock, notes, mail):
    @asynccontextmanager
    async def run(*, stop=True):
        actor = Actor(desk(mail=mail), journal=journal, clock=clock, report=notes)
        task = asyncio.create_task(actor.run())
        try:
            yield actor
        finally:
            if stop:
                await actor.stop(0)
                async with asyncio.timeout(5):
                    await task
            else:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return run


async def ask(journal, folder, clock, *rules, count=1):
    """Record actions for new messages: each rule's own."""
    wanted = rules or (MatchedRule("mark", (), (MarkRead(),)),)
    messages = [make_message() for _ in range(count)]
    new = [NewMessage(message, wanted) for message in messages]
    await journal.commit_page(PageCommit(folder.key, new, "link", "round", clock.now()))
    return messages


async def settled(journal, count, name="done"):
    await counted(journal, f"actions.{name}", count)


async def read(journal):
    def work(connection):
        rows = connection.exec_driver_sql("select state, attempt, error, note, due_at from actions order by id")
        return [dict(row._mapping) for row in rows]

    return await journal.real.database.read(work)


async def test_what_was_asked_for_is_carried_out_and_noted(acting, *, journal, folder, clock, mail, notes):
    [message] = await ask(journal, folder, clock)
    mail.acts.append("marked as read")

    async with acting():
        await settled(journal, 1)

    assert mail.acted == [(message.id, (MarkRead(),))]
    assert (await read(journal))[0]["note"] == "marked as read"
    assert notes.named("action")[0]["state"] == "done"


async def test_a_failed_action_is_tried_again_alone_and_no_sooner_than_it_may(acting, journal, folder, clock, mail):
    await ask(journal, folder, clock)
    mail.acts.extend([Unavailable("Down.", status=503), "done"])

    async with acting() as actor:
        await until(lambda: bool(mail.acted))  # before it was claimed it was just as ready
        await settled(journal, 1, "ready")
        turns = journal.calls["claim_actions"]
        await clock.advance(1)
        actor.wake.set()
        await until(lambda: journal.calls["claim_actions"] > turns)
        assert len(mail.acted) == 1

        await clock.advance(POLICY.first * 2)
        actor.wake.set()
        await settled(journal, 1)

    assert (await read(journal))[0]["attempt"] == 1, "an outage costs no attempt"


async def test_a_message_is_gone_when_graph_has_said_so_twice(acting, *, journal, folder, clock, mail):
    await ask(journal, folder, clock)
    mail.acts.append(GONE)

    async with acting():
        await until(lambda: len(mail.acted) == 1)
        await settled(journal, 1, "ready")
    [row] = await read(journal)
    assert (row["note"], row["error"], row["attempt"]) == (ONCE, "", 0)
    assert row["due_at"] / 1e6 - clock.now().timestamp() == AGAIN.total_seconds()

    await clock.advance(AGAIN.total_seconds())
    async with acting():  # another daemon: that it was said once stands in the journal
        await settled(journal, 1)
    assert [(row["state"], row["note"]) for row in await read(journal)] == [("done", GONE)]


@pytest.mark.parametrize("answers", [[GONE, "done"], [GONE, Unavailable("Down.", status=503), GONE, "done"]])
async def test_a_message_that_one_answer_did_not_find_is_acted_on(acting, *, journal, folder, clock, mail, answers):
    await ask(journal, folder, clock)
    mail.acts.extend(answers)

    async with acting() as actor:
        for number in range(1, len(answers)):
            await until(lambda number=number: len(mail.acted) == number)
            await settled(journal, 1, "ready")
            await clock.advance(AGAIN.total_seconds())
            actor.wake.set()
        await settled(journal, 1)

    assert [row["note"] for row in await read(journal)] == ["done"]


@pytest.mark.parametrize(
    ("retry_after", "least", "most"), [(600.0, 600.0, 600.0), (0.0, 4.0, 6.0), (1e9, POLICY.longest, POLICY.longest)]
)
async def test_retry_after_is_a_least_wait(acting, *, journal, folder, clock, mail, retry_after, least, most):
    await ask(journal, folder, clock)
    mail.acts.append(Throttled("Wait.", status=429, retry_after=retry_after))

    async with acting():
        await until(lambda: bool(mail.acted))
        await settled(journal, 1, "ready")

    [row] = await read(journal)
    assert least <= row["due_at"] / 1e6 - clock.now().timestamp() <= most


async def test_the_last_try_ends_dead(acting, *, journal, folder, clock, mail, notes):
    await ask(journal, folder, clock)
    mail.acts.append(Unavailable("Down.", status=503))
    mail.answered_at = math.inf  # others of the mailbox are served: it must be this mail

    async with acting() as actor:
        for number in range(1, POLICY.attempts + 2):
            await until(lambda number=number: len(mail.acted) == number)
            await settled(journal, 1, "dead" if number > POLICY.attempts else "ready")
            await clock.advance(POLICY.longest)
            actor.wake.set()

    assert (await read(journal))[0]["state"] == "dead"
    assert notes.named("action")[-1]["error"] == "Unavailable: Down."


async def test_an_outage_longer_than_all_tries_makes_no_action_dead(acting, *, journal, folder, clock, mail):
    await ask(journal, folder, clock)
    mail.acts.append(Unavailable("Down.", status=503))

    async with acting() as actor:
        for number in range(1, 3 * POLICY.attempts):
            await until(lambda number=number: len(mail.acted) == number)
            await settled(journal, 1, "ready")
            await clock.advance(POLICY.longest)
            actor.wake.set()
        mail.acts[0] = "done"
        await settled(journal, 1)


async def test_a_mail_that_its_mailboxs_limit_holds_back_says_why_and_is_a_problem_after_an_hour(
    acting, *, journal, folder, clock, mail, notes
):
    mail.drafts = MemoryDrafts()
    forward = MatchedRule("pass on", (), (Forward(("team@contoso.example",)),))
    for message in await ask(journal, folder, clock, forward, count=2):
        mail.messages[message.id].append(message)

    async with acting() as actor:
        actor.desk.sending = SendingLimits(per_mailbox=Rate(1, 86_400.0))
        await settled(journal, 1)
        for number in range(1, int(AFTER / BUSY_WAIT.total_seconds()) + 2):
            assert not notes.problems
            await until(lambda number=number: len(notes.named("send_held_back")) == number)
            await settled(journal, 1, "ready")
            await clock.advance(BUSY_WAIT.total_seconds())
            actor.wake.set()
        await until(lambda: notes.problems)

    [held] = [row for row in await read(journal) if row["state"] == "ready"]
    assert held["note"].startswith("forward: held back: the mailbox has sent 1 times")
    assert notes.problems[0][0].startswith("sending ")


async def test_a_deletion_waits_until_all_else_is_done_with_the_mail(acting, *, journal, folder, clock, mail, notes):
    rules = MatchedRule("bin", (), (Delete(),)), MatchedRule("file", ("archive",), ())
    [message] = await ask(journal, folder, clock, *rules)
    mail.acts.append("deleted")

    async with acting() as actor:
        await until(lambda: journal.calls["settle_actions"] == 1)
        assert not mail.acted
        (row,) = await read(journal)
        assert (row["state"], row["attempt"], row["note"]) == ("ready", 0, "waits until all else is done with the mail")
        assert not notes.named("action")

        (delivery,) = await journal.turn([], {"archive": 1}, clock.now(), lambda _: [])
        done = Settlement(delivery, Verdict(DeliveryState.DONE), clock.now(), clock.now())
        await journal.turn([done], {}, clock.now(), lambda _: [])
        await clock.advance(LAST)
        actor.wake.set()
        await settled(journal, 1)

    assert mail.acted == [(message.id, (Delete(),))]


async def test_a_mailbox_that_does_not_answer_leaves_places_to_others(acting, journal, folder, clock, mail):
    await ask(journal, folder, clock, count=3 * EACH)
    gate = asyncio.Event()

    async def answer():
        await gate.wait()
        return "done"

    mail.acts.append(answer)

    async with acting() as actor:
        await until(lambda: len(actor._running) == EACH)
        turns = journal.calls["claim_actions"]
        actor.wake.set()
        await until(lambda: journal.calls["claim_actions"] > turns)
        assert len(actor._running) == EACH
        gate.set()
        await settled(journal, 3 * EACH)


async def test_a_defect_in_carrying_out_is_a_failed_try(acting, journal, folder, clock, mail):
    await ask(journal, folder, clock)
    mail.acts.append(KeyError("defect"))

    async with acting():
        await until(lambda: bool(mail.acted))
        await settled(journal, 1, "ready")

    assert (await read(journal))[0]["error"].startswith("Crashed: KeyError: 'defect'")


async def test_what_takes_too_long_is_cut_off_and_tried_again(acting, *, journal, folder, clock, mail, monkeypatch):
    monkeypatch.setattr(act, "LIMIT", 0.01)
    await ask(journal, folder, clock)
    mail.acts.append(asyncio.Event().wait)

    async with acting():
        await until(lambda: bool(mail.acted))
        await settled(journal, 1, "ready")

    assert (await read(journal))[0]["error"] == "TimedOut: not done within 0.01 s"


async def test_nothing_is_claimed_while_the_journal_does_not_take_the_outcomes_of_handlers(
    acting, *, journal, folder, clock, mail
):
    async with acting() as actor:
        with pytest.raises(JournalError), actor._unstored.storing(OUTCOMES):
            raise JournalError("The disk is full.")
        journal.calls.clear()
        await ask(journal, folder, clock)
        actor.wake.set()
        await until(lambda: journal.calls["next_due"] > 0)
        assert not journal.calls["claim_actions"]
        with actor._unstored.storing(OUTCOMES):
            pass
        actor.wake.set()
        await settled(journal, 1)


async def test_actions_of_one_message_never_overlap(acting, journal, folder, clock, mail):
    rules = [MatchedRule(name, (), (MoveTo(name),)) for name in ("a", "b", "c")]
    messages = await ask(journal, folder, clock, *rules, count=4)
    under_way: dict[str, int] = {}
    most = []

    async def work():
        message = mail.acted[-1][0]
        under_way[message] = under_way.get(message, 0) + 1
        most.append((under_way[message], sum(under_way.values())))
        await asyncio.sleep(0.002)
        under_way[message] -= 1
        return "done"

    mail.acts.append(work)

    async with acting():
        await settled(journal, 12)

    assert max(own for own, _ in most) == 1
    assert max(all_ for _, all_ in most) > 1
    for message in messages:
        assert sorted(actions[0].folder for each, actions in mail.acted if each == message.id) == ["a", "b", "c"]


async def test_a_result_is_not_lost_when_the_journal_fails_and_the_action_is_not_repeated(
    acting, *, journal, folder, clock, mail, notes
):
    await ask(journal, folder, clock)
    journal.failures["settle_actions"].extend([JournalError("The disk is full.")] * 2)

    async with acting():
        for _ in range(2):
            await clock.wait_for_sleepers()
            await clock.advance(1)
        await settled(journal, 1)

    assert len(mail.acted) == 1
    assert SUBJECT in notes.well
    assert "journal" not in notes.well  # whether it works for others is not for this room to say


async def test_a_result_that_comes_while_others_are_being_stored_is_stored_too(acting, *, journal, folder, clock, mail):
    await ask(journal, folder, clock, count=2)
    release, stored_meanwhile = asyncio.Event(), asyncio.Event()

    async def second_waits():
        if len(mail.acted) == 2:
            await release.wait()
            stored_meanwhile.set()
        return "done"

    async def let_the_second_end():
        release.set()
        await stored_meanwhile.wait()
        await asyncio.sleep(0)

    mail.acts.append(second_waits)
    journal.before["settle_actions"] = let_the_second_end

    async with acting():
        await settled(journal, 2)


async def test_a_full_disk_is_no_busy_loop(acting, journal, folder, clock):
    journal.failures["claim_actions"].extend([JournalError("The disk is full.")] * 1000)

    async with acting(stop=False):
        await clock.wait_for_sleepers()
        for _ in range(200):
            await asyncio.sleep(0)

        assert journal.calls["claim_actions"] <= 2


async def test_being_stopped_leaves_the_action_to_the_next_start(acting, journal, folder, clock, mail):
    await ask(journal, folder, clock)
    mail.acts.append(asyncio.Event().wait)

    async with acting():
        await until(lambda: bool(mail.acted))

    assert [(row["state"], row["error"]) for row in await read(journal)] == [("ready", "")]


async def test_what_is_claimed_while_stopping_is_not_carried_out(acting, journal, folder, clock, mail):
    await ask(journal, folder, clock, count=3)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold():
        reached.set()
        await go_on.wait()

    journal.after["claim_actions"] = hold
    async with acting() as actor:
        await reached.wait()
        await actor.stop(0)
        go_on.set()

    assert mail.acted == []
    assert {row["state"] for row in await read(journal)} == {"ready"}


async def test_actions_of_a_mailbox_that_is_not_configured_wait_and_lose_no_attempt(
    acting, *, journal, folder, clock, mail
):
    await ask(journal, folder, clock)

    async with acting() as actor:
        mails, actor.desk.mails = actor.desk.mails, {}
        for times in range(1, POLICY.attempts + 2):
            await until(lambda times=times: journal.calls["settle_actions"] == times)
            await clock.advance(ABSENT_WAIT)
            actor.wake.set()
        [row] = await read(journal)
        assert (row["state"], row["attempt"]) == ("ready", 0)
        assert "is not in the configuration any more" in row["error"]
        assert list(actor.desk.absent) == [MAILBOX]

        actor.desk.mails = mails
        await clock.advance(ABSENT_WAIT)
        actor.wake.set()
        await settled(journal, 1)


async def test_a_desk_is_busy_while_its_actions_run(acting, journal, folder, clock, mail):
    await ask(journal, folder, clock)
    release = asyncio.Event()

    async def work():
        await release.wait()
        return "done"

    mail.acts.append(work)
    async with acting() as actor:
        await until(lambda: bool(mail.acted))
        assert not actor.desk.idle.is_set()
        release.set()
        await settled(journal, 1)
        assert actor.desk.idle.is_set()


async def test_a_quiet_night_feeds_the_watchdog(acting, notes):
    async with acting() as actor:
        for count in range(1, 4):
            actor.wake.set()
            await until(lambda count=count: notes.fed[PROGRESS] >= count)


async def test_a_journal_that_cannot_note_what_is_about_to_be_sent_is_said_to_fail_and_costs_no_attempt(
    acting, *, journal, folder, clock, mail, notes
):
    mail.drafts = MemoryDrafts()
    journal.failures["send_record"].extend([JournalError("The file is damaged.")] * (POLICY.attempts + 1))
    [message] = await ask(journal, folder, clock, MatchedRule("answer", (), (Reply("Thank you."),)))
    mail.messages[message.id].append(message)
    async with acting() as actor:
        for number in range(1, POLICY.attempts + 2):
            await until(lambda number=number: [each for each, _ in notes.problems].count(SENDS) == number)
            await until(lambda: not actor._running and not actor._finished)
            assert SENDS not in notes.well
            await clock.advance(POLICY.first)
            actor.wake.set()
        await settled(journal, 1)
        await until(lambda: SENDS in notes.well)
    assert len(mail.drafts.delivered) == 1


async def test_what_is_sent_comes_first_and_the_note_tells_of_all(acting, *, journal, folder, clock, mail):
    mail.drafts = MemoryDrafts()
    [message] = await ask(journal, folder, clock, MatchedRule("all", (), (Reply("Hello"), MarkRead(), Delete())))
    mail.messages[message.id].append(message)
    mail.acts.append("marked read, deleted")

    async with acting():
        await settled(journal, 1)

    assert mail.acted == [(message.id, (MarkRead(), Delete()))]
    assert len(mail.drafts.delivered) == 1
    assert (await read(journal))[0]["note"] == "reply: sent, marked read, deleted"


async def test_a_mail_that_will_never_be_sent_ends_dead_at_once_and_what_comes_after_it_is_left(
    acting, *, journal, folder, clock, mail
):
    mail.drafts = MemoryDrafts()
    mail.drafts.before["send"].append(Forbidden("No.", status=403, code="ErrorAccessDenied"))
    [message] = await ask(journal, folder, clock, MatchedRule("all", (), (Reply("Hello"), Delete())))
    mail.messages[message.id].append(message)

    async with acting():
        await settled(journal, 1, "dead")

    assert mail.acted == []
    assert not mail.drafts.items
    [row] = await read(journal)
    assert "Mail.Send" in row["error"]


@pytest.mark.parametrize("discards", [True, False])
async def test_a_dead_action_leaves_no_draft_or_says_that_one_may_be_left(
    acting, *, journal, folder, clock, mail, discards
):
    mail.drafts = MemoryDrafts()
    [message] = await ask(journal, folder, clock, MatchedRule("all", (), (Reply("Hello"),)))
    mail.messages[message.id].append(message)
    mail.drafts.before["send"].extend([KeyError("defect")] * POLICY.attempts)
    if not discards:
        mail.drafts.before["discard"].append(Unavailable("Down.", status=503))

    async with acting() as actor:
        for number in range(1, POLICY.attempts + 1):
            await until(lambda number=number: mail.drafts.calls.count("send") == number)
            await settled(journal, 1, "dead" if number == POLICY.attempts else "ready")
            await clock.advance(POLICY.longest)
            actor.wake.set()

    assert bool(mail.drafts.items) is not discards
    assert ("may be left in Drafts" in (await read(journal))[0]["error"]) is not discards


@pytest.mark.parametrize("trouble", [ValueError("defect"), asyncio.CancelledError()])
async def test_a_defect_in_deleting_the_draft_of_a_dead_action_leaves_it_dead_and_the_desk_free(
    acting, *, journal, folder, clock, mail, trouble
):
    mail.drafts = MemoryDrafts()
    [message] = await ask(journal, folder, clock, MatchedRule("all", (), (Reply("Hello"),)))
    mail.messages[message.id].append(message)
    mail.drafts.before["send"].append(Forbidden("No.", status=403, code="ErrorAccessDenied"))
    mail.drafts.before["discard"].extend([None, trouble])
    mail.drafts.before["find"].extend([None, None, trouble])

    async with acting() as actor:
        await settled(journal, 1, "dead")
        assert actor.desk.idle.is_set()

    assert "may be left in Drafts" in (await read(journal))[0]["error"]


async def test_a_stop_while_the_draft_of_a_dead_action_is_deleted_leaves_it_to_the_next_start(
    acting, *, journal, folder, clock, mail
):
    mail.drafts = MemoryDrafts()
    [message] = await ask(journal, folder, clock, MatchedRule("all", (), (Reply("Hello"),)))
    mail.messages[message.id].append(message)
    mail.drafts.before["send"].extend([KeyError("defect")] * POLICY.attempts)
    reached = asyncio.Event()

    async def hang(task, mail):
        reached.set()
        await asyncio.Event().wait()

    async with acting() as actor:
        actor._courier.give_up = hang
        for number in range(1, POLICY.attempts + 1):
            await until(lambda number=number: mail.drafts.calls.count("send") == number)
            if number < POLICY.attempts:
                await settled(journal, 1, "ready")
            await clock.advance(POLICY.longest)
            actor.wake.set()
        await reached.wait()

    assert [row["state"] for row in await read(journal)] == ["ready"]
