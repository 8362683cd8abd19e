"""Deliveries whose mailbox cannot be asked: they wait, and pay nothing for it."""

from __future__ import annotations

import asyncio
import math

import pytest

from postroom.errors import Refused, Throttled, Unavailable
from postroom.model import Retry, RetryPolicy
from postroom.ports import LOCAL_BUDGET
from support.pipeline import MAILBOX, Scripted, ScriptedMail, counted, deliver, opened, until

POLICY = RetryPolicy(attempts=2, first=10.0, longest=100.0)


class Weather(ScriptedMail):
    """A mailbox whose texts cannot be read as long as there is an error."""

    error = None

    async def body(self, message_id, kind):
        if self.error is not None:
            raise self.error
        return await super().body(message_id, kind)


class Hanging(ScriptedMail):
    """A mailbox that never answers."""

    async def body(self, message_id, kind):
        await asyncio.Event().wait()


async def read(message, context):
    await context.body()


async def swallow(message, context):
    try:
        await context.body()
    except Exception as error:  # noqa: BLE001 - what a careless handler does
        return Retry(f"no text: {error}")


async def attempted(notes, dispatcher, clock, count):
    """Wait until so many attempts have ended, the clock going on in between."""
    for number in range(1, count + 1):
        await until(lambda number=number: len(notes.named("delivery")) >= number)
        await clock.advance(400)
        dispatcher.wake.set()


@pytest.mark.parametrize("work", [read, swallow])
async def test_no_attempt_is_used_up_in_an_outage_and_each_run_has_a_number_of_its_own(
    work, *, running, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    mail, handler = Weather(), Scripted(work)
    mail.error = Unavailable("Down.", status=503)

    async with running(opened("erp", handler, retry=POLICY), mail) as dispatcher:
        await attempted(notes, dispatcher, clock, 6)
        mail.error = None
        await clock.advance(400)
        dispatcher.wake.set()
        await counted(journal, "deliveries.done", 1)

    numbers = [attempt for _, attempt in handler.ran]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {each["state"] for each in notes.named("delivery")} <= {"ready", "done"}


async def test_a_mail_that_alone_cannot_be_read_becomes_a_dead_letter(*, running, journal, folder, clock, notes):
    await deliver(journal, folder, clock, "erp")
    mail = Weather()
    mail.error, mail.answered_at = Unavailable("Broken item.", status=500), math.inf

    async with running(opened("erp", Scripted(read), retry=POLICY), mail) as dispatcher:
        await attempted(notes, dispatcher, clock, 2)
        await counted(journal, "deliveries.dead", 1)


async def test_a_handler_that_waits_for_a_slot_it_holds_itself_becomes_a_dead_letter(
    *, running, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    mail, handler = Weather(), Scripted(read)
    mail.error, mail.answered_at = Throttled("All taken.", code=LOCAL_BUDGET), math.inf

    async with running(opened("erp", handler, retry=POLICY), mail) as dispatcher:
        await attempted(notes, dispatcher, clock, 2)
        await counted(journal, "deliveries.dead", 1)


async def test_who_shall_never_be_run_twice_is_not_even_when_the_mailbox_cannot_be_asked(
    *, running, journal, folder, clock
):
    await deliver(journal, folder, clock, "erp")
    mail, handler = Weather(), Scripted(read)
    mail.error = Unavailable("Down.", status=503)

    async with running(opened("erp", handler, retry=RetryPolicy(1, 10.0, 100.0)), mail):
        await counted(journal, "deliveries.dead", 1)
    assert len(handler.ran) == 1


async def test_a_time_limit_that_ends_while_the_mailbox_is_asked_is_the_mailboxs(
    *, running, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    async with running(opened("erp", Scripted(read), retry=POLICY, timeout=0.01), Hanging()) as dispatcher:
        await attempted(notes, dispatcher, clock, 4)
    assert {each["state"] for each in notes.named("delivery")} == {"ready"}
    assert "TimedOut" in notes.named("delivery")[0]["error"]


class Crowded(ScriptedMail):
    """A mailbox with one slot, which whoever reads an attachment keeps until `release`."""

    def __init__(self):
        super().__init__()
        self.release = asyncio.Event()

    async def attachment_content(self, message_id, attachment_id):
        yield b"first"
        await self.release.wait()

    async def body(self, message_id, kind):
        await self.release.wait()
        return await super().body(message_id, kind)


async def read_slowly(message, context):
    async for _ in context.attachment_content("1"):
        pass


async def test_handlers_that_wait_for_their_mailbox_in_vain_are_said_with_who_may_keep_them_waiting(
    *, running, journal, folder, clock, notes
):
    mail = Crowded()
    slow, erp = opened("slow", Scripted(read_slowly), timeout=60.0), opened("erp", Scripted(read), timeout=0.02)
    await deliver(journal, folder, clock, "slow")
    async with running(slow, mail, erp) as dispatcher:
        await until(lambda: slow.handler.under_way == 1)
        await deliver(journal, folder, clock, "erp", count=3)
        dispatcher.wake.set()
        await until(lambda: bool(notes.problems))
        subject, error = notes.problems[0]
        assert subject == f"requests {MAILBOX}"
        assert ": erp." in error.message
        assert "slow (1)" in error.message
        assert "concurrency" in error.remedy
        mail.release.set()
        await clock.advance(400)
        dispatcher.wake.set()
        await counted(journal, "deliveries.done", 4)
    assert notes.well.count(subject) == 1


async def test_one_mail_that_waits_in_vain_is_no_problem_of_the_mailbox(*, running, journal, folder, clock, notes):
    await deliver(journal, folder, clock, "erp")
    async with running(opened("erp", Scripted(read), retry=POLICY, timeout=0.01), Hanging()) as dispatcher:
        await attempted(notes, dispatcher, clock, 3)
    assert notes.problems == []


@pytest.mark.parametrize("code", ["MessageTooLarge", "ErrorCorruptData"])
async def test_what_no_further_attempt_changes_is_a_dead_letter_at_once(
    code, *, running, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    mail, handler = Weather(), Scripted(read)
    mail.error = Refused("Graph sent more than 16 MiB.", code=code)

    async with running(opened("erp", handler, retry=POLICY), mail):
        await counted(journal, "deliveries.dead", 1)
    assert len(handler.ran) == 1
