"""The commands beside a running daemon: they show what happened, and nothing a stranger wrote steers a terminal."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import socket
import time

import pytest

from support.command import daemon, invoke
from support.daemon import MAILBOX

SUBJECT = "[bold red]\x1b[2J\x1b]0;gotcha\x07 offer \u202egnp.exe \x9b31m"
"""Clears the screen, renames the window, reverses the reading order."""

STEERING = ("\x1b", "\x07", "\x9b", "\u202e")


def hostile() -> bytes:
    subject = f"=?utf-8?b?{base64.b64encode(SUBJECT.encode()).decode()}?="
    return f"From: Eve <eve@out.example>\r\nTo: {MAILBOX}\r\nSubject: {subject}\r\n\r\nSecret words.\r\n".encode()


@pytest.fixture
def config(configure, gate):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return configure(
        f"console: {{listen: '127.0.0.1:{port}'}}\n"
        f"handlers: {{gate: {gate.handler}}}\n"
        f"mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: baits, when: {{subject: '*exe*'}},"
        " handle: [gate], then: {mark_read: true}}]}]\n"
    )


async def stored(config, delivery, state):
    """Wait until the journal has it: the log tells of an outcome just before that."""
    async with asyncio.timeout(10):
        while not [
            each
            for each in await shown("deliveries", "list", config)
            if (each["id"], each["state"]) == (delivery, state)
        ]:
            pass


async def test_what_happened_is_shown_in_words_and_in_json_and_a_dead_letter_gets_another_chance(config, gate, tenant):
    tenant.deliver(MAILBOX, hostile())
    async with daemon(config) as running:
        (await gate.attempt()).answer("reject")
        ended = await running.err.event("delivery", state="dead")
        await stored(config, ended["delivery"], "dead")
        (message,) = await shown("messages", "list", config)
        assert message["deliveries"] == {"gate": "dead"}
        (detail,) = await shown("messages", "show", config, message["id"])
        assert detail["deliveries"][0]["error"] == "the gate is shut"
        explained = await shown("messages", "explain", config, message["graph_id"])
        assert explained["rules"][0]["matched"] is True
        (mailbox,) = await shown("mailboxes", "list", config)
        assert (mailbox["address"], mailbox["backlog"]) == (MAILBOX, {"dead": 1})
        (dead,) = await shown("deliveries", "list", config, "--dead")

        ended = await invoke("deliveries", "retry", "-c", config, dead["id"])
        asked = time.monotonic()
        assert ended.out == "1 delivery is ready again.\n"
        again = await gate.attempt()
        assert time.monotonic() - asked < 2.0
        assert again.attempt == 2
        again.answer("retry")
        await running.err.event("delivery", state="ready")
        await stored(config, dead["id"], "ready")
        ended = await invoke("deliveries", "discard", "-c", config, dead["id"], "--reason", "spam")
        assert ended.out == "1 delivery is discarded.\n"
        assert (await invoke("deliveries", "discard", "-c", config, dead["id"], "--reason", "spam")).code == 1

        tenant.deliver(MAILBOX, f"From: e@out.example\r\nSubject: {'long ' * 40}.exe\r\n\r\nHi.\r\n".encode())
        (await gate.attempt()).answer("done")
        listed = await invoke("messages", "list", "-c", config)
        assert "long " * 39 in listed.out, "a row is a line where no terminal folds it"
        assert await running.stopped() == 0
    for secret in (tenant.client_secret, "Secret words", "eyJ"):
        assert secret not in running.text


async def shown(group, verb, config, *more):
    """Run a command for people and for scripts; returns what the script gets."""
    people = await invoke(group, verb, "-c", config, *more)
    assert (people.code, people.err) == (0, "")
    scripts = await invoke(group, verb, "-c", config, "--json", *more)
    for output in (people.out, scripts.out):
        assert not [steering for steering in STEERING if steering in output]
    if "gnp.exe" in people.out:
        assert r"[bold red]\x1b[2J" in people.out
    return json.loads(scripts.out)


async def test_health_tells_how_the_daemon_is(config, tenant):
    async with daemon(config) as running:
        await running.err.event("console")
        people, scripts = await invoke("health", "-c", config), await invoke("health", "-c", config, "--json")
        assert (people.code, scripts.code) == (0, 0)
        assert people.out.startswith("ok (running)")
        assert [each["mailbox"] for each in scripts.json["mailboxes"]] == [MAILBOX]
        tenant.app.mailboxes = frozenset({"somebody.else@contoso.example"})
        problem = await running.err.event("problem")
        people, scripts = await invoke("health", "-c", config), await invoke("health", "-c", config, "--json")
        assert people.out.startswith("degraded")
        assert scripts.json["problems"][0]["id"] == problem["id"]
        assert problem["id"] in people.out
        assert await running.stopped() == 0


async def test_health_finds_a_console_whose_port_the_system_chose_and_one_that_the_file_does_not_name_any_more(
    config, tmp_path
):
    text = config.read_text()
    config.write_text(re.sub(r"127\.0\.0\.1:\d+'", "127.0.0.1:0'", text))
    async with daemon(config) as running:
        assert (await invoke("health", "-c", config)).out.startswith("ok (running)")
        config.write_text(text)
        running.tell(signal.SIGHUP)
        await running.err.event("reload_failed")
        asked = await invoke("health", "-c", config, "--json")
        assert "cannot change `console`" in asked.json["problems"][0]["what"]
        assert await running.stopped() == 0
    assert not (tmp_path / "journal.db.console").exists()
    nobody = await invoke("health", "-c", config)
    assert (nobody.code, "--url" in nobody.err) == (69, True)


async def test_a_console_that_was_noted_by_a_daemon_that_died_is_not_asked(config, tmp_path):
    async with daemon(config) as running:
        assert (tmp_path / "journal.db.console").stat().st_mode & 0o777 == 0o640
        running.tell(signal.SIGKILL)
        await running.ended()
    assert (tmp_path / "journal.db.console").exists()
    config.write_text(re.sub(r"console: .*\n", "", config.read_text()))
    ended = await invoke("health", "-c", config)
    assert (ended.code, "no console to ask" in ended.err) == (1, True)


async def test_a_start_takes_the_note_of_an_earlier_daemon_away_also_when_it_has_no_console(config, tmp_path):
    config.write_text(re.sub(r"console: .*\n", "", config.read_text()))
    note = tmp_path / "journal.db.console"
    note.write_text(f"{os.getpid()} http://127.0.0.1:8642\n")
    async with daemon(config) as running:
        assert not note.exists()
        assert await running.stopped() == 0


async def test_the_configuration_that_a_simulated_tenant_prints_has_a_console_that_health_finds(tenant, tmp_path):
    config = tmp_path / "postroom.yaml"
    config.write_text(tenant.config_text())
    config.chmod(0o600)
    async with daemon(config):
        assert (await invoke("health", "-c", config)).out.startswith("ok (running)")
