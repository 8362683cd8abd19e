"""`postroom demo` where nobody watches: every mail is accounted for, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import re
import urllib.request
from pathlib import Path

import pytest

from support.command import command, postroom

pytestmark = pytest.mark.slow


def processes(directory):
    """The processes that work for a demo: its directory is in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # it ended meanwhile
                continue
            if f"POSTROOM_STATE={directory}".encode() in environment:
                found.append(int(entry.name))
    return found


def read(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


async def test_it_ends_by_itself_and_accounts_for_every_mail(tmp_path):
    ended = await command("demo", TMPDIR=str(tmp_path), limit=60.0)
    assert ended.code == 0, ended.text
    assert re.search(r"All \d{3} mails are accounted for\.", ended.out)
    assert "\x1b" not in ended.text
    assert processes(tmp_path) == []


async def test_kept_it_says_how_to_go_on_and_ends_at_sigterm_leaving_no_process(tmp_path):
    async with postroom("demo", "--keep", TMPDIR=str(tmp_path)) as running:
        await running.out.until(lambda line: "Ctrl-C ends it" in line, "how to go on", limit=60.0)
        assert "curl -s smtp://127.0.0.1:" in running.out.text
        assert "postroom messages list -c" in running.out.text
        pages = re.findall(r"^  (http://127\.0\.0\.1:\d+/)  the (\w+)", running.out.text, re.MULTILINE)
        assert [side for _, side in pages] == ["daemon", "tenant"]
        for (address, _), title in zip(pages, ("Postroom: ok", "Simulated Microsoft 365 tenant"), strict=True):
            assert title in await asyncio.to_thread(read, address)
        assert len(processes(tmp_path)) == 1
        assert await running.stopped() == 0
    assert processes(tmp_path) == []


async def test_a_signal_in_its_middle_ends_it_with_130_and_its_daemon_with_it(tmp_path):
    async with postroom("demo", TMPDIR=str(tmp_path)) as running:
        await running.out.until(lambda line: "mails in" in line, "its progress")
        assert await running.stopped() == 130
        assert running.err.lines == ["Interrupted."]
    assert processes(tmp_path) == []
