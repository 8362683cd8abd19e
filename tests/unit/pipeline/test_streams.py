"""No handler keeps a request of its mailbox in flight beyond its attempt, whatever it does."""

from __future__ import annotations

import asyncio

import pytest

from postroom.errors import HandlerError
from postroom.model import Done
from support.pipeline import Scripted, ScriptedMail, counted, deliver, opened, until


class Slots(ScriptedMail):
    """A mailbox that counts the streams that are open; the second piece comes when `more` is set."""

    def __init__(self):
        super().__init__()
        self.open = 0
        self.more = asyncio.Event()

    async def attachment_content(self, message_id, attachment_id):
        self.open += 1
        try:
            yield b"first"
            await self.more.wait()
            yield b"second"
        finally:
            self.open -= 1


class Careless:
    """Ways to leave streams open; what was begun is kept, so that no garbage collection tidies up."""

    def __init__(self):
        self.kept = []

    async def begin(self, context):
        stream = context.attachment_content("1")
        self.kept.append(stream)
        assert await anext(stream) == b"first"
        return stream

    async def stops_reading(self, _message, context):
        await self.begin(context)
        return Done()

    async def fails(self, _message, context):
        await self.begin(context)
        raise ValueError("in the middle")

    async def leaves_a_task(self, _message, context):
        stream = await self.begin(context)
        self.kept.append(asyncio.create_task(anext(stream)))
        await asyncio.sleep(0)
        return Done()

    async def is_too_slow(self, _message, context):
        await self.begin(context)
        await asyncio.Event().wait()


@pytest.mark.parametrize("way", ["stops_reading", "fails", "leaves_a_task", "is_too_slow"])
async def test_whatever_a_handler_leaves_open_is_closed_when_its_attempt_has_ended(
    way, *, running, journal, folder, clock, notes
):
    careless, mail = Careless(), Slots()
    await deliver(journal, folder, clock, "erp", count=3)
    async with running(opened("erp", Scripted(getattr(careless, way)), timeout=0.05), mail):
        await until(lambda: len(notes.named("delivery")) >= 3)
        await until(lambda: mail.open == 0, limit=1.0)
    assert len(careless.kept) >= 3


async def test_one_that_swallows_its_cancellation_keeps_no_stream_once_it_is_given_up(
    *, running, journal, folder, clock, notes
):
    careless, mail, release = Careless(), Slots(), asyncio.Event()

    async def swallow(_message, context):
        await careless.begin(context)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    await deliver(journal, folder, clock, "erp")
    handler = Scripted(swallow)
    async with running(opened("erp", handler, timeout=0.05), mail) as dispatcher:
        await until(lambda: mail.open == 1)
        await clock.advance(60)
        dispatcher.wake.set()
        await until(lambda: mail.open == 0)
        assert handler.under_way == 1
        release.set()
        await until(lambda: handler.under_way == 0)


async def test_after_its_attempt_content_is_refused_and_never_cut_short_in_silence(*, running, journal, folder, clock):
    careless, mail, contexts = Careless(), Slots(), []

    async def handle(message, context):
        contexts.append(context)
        return await careless.stops_reading(message, context)

    await deliver(journal, folder, clock, "erp")
    async with running(opened("erp", Scripted(handle)), mail):
        await counted(journal, "deliveries.done", 1)
        for stream in (careless.kept[0], contexts[0].attachment_content("2")):
            with pytest.raises(HandlerError, match="has ended"):
                await anext(stream)
        assert mail.open == 0
