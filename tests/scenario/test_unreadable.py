"""Mail that Graph cannot show for a while, or ever: it stops nobody, and goes its rules' way once it can be read."""

from __future__ import annotations

import asyncio
import json

import pytest

from postroom.cli.main import run
from postroom.errors import ExitCode
from postroom.journal import JournalViews
from postroom.ports import ROUTING
from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault
from support.account import nothing_is_unaccounted, told
from support.daemon import MAILBOX, load_config, mail, run_daemon, write_config
from support.hours import Hours, pass_time

CONFIG = f"""
handlers: {{bills: {{use: log}}, lists: {{use: log}}}}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
      - {{name: bills, when: {{subject: "bill *"}}, handle: [bills], stop: true}}
      - {{name: lists, when: {{header: {{List-Id: "*"}}}}, handle: [lists], stop: true}}
      - {{name: rest, then: {{mark_read: true}}}}
"""
NOBODY_CAN_READ = f"/v1.0/users/{MAILBOX}/messages/*"
DOWN = GraphAnswer(503, "ServiceUnavailable")
CORRUPT = GraphAnswer(500, "ErrorCorruptData")


@pytest.fixture
def config(tmp_path, tenant):
    return write_config(tmp_path / "postroom.yaml", tenant, CONFIG)


def arrive(tenant, subject, **headers):
    text = mail(subject)
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return tenant.state.deliver_mime(MAILBOX, more.encode() + text)


async def states(running):
    """(subject, handler) -> state."""
    return {(each.subject, each.handler): each.state for each in await JournalViews(running.app.journal).deliveries()}


async def test_a_passing_trouble_with_reading_mail_makes_no_dead_letter_and_keeps_no_other_mail(tenant, config):
    """Ten minutes in which delta works and no message can be read."""
    clock = Hours()
    async with run_daemon(load_config(config), clock) as running:
        fault = tenant.faults.add(Fault(DOWN, path=NOBODY_CAN_READ, count=None))
        arrive(tenant, "news", List_Id="<weekly.contoso.example>")
        await pass_time(running, clock, 300, step=5)
        arrive(tenant, "bill 1")
        await pass_time(running, clock, 300, step=5)
        counts = await running.counts()
        assert (counts["deliveries.done"], counts["deliveries.dead"]) == (1, 0)
        assert set(await states(running)) == {("news", ROUTING), ("bill 1", "bills")}

        tenant.faults.remove(fault.id)
        await pass_time(running, clock, 600, step=20)
        assert await states(running) == {
            ("news", ROUTING): "done",
            ("news", "lists"): "done",
            ("bill 1", "bills"): "done",
        }
        await nothing_is_unaccounted(running, lambda: pass_time(running, clock, 5, step=1))
        assert [line["count"] for line in told(running, "set_aside")] == [1]


async def test_a_mail_that_fails_alone_for_an_hour_is_a_dead_letter_and_retry_routes_it(tenant, config):
    """Others of its mailbox can be read all the time."""
    clock = Hours()
    async with run_daemon(load_config(config), clock) as running:
        poison = arrive(tenant, "poison")
        graph_id = tenant.state.mailbox(MAILBOX).immutable_id(poison)
        fault = tenant.faults.add(Fault(DOWN, path=f"*/messages/{graph_id}*", count=None))
        await pass_time(running, clock, 900, step=30)
        assert not (await running.counts())["deliveries.dead"], "a quarter of an hour is a passing trouble"
        assert set(await states(running)) == {("poison", ROUTING)}
        arrive(tenant, "other", List_Id="<weekly.contoso.example>")
        await pass_time(running, clock, 3 * 3600, step=60)
        dead = {("poison", ROUTING): "dead", ("other", "lists"): "done"}
        assert await states(running) == dead

        tenant.faults.remove(fault.id)
        await pass_time(running, clock, 3600, step=300)
        assert await states(running) == dead, "it waits for an operator"
        [line] = [line for line in told(running, "delivery") if line["state"] == "dead"]
        assert (line["level"], line["handler"]) == ("error", ROUTING)

        assert await command("deliveries", "retry", "--all-dead", "-c", str(config)) == ExitCode.OK
        await pass_time(running, clock, 60, step=10)
        assert await states(running) == {**dead, ("poison", ROUTING): "done"}
        assert poison.is_read, "its rule asks for that"


async def test_a_mail_that_graph_calls_corrupt_is_a_dead_letter_at_once_and_retry_routes_it(tenant, config, capsys):
    async with run_daemon(load_config(config)) as running:
        fault = tenant.faults.add(Fault(CORRUPT, path=NOBODY_CAN_READ, count=None))
        arrive(tenant, "news", List_Id="<weekly.contoso.example>")
        arrive(tenant, "rest")
        await running.until_counts(deliveries_dead=2)
        assert set(await states(running)) == {("news", ROUTING), ("rest", ROUTING)}
        assert len(told(running, "unreadable")) == 2

        assert await command("deliveries", "retry", "--all-dead", "-c", str(config)) == ExitCode.OK
        await running.until_counts(deliveries_dead=2)
        tenant.faults.remove(fault.id)
        capsys.readouterr()
        assert await command("deliveries", "list", "--dead", "--json", "-c", str(config)) == ExitCode.OK
        shown = json.loads(capsys.readouterr().out)
        assert all("rules could not be evaluated" in each["error"] for each in shown)
        ids = [str(each["id"]) for each in shown]
        assert await command("deliveries", "retry", *ids, "-c", str(config)) == ExitCode.OK
        await running.until_counts(deliveries_done=3, actions_done=1)
        assert (await states(running))["news", "lists"] == "done"
        await nothing_is_unaccounted(running)


async def command(*arguments):
    """Run a command beside the daemon."""
    return await asyncio.to_thread(run, list(arguments))
