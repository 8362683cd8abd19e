"""SIGHUP: a good configuration is taken over whole, a wrong one not at all, and what runs goes on."""

from __future__ import annotations

import signal
import time

import pytest

from support.command import daemon
from support.daemon import MAILBOX
from support.systemd import Systemd

OTHER = "support@contoso.example"


@pytest.fixture
async def systemd(tmp_path):
    async with Systemd(tmp_path) as running:
        yield running


def text(gate, *mailboxes, mark="old"):
    watched = "".join(
        f"  - {{address: {each}, poll: 1s, start: all, rules: [{{name: all, handle: [gate]}}]}}\n" for each in mailboxes
    )
    return f"handlers: {{gate: {gate.configured(mark)}}}\nmailboxes:\n{watched}"


async def reload(running, event):
    """Send SIGHUP and wait for what comes of it."""
    seen = len(running.err.lines)
    running.tell(signal.SIGHUP)
    return await running.err.event(event, after=seen)


async def test_a_new_configuration_takes_effect_and_what_runs_finishes_on_the_old_one(
    configure, gate, deliver, systemd, tenant
):
    config = configure(text(gate, MAILBOX, OTHER))
    async with daemon(config, NOTIFY_SOCKET=str(systemd.address)) as running:
        assert (await systemd.hear("READY"))["STATUS"].startswith("ok: 2 folders")
        deliver("under way")
        under_way = await gate.attempt()
        configure(text(gate, MAILBOX, mark="new"), credential=f'{{certificate_file: "{tenant.certificate_file}"}}')
        await reload(running, "reloaded")
        told = await systemd.hear("RELOADING")
        assert 0 < int(told["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert (await systemd.hear("READY", 2))["STATUS"].startswith("ok: 1 folders")

        deliver("nobody looks here any more", OTHER)
        deliver("after")
        after = await gate.attempt()
        assert (under_way.mark, after.mark, after.subject) == ("old", "new", "after")
        under_way.answer("done")
        after.answer("done")
        assert gate.waiting == 0
        assert await running.stopped() == 0
        assert (await systemd.hear("STOPPING"))["STATUS"]
        assert [line["event"] for line in running.err.log if line["level"] in ("warning", "error")] == []


async def test_a_refused_configuration_leaves_the_old_one_running_and_says_why(
    configure, gate, deliver, systemd, tmp_path
):
    good = text(gate, MAILBOX)
    config = configure(good)
    async with daemon(config, NOTIFY_SOCKET=str(systemd.address)) as running:
        configure(good.replace("handle: [gate]", "handle: [gat], then: {mark_red: true}"))
        told = await reload(running, "reload_failed")
        assert told["reason"].startswith("2 problems in the configuration.")
        problem = await running.err.event("configuration", problem="PR041")
        assert "did you mean gate?" in problem["what"]
        assert problem["place"].startswith(f"{config}:")

        configure(text(gate, MAILBOX, mark="broken"))
        assert "the gate is rusty" in (await reload(running, "reload_failed"))["reason"]

        configure(good.replace("handlers", "console: {listen: '127.0.0.1:0'}\nhandlers"))
        config.write_text(config.read_text().replace("journal.db", "other.db"))
        reason = (await reload(running, "reload_failed"))["reason"]
        assert "cannot change `journal` and `console`" in reason
        assert "Restart the daemon" in reason

        configure(good, credential='{client_secret: "wrong"}')
        assert "AADSTS7000215" in (await reload(running, "reload_failed"))["reason"]
        await systemd.hear("READY", 5)
        assert systemd.count("RELOADING") == 4

        deliver("still handled")
        (await gate.attempt()).answer("done")
        configure(f"log: {{level: debug}}\n{good}")
        seen = len(running.err.lines)
        await reload(running, "reloaded")
        await running.err.event("round", after=seen, level="debug")
        assert await running.stopped() == 0
        assert "Traceback" not in running.text


async def test_a_stop_cuts_a_reload_short(configure, gate, tmp_path):
    """Its handler takes an hour to open."""
    slow = tmp_path / "slow.py"
    slow.write_text(SLOW)
    config = configure(text(gate, MAILBOX))
    async with daemon(config) as running:
        handlers = text(gate, MAILBOX).replace("{gate:", f'{{slow: {{use: "{slow}:Slow"}}, gate:')
        configure(handlers.replace("[gate]", "[gate, slow]"))
        running.tell(signal.SIGHUP)
        await running.err.until(lambda line: "opening" in line, "the handler")
        assert await running.stopped(limit=10.0) == 0
        assert running.err.log[-1]["event"] == "stopped"


SLOW = '''
import asyncio
import logging

from postroom.plugin import Handler, Options


class Slow(Handler[Options]):
    """Take long to open."""

    async def open(self):
        logging.getLogger("slow").warning("opening")
        await asyncio.sleep(3600)

    async def handle(self, message, context):
        """Do nothing."""
'''
