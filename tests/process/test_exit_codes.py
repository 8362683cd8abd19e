"""How each command ends, as docs/reference/exit-codes.md promises."""

from __future__ import annotations

import json
import signal
import socket

import pytest

from postroom.errors import HandlerError
from support.command import command, daemon, invoke, postroom
from support.daemon import MAILBOX, load_config, run_daemon
from support.silent import SilentHost

RULES = f"mailboxes: [{{address: {MAILBOX}, poll: 1s, rules: [{{handle: log}}]}}]\n"

BAD = """\
version: 2
journal: nowhere
tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {managed_identity: true}}
mailboxes: [{address: a@b.example, pol: 1s, rules: [{handle: logg}]}]
"""


async def test_a_wrong_configuration_ends_each_command_with_78_and_all_of_its_problems(tmp_path):
    config = tmp_path / "postroom.yaml"
    config.write_text(BAD)
    ended = await command("run", "-c", config)
    asked = [await invoke(*each, "-c", config) for each in (["check"], ["token"])]
    listed = await invoke("messages", "list", "-c", config)
    assert (listed.code, "PR026" in listed.text, "PR013" in listed.text) == (78, True, False)
    for each in (ended, *asked):
        assert each.code == 78
        for problem in ("PR013", "PR026", "PR010", "PR041"):
            assert problem in each.text
    told = [json.loads(line) for line in ended.err.splitlines()]
    assert [each["place"].removeprefix(f"{config}:") for each in told[:-1]] == ["1:10", "2:10", "4:36", "4:62"]
    assert (told[-1]["event"], told[-1]["what"]) == ("problem", "4 problems in the configuration.")


async def test_a_second_daemon_on_the_same_journal_ends_with_75_and_names_the_first(configure):
    config = configure(RULES)
    async with daemon(config) as first:
        second = await command("run", "-c", config)
        assert second.code == 75
        (told,) = (json.loads(line) for line in second.err.splitlines())
        assert f"process {first.process.pid}" in told["what"]
        assert await first.stopped() == 0


async def test_a_journal_that_cannot_be_used_ends_with_74(configure, tmp_path):
    config = configure(RULES)
    (tmp_path / "journal.db").write_bytes(b"this is no database, and long enough to be looked at" * 100)
    for ended in (await command("run", "-c", config), await invoke("messages", "list", "-c", config)):
        assert ended.code == 74
        assert "journal.db" in ended.err


async def test_a_command_on_a_journal_that_was_never_made_ends_with_74(configure):
    ended = await invoke("messages", "list", "-c", configure(RULES))
    assert ended.code == 74
    assert "start the daemon once" in ended.err


async def test_wrong_usage_ends_with_2():
    for arguments in (["rum"], ["run", "--quick"], ["deliveries", "retry"], ["messages", "list", "--limit", "0"]):
        assert (await invoke(*arguments)).code == 2


async def test_a_daemon_nobody_finds_ends_health_with_69_and_one_without_a_console_with_1(configure):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = configure(f"console: {{listen: '127.0.0.1:{free.getsockname()[1]}'}}\n{RULES}")
        assert (await invoke("health", "-c", config)).code == 69
    ended = await invoke("health", "-c", configure(RULES))
    assert (ended.code, "has no console" in ended.err) == (1, True)


async def test_a_console_that_cannot_listen_ends_the_start_with_1_and_the_place(configure):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = await command("run", "-c", configure(f"console: {{listen: '{place}'}}\n{RULES}"))
    assert ended.code == 1
    told = json.loads(ended.err.splitlines()[-1])
    assert place in told["what"]
    assert "console.listen" in told["remedy"]


async def test_handlers_that_do_not_find_what_they_need_end_the_start_with_78_and_are_all_named(configure):
    handlers = "a: {use: save_attachments, with: {directory: /proc/x}}, b: {use: command, with: {command: [/no/such]}}"
    config = configure(f"handlers: {{{handlers}}}\n{RULES.replace('log', '[a, b]')}")
    ended = await command("run", "-c", config)
    assert ended.code == 78
    told = [line for line in map(json.loads, ended.err.splitlines()) if line.get("problem") == "PR048"]
    assert [line["path"] for line in told] == ["handlers.a.with", "handlers.b.with"]
    assert all(str(config) in line["place"] for line in told)


async def test_a_handler_that_cannot_open_ends_the_start_with_its_words_and_1(configure, gate):
    config = load_config(configure(f"handlers: {{gate: {gate.configured('broken')}}}\n{RULES.replace('log', 'gate')}"))
    with pytest.raises(HandlerError, match="the gate is rusty") as refused:
        async with run_daemon(config):
            pass
    assert refused.value.exit_code == 1


async def test_a_login_host_that_cannot_be_reached_ends_token_with_69(configure, elsewhere):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ended = await invoke("token", "-c", elsewhere(configure(RULES), f"https://127.0.0.1:{free.getsockname()[1]}"))
    assert ended.code == 69
    assert "no connection to the login host" in ended.err


async def test_an_interrupted_command_ends_with_130(configure, elsewhere):
    async with (
        SilentHost() as host,
        postroom("token", "-c", elsewhere(configure(RULES), host.url)) as running,
    ):
        await host.visited()
        running.tell(signal.SIGINT)
        assert await running.ended() == 130
        assert running.err.lines[-1] == "Interrupted."
