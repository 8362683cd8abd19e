from __future__ import annotations

import asyncio

import pytest

from postroom.errors import Throttled
from postroom.graph.budget import Budget, Budgets, Priority


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_slot_is_kept_for_polling(clock):
    budget = Budget("a@b", clock, in_flight=3)
    await budget.enter(Priority.HANDLER, 1)
    await budget.enter(Priority.REST, 1)
    third = asyncio.create_task(budget.enter(Priority.HANDLER, 60))
    await settle()
    assert not third.done()
    await budget.enter(Priority.POLL, 1)
    budget.leave()
    await settle()
    assert not third.done(), "the slot that came free is the one for polling"
    budget.leave()
    await asyncio.wait_for(third, 1)


async def test_waiters_are_served_in_order_of_priority(clock):
    budget = Budget("a@b", clock, in_flight=1)
    await budget.enter(Priority.POLL, 1)
    served = []

    async def wait(priority):
        await budget.enter(priority, 60)
        served.append(priority)
        budget.leave()

    tasks = [asyncio.create_task(wait(each)) for each in (Priority.REST, Priority.HANDLER, Priority.POLL)]
    await settle()
    budget.leave()
    await asyncio.gather(*tasks)
    assert served == [Priority.POLL, Priority.HANDLER, Priority.REST]


async def test_a_waiter_that_gives_up_does_not_take_the_turn_with_it(clock):
    budget = Budget("a@b", clock, in_flight=1)
    await budget.enter(Priority.POLL, 1)
    first = asyncio.create_task(budget.enter(Priority.POLL, 60))
    second = asyncio.create_task(budget.enter(Priority.POLL, 60))
    await settle()
    budget.leave()
    first.cancel()
    await settle()
    assert second.done()


async def test_patience_ends_in_throttled(clock):
    budget = Budget("a@b", clock, in_flight=1)
    await budget.enter(Priority.POLL, 1)
    with pytest.raises(Throttled) as caught:
        await budget.enter(Priority.POLL, 0.01)
    assert (caught.value.code, caught.value.retry_after) == ("LocalBudget", None)
    assert "a@b" in str(caught.value)


async def test_a_fence_is_waited_for_or_raised(clock):
    budget = Budget("a@b", clock)
    budget.fence(10)
    with pytest.raises(Throttled) as caught:
        await budget.enter(Priority.POLL, 5)
    assert caught.value.retry_after == pytest.approx(10)
    await budget.enter(Priority.POLL, 20)
    assert clock.slept == [10]


async def test_it_says_for_how_long_nobody_is_let_in(clock):
    budget = Budget("a@b", clock)
    assert budget.closed_for == 0
    budget.fence(30)
    assert budget.closed_for == 30
    await clock.sleep(31)
    assert budget.closed_for == 0


async def test_ten_minutes_have_so_many_requests_and_polling_keeps_a_part(clock):
    budget = Budget("a@b", clock, per_window=100)
    for _ in range(95):
        await budget.enter(Priority.HANDLER if clock.seconds else Priority.POLL, 0)
        budget.leave()
        clock.seconds += 1
    with pytest.raises(Throttled):
        await budget.enter(Priority.HANDLER, 1)
    for _ in range(5):
        await budget.enter(Priority.POLL, 0)
        budget.leave()
    with pytest.raises(Throttled):
        await budget.enter(Priority.POLL, 1)
    clock.seconds += 600
    await budget.enter(Priority.REST, 0)


async def fenced_for(budget, clock):
    """Seconds until the budget lets somebody in."""
    began = clock.seconds
    await budget.enter(Priority.POLL, 10_000)
    budget.leave()
    return clock.seconds - began


async def test_a_429_that_does_not_say_how_long_keeps_the_mailbox_waiting_longer_each_time(clock):
    budget = Budget("a@b", clock)
    waits = []
    for _ in range(14):
        budget.refused(None, clock.monotonic())
        waits.append(await fenced_for(budget, clock))
    assert all(0.75 * 0.5 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits[:10]))
    assert all(200 < wait <= 300 for wait in waits[10:]), "it stops growing at five minutes"
    budget.answered()
    budget.refused(None, clock.monotonic())
    assert await fenced_for(budget, clock) <= 0.5, "an answer ends the row"
    assert budget.throttled == pytest.approx(sum(waits) + clock.slept[-1])


async def test_requests_refused_together_are_one_refusal(clock):
    budget = Budget("a@b", clock)
    sent = clock.monotonic()
    clock.seconds += 1
    for _ in range(3):
        budget.refused(None, sent)
    assert await fenced_for(budget, clock) <= 0.5


async def test_what_graph_says_about_the_wait_is_kept_to(clock):
    budget = Budget("a@b", clock)
    budget.refused(17.0, clock.monotonic())
    assert await fenced_for(budget, clock) == 17.0


async def test_all_spellings_of_an_address_share_one_budget(clock):
    budgets = Budgets(clock, in_flight=1, per_window=5)
    assert budgets.of("Invoices@Contoso.example") is budgets.of("invoices@contoso.EXAMPLE ")
    assert budgets.of("a@b") is not budgets.of("b@b")
    assert [name for name, _ in budgets] == ["invoices@contoso.example", "a@b", "b@b"]


async def test_other_limits_count_at_once_also_for_those_who_wait(clock):
    budgets = Budgets(clock, in_flight=1)
    budget = budgets.of("a@b")
    await budget.enter(Priority.POLL, 1)
    waiting = asyncio.create_task(budget.enter(Priority.POLL, 60))
    await settle()
    budgets.limit(2, 100)
    await asyncio.wait_for(waiting, 1)
    assert budgets.of("c@d")._in_flight == 2
