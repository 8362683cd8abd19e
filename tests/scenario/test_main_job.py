"""Mail in, handlers run, mailbox changed, everything journalled."""

from __future__ import annotations

import asyncio
import os
import smtplib
from datetime import UTC, datetime, timedelta

from support.daemon import MAILBOX, mail

RULES = f"""
handlers:
  save: {{use: save_attachments, with: {{directory: saved}}}}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
      - name: bills
        when: {{has_attachments: true, from: "*@supplier.example"}}
        handle: [save, log]
        then: {{mark_read: true, categories: [Filed], move_to: Processed}}
        stop: true
      - name: rest
        handle: [log]
"""


REFUSE = '''
from postroom.plugin import Handler, Options, Reject

class Refuse(Handler[Options]):
    """Refuse everything."""

    async def handle(self, message, context):
        return Reject("not today")
'''


async def test_a_mail_sent_by_smtp_is_handled_and_its_attachment_is_byte_identical(daemon, tenant, tmp_path):
    content = os.urandom(200_000)
    async with daemon(RULES) as running:
        host, _, port = tenant.smtp.rpartition(":")

        def send() -> None:
            with smtplib.SMTP(host, int(port), timeout=10) as client:
                client.sendmail("anna@supplier.example", [MAILBOX], mail("bill", bill_pdf=content))

        await asyncio.to_thread(send)
        await running.until_counts(deliveries_done=2, actions_done=1)
    assert (tmp_path / "saved" / "bill.pdf").read_bytes() == content


async def test_then_marks_categorises_and_moves_the_mail(daemon, tenant):
    stored = tenant.state.deliver_mime(MAILBOX, mail("bill", bill_pdf=b"%PDF-"))
    async with daemon(RULES) as running:
        await running.until_counts(actions_done=1)
    mailbox = tenant.state.mailbox(MAILBOX)
    kept = mailbox.messages[stored.item]
    assert (kept.is_read, list(kept.categories)) == (True, ["Filed"])
    assert kept.folder.display_name == "Processed"


async def test_our_own_writes_and_a_restart_dispatch_nothing_twice(daemon, tenant):
    for number in range(5):
        tenant.state.deliver_mime(MAILBOX, mail(f"bill {number}", bill_pdf=b"%PDF-"))
    async with daemon(RULES) as running:
        await running.until_counts(messages=5, deliveries_done=10, actions_done=5)
    tenant.state.deliver_mime(MAILBOX, mail("one more"))
    async with daemon(RULES) as running:
        await running.until_counts(messages=6, deliveries_done=11, actions_done=5)


async def test_start_now_leaves_alone_what_was_there(daemon, tenant):
    tenant.state.deliver_mime(MAILBOX, mail("old"), received_at=datetime.now(UTC) - timedelta(hours=1))
    async with daemon(RULES.replace("start: all", "start: now")) as running:
        await running.until_counts(messages=1)
        tenant.state.deliver_mime(MAILBOX, mail("new"))
        await running.until_counts(messages=2, deliveries_done=1)


async def test_a_dead_delta_link_resyncs_without_dispatching_anything_twice(daemon, tenant):
    for number in range(7):
        tenant.state.deliver_mime(MAILBOX, mail(f"mail {number}"))
    async with daemon(RULES) as running:
        await running.until_counts(deliveries_done=7)
        mailbox = tenant.state.mailbox(MAILBOX)
        mailbox.reset_delta(mailbox.folder("inbox"))
        tenant.state.deliver_mime(MAILBOX, mail("after the reset"))
        await running.until_counts(messages=8, deliveries_done=8)
        assert '"resync"' in running.log.getvalue()


async def test_a_handler_that_rejects_makes_a_dead_letter_and_on_failure_is_carried_out(daemon, tenant, tmp_path):
    (tmp_path / "refuse.py").write_text(REFUSE)
    stored = tenant.state.deliver_mime(MAILBOX, mail("bill"))
    text = f"""
handlers: {{refuse: {{use: "./refuse.py:Refuse"}}}}
mailboxes:
  - address: {MAILBOX}
    poll: 1s
    start: all
    rules:
      - name: all
        handle: [refuse]
        then: {{mark_read: true}}
        on_failure: {{categories: [Failed], flag: true}}
"""
    async with daemon(text) as running:
        await running.until_counts(deliveries_dead=1, actions_done=1)
    kept = tenant.state.mailbox(MAILBOX).messages[stored.item]
    assert (kept.is_read, list(kept.categories)) == (False, ["Failed"])


async def test_no_secret_token_or_text_of_a_mail_is_logged(daemon, tenant):
    tenant.state.deliver_mime(MAILBOX, mail("bill"))
    async with daemon(RULES) as running:
        await running.until_counts(deliveries_done=1)
        log = running.log.getvalue()
    assert tenant.client_secret not in log
    assert "Bearer" not in log
    assert "Good day" not in log
