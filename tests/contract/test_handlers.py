"""Every built-in handler keeps the contract that a stranger's handler is held to."""

import http.server
import json
import threading
from collections import defaultdict

import pytest

from postroom.handlers.command import Command
from postroom.handlers.log import Log
from postroom.handlers.save_attachments import SaveAttachments
from postroom.handlers.save_message import SaveMessage
from postroom.handlers.webhook import Webhook
from postroom.registry import HandlerRegistry
from postroom.testing import HandlerContract


class TestLog(HandlerContract):
    handler = Log


class TestSaveAttachments(HandlerContract):
    handler = SaveAttachments

    def options(self, directory):
        return {"directory": directory / "{mailbox}" / "{date}"}


class TestSaveMessage(HandlerContract):
    handler = SaveMessage

    def options(self, directory):
        return {"directory": directory}


class TestSaveMessageToMaildir(HandlerContract):
    handler = SaveMessage

    def options(self, directory):
        return {"directory": directory, "format": "maildir"}


class TestCommand(HandlerContract):
    handler = Command

    def options(self, directory):
        script = 'cat > "$POSTROOM_MESSAGE_ID"'
        return {"command": ["/bin/sh", "-c", script], "working_directory": directory}


class TestWebhook(HandlerContract):
    handler = Webhook

    @pytest.fixture(autouse=True)
    def receiver(self):
        """A receiver that, as Standard Webhooks asks, takes one id for one event."""
        self.events = defaultdict(list)

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(receiver):  # noqa: N805 - `self` is the test
                body = receiver.rfile.read(int(receiver.headers["Content-Length"]))
                self.events[receiver.headers["webhook-id"]].append(json.loads(body))
                receiver.send_response(204)
                receiver.end_headers()

            def log_message(self, *arguments):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}/"
            yield
            server.shutdown()
            thread.join()

    def options(self, directory):
        return {"url": self.url, "secret": "x" * 24, "include": ["body", "headers", "attachments"]}

    def effects(self, directory):
        assert self.events
        return {identifier: events[0] for identifier, events in self.events.items()}


def test_every_built_in_handler_is_held_to_it():
    held = {each.handler for each in HandlerContract.__subclasses__() if each.__module__ == __name__}
    classes = HandlerRegistry.installed().classes()
    built_in = {each for each in classes.values() if each.__module__.startswith("postroom.handlers")}
    assert held == built_in
