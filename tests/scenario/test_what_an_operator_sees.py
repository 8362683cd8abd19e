"""What a fresh operator looks for: is anything watched, where are my files, what became of the mail."""

import json
from datetime import timedelta

from postroom import standstill
from postroom.journal import JournalViews
from support.daemon import MAILBOX, mail

MAILBOXES = """
mailboxes:
  - address: invoices@contoso.example
    folders: [Inbox]
    poll: 1s
    start: all
    rules: [{handle: [book]}]
"""


def events(daemon, name):
    lines = (json.loads(line) for line in daemon.log.getvalue().splitlines())
    return [line for line in lines if line["event"] == name]


async def test_after_the_start_the_log_says_what_is_watched(daemon):
    async with daemon("handlers: {book: {use: log}}" + MAILBOXES) as running:
        pass
    [line] = events(running, "watching")
    assert line["level"] == "info"
    assert (line["mailbox"], line["folders"], line["poll"], line["start"]) == (MAILBOX, ["Inbox"], 1.0, "all")


async def test_the_last_round_of_a_quiet_folder_is_known_though_it_wrote_nothing(daemon):
    async with daemon("handlers: {book: {use: log}}" + MAILBOXES) as running:
        journal, chores = running.app.journal, running.app.chores

        async def walked_twice():
            return len(events(running, "round")) >= 2

        await running.until(walked_twice, "a second, idle round")
        last = running.app.report.health.folders[MAILBOX, "Inbox"].walked_at
        await chores.count()
        [mailbox] = await JournalViews(journal).mailboxes()
        assert last - mailbox.folders[0].last_round_at < timedelta(seconds=0.5)  # a round earlier it was a second


async def test_a_program_beside_the_configuration_file_is_run(daemon, tenant, tmp_path):
    program = tmp_path / "book.sh"
    program.write_text("#!/bin/sh\ncat > /dev/null\necho booked\n")
    program.chmod(0o755)
    tenant.deliver(MAILBOX, mail())
    async with daemon("handlers: {book: {use: command, with: {command: [./book.sh]}}}" + MAILBOXES) as running:
        await running.until_counts(deliveries_done=1)
        [delivery] = await JournalViews(running.app.journal).deliveries()
    assert delivery.note == "booked"


async def test_an_attachment_that_is_too_large_makes_a_dead_letter_that_everyone_sees(daemon, tenant, tmp_path):
    tenant.deliver(MAILBOX, mail(big_pdf=b"x" * 20_000))
    options = f"{{directory: {tmp_path}/files, max_size: 10kB}}"
    async with daemon(f"handlers: {{book: {{use: save_attachments, with: {options}}}}}" + MAILBOXES) as running:
        await running.until_counts(deliveries_dead=1)
        await running.app.chores.count()
        snapshot = running.app.report.health.snapshot()
        [delivery] = await JournalViews(running.app.journal).deliveries()
    assert (snapshot["status"], snapshot["notices"][0]["what"]) == ("ok", "1 dead letter")
    [line] = events(running, "delivery")
    assert line["error"] == "The attachment 'big.pdf' is larger than 10.0KB (option max_size)."
    assert line["remedy"].endswith(f"`postroom deliveries retry {delivery.id}`.")


BLOCKS = """
import time
from postroom.plugin import Handler, Options

class Blocks(Handler[Options]):
    async def handle(self, message, context):
        time.sleep(2)
"""


async def test_a_handler_that_stops_the_whole_daemon_is_named_while_it_does(daemon, tenant, tmp_path, monkeypatch):
    monkeypatch.setattr(standstill, "AFTER", 0.5)
    monkeypatch.setattr(standstill, "BEAT", 0.1)
    (tmp_path / "blocks.py").write_text(BLOCKS)
    tenant.state.deliver_mime(MAILBOX, mail("one"))
    async with daemon('handlers: {book: {use: "./blocks.py:Blocks", timeout: 500ms}}' + MAILBOXES) as running:
        await running.until_counts(deliveries_done=1)
        [row] = await JournalViews(running.app.journal).deliveries()
    [blocked], [over] = events(running, "blocked"), events(running, "unblocked")
    assert (blocked["handler"], blocked["attempt"]) == ("book", 1)
    assert "blocks.py:7 in handle" in blocked["at"]
    assert over["after_seconds"] >= 1.5
    assert "its limit is 0.5 s" in row.note
