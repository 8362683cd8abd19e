"""Writes the report Exchange sends to a sender whose mail found no mailbox (RFC 3464)."""

from __future__ import annotations

import html
import uuid
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from postroom.simulator.state.compose import encoded
from postroom.simulator.state.headers import header_end
from postroom.simulator.state.message import Envelope

if TYPE_CHECKING:
    from postroom.simulator.state.mailbox import Mailbox

_LONGEST_HEADERS = 16 * 1024
_TEMPLATE = """\
From: "Microsoft Outlook" <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{domain}>
To: <{sender}>
Subject: {subject}
Date: {date}
Message-ID: <{id}@{domain}>
{thread}Auto-Submitted: auto-replied
X-Auto-Response-Suppress: All
X-MS-Exchange-Message-Is-Ndr:
Return-Path: <>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"

--{boundary}
Content-Type: text/html; charset=utf-8

<html><body><p>Your message to {shown} couldn't be delivered: {domain} knows nobody of that name.</p></body></html>

--{boundary}
Content-Type: message/delivery-status

Reporting-MTA: dns;mail.{domain}
Arrival-Date: {date}

Final-Recipient: rfc822;{recipient}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {recipient} not found by SMTP address lookup

--{boundary}
Content-Type: text/rfc822-headers

"""


def non_delivery_report(raw: bytes, envelope: Envelope, sender: Mailbox, recipient: str) -> bytes:
    """Return the report on one recipient, with the headers of the mail."""
    boundary = f"=_{uuid.uuid4().hex}"
    name = "".join(character for character in recipient if character.isprintable())
    original = envelope.message_id.strip()
    text = _TEMPLATE.format(
        domain=sender.address.rpartition("@")[2],
        sender=sender.address,
        recipient=name,
        shown=html.escape(name),
        subject=encoded(f"Undeliverable: {envelope.subject}"),
        date=format_datetime(datetime.fromtimestamp(sender.now(), UTC)),
        id=uuid.uuid4().hex,
        thread=f"In-Reply-To: {original}\nReferences: {original}\n" if original.isprintable() and original else "",
        boundary=boundary,
    )
    head = text.replace("\n", "\r\n").encode("utf-8", "replace")
    return head + raw[: min(header_end(raw), _LONGEST_HEADERS)] + f"\r\n--{boundary}--\r\n".encode()
