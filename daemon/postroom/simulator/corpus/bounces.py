"""Delivery status notifications (RFC 3464), with the original's headers, from an empty sender."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import OWN_DOMAIN, DemoMail, Desk

COUNT = 16
_REASONS = (
    ("failed", "5.1.1", "smtp; 550 5.1.1 User unknown"),
    ("failed", "5.2.2", "smtp; 552 5.2.2 Mailbox full"),
    ("delayed", "4.4.1", "smtp; 421 4.4.1 Connection timed out"),
    ("failed", "5.7.1", "smtp; 550 5.7.1 Message rejected as spam"),
)
_TEMPLATE = """\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: support@{own}
Subject: Undelivered Mail Returned to Sender
Date: {date}
Message-ID: <{id}@mx.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"

--{boundary}
Content-Type: text/plain; charset=us-ascii

Your message to {recipient} could not be delivered.

--{boundary}
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: {date}

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: {diagnostic}

--{boundary}
Content-Type: text/rfc822-headers

From: support@{own}
To: {recipient}
Subject: Your ticket
Message-ID: <{original}@{own}>

--{boundary}--
"""


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the bounces, permanent and delayed."""
    for index in range(COUNT):
        action, status, diagnostic = _REASONS[index % len(_REASONS)]
        date = desk.next_date().strftime("%a, %d %b %Y %H:%M:%S +0000")
        text = _TEMPLATE.format(
            own=OWN_DOMAIN,
            date=date,
            id=desk.word(),
            original=desk.word(),
            boundary=f"=_{desk.word()}",
            recipient=f"customer{index}@gone.example",
            action=action,
            status=status,
            diagnostic=diagnostic,
        )
        yield desk.post("support", text.replace("\n", "\r\n").encode(), "bounce")
