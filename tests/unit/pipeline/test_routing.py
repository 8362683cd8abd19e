"""Rules of a mail that a round could not read, evaluated by an attempt of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from postroom.errors import NotFound, Refused, Unavailable
from postroom.model import Details, Done, Reject, Retry
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.routing import routing
from postroom.ports import ROUTING, UNDATED, UNROUTED, NewMessage, PageCommit
from postroom.rule import HeaderIs, Pattern, Rule, SizeIs
from support.pipeline import mail_at

SPAM = Rule("spam", HeaderIs("X-Spam", (Pattern.parse("yes"),)), ("quarantine",))
MESSAGE = mail_at(0)
LARGE = Rule("large", SizeIs(least=10), ("erp",))


class Hasty:
    """A clock on which nobody waits."""

    def __init__(self, clock):
        self.now, self.monotonic = clock.now, clock.monotonic

    async def sleep(self, seconds):
        pass


@pytest.fixture
def attempt(folder, journal, mail, clock, notes):
    """Set a mail aside and return a way to make an attempt on it with these rules: outcome and context."""

    async def run(*rules, at=folder, rule=UNROUTED):
        await journal.commit_page(PageCommit(folder.key, [NewMessage(MESSAGE, (rule,))], "D1", "round", clock.now()))
        [delivery] = await journal.turn([], {ROUTING: 9}, clock.now(), lambda _: [])
        poller = FolderPoller(at, rules, mail=mail, journal=journal, clock=Hasty(clock), report=notes, page_size=2)
        context = AttemptContext(delivery, mail=mail, journal=journal, clock=clock, http=None, bind_log=lambda _: None)
        return routing([poller], journal).handler.handle(delivery.message, context), context

    mail.messages[MESSAGE.id].append(MESSAGE)
    return run


async def waiting(journal, clock):
    claimed = await journal.turn([], {"erp": 9, "quarantine": 9}, clock.now(), lambda _: [])
    return [(each.handler, each.rule) for each in claimed]


async def test_a_mail_goes_to_the_handlers_that_its_rules_name(attempt, mail, journal, clock):
    mail.detail[MESSAGE.id].append(Details(headers=(("X-Spam", "yes"),), size=5))
    handled, _ = await attempt(SPAM, LARGE)
    assert await handled == Done("spam")
    assert await waiting(journal, clock) == [("quarantine", "spam")]


async def test_a_mail_that_no_rule_wants_is_done(attempt, mail, journal, clock):
    mail.detail[MESSAGE.id].append(Details(headers=()))
    handled, _ = await attempt(SPAM)
    assert await handled == Done("no rule matched")
    assert await waiting(journal, clock) == []


async def test_a_mail_that_still_cannot_be_read_is_a_matter_of_its_mailbox_until_that_answers(attempt, mail):
    mail.detail[MESSAGE.id].append(Unavailable("Down.", status=503))
    handled, context = await attempt(SPAM)
    with pytest.raises(Unavailable):
        await handled
    assert isinstance(context.trouble, Unavailable)


async def test_a_mail_that_can_never_be_read_is_refused(attempt, mail):
    mail.detail[MESSAGE.id].append(Refused("Corrupt.", status=500))
    handled, _ = await attempt(SPAM)
    assert await handled == Reject("Its rules could not be evaluated: Corrupt.")


@pytest.mark.parametrize("rule", [UNROUTED, UNDATED])
async def test_start_holds_for_a_mail_of_which_no_page_told_the_time(attempt, mail, folder, *, journal, clock, rule):
    """An ordinary round is not asked: there an old mail is one that was moved in."""
    mail.detail[MESSAGE.id].append(Details(headers=(("X-Spam", "yes"),)))
    handled, _ = await attempt(SPAM, at=replace(folder, floor=MESSAGE.received_at + timedelta(seconds=1)), rule=rule)

    assert await handled == Done("spam" if rule is UNROUTED else "it is from before `start`")

    assert await waiting(journal, clock) == ([("quarantine", "spam")] if rule is UNROUTED else [])


async def test_a_mail_of_which_no_page_told_the_time_is_delivered_when_it_came_after_start(
    attempt, mail, folder, journal, clock
):
    mail.detail[MESSAGE.id].append(Details(headers=(("X-Spam", "yes"),)))
    handled, _ = await attempt(SPAM, at=replace(folder, floor=MESSAGE.received_at), rule=UNDATED)

    assert await handled == Done("spam")

    assert await waiting(journal, clock) == [("quarantine", "spam")]


async def test_a_mail_that_is_gone_is_said_to_be(attempt, mail):
    mail.messages[MESSAGE.id].clear()
    mail.messages[MESSAGE.id].append(None)
    handled, _ = await attempt(SPAM)
    with pytest.raises(NotFound):
        await handled


async def test_a_mail_of_a_folder_that_is_not_watched_any_more_waits(attempt, folder, journal, clock):
    handled, context = await attempt(SPAM, at=replace(folder, key=folder.key + 1, name="Other"))
    assert isinstance(await handled, Retry)
    assert isinstance(await routing([], journal).handler.handle(MESSAGE, context), Retry)


async def test_a_mail_that_was_set_aside_follows_its_folder_when_that_is_renamed(attempt, mail, folder, journal, clock):
    mail.detail[MESSAGE.id].append(Details(headers=(("X-Spam", "yes"),), size=5))
    handled, _ = await attempt(SPAM, at=replace(folder, name="Renamed"))
    assert await handled == Done("spam")
    assert await waiting(journal, clock) == [("quarantine", "spam")]
