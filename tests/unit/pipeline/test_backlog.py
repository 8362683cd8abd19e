"""Mails that the limit of their mailbox holds back: said once they have waited for long, until none does."""

from __future__ import annotations

import pytest

from postroom.pipeline.backlog import AFTER, AGAIN, BUSY_WAIT, FORGOTTEN, Backlog
from postroom.ports import BY_LIMIT
from support.pipeline import MAILBOX

HELD = f"forward: held back: the mailbox has sent 300 times within 1 h, {BY_LIMIT}"
SUBJECT = f"sending {MAILBOX}"


@pytest.fixture
def backlog(clock, notes):
    return Backlog(clock=clock, report=notes)


async def wait(backlog, clock, seconds, *tasks):
    """Let time pass while these tasks are tried in vain, again and again."""
    for _ in range(int(seconds / BUSY_WAIT.total_seconds())):
        await clock.advance(BUSY_WAIT.total_seconds())
        for task in tasks:
            backlog.heard(MAILBOX, task, HELD)
        backlog.look()


async def test_a_mail_that_is_held_back_for_an_hour_is_a_problem_that_says_why(backlog, clock, notes):
    backlog.heard(MAILBOX, 1, HELD)
    await wait(backlog, clock, AFTER - 300, 1)
    assert notes.problems == []

    await wait(backlog, clock, 300, 1)

    [(subject, error)] = notes.problems
    assert subject == SUBJECT
    assert HELD in str(error)
    assert "sending.per_mailbox" in error.remedy


async def test_it_is_over_when_those_that_waited_for_long_were_sent(backlog, clock, notes):
    backlog.heard(MAILBOX, 1, HELD)
    await wait(backlog, clock, AFTER, 1)
    backlog.heard(MAILBOX, 2, HELD)
    backlog.heard(MAILBOX, 1, "")
    backlog.look()

    assert notes.well == [SUBJECT]


async def test_a_mail_that_is_not_tried_any_more_counts_no_more(backlog, clock, notes):
    """Its mailbox is parked, or configured no more."""
    backlog.heard(MAILBOX, 1, HELD)
    await wait(backlog, clock, AFTER, 1)
    await clock.advance(FORGOTTEN + 1)
    backlog.look()

    assert notes.well == [SUBJECT]


async def test_one_that_goes_on_is_brought_up_to_date_now_and_then(backlog, clock, notes):
    backlog.heard(MAILBOX, 1, HELD)
    await wait(backlog, clock, AFTER, 1)
    for _ in range(3):
        backlog.look()
    assert len(notes.problems) == 1

    await clock.advance(AGAIN)
    backlog.look()

    assert len(notes.problems) == 2


@pytest.mark.parametrize("held", ["", "forward: held back: it may be on its way"])
async def test_what_waits_for_another_reason_is_none_of_it(backlog, clock, notes, held):
    for _ in range(2):
        backlog.heard(MAILBOX, 1, held)
        backlog.look()
        await clock.advance(AFTER)

    assert (notes.problems, notes.well) == ([], [])
