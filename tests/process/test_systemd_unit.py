import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from postroom.cli.common import load
from postroom.errors import ExitCode

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "systemd"
SCORE = 1.5
"""Exposure level that the sandbox must not exceed; systemd counts from 0 (tight) to 10."""

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(path):
    """Section.key -> values in order, as systemd reads a unit file."""
    found, section = {}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif line and not line.startswith(("#", ";")):
            key, separator, value = line.partition("=")
            assert separator, line
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


@pytest.fixture(scope="module")
def unit():
    return settings(SYSTEMD / "postroom.service")


def seconds(span):
    number, suffix = re.fullmatch(r"(\d+)(s|min)", span).groups()
    return int(number) * (60 if suffix == "min" else 1)


def test_start_is_announced_by_the_daemon_and_reload_is_a_signal(unit):
    assert unit["Service.Type"] == ["notify"]
    assert unit["Service.NotifyAccess"] == ["main"]
    assert unit["Service.ExecStart"] == ["/opt/postroom/bin/postroom run -c /etc/postroom/postroom.yaml"]
    assert unit["Service.ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_a_wrong_configuration_is_not_tried_again_and_an_outage_is(unit):
    never = {int(code) for code in unit["Service.RestartPreventExitStatus"][0].split()}
    assert {ExitCode.CONFIG, ExitCode.USAGE} <= never
    assert not never & {ExitCode.UNAVAILABLE, ExitCode.JOURNAL, ExitCode.LOCKED, ExitCode.SIGN_IN}
    assert unit["Service.Restart"] == ["on-failure"]
    assert unit["Unit.StartLimitIntervalSec"] == ["0"]


def test_the_example_as_it_is_installed_writes_to_the_state_directory_alone(unit, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "how-to" / "run-under-systemd.md").read_text(encoding="utf-8")
    [change] = re.findall(r"^sed -i .* /etc/postroom/postroom.yaml$", page, re.MULTILINE)
    file = tmp_path / "postroom.yaml"
    shutil.copy(ROOT / "config" / "postroom.yaml", file)
    subprocess.run(shlex.split(change.replace("/etc/postroom/postroom.yaml", str(file))), check=True)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.setenv(name, "contoso.example" if "TENANT" in name else "22222222-2222-2222-2222-222222222222")
    config = load(file)
    written = [Path(config.journal.removeprefix("sqlite:///"))]
    written += [each.options.directory for each in config.handlers.values() if hasattr(each.options, "directory")]
    assert len(written) == 5
    state = Path("/var/lib") / unit["Service.StateDirectory"][0]
    assert all(state in each.parents for each in written), written


def test_there_is_time_to_drain_before_the_kill(unit):
    sections = (ROOT / "daemon" / "postroom" / "config" / "sections.py").read_text(encoding="utf-8")
    drain = int(re.search(r"drain: Duration = written\(\"(\d+)s\"\)", sections)[1])
    assert seconds(unit["Service.TimeoutStopSec"][0]) >= 2 * drain + 10


def test_the_state_is_kept_and_the_secrets_are_handed_over(unit):
    assert unit["Service.DynamicUser"] == ["yes"]
    assert unit["Service.StateDirectory"] == ["postroom"]
    assert unit["Service.StateDirectoryMode"] == ["0700"]
    assert unit["Service.ConfigurationDirectory"] == ["postroom"]
    assert "#LoadCredential=" in (SYSTEMD / "postroom.service").read_text(encoding="utf-8")


def test_the_watchdog_and_the_limits_are_on(unit):
    assert seconds(unit["Service.WatchdogSec"][0]) >= 60
    assert unit["Service.MemoryMax"] == ["512M"]
    assert unit["Service.OOMPolicy"] == ["continue"]
    assert "Service.MemoryHigh" not in unit


def test_metrics_of_the_process_stay_visible(unit):
    assert "Service.ProcSubset" not in unit


def test_the_reload_drop_in_takes_the_units_own_command_away():
    drop_in = settings(SYSTEMD / "postroom.service.d" / "notify-reload.conf")
    assert drop_in == {"Service.Type": ["notify-reload"], "Service.ExecReload": [""]}


def test_every_setting_says_why_above_it():
    """A block of settings begins with a comment."""
    for block in (SYSTEMD / "postroom.service").read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("[")]
        if "[Service]" in block or not block.startswith("["):
            assert lines[0].startswith("#"), block


@analyze
def test_the_sandbox_is_tight():
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SYSTEMD / "postroom.service")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    )
    found = re.search(r"exposure level for postroom\.service: (\d+\.\d)", shown.stdout)
    assert found, shown.stderr
    assert float(found[1]) <= SCORE


@analyze
def test_systemd_understands_every_line(tmp_path):
    """Verified apart from its drop-ins, which are for newer versions, and with a program that exists."""
    text = (SYSTEMD / "postroom.service").read_text(encoding="utf-8")
    alone = tmp_path / "postroom.service"
    alone.write_text(text.replace("/opt/postroom/bin/postroom", "/bin/true"), encoding="utf-8")
    shown = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(alone)], capture_output=True, text=True, check=False
    )
    assert [line for line in shown.stderr.splitlines() if "postroom" in line] == []
