"""The commands that look into the journal: whatever is asked, they answer."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postroom.cli.common import when
from postroom.cli.main import run
from postroom.cli.messages import _words
from postroom.clock import SystemClock
from postroom.journal import open_journal
from postroom.model import (
    Categorise,
    Delete,
    DeliveryState,
    Forward,
    MarkRead,
    Message,
    MoveTo,
    Settlement,
    Verdict,
)
from postroom.outgoing import SendingLimits
from postroom.pipeline.courtesy import over
from postroom.ports import ActionResult, FolderSpec, HeldHandler, MatchedRule, NewMessage, PageCommit, Traffic

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CONFIG = """\
tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {client_secret: s}}
journal: sqlite:///journal.db
mailboxes:
  - {address: a@b.example, rules: [{handle: log}]}
"""


@pytest.fixture
def config(tmp_path, journal_url):
    """A configuration whose journal holds one message with one dead letter."""
    file = tmp_path / "postroom.yaml"
    file.write_text(CONFIG)
    file.chmod(0o600)
    asyncio.run(journalled(journal_url))
    return str(file)


async def journalled(url):
    journal = await open_journal(url)
    (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
    message = Message(id="AAMk", mailbox="a@b.example", folder="Inbox", received_at=AT, subject="Invoice 4711")
    new = NewMessage(message, (MatchedRule("rule 1", ("log",)),), failure="unreadable")
    await journal.commit_page(PageCommit(folder.key, [new], "link", "round", AT))
    await journal.close()


@pytest.mark.parametrize("command", ["messages", "deliveries"])
@pytest.mark.parametrize("asked", [[], ["--dead"], *(["--state", state.value] for state in DeliveryState)])
def test_lists_can_be_narrowed_to_each_state(config, capsys, command, asked):
    assert run([command, "list", "-c", config, "--json", *asked]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == (asked[-1:] in ([], ["--dead"], ["dead"]))


def test_times_are_iso_8601(config, capsys):
    assert run(["messages", "list", "-c", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["received_at"] == "2026-03-02T09:00:00+00:00"


def test_a_message_without_deliveries_says_why_it_has_none(tmp_path, config, capsys):
    async def journalled():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
        place = {"mailbox": "a@b.example", "folder": "Inbox", "received_at": AT}
        stored = [
            NewMessage(Message(id=subject, subject=subject, **place), *more)
            for subject, more in (("old", ((), False)), ("plain", ((),)), ("tidied", ((MatchedRule("tidy", ()),),)))
        ]
        await journal.commit_page(PageCommit(folder.key, stored, "link", "round", AT))
        await journal.close()

    asyncio.run(journalled())
    assert run(["messages", "list", "-c", config]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {subject: line for line in lines for subject in ("old", "plain", "tidied") if f" {subject} " in line}
    assert "before start" in said["old"]
    assert "no rule matched" in said["plain"]
    assert "no handler (rule tidy)" in said["tidied"]
    assert run(["messages", "list", "-c", config, "--json"]) == 0
    rules = {each["subject"]: each["rules"] for each in json.loads(capsys.readouterr().out)}
    assert rules == {"old": [], "plain": [], "tidied": ["tidy"], "Invoice 4711": ["rule 1"]}


@pytest.mark.parametrize(
    "command",
    [
        ["mailboxes", "list"],
        ["messages", "list"],
        ["messages", "show", "1"],
        ["messages", "explain", "1"],
        ["deliveries", "list"],
    ],
)
def test_people_get_words_and_scripts_get_json(config, capsys, command):
    assert run([*command, "-c", config]) == 0
    assert capsys.readouterr().out
    assert run([*command, "-c", config, "--json"]) == 0
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", [["messages", "explain", "1"], ["deliveries", "retry", "1"], ["mailboxes", "list"]])
def test_what_is_wrong_elsewhere_in_the_configuration_does_not_hide_the_journal(config, capsys, command):
    file = Path(config)
    file.write_text(
        CONFIG.replace("credential: {client_secret: s}", "credential: {client_secret: '${NOT_HERE}'}, x: 1")
    )
    assert run(["check", "-c", config]) == 78
    assert run([*command, "-c", config]) == 0
    assert capsys.readouterr().err == ""


def test_a_dead_letter_is_ready_again_after_retry_and_gone_after_discard(config, capsys):
    assert run(["deliveries", "retry", "--all-dead", "-c", config]) == 0
    assert run(["deliveries", "discard", "1", "--reason", "a test", "-c", config]) == 0
    assert run(["deliveries", "list", "--state", "discarded", "-c", config, "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1 delivery is ready again.\n1 delivery is discarded.\n")


def test_mail_actions_read_as_in_the_configuration():
    said = _words((MarkRead(), Categorise(("To sort",)), MoveTo("Processed")))
    assert said == 'mark_read: true, categories: ["To sort"], move_to: "Processed"'


def test_why_a_delivery_was_given_up_is_shown(config, capsys):
    assert run(["deliveries", "discard", "1", "--reason", "sender wrote again", "-c", config]) == 0
    for command in (["deliveries", "list"], ["messages", "show", "1"]):
        assert run([*command, "-c", config]) == 0
        assert "sender wrote again" in capsys.readouterr().out


def test_tables_have_one_form_of_time(config, capsys):
    for command in (["messages", "list"], ["messages", "show", "1"], ["mailboxes", "list"]):
        assert run([*command, "-c", config]) == 0
        told = capsys.readouterr().out
        assert "2026-03-02 09:00:00Z" in told
        assert "+00:00" not in told


async def given_up(url):
    journal = await open_journal(url)
    (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
    message = Message(id="AAMk2", mailbox="a@b.example", folder="Inbox", received_at=AT)
    new = NewMessage(message, (MatchedRule("rule 2", (), (MarkRead(),)),))
    await journal.commit_page(PageCommit(folder.key, [new], "link", "round", AT))
    (task,) = await journal.claim_actions(9, AT)
    await journal.settle_actions([ActionResult(task, "dead", AT, error="forbidden")])
    await journal.close()


@pytest.mark.parametrize("wanted", [["1"], ["--all-dead"], ["--all-dead", "--handler", "log"]])
def test_who_retries_while_the_handler_is_held_is_told_that_it_waits_and_what_to_do(config, capsys, tmp_path, wanted):
    async def hold():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        await journal.hold(HeldHandler("log", AT, "the printer is out"), {}, AT)
        await journal.close()

    asyncio.run(hold())
    assert run(["deliveries", "retry", *wanted, "-c", config]) == 0
    said = capsys.readouterr()
    assert said.out == "1 delivery is ready again.\n"
    assert "The handler log is held, and these deliveries wait with it: the printer is out" in said.err
    assert "reload the daemon" in said.err


def test_who_retries_while_nothing_is_held_hears_nothing_of_it(config, capsys):
    assert run(["deliveries", "retry", "1", "-c", config]) == 0
    assert capsys.readouterr().err == ""


async def held_back(url):
    journal = await open_journal(url)
    (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
    message = Message(id="AAMk3", mailbox="a@b.example", folder="Inbox", received_at=AT)
    rules = (MatchedRule("bin", (), (Delete(),)), MatchedRule("book", ("log",)))
    await journal.commit_page(PageCommit(folder.key, [NewMessage(message, rules)], "link", "round", AT))
    for delivery in await journal.turn([], {"log": 9}, AT, lambda _: []):
        dead = Settlement(delivery, Verdict(DeliveryState.DEAD, error="no"), AT, AT)
        await journal.turn([dead], {}, AT, lambda _: [])
    assert await journal.claim_actions(9, AT) == []
    await journal.close()


def test_what_keeps_a_mail_from_being_deleted_is_shown_and_explained_without_a_time(config, capsys, tmp_path):
    asyncio.run(held_back(f"sqlite:///{tmp_path}/journal.db"))
    why = "kept until what was given up is retried or discarded: delivery 2 (log)"
    assert run(["messages", "explain", "AAMk3", "-c", config]) == 0
    assert ["mail actions of rule bin then wait", f"    {why}"] == capsys.readouterr().out.splitlines()[-2:]
    assert run(["messages", "show", "AAMk3", "-c", config]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert why in shown
    assert "9999" not in shown
    assert run(["messages", "show", "AAMk3", "--json", "-c", config]) == 0
    assert json.loads(capsys.readouterr().out)[0]["actions"][0]["due_at"] is None


def test_mail_actions_that_were_given_up_are_ready_again_after_retry_actions(config, capsys, tmp_path):
    asyncio.run(given_up(f"sqlite:///{tmp_path}/journal.db"))
    assert run(["messages", "retry-actions", "AAMk2", "-c", config]) == 0
    assert capsys.readouterr().out == "1 set of mail actions is ready again.\n"


def test_mail_actions_that_still_wait_for_their_next_try_are_no_secret_when_a_retry_is_asked_for(
    config, capsys, tmp_path
):
    asyncio.run(given_up(f"sqlite:///{tmp_path}/journal.db"))
    for _ in range(2):
        assert run(["messages", "retry-actions", "AAMk2", "-c", config]) == 0
    told = capsys.readouterr().out.splitlines()[1:]
    assert told[0] == "0 sets of mail actions are ready again."
    assert told[1].startswith("1 set of mail actions is under way anyway")


def test_a_mail_with_dead_mail_actions_is_among_the_dead_until_they_are_discarded(config, capsys, tmp_path):
    asyncio.run(given_up(f"sqlite:///{tmp_path}/journal.db"))

    def dead(command):
        assert run([*command, "-c", config]) == 0
        return capsys.readouterr().out

    assert "rule 2 then dead" in dead(["messages", "list", "--dead"])
    assert "1 + 1 actions" in dead(["mailboxes", "list"])
    assert run(["messages", "discard-actions", "AAMk2", "--reason", "moved by hand", "-c", config]) == 0
    assert capsys.readouterr().out == "1 set of mail actions is discarded.\n"
    assert "rule 2 then" not in dead(["messages", "list", "--dead"])
    assert "actions" not in dead(["mailboxes", "list"])
    assert "moved by hand" in dead(["messages", "show", "AAMk2"])


def test_a_mail_that_is_held_back_from_being_sent_says_why_and_until_when(config, capsys, tmp_path):
    async def held_back():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
        message = Message(id="AAMk3", mailbox="a@b.example", folder="Inbox", received_at=AT)
        new = NewMessage(message, (MatchedRule("rule 1", (), (Forward(("team@b.example",)),)),))
        await journal.commit_page(PageCommit(folder.key, [new], "link", "round", AT))
        (task,) = await journal.claim_actions(9, AT)
        due_at = AT + timedelta(minutes=5)
        result = ActionResult(task, "ready", AT, due_at=due_at, note="forward: held back: too many", counted=False)
        await journal.settle_actions([result])
        await journal.close()

    asyncio.run(held_back())
    for command in ("show", "explain"):
        assert run(["messages", command, "AAMk3", "-c", config]) == 0
        told = capsys.readouterr().out
        assert "forward: held back: too many" in told, command
        assert when(AT + timedelta(minutes=5)) in told, command


def test_what_waits_in_a_mailbox_is_counted_once_however_many_folders_it_has(config, capsys, tmp_path):
    async def adopted():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        await journal.adopt([FolderSpec("default", "a@b.example", name, None) for name in ("Inbox", "Archive")], AT)
        await journal.close()

    asyncio.run(given_up(f"sqlite:///{tmp_path}/journal.db"))
    asyncio.run(adopted())
    assert run(["mailboxes", "list", "-c", config]) == 0
    told = capsys.readouterr().out
    assert "Archive" in told
    assert told.count("1 + 1 actions") == 1


async def answered(url, *notes):
    journal = await open_journal(url)
    (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
    for number, note in enumerate(notes):
        message = Message(
            id=f"AAMr{number}", mailbox="a@b.example", folder="Inbox", received_at=AT, subject=f"q{number}"
        )
        new = NewMessage(message, (MatchedRule("ask", (), (MarkRead(),)),))
        await journal.commit_page(PageCommit(folder.key, [new], "link", "round", AT))
        (task,) = await journal.claim_actions(9, AT)
        await journal.settle_actions([ActionResult(task, "done", AT, note=note)])
    await journal.close()


def test_a_mail_whose_answer_a_limit_withheld_looks_other_than_one_that_was_answered(config, capsys, tmp_path):
    limit = over(SendingLimits(), Traffic(correspondent=99), answer=True)
    notes = (f"reply: not sent: {limit.why}", "reply: not sent: it is mass mail (Precedence)", "reply: sent")
    asyncio.run(answered(f"sqlite:///{tmp_path}/journal.db", *notes))

    assert run(["messages", "list", "-c", config]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = [line for line in lines if "rule ask then (answer withheld by a limit)" in line]
    assert [" q0 " in line for line in marked] == [True]
    assert run(["messages", "list", "-c", config, "--json"]) == 0
    shown = {each["subject"]: each["withheld"] for each in json.loads(capsys.readouterr().out)}
    assert shown == {"q0": ["rule ask then"], "q1": [], "q2": [], "Invoice 4711": []}


def test_all_that_waits_for_a_handler_is_given_up_at_once_and_for_no_other(config, capsys):
    assert run(["deliveries", "retry", "1", "-c", config]) == 0
    for handler in ("(rules)", "log", "log"):
        words = ["--all-waiting", "--handler", handler, "--reason", "it is gone"]
        assert run(["deliveries", "discard", *words, "-c", config]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "0 deliveries are discarded.",
        "1 delivery is discarded.",
        "0 deliveries are discarded.",
    ]


def test_what_waits_for_a_handler_that_the_configuration_has_no_more_can_be_given_up(config, capsys):
    assert run(["deliveries", "retry", "1", "-c", config]) == 0
    text = Path(config).read_text(encoding="utf-8")
    Path(config).write_text(text.replace("log", "command"), encoding="utf-8")
    assert "log" not in Path(config).read_text(encoding="utf-8")
    for _ in range(2):
        words = ["--all-waiting", "--handler", "log", "--reason", "it is gone"]
        assert run(["deliveries", "discard", *words, "-c", config]) == 0
    assert "1 delivery is discarded" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--handler", "lgo"], ["--handler", "log", "--mailbox", "nobody@contoso.example"]])
def test_giving_up_what_waits_for_a_name_that_nobody_knows_is_a_mistake(config, capsys, words):
    assert run(["deliveries", "discard", "--all-waiting", *words, "--reason", "it is gone", "-c", config]) == 1
    told = capsys.readouterr()
    assert not told.out
    assert ("did you mean log?" in told.err) == ("lgo" in words)


@pytest.mark.parametrize("words", [[], ["1", "--all-waiting"], ["--all-waiting"], ["1", "--handler", "log"]])
def test_what_is_to_be_given_up_is_said_plainly(config, capsys, words):
    assert run(["deliveries", "discard", *words, "--reason", "a test", "-c", config]) == 2
    assert "--all-waiting --handler NAME" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["retry"], ["discard", "--reason", "a test"]])
def test_an_id_that_no_delivery_can_have_is_refused_in_words(config, capsys, command):
    assert run(["deliveries", *command, "99999999999999999999", "-c", config]) == 1
    assert "delivery 99999999999999999999 does not exist" in capsys.readouterr().err


def test_the_size_of_the_journal_is_told(config, capsys):
    assert run(["journal", "size", "-c", config, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bytes"] > 8_192
    assert (found["messages"], found["deliveries.dead"]) == (1, 1)
    assert run(["journal", "size", "-c", config]) == 0
    assert "MB" in capsys.readouterr().out


@pytest.fixture
def pruned(tmp_path, config, capsys):
    """The same journal, its dead letter discarded and pruned; a younger mail stands behind it."""
    assert run(["deliveries", "discard", "1", "--reason", "spam", "-c", config]) == 0

    async def another():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
        message = Message(id="AAMy", mailbox="a@b.example", folder="Inbox", received_at=AT, subject="Invoice 4712")
        new = NewMessage(message, (MatchedRule("rule 1", ("log",)),))
        await journal.commit_page(PageCommit(folder.key, [new], "link", "round", AT))
        await journal.close()

    asyncio.run(another())
    assert run(["journal", "prune", "--older-than", "1d", "-c", config]) == 0
    assert "0 messages were pruned" in capsys.readouterr().out, "it was discarded a moment ago"
    assert run(["journal", "prune", "--older-than", "0s", "-c", config]) == 0
    assert "1 message was pruned" in capsys.readouterr().out
    return config


def test_of_a_pruned_message_is_shown_how_it_ended_and_why_no_more(pruned, capsys):
    assert run(["messages", "show", "1", "-c", pruned]) == 0
    shown = capsys.readouterr().out
    assert "pruned (log discarded): dropped after `retention.snapshots`" in shown
    assert "Invoice 4711" not in shown
    assert run(["messages", "list", "-c", pruned]) == 0
    assert "pruned (log discarded)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["messages", "explain", "1"], "The details of message 1 were pruned"),
        (["deliveries", "retry", "1"], "delivery 1 was settled long ago and pruned"),
    ],
)
def test_what_cannot_be_done_with_a_pruned_message_is_said(pruned, capsys, command, words):
    assert run([*command, "-c", pruned]) != 0
    assert words in " ".join(capsys.readouterr().err.split())


def test_pruning_rests_between_its_steps_for_the_daemon_beside_it(tmp_path, config, capsys, monkeypatch):
    async def handled():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
        mails = (Message(id=f"B{n}", mailbox="a@b.example", folder="Inbox", received_at=AT) for n in range(3))
        await journal.commit_page(PageCommit(folder.key, [NewMessage(each) for each in mails], "link", "round", AT))
        await journal.close()

    class Rests(SystemClock):
        async def sleep(self, seconds):
            rests.append(seconds)

    rests = []
    asyncio.run(handled())
    monkeypatch.setattr("postroom.pipeline.pruning.STEP", 1)
    monkeypatch.setattr("postroom.cli.journal.SystemClock", Rests)
    assert run(["journal", "prune", "--older-than", "0s", "-c", config]) == 0
    assert len(rests) == 3
    assert all(rest > 0 for rest in rests)


def test_filters_that_fit_no_delivery_at_all_are_a_mistake(config, capsys):
    assert run(["deliveries", "retry", "--all-dead", "--handler", "nope", "-c", config]) == 1
    assert "no delivery for handler nope" in capsys.readouterr().err
    assert run(["deliveries", "retry", "--all-dead", "--handler", "log", "-c", config]) == 0
    assert run(["deliveries", "retry", "--all-dead", "--handler", "log", "-c", config]) == 0, "all are ready already"


def test_a_dead_letter_of_a_handler_nobody_has_is_not_retried_and_a_delivery_that_waits_for_one_says_so(config, capsys):
    gone = CONFIG.replace("handle: log", "handle: other") + "handlers: {other: {use: log}}\n"
    Path(config).write_text(gone)
    for command in (["1"], ["--all-dead"], ["--all-dead", "--handler", "log"]):
        assert run(["deliveries", "retry", *command, "-c", config]) == 1
        told = " ".join(capsys.readouterr().err.split())
        assert "log" in told
        assert "no handler of this name is configured" in told
        assert "discard" in told
    assert states(config, capsys) == {1: ("dead", "")}

    Path(config).write_text(CONFIG)
    assert run(["deliveries", "retry", "1", "-c", config]) == 0
    capsys.readouterr()
    assert states(config, capsys) == {1: ("ready", "")}
    Path(config).write_text(gone)
    assert states(config, capsys) == {1: ("ready", "no handler of this name is configured")}


def test_dead_letters_of_a_handler_nobody_has_do_not_keep_others_from_being_retried(config, capsys, tmp_path):
    async def more():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
        message = Message(id="AAMk3", mailbox="a@b.example", folder="Inbox", received_at=AT)
        new = NewMessage(message, (MatchedRule("rule 1", ("gone",)),), failure="unreadable")
        await journal.commit_page(PageCommit(folder.key, [new], "link", "round", AT))
        await journal.close()

    asyncio.run(more())
    assert run(["deliveries", "retry", "--all-dead", "-c", config]) == 0
    told = capsys.readouterr()
    assert told.out == "1 delivery is ready again.\n"
    assert "the dead letters of gone" in told.err
    assert {state for state, _ in states(config, capsys).values()} == {"ready", "dead"}


def states(config, capsys):
    assert run(["deliveries", "list", "-c", config, "--json"]) == 0
    return {each["id"]: (each["state"], each["held"]) for each in json.loads(capsys.readouterr().out)}


def test_a_period_that_is_none_is_refused(config, capsys):
    assert run(["journal", "prune", "--older-than", "soon", "-c", config]) == 2
    assert "30d or 12h" in capsys.readouterr().err


def test_a_parked_mailbox_is_listed_as_parked(tmp_path, config, capsys):
    async def park():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        (folder,) = await journal.adopt([FolderSpec("default", "a@b.example", "Inbox", None)], AT)
        await journal.parked(folder.key, AT)
        await journal.close()

    asyncio.run(park())
    assert run(["mailboxes", "list", "-c", config]) == 0
    assert "parked" in capsys.readouterr().out
    assert run(["mailboxes", "list", "-c", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["parked_at"] == "2026-03-02T09:00:00+00:00"


@pytest.mark.parametrize("command", [["deliveries", "discard", "1"], ["messages", "discard-actions", "1"]])
@pytest.mark.parametrize("reason", ["", "  ", "\t"])
def test_giving_up_without_a_reason_is_a_mistake_of_usage(config, capsys, command, reason):
    assert run([*command, "--reason", reason, "-c", config]) == 2
    assert "Say in a few words why" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["deliveries", "list", "--handler", "lgo"], "no handler 'lgo' (did you mean log?)"),
        (["deliveries", "list", "--dead", "--handler", "x", "--json"], "no handler 'x' (known here: log)"),
        (["deliveries", "list", "--mailbox", "a@b.exampel"], "no mailbox 'a@b.exampel' (did you mean a@b.example?)"),
        (["messages", "list", "--mailbox", "z"], "no mailbox 'z' (known here: a@b.example)"),
    ],
)
def test_a_filter_that_names_nothing_known_is_a_mistake(config, capsys, command, words):
    assert run([*command, "-c", config]) == 1
    told = capsys.readouterr()
    assert words in " ".join(told.err.split())
    assert told.out == ""


def test_a_filter_that_fits_nothing_yet_is_none_whatever_the_case_of_an_address(config, capsys):
    file = Path(config)
    file.write_text(CONFIG + "  - {address: new@b.example}\nhandlers: {erp: {use: webhook}}\n")
    for asked in (
        ["deliveries", "list", "--handler", "erp"],
        ["deliveries", "list", "--mailbox", "NEW@b.example"],
        ["messages", "list", "--mailbox", "new@b.example"],
        ["messages", "list", "--mailbox", "A@B.example", "--state", "done"],
    ):
        assert run([*asked, "-c", config]) == 0
    file.write_text("journal: sqlite:///journal.db\nmailboxes: 3\n")
    assert run(["messages", "list", "--mailbox", "new@b.example", "-c", config]) == 1, "nobody knows it now"


def test_mail_actions_that_are_not_dead_cannot_be_retried_or_discarded(config, capsys, tmp_path):
    for command in (["retry-actions", "1"], ["discard-actions", "1", "--reason", "a test"]):
        assert run(["messages", *command, "-c", config]) == 1
        assert "message 1 has no mail actions" in " ".join(capsys.readouterr().err.split())
    asyncio.run(given_up(f"sqlite:///{tmp_path}/journal.db"))
    assert run(["messages", "retry-actions", "AAMk2", "-c", config]) == 0
    assert run(["messages", "discard-actions", "AAMk2", "--reason", "a test", "-c", config]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "Nothing was discarded: the mail actions of message AAMk2 are ready (rule rule 2 then)." in told


def listed(config, capsys):
    """What `mailboxes list` prints: the lines, and the JSON."""
    assert run(["mailboxes", "list", "-c", config]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert run(["mailboxes", "list", "-c", config, "--json"]) == 0
    return lines, json.loads(capsys.readouterr().out)


def test_folders_that_are_not_watched_any_more_say_so_where_the_configuration_can_be_read(config, capsys, tmp_path):
    async def adopted():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        await journal.adopt([FolderSpec("default", "a@b.example", "Bills", None)], AT)
        await journal.adopt([FolderSpec("default", "gone@b.example", "Inbox", None)], AT)
        await journal.close()

    asyncio.run(adopted())
    Path(config).write_text(CONFIG.replace("{address: a@b", "{folders: [inbox], address: A@b"))
    lines, found = listed(config, capsys)
    assert [("not watched" in line) for line in lines[-3:]] == [False, True, True]
    assert [[each["watched"] for each in box["folders"]] for box in found] == [[True, False], [False]]
    assert "tenant" not in lines[1].split()
    Path(config).write_text("journal: sqlite:///journal.db\nmailboxes: 3\n")
    lines, found = listed(config, capsys)
    assert "not watched" not in "".join(lines)
    assert found[0]["folders"][0]["watched"] is None


def test_the_tenant_of_a_mailbox_is_told_where_there_are_several(config, capsys, tmp_path):
    async def adopted():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        await journal.adopt([FolderSpec("fabrikam", "c@d.example", "Inbox", None)], AT)
        await journal.close()

    asyncio.run(adopted())
    lines, _ = listed(config, capsys)
    assert lines[1].split()[0] == "tenant"
    assert [line.split()[0] for line in lines[-2:]] == ["default", "fabrikam"]


@pytest.fixture
def narrow(config, tmp_path, monkeypatch):
    """The journal with a mail whose fields are as long as they are in life, and a terminal of 80 columns."""

    async def another():
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        address = "invoices.department@contoso.example"
        (folder,) = await journal.adopt([FolderSpec("default", address, "Inbox", None)], AT)
        message = Message(
            id="B", mailbox=address, folder="Inbox", received_at=AT, subject="Invoice 4712 " + "of May " * 9
        )
        new = NewMessage(message, (MatchedRule("rule 1", ("archive_invoices",)),), failure="The disk is full. " * 9)
        await journal.commit_page(PageCommit(folder.key, [new], "link", "round", AT))
        await journal.folder_failed(folder.key, "Graph could not be reached for an hour, again and again. " * 3, AT)
        await journal.close()

    asyncio.run(another())
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "80"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    return config


@pytest.mark.parametrize(
    ("command", "under"),
    [
        (["deliveries", "list", "--dead"], ["    note or error: The disk is full. The disk is full."]),
        (["messages", "list"], ["    subject: Invoice 4712 of May"]),
        (["messages", "show", "B"], ["    note or error: The disk is full. The disk is full."]),
        (["mailboxes", "list"], ["    last error: Graph could not be reached for an hour"]),
    ],
)
def test_a_table_that_is_too_wide_for_the_terminal_puts_long_texts_under_their_row(narrow, capsys, command, under):
    assert run([*command, "-c", narrow]) == 0
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "invoices.department@contoso.example" in "\n".join(lines)
    for text in under:
        assert [line for line in lines if line.startswith(text)], "\n".join(lines)


def test_a_table_that_fits_the_terminal_has_a_line_for_each_row(config, capsys, monkeypatch):
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "160"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    assert run(["deliveries", "list", "-c", config]) == 0
    told = capsys.readouterr().out
    (row,) = [line for line in told.splitlines() if "Invoice 4711" in line]
    assert "unreadable" in row
