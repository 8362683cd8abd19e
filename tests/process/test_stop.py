"""SIGTERM: what runs may finish, what takes too long is given back, and nothing holds up the end."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from support.command import command, daemon, postroom
from support.daemon import MAILBOX

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
    (delivery,) = (await command("deliveries", "list", "-c", path, "--json")).json
    assert (delivery["state"], delivery["attempt"]) == ("done", 1)


async def test_one_that_takes_longer_is_given_back_uncounted_and_runs_again_under_the_same_key(config, gate, deliver):
    deliver("one")
    path = config("1s")
    async with daemon(path) as running:
        first = await gate.attempt()
        assert await running.stopped() == 0
    (delivery,) = (await command("deliveries", "list", "-c", path, "--json")).json
    assert (delivery["state"], delivery["attempt"], delivery["suspect"]) == ("ready", 0, False)
    async with daemon(path) as running:
        second = await gate.attempt()
        second.answer("done")
        assert await running.stopped() == 0
    assert (first.attempt, second.attempt) == (1, 1)
    assert first.key == second.key


async def test_a_second_signal_leaves_at_once_and_what_ran_comes_back_with_a_higher_attempt(config, gate, deliver):
    deliver("one")
    path = config("1h")
    async with daemon(path) as running:
        await gate.attempt()
        running.tell(signal.SIGTERM)
        await running.err.event("stopping")
        assert await running.stopped() == 1
    async with daemon(path) as running:
        again = await gate.attempt()
        again.answer("done")
        assert again.attempt == 2
        assert await running.stopped() == 0


@pytest.mark.parametrize("kind", ["hang", "stubborn"])
async def test_a_handler_that_cannot_be_stopped_does_not_hold_up_the_end(config, gate, deliver, kind):
    deliver("one")
    async with daemon(config("1s")) as running:
        (await gate.attempt()).answer(kind)
        assert await running.stopped(limit=15.0) == 0
        assert running.err.log[-1]["event"] == "stopped"


async def test_a_stop_cuts_a_start_short_that_waits_for_the_login_host(config, tmp_path):
    """A host that takes connections and says nothing."""
    held, connected = [], asyncio.Event()

    def hold(_, writer):
        held.append(writer)
        connected.set()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    path = config()
    port = server.sockets[0].getsockname()[1]
    text = path.read_text()
    login = text.partition('login: "')[2].partition('"')[0]
    path.write_text(text.replace(f'login: "{login}"', f'login: "https://127.0.0.1:{port}"'))
    async with postroom("run", "-c", path) as running:
        async with asyncio.timeout(20):
            await connected.wait()
        began = time.monotonic()
        assert await running.stopped() == 0
        assert time.monotonic() - began < 5.0
    for writer in held:
        writer.close()
    server.close()
