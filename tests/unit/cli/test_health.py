"""What `postroom health` tells a person."""

from __future__ import annotations

import json
import os
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from postroom.cli.main import run

PROBLEM = {"id": "a1", "where": "sign-in", "what": "No.\x1b[2J", "what_to_do": "Sign.", "since": "now", "count": 1}
SNAPSHOT = {
    "status": "degraded",
    "phase": "running",
    "mailboxes": [],
    "problems": [PROBLEM],
    "notices": [
        {"what": "3 dead letters", "what_to_do": "`postroom deliveries list --dead` shows why.", "count": 3},
        {"what": "5 answers were withheld", "what_to_do": "Raise it.", "count": 5},
    ],
    "counts": {"deliveries.dead": 3, "deliveries.done": 8},
}


class Console(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(SNAPSHOT).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def config(tmp_path):
    with HTTPServer(("127.0.0.1", 0), Console) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        path = tmp_path / "postroom.yaml"
        path.write_text(f"console: {{listen: '127.0.0.1:{server.server_port}'}}\ntenant: '${{NOT_HERE}}'\n")
        yield str(path)
        server.shutdown()
        thread.join()


@pytest.fixture
def unreadable(config, tmp_path):
    """A file that is no YAML any more, while the daemon goes on."""
    path = tmp_path / "broken.yaml"
    path.write_text("console: {listen: [\n")
    return str(path)


def test_an_unreadable_file_is_said_and_the_usual_console_asked_all_the_same(
    config, unreadable, tmp_path, capsys, monkeypatch
):
    usual = f"http://{(tmp_path / 'postroom.yaml').read_text().split(chr(39))[1]}"
    monkeypatch.setattr("postroom.cli.health.USUAL", usual)
    assert run(["health", "-c", unreadable]) == 0
    told = capsys.readouterr()
    assert "broken.yaml" in told.err
    assert f"Asking at {usual} instead" in told.err
    assert told.out.startswith("degraded (running)\n")


def test_an_unreadable_file_is_the_exit_code_when_nobody_answers_either(unreadable, capsys, monkeypatch):
    monkeypatch.setattr("postroom.cli.health.USUAL", "http://127.0.0.1:1")
    assert run(["health", "-c", unreadable]) == 78
    told = " ".join(capsys.readouterr().err.split())
    assert "broken.yaml" in told
    assert "No daemon answers at http://127.0.0.1:1/healthz" in told


def test_a_console_that_is_named_is_asked_whatever_the_file_says(config, unreadable, tmp_path, capsys):
    usual = f"http://{(tmp_path / 'postroom.yaml').read_text().split(chr(39))[1]}"
    assert run(["health", "-c", unreadable, "--url", f"{usual}/"]) == 0
    told = capsys.readouterr()
    assert (told.err, told.out.splitlines()[0]) == ("", "degraded (running)")


def test_problems_are_paragraphs_and_notices_lines_whatever_else_the_file_lacks(config, capsys):
    assert run(["health", "-c", config]) == 0
    told = capsys.readouterr().out
    assert "sign-in: No.\\x1b[2J\n    what to do: Sign.\n    since now, 1 time, id a1\n" in told
    assert "\n3 dead letters: `postroom deliveries list --dead` shows why.\n" in told
    assert "\n5 answers were withheld: Raise it.\n" in told


@pytest.fixture
def note(config, tmp_path):
    """Where the note of a living process lies, beside the journal of the configuration."""
    file = Path(config)
    file.write_text(f"{file.read_text()}journal: 'sqlite:///{tmp_path}/journal.db'\n")
    return tmp_path / "journal.db.console"


def test_a_note_of_which_a_part_is_missing_is_not_asked(config, note, capsys):
    note.write_text(f"{os.getpid()} http://127.0.0.1")
    assert run(["health", "-c", config]) == 0
    assert capsys.readouterr().out.startswith("degraded (running)\n")


@pytest.fixture
def silence(monkeypatch):
    """The address of a daemon whose event loop is blocked: the system takes connections, and nobody answers them."""
    monkeypatch.setattr("postroom.cli.health.LIMIT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_daemon_that_lives_and_does_not_answer_is_said_to_and_what_to_do(config, note, silence, capsys):
    note.write_text(f"{os.getpid()} {silence}\n")
    assert run(["health", "-c", config]) == 69
    told = " ".join(capsys.readouterr().err.split())
    assert f"The daemon lives (process {os.getpid()}), but has not answered" in told
    assert "Is it running?" not in told
    assert "`blocked`" in told


def test_who_listens_and_does_not_answer_is_not_taken_for_one_that_is_not_there(config, silence, capsys):
    assert run(["health", "-c", config, "--url", silence]) == 69
    told = " ".join(capsys.readouterr().err.split())
    assert "Somebody listens, but has not answered" in told
    assert "Is it running?" not in told


def test_where_nobody_listens_at_the_noted_address_the_configured_one_is_asked(config, note, capsys):
    """The number of a process that has died may be another's by now: in a container a daemon is always the first."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        note.write_text(f"{os.getpid()} http://127.0.0.1:{closed.getsockname()[1]}\n")
        assert run(["health", "-c", config]) == 0
    assert capsys.readouterr().out.startswith("degraded (running)\n")


def test_an_address_that_is_none_is_not_taken_for_another_program(capsys):
    assert run(["health", "--url", "localhost"]) == 69
    assert "is not Postroom" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "said", [b"HTTP/1.0 200 OK\r\n\r\n<html>", b"HTTP/1.0 404 No\r\n\r\nno", b"220 smtp.example\r\n", b"\xff"]
)
def test_what_answers_and_is_not_postroom_is_said_to_be_something_else(capsys, said):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as caller:
                caller.recv(65536)
                caller.sendall(said)

        thread = Thread(target=answer)
        thread.start()
        assert run(["health", "--url", f"http://127.0.0.1:{server.getsockname()[1]}"]) == 69
        thread.join()
    told = " ".join(capsys.readouterr().err.split())
    assert "is not Postroom" in told
    assert "Expecting value" not in told
