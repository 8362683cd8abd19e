"""An outage of Graph is not the mail's fault; an item that Graph fails on is."""

from __future__ import annotations

import asyncio
import math

import pytest

from postroom.errors import (
    AuthError,
    Conflict,
    Forbidden,
    HandlerError,
    JournalError,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
)
from postroom.pipeline import excuses
from postroom.pipeline.excuses import LONGEST_WAIT, Excuses, is_of_mailbox
from postroom.ports import LOCAL_BUDGET, LONGEST_RETRY_AFTER

DOWN = Unavailable("Down.", status=503)


@pytest.mark.parametrize(
    "error",
    [
        DOWN,
        Throttled("Wait."),
        AuthError("No token.", code="unreachable"),
        AuthError("The secret has expired.", code="AADSTS7000222"),
        Forbidden("No licence.", parks="has no licence"),
        asyncio.CancelledError(),
    ],
)
def test_what_the_mailbox_or_the_way_to_it_suffers_from_is_of_the_mailbox(error):
    assert is_of_mailbox(error)


@pytest.mark.parametrize(
    "error",
    [
        Conflict("409"),
        Forbidden("403"),
        NotFound("404"),
        Refused("400"),
        JournalError("Full."),
        HandlerError("x"),
        None,
    ],
)
def test_what_is_about_one_mail_is_not(error):
    assert not is_of_mailbox(error)


async def test_an_outage_is_excused_however_long_it_lasts_and_asked_about_ever_more_slowly(clock):
    excused, waits = Excuses(clock), []
    for _ in range(50):
        waits.append(excused.wait(1, DOWN, -math.inf, 10.0))
        await clock.advance(waits[-1])
    assert all(8 * 2**n <= wait <= 12 * 2**n for n, wait in enumerate(waits[:5]))
    assert all(0.8 * LONGEST_WAIT <= wait <= 1.2 * LONGEST_WAIT for wait in waits[5:])


async def test_a_mail_that_fails_while_its_mailbox_answers_others_pays_for_it(clock):
    excused = Excuses(clock)
    assert excused.wait(1, DOWN, 0.0, 10.0), "once is no proof"
    for _ in range(3):
        await clock.advance(60)
        assert excused.wait(1, DOWN, clock.monotonic() - 30, 10.0) is None
    assert excused.wait(2, DOWN, clock.monotonic() - 30, 10.0), "what is said of one is not said of another"
    await clock.advance(60)
    assert excused.wait(1, DOWN, clock.monotonic() - 90, 10.0), "when it answers nobody any more, it is an outage again"


async def test_what_graph_did_not_even_look_at_is_never_the_mails_fault(clock):
    excused = Excuses(clock)
    for _ in range(20):
        assert excused.wait(1, Throttled("Wait."), math.inf, 1.0)
        await clock.advance(1)


async def test_a_budget_that_is_used_up_for_a_known_time_is_never_the_mails_fault(clock):
    excused = Excuses(clock)
    for _ in range(20):
        assert excused.wait(1, Throttled("Used up.", code=LOCAL_BUDGET, retry_after=60.0), math.inf, 1.0)
        await clock.advance(60)


async def test_slots_that_are_taken_are_an_excuse_once_for_the_handler_may_hold_them_itself(clock):
    excused, crowded = Excuses(clock), Throttled("All taken.", code=LOCAL_BUDGET)
    assert excused.wait(1, crowded, math.inf, 1.0)
    for _ in range(3):
        await clock.advance(60)
        assert excused.wait(1, crowded, clock.monotonic() - 30, 1.0) is None


async def test_who_finds_no_room_in_the_memory_is_not_excused_each_time(clock, monkeypatch):
    monkeypatch.setattr(excuses, "MEMORY", 1)
    excused = Excuses(clock)
    assert excused.wait(1, DOWN, -math.inf, 1.0)
    for _ in range(3):
        await clock.advance(60)
        assert excused.wait(2, DOWN, -math.inf, 1.0) is None
        assert excused.wait(1, DOWN, -math.inf, 1.0), "whoever has a place keeps it"


async def test_it_waits_as_long_as_graph_asks_for_but_not_for_days(clock):
    assert Excuses(clock).wait(1, Throttled("Wait.", retry_after=900.0), 0.0, 1.0) == 900
    assert Excuses(clock).wait(1, Throttled("Wait.", retry_after=1e9), 0.0, 1.0) == LONGEST_RETRY_AFTER


async def test_what_has_ended_is_forgotten_and_memory_has_an_end(clock, monkeypatch):
    monkeypatch.setattr(excuses, "MEMORY", 2)
    excused = Excuses(clock)
    for key in range(5):
        excused.wait(key, DOWN, 0.0, 1.0)
    assert len(excused._failures) == 2
    excused.forget(0)
    excused.forget(77)
    assert set(excused._failures) == {1}
