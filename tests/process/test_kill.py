"""kill -9 in the middle of 2,000 mails, five times: every mail is handled, every repeat is announced."""

from __future__ import annotations

import asyncio
import signal

import pytest

from postroom.journal import JournalViews, open_journal
from postroom.simulator.server import SimulatedTenant
from support.daemon import MAILBOX, mail, write_config
from support.process import LEDGER_HANDLER, LedgerServer, daemon_process, ended

MAILS = 2_000
KILLS = 5


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_no_mail_is_lost_over_five_kills_and_every_repeat_has_a_higher_attempt(tmp_path):
    (tmp_path / "tenant").mkdir()
    (tmp_path / "ledger.py").write_text(LEDGER_HANDLER)
    async with (
        SimulatedTenant(tmp_path / "tenant", mailboxes=[MAILBOX], smtp=None) as tenant,
        LedgerServer(tmp_path / "ledger.sock") as ledger,
    ):
        mailbox = tenant.state.mailbox(MAILBOX)
        sent = {mailbox.immutable_id(tenant.state.deliver_mime(MAILBOX, mail(f"mail {n}"))) for n in range(MAILS)}
        config = write_config(
            tmp_path / "postroom.yaml",
            tenant,
            f"""
handlers: {{ledger: {{use: "./ledger.py:Ledger", with: {{address: {ledger.address}}}}}}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [ledger]}}]}}]
""",
        )
        for kill in range(1, KILLS + 1):
            async with daemon_process(config) as process:
                await ledger.until(kill * MAILS // (KILLS + 1))
                await ended(process, signal.SIGKILL)
        async with daemon_process(config) as process:
            await _all_handled(ledger, sent)
            assert await ended(process, signal.SIGTERM) == 0
    journal = await open_journal(f"sqlite:///{tmp_path / 'journal.db'}", exclusive=False)
    summary = await JournalViews(journal).summary()
    await journal.close()
    assert ledger.messages == sent
    assert summary.messages == MAILS
    assert summary.deliveries == {("ledger", "done"): MAILS}
    _repeats_are_announced(ledger)


async def _all_handled(ledger: LedgerServer, sent: set[str]) -> None:
    async with asyncio.timeout(60):
        while not ledger.messages >= sent:
            await ledger.until(len(ledger.runs) + 1)


def _repeats_are_announced(ledger: LedgerServer) -> None:
    attempts: dict[str, list[int]] = {}
    keys: dict[str, set[str]] = {}
    for message, attempt, key in ledger.runs:
        attempts.setdefault(message, []).append(attempt)
        keys.setdefault(message, set()).add(key)
    assert all(numbers == sorted(set(numbers)) for numbers in attempts.values())
    assert all(len(each) == 1 for each in keys.values())
