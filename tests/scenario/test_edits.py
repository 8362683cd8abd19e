"""What people rename in the mailbox and in the configuration while mail comes in."""

from __future__ import annotations

import json
from datetime import timedelta

from postroom.journal import JournalViews
from postroom.simulator.state import Folder
from support.daemon import MAILBOX, load_config, mail, run_daemon

WATCHED = """
handlers: {book: {use: log}}
mailboxes:
  - {address: invoices@contoso.example, folders: [%s], poll: 1s, start: now, rules: [{handle: [book]}]}
"""

LATER = """
from postroom.plugin import Handler, Options, Retry

class Later(Handler[Options]):
    async def handle(self, message, context):
        return Retry("not yet", after=3600)
"""

WAITS = """
from pathlib import Path
from postroom.plugin import Handler, Options, Retry

class Waits(Handler[Options]):
    async def handle(self, message, context):
        return None if Path(__file__).with_name("go").exists() else Retry("not yet", after=0.2)
"""


def said(daemon, name):
    return [line for line in map(json.loads, daemon.log.getvalue().splitlines()) if line["event"] == name]


async def edit(daemon, path, *changes):
    """Change a configuration, each text to the one after it, and reload it."""
    text = path.read_text()
    for before, after in changes:
        assert text.count(before) == 1
        text = text.replace(before, after)
    path.write_text(text)
    await daemon.app.reload(lambda: load_config(path))


async def test_mail_that_comes_while_a_folder_has_another_name_than_the_configuration_is_handled(
    daemon, tenant, tmp_path
):
    box = tenant.state.mailbox(MAILBOX)
    folder = box.create_folder("Invoices", box.folder("inbox"))

    def arrive(folder: Folder, subject: str, seconds_ago: int = 0) -> None:
        at = tenant.state.now() - timedelta(seconds=seconds_ago)
        tenant.state.deliver_mime(MAILBOX, mail(subject), folder=folder.id, received_at=at)

    async with daemon(WATCHED % "Inbox/Invoices") as running:
        arrive(folder, "before")
        await running.until_counts(deliveries_done=1)
        box.folders.rename(folder, "Bills")
        [known] = running.app.dispatcher.desk.mails.values()
        known._folders._known.clear()  # as after ten minutes

        async def missed():
            return f"mailbox {MAILBOX}/Inbox/Invoices" in running.app.report.health.troubles

        await running.until(missed, "the problem of the folder")
        arrive(folder, "meanwhile", seconds_ago=600)
        await edit(running, tmp_path / "postroom0.yaml", ("Inbox/Invoices", "Inbox/Bills"))
        await running.until_counts(deliveries_done=2)
        messages = await JournalViews(running.app.journal).messages()
        [line] = said(running, "folder_renamed")
    assert {each.subject for each in messages} == {"before", "meanwhile"}
    assert (line["folder"], line["before"]) == ("Inbox/Bills", "Inbox/Invoices")


async def test_a_folder_that_is_named_twice_is_walked_once_and_said(daemon, tenant):
    tenant.deliver(MAILBOX, mail("one"))
    async with daemon(WATCHED.replace("now", "all") % "Inbox, msgfolderroot/Inbox") as running:
        subject = f"mailbox {MAILBOX}/msgfolderroot/Inbox"

        async def noticed():
            return subject in running.app.report.health.troubles

        await running.until(noticed, "the problem of the second name")
        await running.until_counts(deliveries_done=1)
        [problem] = running.app.report.health.snapshot()["problems"]
        [mailbox] = await JournalViews(running.app.journal).mailboxes()
    assert problem["where"] == subject
    assert "is the same folder as Inbox" in problem["what"]
    assert [each.last_round_at is not None for each in mailbox.folders] == [True, False]


async def test_a_tenant_that_is_spelt_as_its_domain_and_then_as_its_guid_repeats_nothing(daemon, tenant, tmp_path):
    tenant.deliver(MAILBOX, mail("one"))
    path = tmp_path / "postroom0.yaml"
    async with daemon(WATCHED.replace("now", "all") % "Inbox") as running:
        await running.until_counts(deliveries_done=1)
        await edit(running, path, (f"tenant_id: {tenant.tenant_id}", "tenant_id: contoso.example"))
        tenant.deliver(MAILBOX, mail("two"))
        await running.until_counts(deliveries_done=2)
    path.write_text(path.read_text().replace("tenant_id: contoso.example", f"tenant_id: {tenant.tenant_id}"))
    async with run_daemon(load_config(path)) as running:
        tenant.deliver(MAILBOX, mail("three"))
        await running.until_counts(deliveries_done=3)
        found = await JournalViews(running.app.journal).deliveries()
        [mailbox] = await JournalViews(running.app.journal).mailboxes()
    assert sorted((each.subject, each.attempt) for each in found) == [("one", 1), ("three", 1), ("two", 1)]
    assert mailbox.tenant == tenant.tenant_id


async def test_deliveries_of_a_handler_that_was_renamed_are_a_problem_until_it_is_back(daemon, tenant, tmp_path):
    tenant.deliver(MAILBOX, mail("one"))
    (tmp_path / "later.py").write_text(LATER)
    path, text = tmp_path / "postroom0.yaml", WATCHED.replace("now", "all").replace("use: log", "use: ./later.py:Later")
    async with daemon(text % "Inbox") as running:
        await running.until_counts(deliveries_ready=1)
        await edit(running, path, ("book: {use", "read: {use"), ("[book]", "[read]"))

        async def noticed():
            return bool(running.app.report.health.troubles)

        await running.until(noticed, "the problem of what waits")
        [problem] = running.app.report.health.snapshot()["problems"]
        await edit(running, path, ("read: {use", "book: {use"), ("[read]", "[book]"))
        await running.app.unserved.look()
        left = running.app.report.health.snapshot()["problems"]
    assert (problem["where"], left) == ("unserved book", [])
    assert problem["what"] == "1 delivery waits for the handler book, which the configuration does not have."


async def test_a_mail_that_waits_gets_what_its_own_rule_asks_for_though_another_one_is_put_before_it(
    daemon, tenant, tmp_path
):
    (tmp_path / "waits.py").write_text(WAITS)
    tenant.deliver(MAILBOX, mail("invoice 1"))
    rules = """
handlers: {waits: {use: "./waits.py:Waits"}}
mailboxes:
  - address: invoices@contoso.example
    poll: 1s
    start: all
    rules:
    - {when: {subject: "invoice*"}, handle: [waits], then: {mark_read: true}}
"""
    async with daemon(rules) as running:
        await running.until_counts(messages=1)
        spam = "    - {when: {subject: 'spam*'}, handle: [log], then: {delete: true}}\n"
        await edit(running, tmp_path / "postroom0.yaml", ("    rules:\n", f"    rules:\n{spam}"))
        (tmp_path / "go").touch()
        await running.until_counts(actions_done=1)
    (kept,) = tenant.state.mailbox(MAILBOX).messages.values()
    assert kept.is_read


async def test_a_mail_that_is_moved_is_not_forwarded_again_by_a_rule_that_was_renamed(daemon, tenant, tmp_path):
    box = tenant.state.mailbox(MAILBOX)
    tenant.deliver(MAILBOX, mail("order"))
    rules = """
mailboxes:
  - address: invoices@contoso.example
    folders: [Inbox, Archive]
    poll: 1s
    start: all
    rules: [{name: orders, handle: [log], then: {forward: x@supplier.example}}]
"""
    async with daemon(rules) as running:
        await running.until_counts(actions_done=1)
        await edit(running, tmp_path / "postroom0.yaml", ("name: orders", "name: all orders"))
        box.move(box.folder("inbox").messages[0], box.folder("archive"))

        async def moved():
            (known,) = await JournalViews(running.app.journal).messages()
            return known.folder == "Archive"

        await running.until(moved, "the mail in its new folder")
        await running.until_counts(actions_ready=0, actions_running=0)
    assert len(tenant.state.outbox) == 1
