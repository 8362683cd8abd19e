"""`postroom simulate` runs until it is told to stop, says what a client needs, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from postroom.cli.simulate import simulate

START = [sys.executable, "-c", "from postroom.cli.simulate import simulate; simulate(standalone_mode=True)"]
LIMIT = 30


@contextmanager
def started(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "COLUMNS": "60",
    }
    process = subprocess.Popen(
        [*START, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT)


def stopped(process: subprocess.Popen, number: int = signal.SIGTERM) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_json_is_one_line_and_a_signal_ends_it_with_0_leaving_nothing(tmp_path, number):
    with started(tmp_path, "--json", "--mailbox", "a@contoso.example", "--mailbox", "b@contoso.example") as process:
        told = json.loads(process.stdout.readline())
        assert told["mailboxes"] == ["a@contoso.example", "b@contoso.example"]
        trust = ssl.create_default_context(cafile=told["ca_file"])
        url = f"{told['login']}/{told['tenant_id']}/v2.0/.well-known/openid-configuration"
        with urllib.request.urlopen(url, context=trust, timeout=LIMIT) as response:
            assert json.load(response)["token_endpoint"].startswith(told["login"])
        host, port = told["smtp"].split(":")
        with smtplib.SMTP(host, int(port), timeout=LIMIT) as client:
            client.sendmail("x@x.example", ["a@contoso.example"], b"Subject: x\r\n\r\nx\r\n")
        assert Path(told["config_file"]).read_text() == told["config"]
        code, rest, errors = stopped(process, number)
    assert (code, rest, errors) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_what_a_daemon_keeps_beside_its_configuration_stays_and_is_named(tmp_path):
    with started(tmp_path, "--json") as process:
        told = json.loads(process.stdout.readline())
        config = Path(told["config_file"])
        (config.parent / "postroom.db").write_bytes(b"journal")
        (config.parent / "attachments").mkdir()
        (config.parent / "attachments" / "bill.pdf").write_bytes(b"bill")
        code, _, errors = stopped(process)
    assert code == 0
    assert {each.name for each in config.parent.iterdir()} == {"attachments", "postroom.db", "postroom.yaml"}
    assert (config.parent / "attachments" / "bill.pdf").read_bytes() == b"bill"
    assert errors == f"Left in {config.parent}: attachments, postroom.db, postroom.yaml\n"
    assert not Path(told["ca_file"]).exists()


def test_without_json_it_tells_a_person_what_to_type_unbroken(tmp_path):
    with started(tmp_path) as process:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1]
        code, _, errors = stopped(process)
    text = "".join(lines)
    assert (code, errors) == (0, "")
    for address in ("invoices", "support", "dmarc", "orders"):
        assert f'address: "{address}@contoso.example"' in text
    (command,) = (line for line in lines if "postroom run -c" in line)
    assert command.rstrip().endswith("/postroom.yaml")
    assert "journal and attachments" in lines[-1]
    assert "--mail-rcpt invoices@contoso.example" in text


@pytest.mark.parametrize("option", ["--mails", "--seed"])
def test_mails_are_delivered_first_and_bad_files_reported(tmp_path, option):
    mails, room = tmp_path / "mails", tmp_path / "room"
    mails.mkdir()
    room.mkdir()
    (mails / "good.eml").write_bytes(b"Subject: x\r\n\r\nx\r\n")
    (mails / "bad.eml").symlink_to("nowhere")
    with started(room, "--json", option, str(mails)) as process:
        json.loads(process.stdout.readline())
        code, _, errors = stopped(process)
    assert code == 0
    assert "bad.eml" in errors
    assert "1 mails delivered" in errors


def test_weather_http_the_start_page_and_managed_identity_are_there_when_asked_for(tmp_path):
    options = ("--json", "--http", "--profile", "slow", "--seed", "7", "--managed-identity", "127.0.0.1:0")
    with started(tmp_path, *options) as process:
        told = json.loads(process.stdout.readline())
        assert told["graph"].startswith("http://127.0.0.1:")
        assert told["ca_file"] == ""
        assert told["metadata"].startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{told['control']}/api/state", timeout=LIMIT) as response:
            state = json.load(response)
        assert (state["profile"], state["seed"]) == ("slow", 7)
        with urllib.request.urlopen(told["control"], timeout=LIMIT) as response:
            assert b"Simulated Microsoft 365 tenant" in response.read()
        assert stopped(process)[0] == 0


def test_mail_and_a_seed_for_chance_may_be_given_together(tmp_path):
    mails, room = tmp_path / "mails", tmp_path / "room"
    mails.mkdir()
    room.mkdir()
    (mails / "good.eml").write_bytes(b"Subject: x\r\n\r\nx\r\n")
    with started(room, "--json", "--mails", str(mails), "--seed", "3") as process:
        told = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{told['control']}/api/state", timeout=LIMIT) as response:
            state = json.load(response)
        assert (state["seed"], state["mailboxes"][0]["messages"]) == (3, 1)


def refusal(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(simulate, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize("option", ["--listen", "--smtp", "--control", "--managed-identity"])
@pytest.mark.parametrize("place", ["0.0.0.0:0", "[::]:0", "192.0.2.1:8443", "host.example:1"])
def test_a_place_that_others_can_reach_is_refused_unless_it_is_wanted(option, place):
    code, output = refusal(option, place)
    assert code == 2
    assert "--allow-remote" in output


@pytest.mark.parametrize("place", ["127.0.0.1", "nonsense", "127.0.0.1:99999", "https://127.0.0.1:1", ""])
def test_a_place_that_is_none_is_explained(place):
    code, output = refusal("--listen", place)
    assert code == 2
    assert "host:port" in output


@pytest.mark.parametrize("address", ["invoices", "@contoso.example", "a b@contoso.example", "a@"])
def test_a_mailbox_that_is_no_address_is_explained(address):
    code, output = refusal("--mailbox", address)
    assert code == 2
    assert "not a mail address" in output


@pytest.mark.parametrize("option", ["--mails", "--seed"])
def test_a_directory_of_mails_that_is_not_there_is_refused(tmp_path, option):
    code, output = refusal(option, str(tmp_path / "missing"))
    assert (code, "missing" in output) == (2, True)


def test_a_profile_there_is_not_is_refused_with_those_there_are():
    code, output = refusal("--profile", "sunny")
    assert code == 2
    assert "bad-tuesday" in output


def test_help_names_every_option():
    code, output = refusal("--help")
    assert code == 0
    for option in (
        "--listen", "--smtp", "--mailbox", "--mails", "--seed", "--profile", "--control", "--managed-identity",
        "--http", "--json", "--allow-remote",
    ):  # fmt: skip
        assert option in output
