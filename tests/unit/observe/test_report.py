from datetime import UTC, datetime

import pytest

from postroom.errors import Forbidden, JournalGone
from postroom.observe.report import REMIND
from postroom.ports import BY_LIMIT
from postroom.ports import Report as ReportPort

INBOX = "mailbox a@b.example/Inbox"
DELIVERY = {
    "mailbox": "a@b.example",
    "message": 12,
    "delivery": 10,
    "handler": "erp",
    "rule": "r",
    "attempt": 1,
    "seconds": 0.1,
}


def forbidden(request_id="1111-aaaa"):
    return Forbidden(f"Graph refused ({request_id}).", remedy="Grant Mail.Read.", request_id=request_id)


def sample(desk, name, **labels):
    return desk.metrics.registry.get_sample_value(name, labels)


def test_it_is_what_the_pipeline_asks_for(desk):
    port: ReportPort = desk.report
    port.progress("schedule")


def test_a_problem_is_said_once_while_it_stays_the_same(desk, lines):
    for number in range(100):
        desk.report.problem(INBOX, forbidden(f"{number:04}-bbbb"), mailbox="a@b.example", folder="Inbox")
    (line,) = lines()
    assert line["event"] == "problem"
    assert line["level"] == "error"
    assert line["what"] == "Graph refused (0000-bbbb)."
    assert line["remedy"] == "Grant Mail.Read."
    assert (line["mailbox"], line["folder"], line["subject"]) == ("a@b.example", "Inbox", INBOX)


def test_a_journal_that_is_gone_is_one_problem_whoever_meets_it(desk, lines):
    for subject in (INBOX, "journal actions", "journal", "daemon"):
        desk.report.problem(subject, JournalGone("The journal is gone."), mailbox="a@b.example")
    assert [line["subject"] for line in lines()] == ["journal"]
    assert list(desk.health.troubles) == ["journal"]


def test_rounds_that_fail_are_counted(desk):
    for _ in range(3):
        desk.report.event("round_failed", mailbox="a@b.example", folder="Inbox", failures=1)
    assert sample(desk, "postroom_rounds_total", outcome="failed") == 3


def test_a_problem_that_goes_on_is_said_again_after_a_while(desk, lines):
    for seconds in (0, REMIND - 1, REMIND, 2 * REMIND - 1):
        desk.clock.seconds = seconds
        desk.report.problem(INBOX, forbidden())
    assert [line["count"] for line in lines()] == [1, 3]


def test_a_problem_that_changes_is_said_at_once(desk, lines):
    desk.report.problem(INBOX, forbidden())
    desk.report.problem(INBOX, "The mailbox is full.")
    assert [line["what"] for line in lines()] == ["Graph refused (1111-aaaa).", "The mailbox is full."]


def test_a_recovery_is_said_once_and_a_new_failure_is_said_again(desk, lines):
    desk.report.recovered(INBOX)
    desk.report.problem(INBOX, forbidden())
    desk.clock.seconds = 42
    desk.report.recovered(INBOX)
    desk.report.recovered(INBOX)
    desk.report.problem(INBOX, forbidden())
    assert [line["event"] for line in lines()] == ["problem", "recovered", "problem"]
    assert lines()[1]["after_seconds"] == 42
    assert lines()[0]["id"] == lines()[1]["id"] == desk.health.snapshot()["problems"][0]["id"]


def test_what_a_problem_of_the_whole_mailbox_replaces_is_said_to_be_over(desk, lines):
    desk.health.watch({("a@b.example", "Inbox"): 60.0, ("a@b.example", "Bills"): 60.0})
    for subject in (INBOX, "freshness a@b.example/Bills", "mailbox a@b.examples/Inbox"):
        desk.report.problem(subject, forbidden())
    for _ in range(2):
        desk.report.problem("mailbox a@b.example", "It is parked.")
    desk.report.recovered("mailbox a@b.example")
    desk.report.recovered(INBOX)
    open_now = set()
    for line in lines():
        (open_now.add if line["event"] == "problem" else open_now.remove)(line["id"])
    assert open_now == {desk.health.troubles["mailbox a@b.examples/Inbox"].id}
    parked, over = lines()[-2], [line for line in lines() if "replaced_by" in line]
    assert [line["subject"] for line in over] == [INBOX, "freshness a@b.example/Bills"]
    assert {line["replaced_by"] for line in over} == {parked["id"]}


def test_a_problem_nobody_foresaw_says_where_it_came_from(desk, lines):
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        desk.report.problem("dispatch", error)
    assert lines()[0]["what"] == "ZeroDivisionError: integer division or modulo by zero"
    assert "test_report.py" in lines()[0]["at"]


def test_an_idle_round_is_no_line_at_info(desk, lines):
    desk.health.watch({("a@b.example", "Inbox"): 60.0})
    desk.clock.seconds = 30
    for fresh in (0, 2):
        desk.report.event("round", mailbox="a@b.example", folder="Inbox", pages=1, fresh=fresh, known=0, seconds=0.05)
    assert [line["level"] for line in lines()] == ["debug", "info"]
    assert sample(desk, "postroom_messages_total") == 2
    assert desk.health.snapshot()["mailboxes"][0]["age_seconds"] == 0


@pytest.mark.parametrize(
    ("state", "error", "level"),
    [("done", "", "debug"), ("ready", "HTTP 503", "warning"), ("ready", "", "debug"), ("dead", "gone", "error")],
)
def test_a_delivery_is_as_loud_as_it_is_bad(desk, lines, state, error, level):
    desk.report.event("delivery", state=state, error=error, **DELIVERY)
    assert lines()[0]["level"] == level
    assert (lines()[0]["handler"], lines()[0]["attempt"], lines()[0]["message"]) == ("erp", 1, 12)
    assert sample(desk, "postroom_deliveries_total", handler="erp", state=state) == 1


def test_the_line_of_a_dead_letter_says_what_to_do_about_it(desk, lines):
    desk.report.event("delivery", state="ready", error="HTTP 503", **DELIVERY)
    desk.report.event("delivery", state="dead", error="HTTP 422", **DELIVERY)
    assert [line["delivery"] for line in lines()] == [10, 10]
    assert "remedy" not in lines()[0]
    assert lines()[1]["remedy"] == "Mend the cause, then `postroom deliveries retry 10`."


def test_the_line_of_dead_mail_actions_says_what_to_do_about_them(desk, lines):
    action = {"mailbox": "a@b.example", "message": 25, "graph_id": "AAk", "origin": "rule r then"}
    desk.report.event("action", state="ready", error="HTTP 503", **action)
    desk.report.event("action", state="dead", error="no such folder", **action)
    assert "remedy" not in lines()[0]
    assert "`postroom messages retry-actions 25`" in lines()[1]["remedy"]


def test_done_work_is_summed_up_each_minute_and_at_the_end(desk, lines):
    for _ in range(3):
        desk.report.event("delivery", state="done", **DELIVERY)
    desk.clock.seconds = 60
    desk.report.event("action", mailbox="a@b.example", graph_id="AAk", origin="rule r then", state="done", note="moved")
    desk.report.event("delivery", state="done", **DELIVERY)
    desk.report.event("stopped")
    desk.report.sum_up()
    infos = [line for line in lines() if line["level"] == "info"]
    assert [line["event"] for line in infos] == ["summary", "summary", "stopped"]
    assert (infos[0]["deliveries_done"], infos[0]["actions_done"]) == (3, 1)
    assert infos[1]["deliveries_done"] == 1


@pytest.mark.parametrize(("origin", "kind"), [("rule invoices then", "rule"), ("handler erp", "handler")])
def test_actions_are_counted_by_who_asked(desk, lines, origin, kind):
    desk.report.event("action", mailbox="a@b", graph_id="AAk", origin=origin, state="dead", error="no such folder")
    assert lines()[0]["level"] == "error"
    assert sample(desk, "postroom_actions_total", kind=kind, state="dead") == 1


def test_a_fresh_token_moves_its_expiry(desk, lines):
    desk.report.event("token", tenant="default", expires_at=datetime(2026, 3, 1, tzinfo=UTC))
    assert sample(desk, "postroom_token_expiry_timestamp_seconds", tenant="default") == 1772323200
    assert lines()[0]["expires_at"] == "2026-03-01T00:00:00+00:00"


def test_the_life_of_the_daemon_is_its_phase(desk, lines):
    assert desk.health.phase == "starting"
    desk.report.event("started", mailboxes=2)
    assert desk.health.phase == "running"
    desk.report.event("stopping", reason="SIGTERM")
    assert desk.health.phase == "stopping"
    assert [line["event"] for line in lines()] == ["started", "stopping"]


def test_a_refused_reload_is_a_problem_until_one_works(desk, lines):
    desk.report.event("reload_failed", reason="2 problems in the configuration.")
    assert sample(desk, "postroom_config_last_reload_success") == 0
    (problem,) = desk.health.snapshot()["problems"]
    assert problem["where"] == "configuration"
    assert "2 problems in the configuration." in problem["what"]
    desk.report.event("reloaded")
    assert desk.health.snapshot()["problems"] == []
    assert sample(desk, "postroom_config_last_reload_success") == 1
    assert [line["level"] for line in lines()] == ["error", "info"]


@pytest.mark.parametrize(("wait", "level"), [(2.5, "debug"), (300.0, "warning")])
def test_a_throttled_tenant_does_not_flood_the_log_but_a_long_wait_is_said(desk, lines, wait, level):
    desk.report.event("retry", tenant="default", mailbox="a@b", status=429, wait=wait)
    desk.report.sum_up()
    assert [line["level"] for line in lines()] == [level, "info"]
    assert lines()[1]["graph_retries"] == 1
    assert sample(desk, "postroom_graph_retries_total", status="429") == 1


@pytest.mark.parametrize("name", ["resync", "fallback"])
def test_what_an_operator_may_want_to_look_at_is_a_warning(desk, lines, name):
    desk.report.event(name, mailbox="a@b", folder="Inbox", reason="It is full.", remedy="Empty it.")
    assert lines()[0]["level"] == "warning"


def test_a_folder_that_is_listed_is_a_problem_of_health_until_delta_works_again_and_said_once(desk, lines):
    desk.health.phase = "running"
    desk.health.watch({("a@b", "Inbox"): 60.0})
    for _ in range(3):  # a reload makes a new poller, which says it again
        desk.report.event(
            "fallback", mailbox="a@b", folder="Inbox", mode="listing", reason="It is full.", remedy="Empty it."
        )
    [problem] = desk.health.snapshot()["problems"]
    assert (desk.health.status(), problem["severity"], problem["where"]) == ("degraded", "warning", "mode a@b/Inbox")
    assert (problem["what"].endswith("It is full."), problem["what_to_do"]) == (True, "Empty it.")
    desk.report.event("restored", mailbox="a@b", folder="Inbox", mode="delta")
    assert desk.health.status() == "ok"
    assert [line["event"] for line in lines()] == ["fallback", "restored"]


def test_metrics_tell_how_a_folder_is_walked_and_what_is_missing_of_a_mailbox(desk, lines):
    desk.health.watch({("a@b", "Inbox"): 60.0, ("a@b", "Bills"): 60.0, ("c@d", "Inbox"): 60.0})
    desk.report.event("round", mailbox="a@b", folder="Inbox", fresh=0, seconds=0.1, mode="listing")
    missed = {"listed": 9, "missing": 5, "healed": 2, "unaccounted": 3, "messages": ["AAk"]}
    for folder in ("Inbox", "Bills"):
        desk.report.event("reconciled", mailbox="a@b", folder=folder, **missed)
    assert sample(desk, "postroom_folder_mode", mailbox="a@b", folder="Inbox", mode="listing") == 1
    assert sample(desk, "postroom_unaccounted_messages", mailbox="a@b") == 6
    assert sample(desk, "postroom_unaccounted_messages", mailbox="c@d") == 0
    assert sample(desk, "postroom_healed_messages_total") == 4
    assert [line["level"] for line in lines() if line["event"] == "reconciled"] == ["warning", "warning"]
    desk.health.watch({("c@d", "Inbox"): 60.0})
    assert sample(desk, "postroom_unaccounted_messages", mailbox="a@b") is None


def test_a_mail_that_becomes_a_dead_letter_at_once_is_an_error(desk, lines):
    desk.report.event("unreadable", mailbox="a@b", folder="Inbox", graph_id="AAk", error="no such mail")
    assert lines()[0]["level"] == "error"


@pytest.mark.parametrize(("reason", "count"), [("it may be on its way", None), (f"4 times, {BY_LIMIT}", 1)])
def test_a_mail_that_is_held_back_is_said_and_counted_where_a_limit_does_it(desk, lines, reason, count):
    desk.report.event("send_held_back", mailbox="a@b", kind="reply", reason=reason, until="2026-03-02T09:15:00+00:00")
    (line,) = lines()
    assert (line["level"], line["reason"]) == ("warning", reason)
    assert sample(desk, "postroom_sends_total", kind="reply", outcome="held_back") == count


@pytest.mark.parametrize(("reason", "outcome"), [("it is mass mail", "not_sent"), (f"4 times, {BY_LIMIT}", "limited")])
def test_what_a_limit_withheld_is_counted_apart_from_what_nobody_waits_for(desk, reason, outcome):
    desk.report.event("not_sent", mailbox="a@b", kind="reply", reason=reason)
    assert sample(desk, "postroom_sends_total", kind="reply", outcome=outcome) == 1


@pytest.mark.parametrize(
    ("kind", "reason", "told"),
    [("reply", f"4 times, {BY_LIMIT}", True), ("reply", "it is mass mail", False), ("send", f"4, {BY_LIMIT}", False)],
)
def test_health_tells_of_answers_that_a_limit_withheld(desk, kind, reason, told):
    desk.report.event("not_sent", mailbox="a@b", kind=kind, reason=reason)
    assert bool(desk.health.snapshot()["notices"]) == told


def test_an_event_nobody_knows_is_logged_all_the_same(desk, lines):
    desk.report.event("recovery", deliveries=3)
    assert (lines()[0]["event"], lines()[0]["deliveries"], lines()[0]["level"]) == ("recovery", 3, "info")


def test_the_journals_counts_reach_health_and_metrics(desk):
    desk.report.counted({"messages": 5, "deliveries.dead": 1})
    assert desk.health.snapshot()["counts"] == {"messages": 5, "deliveries.dead": 1}
    assert sample(desk, "postroom_dead_letters") == 1
