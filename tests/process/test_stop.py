"""SIGTERM: what runs may finish, what takes too long is given back, and nothing holds up the end."""

from __future__ import annotations

import signal
import time

import pytest

from support.command import daemon, invoke, postroom
from support.daemon import MAILBOX
from support.silent import SilentHost

RULES = f"""
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [gate]}}]}}]
"""


@pytest.fixture
def config(configure, gate):
    def write(drain: str = "10s"):
        path = configure(f"handlers: {{gate: {gate.handler}}}\n{RULES}")
        path.write_text(path.read_text().replace("drain: 5s", f"drain: {drain}"))
        return path

    return write


async def test_a_running_delivery_finishes_within_the_drain_limit(config, gate, deliver):
    deliver("one")
    path = config()
    async with daemon(path) as running:
        attempt = await gate.attempt()
        running.tell(signal.SIGTERM)
        await running.err.event("stopping")
        attempt.answer("done")
        assert await running.ended() == 0
    (delivery,) = (await invoke("deliveries", "list", "-c", path, "--json")).json
    assert (delivery["state"], delivery["attempt"]) == ("done", 1)


async def test_a_switch_that_ends_the_daemon_is_announced_at_its_start(config):
    async with daemon(config(), POSTROOM_CRASH_AT="stop.closed:9") as running:
        told = await running.err.event("failure_point")
        assert (told["level"], told["point"], told["left"], told["variable"]) == (
            "warning",
            "stop.closed",
            9,
            "POSTROOM_CRASH_AT",
        )
        assert await running.stopped() == 0


async def test_one_that_takes_longer_is_given_back_at_no_cost_and_a_second_signal_ends_it_at_once(
    config, gate, deliver
):
    deliver("one")
    path = config("200ms")
    async with daemon(path) as running:
        first = await gate.attempt()
        assert await running.stopped() == 0
    (delivery,) = (await invoke("deliveries", "list", "-c", path, "--json")).json
    assert (delivery["state"], delivery["attempt"], delivery["granted"]) == ("ready", 1, 1)
    assert not delivery["suspect"]

    async with daemon(config("1h")) as running:
        second = await gate.attempt()
        running.tell(signal.SIGTERM)
        await running.err.event("stopping")
        assert await running.stopped() == 1
    async with daemon(path) as running:
        third = await gate.attempt()
        third.answer("done")
        assert await running.stopped() == 0
    assert [first.attempt, second.attempt, third.attempt] == [1, 2, 3], "each knows that it is a repeat"
    assert first.key == second.key == third.key


async def test_handlers_that_cannot_be_stopped_do_not_hold_up_the_end(config, gate, deliver):
    """One waits in a thread, the other swallows its cancellation."""
    deliver("one")
    deliver("two")
    async with daemon(config("500ms")) as running:
        (await gate.attempt()).answer("hang")
        (await gate.attempt()).answer("stubborn")
        assert await running.stopped(limit=15.0) == 0
        assert running.err.log[-1]["event"] == "stopped"


async def test_a_stop_cuts_a_start_short_that_waits_for_the_login_host(config, elsewhere):
    async with SilentHost() as host, postroom("run", "-c", elsewhere(config(), host.url)) as running:
        await host.visited()
        began = time.monotonic()
        assert await running.stopped() == 0
        assert time.monotonic() - began < 5.0
        assert [line["event"] for line in running.err.log] == ["stopped"]
