"""How the demo's mails arrive: most are waiting when the daemon starts, the rest come by SMTP while it runs."""

from __future__ import annotations

import asyncio
import smtplib
from datetime import UTC, datetime

from postroom.cli.demo_account import Delivered
from postroom.simulator.corpus import DemoMail, corpus
from postroom.simulator.server import SimulatedTenant

WAITING_SHARE = 0.8
"""Share of the mails that are there before the daemon is."""

SMTP_LIMIT = 30.0
"""Seconds for one mail to be taken by the listener."""


def arrive_by_state(tenant: SimulatedTenant) -> tuple[list[Delivered], list[DemoMail]]:
    """Put the older mails into the mailboxes; returns what was put there, and the mails that are still to come."""
    now = datetime.now(UTC)
    mails = list(corpus(now))
    split = int(len(mails) * WAITING_SHARE)
    delivered = []
    for mail in mails[:split]:
        address = _address(tenant, mail)
        stored = tenant.state.deliver_mime(address, mail.raw, received_at=now - mail.age)
        delivered.append(Delivered(address, tenant.state.mailbox(address).immutable_id(stored), mail.expected))
    return delivered, mails[split:]


async def arrive_by_smtp(tenant: SimulatedTenant, mails: list[DemoMail], delivered: list[Delivered]) -> None:
    """Send the mails by SMTP, one after the other; each is added to `delivered` once the tenant has it."""
    for mail in mails:
        address = _address(tenant, mail)
        mailbox = tenant.state.mailbox(address)
        before = set(mailbox.messages)
        await asyncio.to_thread(_send, tenant.smtp, address, mail.raw)
        new = [message for item, message in mailbox.messages.items() if item not in before]
        delivered += [Delivered(address, mailbox.immutable_id(message), mail.expected) for message in new]


def _address(tenant: SimulatedTenant, mail: DemoMail) -> str:
    return next(address for address in tenant.mailboxes if address.startswith(f"{mail.mailbox}@"))


def _send(smtp: str, address: str, raw: bytes) -> None:
    host, _, port = smtp.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=SMTP_LIMIT) as client:
        client.sendmail("demo@outside.example", [address], raw)
