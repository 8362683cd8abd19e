"""One attempt of one handler: whatever it does, an outcome comes back."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading

import pytest

from postroom.errors import AuthError, HandlerError, JournalError, NotFound, TemporaryError, Throttled, Unavailable
from postroom.model import Done, Reject, Retry, RetryPolicy, Skip
from postroom.pipeline.handle import for_the_log, handle
from postroom.plugin import Handler
from postroom.testing import FakeContext
from support.pipeline import Plain, Scripted, delivery, opened, until

VARIABLE = contextvars.ContextVar("VARIABLE", default="")


def context(attempt=1):
    return FakeContext(attempt=attempt)


async def outcome_of(work, attempt=1, **fields):
    return await handle(opened("erp", Scripted(work), **fields), delivery(attempt), context(attempt))


def raising(error):
    def work(message, context):
        raise error

    return work


class Plainly(Handler[Plain]):
    """Does its work in a thread."""

    def __init__(self, work):
        super().__init__(Plain())
        self.work = work

    def handle(self, message, context):
        return self.work(message)


async def outcome_in_thread(work, **fields):
    return await handle(opened("erp", Plainly(work), **fields), delivery(), context())


@pytest.mark.parametrize("outcome", [Done("saved"), Skip("nothing"), Retry("busy", 3.0), Reject("bad")])
async def test_what_the_handler_says_is_the_outcome(outcome):
    assert await outcome_of(lambda *_: outcome) == outcome
    assert await outcome_in_thread(lambda _: outcome) == outcome


async def test_returning_nothing_means_done():
    assert await outcome_of(lambda *_: None) == Done()
    assert await outcome_in_thread(lambda _: None) == Done()


async def test_an_answer_that_is_no_outcome_is_rejected_and_names_the_class():
    outcome = await outcome_of(lambda *_: "ok")

    assert outcome == Reject(
        "Misbehaved: Scripted.handle returned a str; it must return Done, Skip, Retry, Reject or nothing"
    )


async def test_a_handler_that_takes_too_long_is_cut_off_and_tried_again():
    cut_off = asyncio.Event()

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    assert await outcome_of(lambda *_: forever(), timeout=0.01) == Retry("TimedOut: no answer within 0.01 s")
    assert cut_off.is_set()


async def test_an_error_in_clearing_up_after_the_time_limit_is_still_a_time_out():
    async def clumsy():
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("clearing up failed")

    assert (await outcome_of(lambda *_: clumsy(), timeout=0.01)).reason.startswith("TimedOut")


async def test_an_answer_given_while_being_cut_off_counts():
    async def late():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Done("just in time")

    assert await outcome_of(lambda *_: late(), timeout=0.01) == Done("just in time")


async def test_the_handlers_own_timeout_error_is_a_crash_and_not_our_time_limit():
    outcome = await outcome_of(raising(TimeoutError("the ERP did not answer")))

    assert outcome.reason.startswith("Crashed: TimeoutError: the ERP did not answer at ")


async def test_a_crash_says_what_was_raised_and_where():
    outcome = await outcome_of(raising(KeyError("customer")))

    assert outcome.reason.startswith("Crashed: KeyError: 'customer' at ")
    assert "test_handle.py:" in outcome.reason
    assert outcome.reason.endswith("in work")


async def test_a_crash_quotes_only_the_beginning_of_a_long_text():
    assert len((await outcome_of(raising(ValueError("x" * 100_000)))).reason) < 600


async def test_what_a_foreign_exception_says_is_not_for_the_log():
    reason = (await outcome_of(raising(ValueError("invalid literal: 'Good day.\nat x:1 in y'")))).reason

    assert "Good day" in reason
    assert "Good day" not in for_the_log(f"attempt 8 was the last: {reason}")
    assert for_the_log(reason).startswith("Crashed: ValueError at ")
    assert for_the_log(reason).endswith("in work")


async def test_an_exception_that_cannot_be_shown_is_a_crash_like_any_other():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    assert (await outcome_of(raising(Broken()))).reason.startswith("Crashed: Broken: (its text cannot be shown)")


@pytest.mark.parametrize("run", [outcome_of, outcome_in_thread])
async def test_a_handler_that_wants_to_end_the_process_only_ends_its_attempt(run):
    assert (await run(lambda *_: sys.exit(3))).reason.startswith("Crashed: SystemExit: 3 at ")


async def test_of_errors_in_a_task_group_the_first_speaks():
    async def grouped():
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())

    async def failing():
        raise TemporaryError("The ERP is down.")

    assert await outcome_of(lambda *_: grouped()) == Retry("TemporaryError: The ERP is down.")


@pytest.mark.parametrize(
    "error",
    [
        TemporaryError("Down.", remedy="Wait."),
        HandlerError("Down.", remedy="Wait."),
        JournalError("Down.", remedy="Wait."),
        Unavailable("Down.", remedy="Wait."),
        AuthError("Down.", remedy="Wait.", code="x"),
    ],
)
async def test_an_error_of_ours_is_tried_again_with_its_words(error):
    assert await outcome_of(raising(error)) == Retry(f"{type(error).__name__}: Down. Wait.")


async def test_a_long_retry_after_is_honoured_and_a_short_one_does_not_use_the_attempts_up():
    policy = RetryPolicy(8, 30.0, 3600.0)

    assert (await outcome_of(raising(Throttled("Busy.", retry_after=300.0)), retry=policy)).after == 300.0
    assert (await outcome_of(raising(Throttled("Busy.", retry_after=1.0)), retry=policy)).after == 30.0
    assert (await outcome_of(raising(Throttled("Busy.", retry_after=1.0)), attempt=3, retry=policy)).after == 120.0


async def test_a_message_that_is_not_found_is_looked_for_again_before_it_counts_as_gone():
    gone = raising(NotFound("No such message."))

    assert isinstance(await outcome_of(gone, attempt=1), Retry)
    assert isinstance(await outcome_of(gone, attempt=2), Retry)
    assert await outcome_of(gone, attempt=3) == Reject("The message is gone: No such message.")


async def test_being_stopped_passes_through():
    started = asyncio.Event()

    async def forever():
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(outcome_of(lambda *_: forever()))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_the_handler_ran_into_is_a_failure_and_not_our_stop():
    async def waits_for_something_cancelled():
        other = asyncio.create_task(asyncio.Event().wait())
        other.cancel()
        await other

    outcome = await outcome_of(lambda *_: waits_for_something_cancelled())

    assert outcome.reason.startswith("Crashed: CancelledError")


async def test_a_plain_handler_runs_in_a_thread_and_sees_the_context_variables():
    seen = []

    def work(_):
        seen.append((threading.current_thread(), VARIABLE.get()))

    token = VARIABLE.set("here")
    try:
        await outcome_in_thread(work)
    finally:
        VARIABLE.reset(token)

    [(thread, value)] = seen
    assert thread is not threading.main_thread()
    assert value == "here"


@pytest.mark.parametrize("error", [ValueError("bad"), StopIteration("bad"), asyncio.CancelledError("bad")])
async def test_a_plain_handler_that_raises_crashes_like_any_other(error):
    def work(_):
        raise error

    assert (await outcome_in_thread(work)).reason.startswith("Crashed: ")


async def test_a_plain_method_that_returns_an_awaitable_is_awaited():
    async def later():
        return Done("awaited")

    assert await outcome_in_thread(lambda _: later()) == Done("awaited")


async def test_a_thread_that_outlives_its_time_limit_keeps_the_handlers_place_until_it_ends():
    release = threading.Event()
    handler = opened("erp", Plainly(lambda _: release.wait(10)), timeout=0.01)

    outcome = await handle(handler, delivery(), context())

    assert outcome == Retry("TimedOut: no answer within 0.01 s")
    assert handler.stranded == 1
    release.set()
    await until(lambda: handler.stranded == 0)


async def test_many_plain_handlers_that_hang_do_not_keep_others_from_running():
    release = threading.Event()
    try:
        handler = opened("erp", Plainly(lambda _: release.wait(10)), timeout=0.01)
        await asyncio.gather(*(handle(handler, delivery(), context()) for _ in range(64)))

        assert handler.stranded == 64
        assert await outcome_in_thread(lambda _: Done("runs")) == Done("runs")
        assert await asyncio.to_thread(lambda: "the shared threads are free") == "the shared threads are free"
    finally:
        release.set()
        await until(lambda: handler.stranded == 0)
