"""`postroom check` and `postroom schema`, as typed."""

from __future__ import annotations

import asyncio
import json

import pytest

from postroom.cli import check as module
from postroom.cli.check import check_command
from postroom.cli.main import run
from postroom.errors import ExitCode, PostroomError, Problem

GOOD = (
    "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
    "credential: {managed_identity: true}}\n"
    "mailboxes: [{address: a@b.example, rules: [{handle: log}]}]\n"
)


@pytest.fixture
def file(tmp_path):
    """Write a configuration and return its path."""

    def file(text: str) -> str:
        path = tmp_path / "postroom.yaml"
        path.write_text(text)
        return str(path)

    return file


def test_a_good_file_is_ready(file, capsys):
    assert run(["check", "-c", file(GOOD)]) == ExitCode.OK
    assert "ready (1 mailbox, 1 rule, 1 handler; 0 errors, 0 warnings)" in capsys.readouterr().out


def test_each_problem_is_a_line_that_begins_with_its_place(file, capsys):
    path = file(GOOD.replace("log", "logg").replace("address", "adress"))
    assert run(["check", "-c", path]) == ExitCode.CONFIG
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}:2:14: mailboxes.0.adress: ")
    assert lines[1].startswith(f"{path}:2:52: mailboxes.0.rules.0.handle: there is no handler logg (did you mean log?)")
    assert lines[-1] == f"{path}: 2 errors, 0 warnings"


def test_a_warning_is_no_failure(file, capsys):
    assert run(["check", "-c", file(GOOD + "handlers: {a: {use: log}}\n")]) == ExitCode.OK
    assert "[PR042] (warning)" in capsys.readouterr().out


def test_scripts_get_json(file, capsys):
    path = file("version: 2\n" + GOOD)
    assert run(["check", "-c", path, "--json"]) == ExitCode.CONFIG
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["ok"]) == (path, False)
    assert [(each["id"], each["line"], each["column"], each["path"]) for each in told["problems"]] == [
        ("PR013", 1, 10, "version")
    ]


def test_a_missing_file_is_a_wrong_configuration(tmp_path, capsys):
    assert run(["check", "-c", str(tmp_path / "none.yaml")]) == ExitCode.CONFIG
    assert "No such file" in capsys.readouterr().out


def invoke(online, *arguments):
    return check_command(online).main(list(arguments), standalone_mode=False)


def test_online_finds_what_the_file_does_not_tell(file, capsys):
    asked = []

    async def online(config):
        asked.append(config.mailboxes[0].address)
        return [Problem("PR900", "error", "mailboxes.0", "there is no such mailbox; correct the address")]

    path = file(GOOD)
    assert invoke(online, "-c", path) == ExitCode.OK
    assert asked == []
    assert invoke(online, "-c", path, "--online") == ExitCode.FAILED
    assert asked == ["a@b.example"]
    assert "mailboxes.0: there is no such mailbox" in capsys.readouterr().out


def test_online_is_not_tried_with_a_wrong_file(file):
    async def online(config):
        raise AssertionError("must not be called")

    assert invoke(online, "-c", file("version: 2\n"), "--online") == ExitCode.CONFIG


def test_online_ends_in_time(file, monkeypatch):
    async def online(config):
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "ONLINE_LIMIT", 0.01)
    with pytest.raises(PostroomError, match="given up"):
        invoke(online, "-c", file(GOOD), "--online")


def test_schema_prints_the_schema_with_the_installed_handlers(capsys):
    assert run(["schema"]) == ExitCode.OK
    schema = json.loads(capsys.readouterr().out)
    assert "with.save_attachments" in schema["$defs"]
