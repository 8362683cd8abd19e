"""The reference pages are held to the code: what one names, the other has."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from postroom.errors import ExitCode
from postroom.observe.health import Health
from postroom.observe.metrics import Metrics
from postroom.observe.redact import LONGEST_VALUE
from postroom.observe.report import Report


class Clock:
    def now(self):
        return datetime(2026, 3, 1, tzinfo=UTC)

    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        raise AssertionError(timedelta(seconds=seconds))


def rows(text):
    """The cells of every table row."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@pytest.fixture(scope="module")
def reference(root):
    return lambda name: (root / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")


def test_every_exit_code_is_explained_and_no_other(reference):
    explained = {(row[1].strip("`"), int(row[0])) for row in rows(reference("exit-codes")) if row[0].isdecimal()}
    assert explained == {(code.name, code.value) for code in ExitCode}


def test_the_exit_codes_that_systemd_does_not_restart_on_are_named(root, reference):
    unit = (root / "systemd" / "postroom.service").read_text(encoding="utf-8")
    codes = re.search(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)[1].split()
    assert f"each code but 0, {' and '.join(codes)}:" in reference("exit-codes")


def test_every_metric_is_explained_with_its_labels_and_no_other(reference):
    clock = Clock()
    health = Health(clock)
    health.watch({("a@b.example", "Inbox"): 60.0})
    registry = Metrics(health, clock).registry
    own, labels = {}, {}
    for family in registry.collect():
        if family.name.startswith("postroom_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            own[name] = family.type
            labels[name] = set(getattr(family, "_labelnames", ()))
    labels |= {
        f"{metric._name}_total" if metric._type == "counter" else metric._name: set(metric._labelnames)
        for metric in registry._collector_to_names
        if hasattr(metric, "_labelnames")
    } | {"postroom_mailbox_freshness_seconds": {"mailbox", "folder"}}
    explained = {row[0].strip("`"): row for row in rows(reference("metrics")) if row[0].startswith("`postroom_")}
    assert {name: row[1] for name, row in explained.items()} == own
    for name, row in explained.items():
        assert set(re.findall(r"`(\w+)`", row[2])) == labels.get(name, set()), name


def test_alerts_use_metrics_that_exist(reference):
    text = reference("metrics")
    explained = {row[0].strip("`") for row in rows(text)}
    alerts = re.search(r"```yaml other\n(.*?)```", text, re.DOTALL)[1]
    assert set(re.findall(r"postroom_\w+", alerts)) <= explained


def emitted(root):
    """The event names in the code, with the keywords each is given."""
    found = {}
    for path in (root / "daemon" / "postroom").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"report\.event\(\s*\"(\w+)\"", text):
            found.setdefault(name, path)
    return found


def test_every_event_the_daemon_emits_is_explained(root, reference):
    explained = {name for row in rows(reference("logging")) for name in re.findall(r"`(\w+)`", row[0])}
    missing = emitted(root).keys() - explained
    assert not missing


def test_every_event_explained_is_one_the_report_knows_or_the_daemon_emits(root, reference):
    explained = {name for row in rows(reference("logging")) for name in re.findall(r"`(\w+)`", row[0])}
    clock = Clock()
    health = Health(clock)
    known = Report(structlog.get_logger(), Metrics(health, clock), health, clock)._events.keys()
    assert explained <= known | emitted(root).keys() | {"problem", "recovered", "summary", "exit_ignored"}


def test_the_example_line_is_what_a_line_looks_like(reference):
    line = json.loads(re.search(r"```json\n(.*?)```", reference("logging"), re.DOTALL)[1])
    assert list(line)[:3] == ["time", "level", "event"]
    assert {"mailbox", "folder", "message", "handler", "attempt"} <= line.keys()


def test_the_limits_the_pages_name_are_those_of_the_code(reference):
    assert f"A value is cut at {LONGEST_VALUE:,} characters" in reference("logging")
