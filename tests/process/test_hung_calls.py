"""Calls that hang in the threads of one handler: no other handler, no reload and no stop waits for them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support.daemon import MAILBOX
from support.pipeline import until
from support.process import daemon_process, ended

HANGING = '''
import asyncio
import time

from postroom.plugin import Context, Done, Handler, Message, Options


class Hanging(Handler[Options]):
    """Wait in a thread for what never comes."""

    async def handle(self, message: Message, context: Context):
        await asyncio.gather(asyncio.to_thread(time.sleep, 3600), asyncio.sleep(0))
        return Done()
'''

BAD = 12
"""More than the threads that asyncio has by itself on a small machine, and than the places of the handler."""


def said(directory: Path, *events: str) -> list[dict[str, Any]]:
    """Return the lines of the log that tell these events."""
    log = directory / "daemon.log"
    lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"] if log.exists() else []
    return [line for line in lines if line["event"] in events]


@pytest.fixture
def plug_in(tmp_path):
    """Return a handler of one's own whose calls hang."""
    (tmp_path / "hanging.py").write_text(HANGING)
    return 'use: "./hanging.py:Hanging"'


@pytest.fixture
def webhook(tmp_path):
    """Return a webhook whose secret is on a disk that hangs once it is opened."""
    secret = tmp_path / "secret"
    secret.write_text("a secret of at least twenty-four bytes")
    secret.chmod(0o600)
    return f'use: webhook, with: {{url: "http://127.0.0.1:9/x", secret_file: "{secret}"}}'


@pytest.mark.parametrize("handler", ["plug_in", "webhook"])
async def test_calls_that_hang_for_one_handler_stop_no_other_and_no_reload_and_no_stop(
    tmp_path, configure, deliver, request, handler
):
    config = configure(
        f"""
handlers:
  bad: {{{request.getfixturevalue(handler)}, timeout: 1s, concurrency: 10, breaker: false}}
  keep: {{use: save_message, with: {{directory: "{tmp_path}/saved"}}}}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
      - {{name: keep, when: {{subject: "good*"}}, handle: [keep], stop: true}}
      - {{name: bad, handle: [bad]}}
"""
    )
    async with daemon_process(config) as daemon:
        await until(lambda: said(tmp_path, "watching"), limit=30)
        if handler == "webhook":
            (tmp_path / "secret").unlink()
            os.mkfifo(tmp_path / "secret")  # nobody ever writes to it
        for number in range(BAD):
            deliver(f"bad {number}")
        await until(lambda: "places bad" in [line["subject"] for line in said(tmp_path, "problem")], limit=60)
        for number in range(5):
            deliver(f"good {number}")
        await until(lambda: len(list((tmp_path / "saved").glob("*"))) == 5, limit=30)
        if handler == "plug_in":  # the webhook's secret is read when the configuration is
            daemon.send_signal(signal.SIGHUP)
            await until(lambda: said(tmp_path, "reloaded"), limit=10)
        began = time.monotonic()
        async with asyncio.timeout(15):
            assert await ended(daemon, signal.SIGTERM) == 0
        assert time.monotonic() - began < 10
    assert said(tmp_path, "stopped")
