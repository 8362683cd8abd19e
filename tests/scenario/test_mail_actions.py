"""Mail actions beside each other: what deletes a mail comes last, and a slow mailbox delays no other's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from postroom.journal import JournalViews
from postroom.model import DeliveryState
from postroom.pipeline import act
from postroom.simulator.effects import Delayed
from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant
from support.daemon import MAILBOX, load_config, mail, run_daemon, write_config

READS_LATER = '''
from postroom.plugin import Done, Handler, Options, Retry

class ReadsLater(Handler[Options]):
    """Read the mail at the second attempt."""

    async def handle(self, message, context):
        if context.attempt == 1:
            return Retry("not yet", after=1)
        await context.body()
        return Done()
'''
REJECTS = '''
from postroom.plugin import Handler, Options, Reject

class Rejects(Handler[Options]):
    """Take no mail."""

    async def handle(self, message, context):
        return Reject("no")
'''
SLOW, QUICK = "slow@contoso.example", "quick@contoso.example"


async def test_a_rule_that_deletes_takes_no_mail_from_another_rule(daemon, tenant, tmp_path, monkeypatch):
    monkeypatch.setattr(act, "LAST", 0.2)
    (tmp_path / "reads_later.py").write_text(READS_LATER)
    tenant.state.deliver_mime(MAILBOX, mail("one"))
    config = f"""
handlers:
  later: {{use: "./reads_later.py:ReadsLater"}}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
      - {{name: bin, handle: [log], then: {{delete: true}}}}
      - {{name: read, handle: [later], then: {{mark_read: true}}}}
"""
    async with daemon(config) as running:
        await running.until_counts(deliveries_done=2, actions_done=2)


async def test_a_mail_is_not_deleted_under_a_dead_letter_until_that_is_discarded(daemon, tenant, tmp_path):
    (tmp_path / "rejects.py").write_text(REJECTS)
    tenant.state.deliver_mime(MAILBOX, mail("one"))
    config = f"""
handlers:
  rejects: {{use: "./rejects.py:Rejects"}}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
      - {{name: bin, handle: [log], then: {{delete: true}}}}
      - {{name: other, handle: [rejects]}}
"""
    async with daemon(config) as running:
        views = JournalViews(running.app.journal)

        async def kept():
            details = await views.find("1")
            return any(each.note.startswith("kept") and each.due_at is None for each in details[0].actions)

        await running.until_counts(deliveries_dead=1)
        await running.until(kept, "the mail kept")
        assert [each.folder.display_name for each in tenant.state.mailbox(MAILBOX).messages.values()] == ["Inbox"]
        (dead,) = await views.deliveries(state=DeliveryState.DEAD)
        await views.discard([dead.id], "no use", datetime.now(UTC))
        await running.until_counts(actions_done=1)


@pytest.fixture
async def two(tmp_path, record):
    (tmp_path / "two").mkdir()
    async with SimulatedTenant(tmp_path / "two", mailboxes=[SLOW, QUICK], record=record.append) as running:
        yield running


async def test_the_mail_actions_of_a_slow_mailbox_delay_no_others(two, tmp_path):
    two.faults.add(Fault(Delayed(29), path=f"*/users/{SLOW}/messages/*", count=None))
    boxes = "".join(
        f"  - {{address: {each}, poll: 1s, start: all, rules: [{{name: all, then: {{mark_read: true}}}}]}}\n"
        for each in (SLOW, QUICK)
    )
    path = write_config(tmp_path / "two.yaml", two, f"mailboxes:\n{boxes}")
    for number in range(120):
        two.state.deliver_mime(SLOW, mail(f"mail {number}"))
    async with run_daemon(load_config(path)) as running:
        await running.until_counts(messages=120)
        two.state.deliver_mime(QUICK, mail("quick"))
        await running.until_counts(actions_done=1)
        assert all(each.is_read for each in two.state.mailbox(QUICK).messages.values())
