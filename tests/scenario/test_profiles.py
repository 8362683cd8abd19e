"""The daemon lives through every weather there is: each mail is handled once, and each fault was really met."""

from __future__ import annotations

import asyncio

import pytest

from postroom.graph import token
from postroom.model import RetryPolicy
from postroom.pipeline import act, due, parking
from postroom.simulator.profiles import PROFILES
from support.daemon import MAILBOX, mail

pytestmark = pytest.mark.slow

ADDRESSES = [MAILBOX, *(f"{name}@contoso.example" for name in ("orders", "support", "dmarc"))]
CONFIG = """
handlers:
  save: {use: save_attachments, with: {directory: saved}, retry: {attempts: 50, first: 100ms, longest: 500ms}}
mailboxes:
""" + "".join(
    f"""
  - address: {address}
    poll: 1s
    start: all
    rules:
      - {{name: kept, when: {{from: old@partner.example}}, handle: [log], stop: true}}
      - {{name: all, handle: [save], then: {{mark_read: true, move_to: Done}}}}
"""
    for address in ADDRESSES
)
SEED = 1070  # every fault of every profile strikes within its first thirty opportunities
LONGEST = 45.0
ROUGH = [name for name in PROFILES if name != "calm"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Try what failed again at once: what is tested is that nothing is lost, not how long it takes."""
    monkeypatch.setattr(act, "POLICY", RetryPolicy(attempts=50, first=0.1, longest=0.5))
    monkeypatch.setattr(due, "LONGEST_BACK_OFF", 1.0)
    monkeypatch.setattr(token, "_HOLD_OFF", 1.0)
    monkeypatch.setattr(parking, "FIRST_PROBE_PASSING", 0.5)  # it may be on the move twice in a row


@pytest.fixture
def mailboxes(tenant):
    """Four mailboxes: what is done to one is not done to the others."""
    return [tenant.state.add_mailbox(address) for address in ADDRESSES]


def to_be_met(tenant):
    """What the weather holds: its faults, and the nuisances that strike by chance."""
    chances = {name for name, value in tenant.weather.profile.nuisances.items() if isinstance(value, float)}
    return {fault.label for fault in tenant.faults.faults} | chances


@pytest.mark.parametrize("name", ROUGH)
async def test_every_mail_is_accounted_for_in_every_weather(name, daemon, tenant, mailboxes, tmp_path):
    kept = [tenant.deliver(address, mail("kept", "old@partner.example")) for address in ADDRESSES]
    tenant.use_profile(name, seed=SEED)
    sent = 0
    async with daemon(CONFIG) as running, asyncio.timeout(LONGEST):
        while not sent or to_be_met(tenant) - set(tenant.weather.struck):
            for mailbox, old in zip(mailboxes, kept, strict=True):
                tenant.deliver(mailbox.address, mail(f"bill {sent}", bill_pdf=b"%PDF-" + str(sent).encode()))
                mailbox.update(old, is_read=not old.is_read)
                sent += 1
            seen = sent + len(kept)
            await running.until_counts(messages=seen, deliveries_done=seen, actions_done=sent)
    saved = {path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    assert saved == {b"%PDF-" + str(number).encode() for number in range(sent)}
    folders = [each.folder.display_name for mailbox in mailboxes for each in mailbox.messages.values()]
    assert sorted(folders) == ["Done"] * sent + ["Inbox"] * len(kept)
    assert to_be_met(tenant) <= set(tenant.weather.struck)


async def test_a_calm_day_injects_nothing(daemon, tenant, mailboxes):
    tenant.use_profile("calm")
    tenant.deliver(MAILBOX, mail("bill", bill_pdf=b"%PDF-"))
    async with daemon(CONFIG) as running:
        await running.until_counts(messages=1, deliveries_done=1, actions_done=1)
    assert not tenant.weather.struck
