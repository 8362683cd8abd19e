"""The service has a bad day; every mail is handled all the same, and each fault was really met."""

from __future__ import annotations

import pytest

from postroom.simulator.effects import EmptyBody, EntraAnswer, GraphAnswer, HtmlPage, Reset, Truncated
from postroom.simulator.faults import Fault
from support.daemon import MAILBOX, mail

CONFIG = f"""
handlers:
  save: {{use: save_attachments, with: {{directory: saved}}, retry: {{attempts: 8, first: 100ms, longest: 1s}}}}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules: [{{name: all, handle: [save], then: {{mark_read: true, move_to: Done}}}}]
"""

FAULTS = {
    "429 with Retry-After": Fault(
        GraphAnswer(429, "ApplicationThrottled", headers={"Retry-After": "1"}), path="/v1.0/*", count=2
    ),
    "429 without Retry-After": Fault(GraphAnswer(429, "ApplicationThrottled"), path="/v1.0/*", count=2),
    "503 on delta": Fault(GraphAnswer(503, "ServiceUnavailable"), path="*/delta*", count=2),
    "504 on an attachment": Fault(GraphAnswer(504, "GatewayTimeout"), path="*/attachments*", count=2),
    "401 once": Fault(GraphAnswer(401, "InvalidAuthenticationToken"), path="/v1.0/*", count=1),
    "connection reset": Fault(Reset(), path="/v1.0/*", count=3),
    "answer cut short": Fault(Truncated(), path="*/delta*", count=2),
    "gateway's HTML page": Fault(HtmlPage(), path="/v1.0/*", count=2),
    "empty body": Fault(EmptyBody(), path="*/delta*", count=2),
    "empty answer to a change": Fault(EmptyBody(), method="PATCH", count=2),
    "empty answer to a move": Fault(EmptyBody(), path="*/move", count=2),
    "conflict on a write": Fault(GraphAnswer(409, "ErrorIrresolvableConflict"), method="PATCH", count=2),
    "mailbox on the move": Fault(GraphAnswer(503, "ErrorMailboxMoveInProgress"), path="/v1.0/*", count=1),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_every_mail_is_handled_through(name, daemon, tenant, tmp_path):
    tenant.faults.add(FAULTS[name])
    for number in range(12):
        tenant.state.deliver_mime(MAILBOX, mail(f"bill {number}", bill_pdf=b"%PDF-" + bytes([number])))
    async with daemon(CONFIG) as running:
        await running.until_counts(messages=12, deliveries_done=12, actions_done=12)
    assert tenant.faults.injected
    assert len(list((tmp_path / "saved").iterdir())) == 12
    mails = tenant.state.mailbox(MAILBOX).messages.values()
    assert {(mail.folder.display_name, mail.is_read) for mail in mails} == {("Done", True)}


@pytest.mark.parametrize("answer", [EntraAnswer(90033), GraphAnswer(429, "TooManyRequests")], ids=["Entra", "gateway"])
async def test_an_outage_of_the_login_host_at_start_delays_and_loses_nothing(daemon, tenant, answer):
    tenant.faults.add(Fault(answer, path="*/token", count=1))
    tenant.state.deliver_mime(MAILBOX, mail("bill"))
    async with daemon(CONFIG) as running:
        await running.until_counts(deliveries_done=1, actions_done=1)
    assert tenant.faults.injected


async def test_a_full_mailbox_is_walked_by_listing_and_says_so(daemon, tenant):
    tenant.faults.add(Fault(GraphAnswer(403, "ErrorQuotaExceeded"), path="*/delta*", count=None))
    tenant.state.deliver_mime(MAILBOX, mail("first"))
    async with daemon(CONFIG) as running:
        await running.until_counts(deliveries_done=1, actions_done=1)
        tenant.state.deliver_mime(MAILBOX, mail("second"))
        await running.until_counts(messages=2, deliveries_done=2, actions_done=2)
        assert '"fallback"' in running.log.getvalue()


@pytest.mark.parametrize("code", ["SyncStateNotFound", "SyncStateInvalid", "resyncRequired"])
async def test_a_410_in_the_middle_of_a_walk_repeats_nothing(code, daemon, tenant):
    for number in range(60):
        tenant.state.deliver_mime(MAILBOX, mail(f"mail {number}"))
    tenant.faults.add(Fault(GraphAnswer(410, code), path="*/delta*", after=1))
    async with daemon(CONFIG) as running:
        await running.until_counts(messages=60, deliveries_done=60, actions_done=60)
    assert tenant.faults.injected
