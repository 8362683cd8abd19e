"""Mails in the character sets of the world, declared properly, wrongly and not at all."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from postroom.simulator.corpus.desk import DemoMail, Desk

_TEXTS = (
    ("iso-2022-jp", "見積書の件", "お世話になっております。"),
    ("shift_jis", "ご注文について", "よろしくお願いします。"),
    ("koi8-r", "Счет на оплату", "Добрый день, счет во вложении."),
    ("windows-1252", "Angebot über 20 €", "„Schöne Grüße“ aus München"),
    ("iso-8859-15", "Facture à régler 5 €", "Ci-joint la facture de l'œuvre."),
    ("gb18030", "报价单", "请查收附件。"),
    ("big5", "報價單", "請查收附件。"),
    ("euc-kr", "견적서", "첨부 파일을 확인해 주세요."),
    ("windows-1255", "חשבונית", "שלום רב"),
    ("windows-1256", "فاتورة", "السلام عليكم"),
    ("utf-7", "Prüfung £", "Grüße £5"),
    ("utf-8", "Ελληνικά τιμολόγιο", "Καλημέρα"),
)


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield one mail a character set, then raw bytes in headers, a wrong label, an unknown one and split words."""
    for charset, subject, text in _TEXTS:
        yield _mail(desk, charset, encoded_word(charset, subject), text.encode(charset))
    yield _mail(desk, "utf-8", "Rückfrage ohne Kodierung".encode(), b"Raw UTF-8 in the subject.")
    yield _mail(desk, "us-ascii", "Grüße".encode("latin-1"), "Latin-1 called ASCII: Grüße".encode("latin-1"))
    yield _mail(desk, "x-unknown-9", b"=?x-unknown-9?B?AP8=?=", b"\xff\xfe\xfd")
    yield _mail(desk, "utf-8", b"=?utf-8?Q?R=C3?=\r\n =?utf-8?Q?=BCckfrage?=", b"A character cut in two words.")
    yield _attachment_name(desk)


def encoded_word(charset: str, text: str) -> bytes:
    """Return the text as one encoded word (RFC 2047, B encoding)."""
    return b"=?%b?B?%b?=" % (charset.encode(), base64.b64encode(text.encode(charset)))


def _mail(desk: Desk, charset: str, subject: bytes, body: bytes) -> DemoMail:
    headers = _headers(desk, subject) + (
        b"Content-Type: text/plain; charset=%b\r\nContent-Transfer-Encoding: base64\r\n" % charset.encode()
    )
    return desk.post("support", headers + b"\r\n" + base64.encodebytes(body).replace(b"\n", b"\r\n"), "charset")


def _headers(desk: Desk, subject: bytes) -> bytes:
    date = desk.next_date().strftime("%a, %d %b %Y %H:%M:%S +0000").encode()
    return (
        b"From: %b <post@world.example>\r\nTo: support@contoso.example\r\nSubject: %b\r\nDate: %b\r\n"
        b"Message-ID: <%b@world.example>\r\nMIME-Version: 1.0\r\n"
    ) % (encoded_word("utf-8", "Müller, Zoë"), subject, date, desk.word().encode())


def _attachment_name(desk: Desk) -> DemoMail:
    """A file name in RFC 2231 pieces, in a language tag, beside the old form that says something else."""
    raw = _headers(desk, b"Names in pieces") + (
        b'Content-Type: multipart/mixed; boundary="pieces"\r\n\r\n--pieces\r\n'
        b"Content-Type: text/plain\r\n\r\nSee file.\r\n--pieces\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename=\"old.bin\";\r\n filename*0*=utf-8'de'%C3%9Cber;\r\n"
        b" filename*1*=sicht%20%E2%82%AC;\r\n filename*2=.bin\r\n\r\nAAEC\r\n--pieces--\r\n"
    )
    return desk.post("support", raw, "charset")
