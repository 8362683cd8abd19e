"""What `postroom health` tells a person."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from postroom.cli.main import run

PROBLEM = {"id": "a1", "where": "sign-in", "what": "No.\x1b[2J", "what_to_do": "Sign.", "since": "now", "count": 1}
SNAPSHOT = {
    "status": "degraded",
    "phase": "running",
    "mailboxes": [],
    "problems": [PROBLEM],
    "counts": {"deliveries.dead": 3, "deliveries.done": 8, "actions.dead": 2},
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
        thread = Thread(target=server.serve_forever)
        thread.start()
        path = tmp_path / "postroom.yaml"
        path.write_text(f"console: {{listen: '127.0.0.1:{server.server_port}'}}\ntenant: '${{NOT_HERE}}'\n")
        yield str(path)
        server.shutdown()
        thread.join()


def test_problems_are_paragraphs_and_dead_letters_are_counted_whatever_else_the_file_lacks(config, capsys):
    assert run(["health", "-c", config]) == 0
    told = capsys.readouterr().out
    assert "sign-in: No.\\x1b[2J\n    what to do: Sign.\n    since now, 1 time, id a1\n" in told
    assert "3 dead letters: postroom deliveries list --dead" in told
    assert "2 dead sets of mail actions: postroom messages list --dead" in told
