"""Any bytes are a mail, and attachments come out as they went in."""

import re
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.simulator.state import Address, Contents, Draft, Enclosure, Text, compose, html, parse
from postroom.simulator.state.charsets import decode_base64, decode_text, decode_transfer, decode_words
from postroom.simulator.state.headers import read_addresses, read_date, read_parameters
from postroom.simulator.state.message import Envelope

HEADER_NAMES = st.sampled_from(
    [
        *("From", "To", "Bcc", "Subject", "Date", "References"),
        *("Content-Type", "Content-Disposition", "Content-Transfer-Encoding"),
    ]
)
NASTY = st.sampled_from(
    [
        "multipart/mixed; boundary=x",
        "multipart/mixed; boundary=",
        "text/html; charset=utf-7",
        "text/plain; charset=rot13",
        "message/rfc822",
        "=?utf-8?B?w?=",
        "=?x?Q?=ZZ?= =?x?q?a?=",
        "attachment; filename*=x''%ZZ; filename*0*=y",
        '"<,;:(((',
        "Mon, 99 Foo 99999 99:99:99 +9999",
        "base64",
        "quoted-printable",
        "a" * 2000,
        "(" * 500,
        "\x00",
    ]
)
BROKEN_MAILS = st.builds(
    lambda fields, parts: b"".join(
        [
            *(f"{name}: {value}\r\n".encode() for name, value in fields),
            b"\r\n",
            *(b"--x\r\n" + part for part in parts),
        ]
    ),
    st.lists(st.tuples(HEADER_NAMES, st.one_of(NASTY, st.text(max_size=60)))),
    st.lists(st.one_of(st.binary(max_size=60), st.builds(lambda v: f"Content-Type: {v}\r\n\r\nz\r\n".encode(), NASTY))),
)


def check_whole(raw):
    envelope = parse(raw)
    for part in (envelope.text, envelope.html, *envelope.attachments):
        assert part is None or 0 <= part.start <= part.end <= len(raw)
    for text in (envelope.subject, envelope.preview, *(one.name for one in envelope.attachments)):
        text.encode("utf-8")
    return envelope


@given(st.one_of(st.binary(max_size=400), BROKEN_MAILS))
@example(b"")
@example(b"\n")
@example(b"\r\n\r\n")
@example(b"Content-Type: multipart/mixed; boundary=x\n\n--x--\n--x\n")
@example(b"Content-Type: multipart/mixed; boundary=x\n\n--x")
@example(b"Subject: =?utf-8?B?" + b"A" * 10_000)
@example(b"Content-Type: text/html; charset=unicode_escape\n\n\\ud800")
@example(b'Content-Type: text/plain; charset="\x00"\n\nx')
@example(b"Date: Thu, 01 Jan 0000 00:00:00 +0000\n\n")
def test_any_bytes_can_be_parsed(raw):
    check_whole(raw)


def test_a_thousandfold_nesting_ends_as_one_attachment():
    raw = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1000)) + b"\n\nx"
    assert len(check_whole(raw).attachments) == 1


def test_ten_thousand_parts_are_read_as_far_as_the_limit():
    raw = b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\nContent-Type: image/png\n\na\n" * 10_000
    assert len(check_whole(raw).attachments) == 1000


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=30), st.binary(max_size=300)), max_size=4),
    st.sampled_from(["base64", "quoted-printable", "8bit"]),
)
def test_attachments_come_back_byte_for_byte(files, encoding):
    message = EmailMessage(policy=policy.SMTP)
    message.set_content("text")
    for name, data in files:
        printable = "".join(one for one in name if one.isprintable() and one not in '"\\') or "x"
        message.add_attachment(data, "application", "octet-stream", filename=printable, cte="base64")
    raw = message.as_bytes()
    found = check_whole(raw).attachments
    assert [decode_transfer(raw[part.start : part.end], part.encoding) for part in found] == [data for _, data in files]
    assert [part.size for part in found] == [len(data) for _, data in files]


@given(st.binary(max_size=500).filter(lambda data: b"--x" not in data))
def test_an_unencoded_attachment_keeps_even_its_line_ends(data):
    raw = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: binary\r\n\r\n" + data + b"\r\n--x--\r\n"
    )
    (part,) = check_whole(raw).attachments
    assert raw[part.start : part.end] == data


VISIBLE = st.characters(exclude_categories=["C", "Z"])
ANYTHING = st.characters(exclude_categories=["Cs"])
ENCLOSURES = st.builds(
    Enclosure,
    name=st.text(VISIBLE, min_size=1, max_size=30),
    content_type=st.just("application/pdf"),
    data=st.binary(max_size=200),
)
PEOPLE = st.builds(Address, st.text(VISIBLE, max_size=20), st.just("b@x.example"))
DRAFTS = st.builds(
    Draft,
    message_id=st.just("<one@contoso.example>"),
    sent=st.integers(0, 4_000_000_000),
    sent_from=st.just(Address("Ann", "ann@contoso.example")),
    sender=st.just(Address("Ann", "ann@contoso.example")),
    subject=st.text(VISIBLE, max_size=100),
    body=st.builds(Text, st.sampled_from(["text", "html"]), st.text(ANYTHING, max_size=300)),
    to=st.lists(PEOPLE, max_size=3).map(tuple),
    importance=st.sampled_from(["low", "normal", "high"]),
    enclosures=st.lists(ENCLOSURES, max_size=3).map(tuple),
)


@given(DRAFTS)
def test_what_is_composed_is_parsed_back(draft):
    raw = compose(draft)
    envelope = check_whole(raw)
    body = envelope.html or envelope.text
    assert envelope.subject == draft.subject
    assert (envelope.message_id, envelope.sent, envelope.importance) == (draft.message_id, draft.sent, draft.importance)
    assert envelope.to == draft.to
    assert decode_transfer(raw[body.start : body.end], body.encoding).decode() == draft.body.content
    assert [part.name for part in envelope.attachments] == [one.name for one in draft.enclosures]
    contents = [decode_transfer(raw[part.start : part.end], part.encoding) for part in envelope.attachments]
    assert contents == [one.data for one in draft.enclosures]


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("a@x.example", [("", "a@x.example")]),
        ('"Doe, Jane" <jane@x.example>, b@x.example', [("Doe, Jane", "jane@x.example"), ("", "b@x.example")]),
        ("b@x.example (Bob)", [("Bob", "b@x.example")]),
        ("undisclosed-recipients:;", []),
        ("team: a@x.example, B <b@x.example>;", [("", "a@x.example"), ("B", "b@x.example")]),
        ("=?utf-8?Q?J=C3=BCrgen?= <j@x.example>", [("Jürgen", "j@x.example")]),
        ("", []),
        ("<>", [("", "")]),
        ("Mailer <MAILER-DAEMON>", [("Mailer", "MAILER-DAEMON")]),
        ('"unclosed <a@x.example>', [("", "unclosed <a@x.example>")]),
    ],
)
def test_addresses_are_read_as_people_write_them(value, addresses):
    assert [tuple(one) for one in read_addresses(value)] == addresses


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("=?utf-8?B?4oKs?=", "€"),
        ("=?iso-8859-1?q?a_=E9?= =?utf-8?Q?b?=", "a éb"),
        ("=?utf-8*de?Q?x?= plain", "x plain"),
        ("=?unknown-8bit?Q?=E9?=", "é"),
        ("=?utf-8?B?!!!?=", ""),
        ("no words", "no words"),
    ],
)
def test_encoded_words_are_decoded(value, words):
    assert decode_words(value) == words


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('attachment; filename="a; b.pdf"', "a; b.pdf"),
        ("attachment; filename*=utf-8''%e2%82%ac.pdf", "€.pdf"),
        ("attachment; filename*0*=iso-8859-1''%E9; filename*1=b.pdf", "éb.pdf"),
        ('attachment; filename*1="b"; filename*0="a"', "ab"),
        ("attachment; filename==?utf-8?B?4oKs?=", "€"),
        (r'attachment; filename="a\"b"', 'a"b'),
    ],
)
def test_file_names_are_read_in_every_encoding(value, name):
    assert read_parameters(value)[1]["filename"] == name


@given(st.binary(max_size=200))
def test_decoders_take_any_bytes(data):
    decode_base64(data)
    for charset in ("", "utf-7", "rot13", "idna", "unicode_escape", "\x00", "hex", "utf-16"):
        decode_text(data, charset).encode("utf-8")


@pytest.mark.parametrize("value", ["", "yesterday", "Mon, 99 Foo 2026", "Thu, 01 Jan 99999 00:00:00 +0000", "1\x00"])
def test_a_date_that_makes_no_sense_is_none(value):
    assert read_date(value) is None


@given(st.text(st.sampled_from('<>/!-scriptylead &;a\n"'), max_size=200))
def test_any_html_becomes_text_without_active_content(source):
    html.to_text(source)
    assert not re.search(r"<script\b", html.sanitise(source).lower())


def test_active_content_cannot_be_put_together_from_pieces():
    assert "<script" not in html.sanitise("<scr<script></script>ipt>alert()</script>")


@pytest.mark.parametrize("piece", ["<script", "<!--", "<", "</a", "<style>", "&", "<a href='"])
def test_hostile_html_takes_linear_time(piece):
    html.to_text(piece * 50_000)
    html.sanitise(piece * 50_000)


def test_html_reads_as_its_text():
    head = "<head><title>t</title><style>p{}</style></head>"
    source = f"<html>{head}<body><p>One&nbsp;&amp; <b>two</b></p><!-- no --><div>three</div>"
    assert html.to_text(source) == "One & two\n\nthree"


def test_a_footer_behind_html_does_not_become_the_body():
    raw = (
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html\n\n<p>main</p>\n"
        b"--x\nContent-Type: text/plain\n\nfooter\n--x--\n"
    )
    envelope = parse(raw)
    assert envelope.preview == "main"
    assert [one.name for one in envelope.attachments] == ["ATT00001.txt"]


def test_an_envelope_survives_the_disk(ann, state):
    stored = state.deliver_mime("ann@contoso.example", b"From: A <a@x>\r\nSubject: s\r\n\r\nx")
    assert isinstance(ann.contents, Contents)
    envelope = ann.contents.envelope(stored)
    assert isinstance(envelope, Envelope)
    assert envelope == parse(ann.contents.raw(stored))
    assert isinstance(envelope.sent_from, Address)
