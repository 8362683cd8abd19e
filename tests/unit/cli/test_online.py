"""`postroom check --online` against a simulated tenant: what works, what does not, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import socket

import pytest

from postroom.cli.online import online
from postroom.errors import ExitCode
from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant
from postroom.simulator.tls import write_private
from support.command import invoke
from support.daemon import load_config

MAILBOXES = ("a@contoso.example", "b@contoso.example")


@pytest.fixture
async def tenant(tmp_path):
    (tmp_path / "tenant").mkdir()
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=MAILBOXES, smtp=None) as running:
        yield running


@pytest.fixture
def config(tenant, tmp_path):
    def config(mailboxes=MAILBOXES, folders=("Inbox", "sentitems"), then="{}", **changed):
        section = {
            "cloud": {"login": tenant.login, "graph": tenant.graph, "ca_file": str(tenant.ca_file)},
            "tenant_id": tenant.tenant_id,
            "client_id": tenant.client_id,
            "credential": {"client_secret": tenant.client_secret},
        }
        watched = [
            {"address": each, "folders": list(folders), "rules": [{"handle": "log", "then": json.loads(then)}]}
            for each in mailboxes
        ]
        text = json.dumps({"tenant": {**section, **changed}, "mailboxes": watched})
        return write_private(tmp_path / "postroom.yaml", text.encode())

    return config


async def check(path):
    ended = await invoke("check", "-c", path, "--online", "--json")
    return ended.code, ended.json["problems"]


async def test_what_works_is_ready(config):
    path = config(then='{"mark_read": true}')
    assert await check(path) == (ExitCode.OK, [])
    people = await invoke("check", "-c", path, "--online")
    assert "ready (2 mailboxes, 2 rules, 1 handler; 0 errors, 0 warnings)" in people.out
    assert "signed in to default; 2 mailboxes, 4 folders answer" in people.out
    assert people.err == ""


class Terminal(io.StringIO):
    """A standard error that somebody watches."""

    def isatty(self):
        return True


async def test_a_person_at_a_terminal_sees_how_far_it_is(config, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stderr(Terminal()) as stream:
        assert await online(load_config(config())) == []
    assert "4 of 4 folders looked up" in stream.getvalue()


async def test_every_mailbox_and_folder_that_fails_is_named_with_the_remedy_and_the_id_to_quote(config):
    path = config(mailboxes=("a@contoso.example", "lost@contoso.example"), folders=("Inbox", "Inbox/Gone"))
    code, problems = await check(path)
    assert code == ExitCode.FAILED
    assert [each["path"] for each in problems] == [
        "mailboxes.0.folders.1",
        "mailboxes.1.folders.0",
        "mailboxes.1.folders.1",
    ]
    assert {each["id"] for each in problems} == {"PR072"}
    assert "Gone" in problems[0]["text"]
    assert "lost@contoso.example" in problems[1]["text"]
    assert "Check the address" in problems[1]["text"]
    assert "(request-id " in problems[1]["text"]


async def test_a_mailbox_outside_of_the_apps_scope_fails_alone(config, tenant):
    tenant.app.mailboxes = frozenset({"a@contoso.example"})
    code, problems = await check(config(folders=["Inbox"]))
    assert code == ExitCode.FAILED
    assert [each["path"] for each in problems] == ["mailboxes.1.folders.0"]


async def test_a_refused_sign_in_ends_with_77_and_nothing_else_is_tried(config, tenant):
    code, problems = await check(config(credential={"client_secret": "wrong"}))
    assert code == ExitCode.SIGN_IN
    (problem,) = problems
    assert (problem["id"], problem["path"]) == ("PR070", "tenant")
    assert "AADSTS7000215" in problem["text"]


@pytest.mark.parametrize("host", ["login", "graph"])
async def test_a_host_that_cannot_be_reached_is_told_once_and_ends_with_69(config, tenant, host):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"https://127.0.0.1:{free.getsockname()[1]}"
        cloud = {"login": tenant.login, "graph": tenant.graph, "ca_file": str(tenant.ca_file), host: nobody}
        if host == "graph":
            tenant.entra.resources = frozenset({*tenant.entra.resources, nobody})
        code, problems = await check(config(cloud=cloud))
    assert code == ExitCode.UNAVAILABLE
    assert [(each["id"], each["path"]) for each in problems] == [("PR071", "tenant")]


async def test_permissions_the_configuration_needs_and_the_token_lacks_are_warnings(config, tenant):
    tenant.app.roles = frozenset({"Mail.Read"})
    code, problems = await check(config(then='{"mark_read": true}'))
    assert code == ExitCode.OK
    (problem,) = problems
    assert (problem["id"], problem["severity"]) == ("PR073", "warning")
    assert "Mail.ReadWrite" in problem["text"]
    assert await check(config()) == (ExitCode.OK, [])


async def test_a_configuration_that_sends_needs_a_permission_of_its_own(config, tenant):
    tenant.app.roles = frozenset({"Mail.ReadWrite"})
    code, problems = await check(config(then='{"reply": "Thank you"}'))
    assert code == ExitCode.OK
    (problem,) = problems
    assert (problem["id"], problem["severity"]) == ("PR073", "warning")
    assert "Mail.Send" in problem["text"]
    tenant.app.roles = frozenset({"Mail.ReadWrite", "Mail.Send"})
    assert await check(config(then='{"reply": "Thank you"}')) == (ExitCode.OK, [])


async def test_a_token_without_any_permission_may_be_under_rbac_for_applications(config, tenant):
    """Its rights are then in Exchange, where a token does not show them: only a mailbox that refuses tells."""
    tenant.app.roles = frozenset()
    _, problems = await check(config(then='{"mark_read": true}'))
    assert "PR073" not in {each["id"] for each in problems}


async def test_a_fault_of_graph_is_told_with_its_mailbox(config, tenant):
    tenant.faults.add(Fault(GraphAnswer(503, "ServiceUnavailable"), path="*b@contoso.example*", count=None))
    code, problems = await check(config(folders=["Inbox"]))
    assert code == ExitCode.FAILED
    assert [each["path"] for each in problems] == ["mailboxes.1.folders.0"]
