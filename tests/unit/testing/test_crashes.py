"""A handler is cut off wherever it waits, run again, and found out when that leaves something else behind."""

from __future__ import annotations

import http.server
import threading

import pytest

from postroom.plugin import Handler, Options
from postroom.testing import FakeContext, make_attachment, repeat_at_every_crash


class Nothing(Options):
    """No options."""


class World:
    """What a handler brings about; `mailed` once for each time."""

    mailed: list[str] = []  # noqa: RUF012 - what is outside of a process outlives each object in it
    runs: list[tuple[int, str]] = []  # noqa: RUF012 - same


def begin() -> None:
    World.mailed.clear()


def mailed() -> list[str]:
    return list(World.mailed)


class Careful(Handler[Nothing]):
    """Mail with the key, to somebody who takes each key once."""

    async def handle(self, message, context):
        async with context.once("mailed") as first:
            if first and context.idempotency_key not in World.mailed:
                World.mailed.append(context.idempotency_key)


class Forgetful(Handler[Nothing]):
    """Mail and remember nothing."""

    async def handle(self, message, context):
        World.mailed.append("a")
        await context.body()


class Hasty(Handler[Nothing]):
    """Remember before mailing."""

    async def handle(self, message, context):
        if await context.once("mailed"):
            World.mailed.append("a")


class Counting(Handler[Nothing]):
    """Count in its state, and mail how many there were."""

    async def handle(self, message, context):
        count = await context.state.get("count", 0)
        await context.state.set("count", count + 1)
        World.mailed.append(str(count + 1))


class Tidying(Handler[Nothing]):
    """Mail when it is cancelled, which a killed process cannot."""

    async def handle(self, message, context):
        try:
            await context.body()
        except BaseException:
            World.mailed.append("bye")
            raise


class Noting(Handler[Nothing]):
    """Note how it is run."""

    async def handle(self, message, context):
        World.runs.append((context.attempt, context.idempotency_key))
        await context.headers()


class Threaded(Handler[Nothing]):
    """Mail from a thread."""

    def handle(self, message, context):
        World.mailed.append("a")


class Reading(Handler[Nothing]):
    """Use everything there is."""

    async def handle(self, message, context):
        await context.body()
        await context.headers()
        async for file in context.attachments():
            await file.read()
        async with context.mime():
            pass
        await context.state.get("k")
        await context.state.set("k", 1)
        await context.state.add("k")
        await context.once("e")


class Posting(Handler[Nothing]):
    """Post to another system."""

    async def handle(self, message, context):
        async with context.http.post(World.url, headers={"key": context.idempotency_key}) as response:
            await response.read()


async def test_a_handler_that_bears_a_repeat_passes_at_every_point():
    points = await repeat_at_every_crash(Careful, begin, mailed)
    assert points == [
        "the start",
        "once('mailed'), entered",
        "once('mailed'), not recorded yet",
        "once('mailed'), recorded",
        "the end",
    ]


@pytest.mark.parametrize(
    ("handler", "point"),
    [(Forgetful, "body"), (Hasty, "recorded"), (Counting, "stored"), (Threaded, "the end")],
)
async def test_a_handler_that_repeats_or_loses_an_effect_is_found_out_with_the_point(handler, point):
    with pytest.raises(AssertionError, match=rf"point \d of \d \(.*{point}"):
        await repeat_at_every_crash(handler, begin, mailed)


async def test_what_a_killed_process_cannot_do_is_not_done_before_the_effects_are_compared():
    await repeat_at_every_crash(Tidying, begin, mailed)


async def test_the_repeat_has_a_higher_attempt_and_the_same_key():
    World.runs.clear()
    await repeat_at_every_crash(Noting, begin, list)
    assert {attempt for attempt, _ in World.runs} == {1, 2}
    assert len({key for _, key in World.runs}) == 1


async def test_every_call_of_the_context_is_a_point():
    files = [make_attachment("a.pdf", b"abc")]
    points = await repeat_at_every_crash(Reading, begin, mailed, attachments=files)
    for call in ("body", "headers", "attachments", "content of", "mime", "state.get", "state.set", "state.add", "once"):
        assert any(point.startswith(call) for point in points), call


async def test_requests_to_other_systems_are_points_and_a_repeat_is_seen_by_its_key():
    posted = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(receiver):  # noqa: N805 - there is no other self
            posted.append(receiver.headers["key"])
            receiver.send_response(204)
            receiver.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        World.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            points = await repeat_at_every_crash(Posting, posted.clear, lambda: set(posted))
            with pytest.raises(AssertionError, match="after POST"):
                await repeat_at_every_crash(Posting, posted.clear, lambda: len(posted))
        finally:
            server.shutdown()
            thread.join()
    assert points == ["the start", "before POST to another system", "after POST to another system", "the end"]


async def test_a_handler_that_hangs_by_itself_is_not_waited_for():
    class Hanging(Handler[Nothing]):
        """Wait for nothing that comes."""

        async def handle(self, message, context):
            await FakeContext(stalls=True).body()

    with pytest.raises(TimeoutError, match="Hanging"):
        await repeat_at_every_crash(Hanging, begin, mailed, timeout=0.01)
