"""Two terminals: `postroom simulate --json` in one, `postroom run` with the configuration it printed in the other."""

from __future__ import annotations

import asyncio
import json
import os
import smtplib
import time

from support.command import daemon, postroom
from support.daemon import mail

ADDRESS = "bills@contoso.example"
POLL = 2.0


async def test_a_mail_sent_by_smtp_is_handled_within_a_poll_and_its_attachment_is_byte_identical(tmp_path):
    content = os.urandom(300_000)
    async with postroom("simulate", "--json", "--mailbox", ADDRESS) as tenant:
        facts = json.loads(await tenant.out.until(lambda _: True, "the tenant's line"))
        config = tmp_path / "postroom.yaml"
        config.write_text(facts["config"])
        config.chmod(0o600)
        async with daemon(config) as running:
            await asyncio.to_thread(send, facts["smtp"], mail("bill", bill_pdf=content))
            sent = time.monotonic()
            await running.err.event("mail", mailbox=ADDRESS, handler="log", attempt=1)
            assert time.monotonic() - sent < POLL + 1.0
            assert await running.stopped() == 0
            assert facts["client_secret"] not in running.text
        assert await tenant.stopped() == 0
        assert tenant.out.lines == [json.dumps(facts)]
    assert (tmp_path / "attachments" / "bill.pdf").read_bytes() == content


def send(smtp: str, raw: bytes) -> None:
    host, _, port = smtp.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=10) as client:
        client.sendmail("anna@supplier.example", [ADDRESS], raw)
