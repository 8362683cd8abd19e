import asyncio
import json

import pytest

from postroom.errors import Forbidden
from postroom.observe.health import problem_id

INBOX = ("a@b.example", "Inbox")


def test_a_daemon_without_troubles_is_ok(health):
    assert health.snapshot()["status"] == "ok"
    assert health.snapshot()["phase"] == "starting"


def test_a_problem_says_what_where_and_what_to_do(health, clock):
    error = Forbidden("Graph refused to list Inbox.", remedy="Grant Mail.Read.", code="ErrorAccessDenied", status=403)
    health.problem("mailbox a@b.example/Inbox", error, {"attempt": 1})
    clock.seconds = 30
    health.problem("mailbox a@b.example/Inbox", error, {"attempt": 2})
    (problem,) = health.snapshot()["problems"]
    assert problem == {
        "id": problem_id("mailbox a@b.example/Inbox"),
        "what": "Graph refused to list Inbox.",
        "where": "mailbox a@b.example/Inbox",
        "what_to_do": "Grant Mail.Read.",
        "since": "2026-03-01T12:00:00+00:00",
        "last": "2026-03-01T12:00:30+00:00",
        "count": 2,
        "severity": "error",
        "fields": {"status": 403, "code": "ErrorAccessDenied", "attempt": 2},
    }
    assert health.snapshot()["status"] == "degraded"


def test_recovery_ends_the_problem_and_hands_it_back(health):
    health.problem("token default", "x", {})
    assert health.recovered("token default").subject == "token default"
    assert health.recovered("token default") is None
    assert health.snapshot()["status"] == "ok"


def test_without_its_journal_the_daemon_is_failing(health):
    health.problem("journal", OSError(28, "No space left on device"), {})
    assert health.snapshot()["status"] == "failing"
    assert health.snapshot()["problems"][0]["what"] == "OSError: [Errno 28] No space left on device"


def test_a_stale_folder_degrades_and_all_of_them_fail(health, clock):
    health.watch({INBOX: 90.0, ("c@d.example", "Inbox"): 600.0})
    clock.seconds = 91
    assert health.snapshot()["status"] == "degraded"
    assert [folder["stale"] for folder in health.snapshot()["mailboxes"]] == [True, False]
    clock.seconds = 601
    assert health.snapshot()["status"] == "failing"
    health.walked(*INBOX)
    assert health.snapshot()["status"] == "degraded"


def test_age_counts_from_the_last_finished_round(health, clock):
    health.watch({INBOX: 90.0})
    assert health.snapshot()["mailboxes"][0]["last_round"] is None
    clock.seconds = 60
    health.walked(*INBOX)
    clock.seconds = 100
    (folder,) = health.snapshot()["mailboxes"]
    assert (folder["age_seconds"], folder["last_round"]) == (40.0, "2026-03-01T12:01:00+00:00")


@pytest.mark.parametrize("subject", ["mailbox gone@b.example", "requests gone@b.example", "sending gone@b.example"])
def test_what_is_wrong_with_a_mailbox_that_is_configured_no_more_is_forgotten(health, subject):
    health.watch({INBOX: 90.0, ("gone@b.example", "Inbox"): 90.0})
    health.problem(subject, "It waits.", {})

    health.watch({INBOX: 90.0})

    assert not health.troubles


def test_a_reload_keeps_known_ages_and_drops_what_is_no_longer_watched(health, clock):
    health.watch({INBOX: 90.0, ("gone@b.example", "Inbox"): 90.0})
    health.problem("mailbox gone@b.example/Inbox", "x", {})
    clock.seconds = 50
    health.walked(*INBOX)
    clock.seconds = 60
    health.watch({INBOX: 300.0})
    (folder,) = health.snapshot()["mailboxes"]
    assert (folder["age_seconds"], folder["limit_seconds"]) == (10.0, 300.0)
    assert health.snapshot()["problems"] == []


def test_a_round_of_a_folder_nobody_watches_is_ignored(health):
    health.walked("x@y.example", "Inbox")
    assert health.snapshot()["mailboxes"] == []


def test_the_watchdog_starves_when_one_expected_subject_is_stuck(health, clock):
    health.expect("schedule", 10)
    health.expect("dispatch", 60)
    clock.seconds = 11
    assert health.stuck(11) == ["schedule"]
    assert not health.is_progressing(11)
    assert health.snapshot()["status"] == "failing"
    health.progress("schedule")
    assert health.is_progressing(11)


def test_an_attempt_that_failed_feeds_the_watchdog_too(health, clock):
    health.expect("schedule", 10)
    clock.seconds = 9
    health.problem("schedule", "Graph is down", {})
    assert health.is_progressing(15)


def test_what_is_not_expected_cannot_be_stuck(health, clock):
    health.progress("mailbox a@b.example/Inbox")
    assert health.is_progressing(1e9)


def test_a_snapshot_is_json_and_holds_no_secret(health):
    health.problem("token default", "said client_secret=s3cr3t", {"token": "s3cr3t", "at": object()})
    health.problem("handler x", asyncio.CancelledError(), {})
    assert "s3cr3t" not in json.dumps(health.snapshot())


@pytest.mark.parametrize(
    ("dead", "words"), [(0, []), (1, ["1 dead set of mail actions"]), (3, ["3 dead sets of mail actions"])]
)
def test_dead_mail_actions_are_noticed_like_dead_letters(health, dead, words):
    health.counts = {"deliveries.dead": 0, "actions.dead": dead}
    notices = health.snapshot()["notices"]
    assert [(notice["what"], notice["count"]) for notice in notices] == [(each, dead) for each in words]
    assert all("postroom messages retry-actions" in notice["what_to_do"] for notice in notices)


@pytest.mark.parametrize(("dead", "words"), [(0, []), (1, ["1 dead letter"]), (3, ["3 dead letters"])])
def test_dead_letters_are_noticed_without_making_the_daemon_ill(health, dead, words):
    health.counts = {"deliveries.dead": dead}
    snapshot = health.snapshot()
    assert [notice["what"] for notice in snapshot["notices"]] == words
    assert all("postroom deliveries list --dead" in notice["what_to_do"] for notice in snapshot["notices"])
    assert snapshot["status"] == "ok"


def test_what_a_mailbox_suffers_as_a_whole_takes_the_place_of_what_its_folders_do(health):
    health.watch({("a@b", "Inbox"): 60.0, ("a@b", "Inbox/Bills"): 60.0, ("c@d", "Inbox"): 60.0})
    for subject in ("mailbox a@b/Inbox/Bills", "mailbox a@b/Inbox", "freshness a@b/Inbox", "mailbox c@d/Inbox"):
        health.problem(subject, "It fails.", {})
    assert len(health.troubles) == 4, "a folder is not within another one"
    health.problem("mailbox a@b", "It is parked.", {})
    assert set(health.troubles) == {"mailbox a@b", "mailbox c@d/Inbox"}
    assert [each["parked"] for each in health.snapshot()["mailboxes"]] == [True, True, False]
    health.watch({("c@d", "Inbox"): 60.0})
    assert set(health.troubles) == {"mailbox c@d/Inbox"}


def test_how_a_folder_is_walked_is_no_problem_while_its_mailbox_is_parked(health):
    health.watch({("a@b", "Inbox"): 60.0, ("c@d", "Inbox"): 60.0})
    for subject in ("mode a@b/Inbox", "mode c@d/Inbox", "reconcile a@b/Inbox"):
        health.problem(subject, "All mail is handled.", {}, "warning")
    health.problem("mailbox a@b", "It is parked.", {})

    def said():
        return [each["where"] for each in health.snapshot()["problems"]]

    assert said() == ["mode c@d/Inbox", "reconcile a@b/Inbox", "mailbox a@b"]
    health.recovered("mailbox a@b")
    assert said() == ["mode a@b/Inbox", "mode c@d/Inbox", "reconcile a@b/Inbox"]
