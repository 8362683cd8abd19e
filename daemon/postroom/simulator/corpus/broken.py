"""Mails that break the rules of MIME, as they arrive every day."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import DemoMail, Desk

_MULTIPART = b'Content-Type: multipart/mixed; boundary="edge"\r\n\r\n'
_FILE = b'Content-Type: application/pdf; name="a.pdf"\r\nContent-Disposition: attachment; filename="a.pdf"\r\n'
_BODIES = {
    "boundary never comes": _MULTIPART + b"No part begins here.\r\n",
    "boundary not named": b"Content-Type: multipart/mixed\r\n\r\n--edge\r\n\r\nWhich edge?\r\n--edge--\r\n",
    "last boundary missing": _MULTIPART + b"--edge\r\nContent-Type: text/plain\r\n\r\nCut o",
    "base64 that is none": _MULTIPART
    + b"--edge\r\n"
    + _FILE
    + b"Content-Transfer-Encoding: base64\r\n\r\n!!! not base64 ???\r\nJVBERi0\r\n--edge--\r\n",
    "quoted-printable astray": b"Content-Transfer-Encoding: quoted-printable\r\n\r\nA lone = and =ZZ and =\r\n",
    "unknown encoding": b"Content-Transfer-Encoding: x-rot13\r\n\r\nUryyb\r\n",
    "NUL bytes": b"Content-Type: text/plain\r\n\r\nbefore\x00after\x00\r\n",
    "bare line feeds": b"Content-Type: text/plain\n\nUnix lines\nall the way\n",
    "a very long line": b"Content-Type: text/plain\r\n\r\n" + b"x" * 200_000 + b"\r\n",
    "no body": b"Content-Type: text/plain\r\n",
    "header without colon": b"This is no header\r\nContent-Type: text/plain\r\n\r\nBody?\r\n",
    "two content types": b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n<p>Which?</p>\r\n",
    "a thousand empty parts": _MULTIPART + b"--edge\r\n\r\n\r\n" * 1000 + b"--edge--\r\n",
}


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the broken mails, then one without any header, one with a wrong date, and an empty one."""
    for subject, rest in _BODIES.items():
        date = desk.next_date().strftime("%a, %d %b %Y %H:%M:%S +0000").encode()
        yield desk.post("support", _head(desk, subject.encode(), date) + rest, "broken")
    yield desk.post("support", _head(desk, b"wrong date", b"Thu, 99 Foo 20x6 25:61:61") + b"\r\nToday?\r\n", "broken")
    desk.next_date()
    yield desk.post("support", b"\r\nNo header at all, just text.\r\n", "broken")
    desk.next_date()
    yield desk.post("support", b"", "broken")


def _head(desk: Desk, subject: bytes, date: bytes) -> bytes:
    return (
        b"From: broken@mailer.example\r\nTo: support@contoso.example\r\nSubject: %b\r\nDate: %b\r\n"
        b"Message-ID: <%b@mailer.example>\r\nMIME-Version: 1.0\r\n"
    ) % (subject, date, desk.word().encode())
