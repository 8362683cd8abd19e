from datetime import UTC, datetime

from postroom import __version__
from postroom.observe.metrics import Metrics, Use


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_attempts_are_counted_by_handler_and_state(health, clock):
    metrics = Metrics(health, clock)
    for state in ("done", "done", "dead"):
        metrics.delivery("erp", state, 0.2)
    assert value(metrics, "postroom_deliveries_total", handler="erp", state="done") == 2
    assert value(metrics, "postroom_deliveries_total", handler="erp", state="dead") == 1
    assert value(metrics, "postroom_delivery_seconds_count", handler="erp") == 3


def test_a_round_counts_its_new_messages(health, clock):
    metrics = Metrics(health, clock)
    metrics.round("ok", 0.3, 7)
    metrics.round("failed")
    assert value(metrics, "postroom_messages_total") == 7
    assert value(metrics, "postroom_rounds_total", outcome="ok") == 1
    assert value(metrics, "postroom_rounds_total", outcome="failed") == 1
    assert value(metrics, "postroom_round_seconds_count") == 1


def test_freshness_problems_and_dead_letters_are_read_at_the_scrape(health, clock):
    metrics = Metrics(health, clock)
    health.watch({("a@b.example", "Inbox"): 90.0})
    health.problem("journal", "x", {})
    health.counts = {"deliveries.dead": 4, "deliveries.ready": 2, "deliveries.running": 1, "actions.dead": 5}
    clock.seconds = 12
    assert value(metrics, "postroom_mailbox_freshness_seconds", mailbox="a@b.example", folder="Inbox") == 12
    assert value(metrics, "postroom_problems") == 1
    assert value(metrics, "postroom_dead_letters") == 4
    assert value(metrics, "postroom_dead_actions") == 5
    assert value(metrics, "postroom_deliveries_waiting") == 3


def test_two_sets_of_metrics_do_not_share_anything(health, clock):
    one, two = Metrics(health, clock), Metrics(health, clock)
    one.delivery("erp", "done", 0.1)
    assert value(two, "postroom_deliveries_total", handler="erp", state="done") is None


def test_the_rest_of_the_metrics_say_what_they_are_told(health, clock):
    metrics = Metrics(health, clock)
    metrics.token("default", datetime(2026, 3, 1, tzinfo=UTC))
    metrics.reloaded(success=False)
    metrics.action("rule", "done")
    metrics.retry(429)
    metrics.resync()
    assert value(metrics, "postroom_token_expiry_timestamp_seconds", tenant="default") == 1772323200
    assert value(metrics, "postroom_config_last_reload_success") == 0
    assert value(metrics, "postroom_actions_total", kind="rule", state="done") == 1
    assert value(metrics, "postroom_graph_retries_total", status="429") == 1
    assert value(metrics, "postroom_resyncs_total") == 1


def test_the_text_names_the_version_and_no_creation_times(health, clock):
    metrics = Metrics(health, clock)
    metrics.delivery("erp", "done", 0.1)
    text = metrics.render().decode()
    assert 'postroom_build_info{python="' in text
    assert f'version="{__version__}"' in text
    assert "process_resident_memory_bytes" in text
    assert "_created" not in text


def test_parked_mailboxes_and_objectives_are_read_at_the_scrape(health, clock):
    metrics = Metrics(health, clock)
    health.watch({("a@b.example", "Inbox"): 90.0, ("a@b.example", "Bills"): 90.0, ("c@d.example", "Inbox"): 60.0})
    health.problem("mailbox a@b.example", "It is parked.", {})
    health.problem("mailbox c@d.example/Inbox", "It fails.", {})
    assert value(metrics, "postroom_mailboxes_parked") == 1
    objective = {"mailbox": "c@d.example", "folder": "Inbox"}
    assert value(metrics, "postroom_mailbox_freshness_objective_seconds", **objective) == 60


def test_what_the_budgets_have_counted_is_read_at_the_scrape(health, clock):
    metrics = Metrics(health, clock)
    metrics.render()
    metrics.used = lambda: [Use("one", "a@b", 7, 0.0), Use("one", "c@d", 3, 12.5), Use("two", "e@f", 1, 0.0)]
    assert value(metrics, "postroom_graph_requests_total", tenant="one") == 10
    assert value(metrics, "postroom_graph_requests_total", tenant="two") == 1
    assert value(metrics, "postroom_mailbox_throttled_seconds_total", mailbox="c@d") == 12.5
    assert value(metrics, "postroom_mailbox_throttled_seconds_total", mailbox="a@b") is None
