"""Signed mails: S/MIME and PGP/MIME in form (RFC 1847), with signatures that prove nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from postroom.simulator.corpus.desk import DemoMail, Desk

COUNT = 6
_KINDS = (
    ("application/pkcs7-signature", "smime.p7s", "sha-256"),
    ("application/pgp-signature", "signature.asc", "pgp-sha256"),
)


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the signed mails, turn about."""
    for index in range(COUNT):
        protocol, name, digest = _KINDS[index % len(_KINDS)]
        edge, date = f"=_{desk.word()}", desk.next_date().strftime("%a, %d %b %Y %H:%M:%S +0000")
        signature = base64.encodebytes(desk.chance.randbytes(300)).decode()
        text = (
            f"From: Legal <legal@notary.example>\nTo: support@contoso.example\nSubject: Signed contract {index}\n"
            f"Date: {date}\nMessage-ID: <{desk.word()}@notary.example>\nMIME-Version: 1.0\n"
            f"DKIM-Signature: v=1; a=rsa-sha256; d=notary.example; s=m1; bh=AA==; h=from:to; b=AA==\n"
            f'Content-Type: multipart/signed; protocol="{protocol}"; micalg={digest}; boundary="{edge}"\n\n'
            f"--{edge}\nContent-Type: text/plain; charset=utf-8\n\nWe agree to contract {index}.\n\n"
            f"--{edge}\nContent-Type: {protocol}; name={name}\nContent-Transfer-Encoding: base64\n"
            f"Content-Disposition: attachment; filename={name}\n\n{signature}\n--{edge}--\n"
        )
        yield desk.post("support", text.replace("\n", "\r\n").encode(), "signed")
