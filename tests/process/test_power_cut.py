"""The machine loses power: the tail of the journal's write-ahead log is gone. Mail is repeated, never lost."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from random import Random

import pytest

from crash.power import companion, cut
from postroom.simulator.server import SimulatedTenant
from support.daemon import MAILBOX, mail, write_config
from support.process import LEDGER_HANDLER, LedgerServer, daemon_process, ended

MAILS = 400


@pytest.fixture
async def ledger(tmp_path):
    (tmp_path / "ledger.py").write_text(LEDGER_HANDLER)
    async with LedgerServer(tmp_path / "ledger.sock") as server:
        yield server


@pytest.fixture
async def tenant(tmp_path):
    (tmp_path / "tenant").mkdir()
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=[MAILBOX], smtp=None) as running:
        yield running


@pytest.fixture
def config(tmp_path, tenant, ledger):
    return write_config(
        tmp_path / "postroom.yaml",
        tenant,
        f"""
handlers: {{ledger: {{use: "./ledger.py:Ledger", with: {{address: {ledger.address}}}}}}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [ledger]}}]}}]
""",
    )


def sent(tenant, count, first=0):
    mailbox = tenant.state.mailbox(MAILBOX)
    numbers = range(first, first + count)
    return {mailbox.immutable_id(tenant.state.deliver_mime(MAILBOX, mail(f"mail {n}"))) for n in numbers}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("whole", [True, False], ids=["the whole log", "a part of the log, in the middle of a frame"])
async def test_a_power_cut_that_takes_the_tail_of_the_log_leads_to_repeats_with_the_same_key_and_loses_nothing(
    whole, config, tenant, ledger, tmp_path
):
    journal, chance = tmp_path / "journal.db", Random(4)
    ids = sent(tenant, MAILS)
    async with daemon_process(config) as process:
        await ledger.until(MAILS // 4)
        assert await ended(process, signal.SIGTERM) == 0  # so that there is something in the file itself
    async with daemon_process(config) as process:
        await ledger.until(len(ledger.runs) + MAILS // 4)
        await ended(process, signal.SIGKILL)
    assert cut(journal, chance, whole=whole) > 0
    assert companion(journal, "wal").exists() != whole
    ids |= sent(tenant, MAILS // 4, first=MAILS)
    async with daemon_process(config) as process:
        while not ledger.messages >= ids:
            await ledger.until(len(ledger.runs) + 1)
        assert await ended(process, signal.SIGTERM) == 0
    assert ledger.messages == ids
    assert len({key for _, _, key in ledger.runs}) == len(ids)


@pytest.mark.slow
async def test_a_power_cut_after_the_first_start_leaves_it_where_start_now_began(config, ledger, tmp_path, tenant):
    journal = tmp_path / "journal.db"
    config.write_text(config.read_text().replace("start: all", "start: now"))
    sent(tenant, 1)  # within the minute that `now` reaches back
    async with daemon_process(config) as process:
        await ledger.until(1)
        before = floor(journal)
        await ended(process, signal.SIGKILL)
    assert cut(journal, Random(0), whole=True) > 0
    assert before is not None
    assert floor(journal) == before


def floor(journal):
    """When mail begins to count as new, as far as the journal knows."""
    with closing(sqlite3.connect(journal)) as database:
        return database.execute("SELECT floor FROM folders").fetchone()[0]
