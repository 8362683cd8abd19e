"""A mailbox whose mails take long at a handler leaves the others places there."""

from __future__ import annotations

import asyncio

import pytest

from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant
from support.daemon import load_config, mail, run_daemon, write_config

SLOW, QUICK = "slow@contoso.example", "quick@contoso.example"
BACKLOG, FRESH = 200, 5


class Gate:
    """Keeps requests waiting until it is opened."""

    def __init__(self):
        self.open = asyncio.Event()

    async def apply(self, request, handler):
        await self.open.wait()
        return await handler(request)


@pytest.mark.parametrize(("concurrency", "taken"), [(2, 1), (4, 3)])
async def test_a_slow_mailbox_with_a_backlog_delays_no_mail_of_another_at_the_same_handler(
    tmp_path, concurrency, taken
):
    (tmp_path / "tenant").mkdir()
    text = f"""
handlers:
  keep: {{use: save_message, with: {{directory: "{tmp_path}"}}, concurrency: {concurrency}, timeout: 5m}}
mailboxes:
  - {{address: {SLOW}, poll: 1s, start: all, rules: [{{name: all, handle: [keep]}}]}}
  - {{address: {QUICK}, poll: 1s, start: all, rules: [{{name: all, handle: [keep]}}]}}
"""
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=[SLOW, QUICK]) as tenant:
        gate = Gate()
        tenant.faults.add(Fault(gate, path=f"*/users/{SLOW}/*value*", count=None))
        for number in range(BACKLOG):
            tenant.state.deliver_mime(SLOW, mail(f"slow {number}"))
        async with run_daemon(load_config(write_config(tmp_path / "postroom.yaml", tenant, text))) as daemon:
            await daemon.until_counts(deliveries_running=taken, deliveries_ready=BACKLOG - taken)
            for number in range(FRESH):
                tenant.state.deliver_mime(QUICK, mail(f"quick {number}"))
                await daemon.until_counts(deliveries_done=number + 1)
            assert (await daemon.counts())["deliveries.running"] == taken
            gate.open.set()
