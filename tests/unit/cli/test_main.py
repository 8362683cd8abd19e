"""How errors become words and exit codes."""

from __future__ import annotations

import io
import json
import sys

import pytest

from postroom.cli import serve
from postroom.cli.main import COMMANDS, cli, run
from postroom.cli.serve import make_report
from postroom.cli.words import exit_code, show
from postroom.config import LogSettings
from postroom.errors import AuthError, ConfigError, ExitCode, GraphError, JournalLocked, PostroomError, Problem

STEERING = "\x1b[2J\x07\u202e\x9b"


def raising(error):
    def main(*_, **__):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PostroomError("no"), 1),
        (ConfigError([Problem("PR001", "error", "", "wrong")]), 78),
        (JournalLocked("held"), 75),
        (GraphError("gone"), 69),
        (AuthError("refused", code="AADSTS7000215"), 77),
        (AuthError("not there", code="unreachable"), 69),
        (ValueError("a defect"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(monkeypatch, capsys, error, code):
    monkeypatch.setattr(cli, "main", raising(error))
    assert run([]) == code
    assert capsys.readouterr().err


def test_a_defect_says_where_it_was_raised_and_asks_for_a_report(monkeypatch, capsys):
    monkeypatch.setattr(cli, "main", raising(ValueError("seven is not a colour")))
    run([])
    told = capsys.readouterr().err
    assert "ValueError: seven is not a colour" in told
    assert "Report it" in told
    assert "test_main.py" in told
    assert "Traceback" not in told


def test_an_error_is_shown_whole_and_steers_no_terminal(capsys):
    show(PostroomError(f"Folder [bold]{STEERING} is lost.", remedy=f"Find {STEERING} it.", mailbox=f"a{STEERING}"))
    told = capsys.readouterr().err
    assert r"error: Folder [bold]\x1b[2J\x07\u202e\x9b is lost." in told
    assert r"what to do: Find \x1b[2J\x07\u202e\x9b it." in told
    assert not set(STEERING) & set(told) - set("[2J")


def test_every_command_is_there_and_says_what_it_does(capsys):
    for name in COMMANDS:
        assert run([name, "--help"]) == 0
        assert "Usage: postroom" in capsys.readouterr().out


def test_help_names_the_exit_codes(capsys):
    assert run(["--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for code in (ExitCode.FAILED, ExitCode.USAGE, ExitCode.UNAVAILABLE, ExitCode.SIGN_IN, ExitCode.CONFIG):
        assert str(code.value) in told


class Terminal(io.StringIO):
    """A standard error that somebody watches."""

    def isatty(self):
        return True


REFUSED = ConfigError([Problem("PR041", "error", "handle", "there is no handler logg", "p.yaml", 3, 5)])


def last_words(monkeypatch, stream, **settings):
    monkeypatch.setattr(sys, "stderr", stream)
    settings = LogSettings(**settings)
    assert serve._last_words(make_report(settings), settings, REFUSED) == ExitCode.CONFIG
    return stream.getvalue()


def test_a_person_at_a_terminal_gets_plain_words(monkeypatch):
    told = last_words(monkeypatch, Terminal())
    assert "p.yaml:3:5: handle: there is no handler logg [PR041]" in told
    assert "error: 1 problem in the configuration." in told
    assert '"event"' not in told


@pytest.mark.parametrize(("stream", "format_"), [(io.StringIO, "auto"), (Terminal, "json")])
def test_everything_else_gets_log_lines(monkeypatch, stream, format_):
    problem, end = map(json.loads, last_words(monkeypatch, stream(), format=format_).splitlines())
    assert (problem["event"], problem["problem"], problem["place"]) == ("configuration", "PR041", "p.yaml:3:5")
    assert (end["event"], end["level"], end["what"]) == ("problem", "error", "1 problem in the configuration.")
    assert "postroom check" in end["remedy"]


def test_the_exit_code_of_an_outage_is_not_that_of_a_refusal():
    assert exit_code(AuthError("no route", code="unreachable")) is ExitCode.UNAVAILABLE


@pytest.mark.parametrize(("typed", "found"), [("postroom deli", "deliveries"), ("postroom deliveries re", "retry")])
def test_the_shell_can_complete_commands(capsys, monkeypatch, typed, found):
    monkeypatch.setenv("_POSTROOM_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out == f"plain,{found}\n"
