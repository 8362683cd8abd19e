"""The demo's mails are what their kinds say, the same in each run, and from nowhere real."""

from __future__ import annotations

import email
import email.policy
import gzip
import io
import re
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from postroom.simulator.corpus import DemoMail, corpus
from postroom.simulator.corpus.invoices import pdf
from postroom.simulator.state import TenantState

MAILS = list(corpus())


def of_kind(kind: str) -> list[DemoMail]:
    return [mail for mail in MAILS if mail.expected == kind]


def read(mail: DemoMail) -> email.message.EmailMessage:
    return email.message_from_bytes(mail.raw, policy=email.policy.default)


def files(mail: DemoMail) -> dict[str, bytes]:
    return {part.get_filename(): part.get_payload(decode=True) for part in read(mail).iter_attachments()}


def test_there_are_about_two_hundred_mails_of_every_kind_and_twenty_megabytes_at_most():
    assert 180 <= len(MAILS) <= 260
    assert sum(len(mail.raw) for mail in MAILS) < 20_000_000
    assert set(Counter(mail.expected for mail in MAILS)) == {
        "invoice",
        "order",
        "dmarc",
        "question",
        "newsletter",
        "bounce",
        "auto-reply",
        "charset",
        "file-name",
        "broken",
        "nested",
        "signed",
        "large",
    }
    assert {mail.mailbox for mail in MAILS} == {"invoices", "support", "dmarc", "orders"}


def test_every_run_writes_the_same_bytes():
    assert [mail.raw for mail in corpus()] == [mail.raw for mail in MAILS]


def test_the_mails_come_oldest_first_within_a_week():
    ages = [mail.age for mail in MAILS]
    assert ages == sorted(ages, reverse=True)
    assert timedelta() < ages[-1] <= ages[0] <= timedelta(days=7)


def test_every_address_is_in_an_example_domain():
    for mail in MAILS:
        for domain in re.findall(rb"[\w.+-]@([\w-]+(?:\.[\w-]+)+)", mail.raw):
            assert domain.endswith(b".example"), (mail.expected, domain)


def test_message_ids_are_unique():
    ids = [
        found for mail in MAILS for found in re.findall(rb"(?m)^Message-ID: (\S+)", mail.raw.partition(b"\r\n\r\n")[0])
    ]
    assert len(ids) == len(set(ids)) > 200


def test_a_pdfs_table_points_at_its_objects():
    data = pdf(["Line (one)", "Zwei"])
    start = int(data.split(b"startxref\n")[1].split()[0])
    assert data[start:].startswith(b"xref\n0 6\n")
    offsets = re.findall(rb"(\d{10}) 00000 n \n", data[start:])
    for number, offset in enumerate(offsets, 1):
        assert data[int(offset) :].startswith(b"%d 0 obj\n" % number)
    length = int(re.search(rb"/Length (\d+)", data)[1])
    assert data.partition(b"stream\n")[2][length:].startswith(b"\nendstream")
    assert rb"(Line \(one\)) Tj" in data


@pytest.mark.parametrize("mail", of_kind("invoice"), ids=range(40))
def test_an_invoice_has_its_pdf(mail):
    name, data = next(iter(files(mail).items()))
    assert re.fullmatch(r"invoice-\d+\.pdf", name)
    assert data.startswith(b"%PDF-1.4\n")
    assert data.endswith(b"%%EOF\n")


def test_dmarc_reports_unpack_to_valid_xml_from_zip_and_gzip():
    kinds = Counter()
    for mail in of_kind("dmarc"):
        ((name, data),) = files(mail).items()
        kinds[name.rpartition(".")[2]] += 1
        if name.endswith(".gz"):
            xml = gzip.decompress(data)
        else:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                xml = archive.read(archive.namelist()[0])
        root = ET.fromstring(xml)
        assert root.tag == "feedback"
        assert root.findtext("policy_published/domain") == "contoso.example"
        assert len(root.findall("record")) >= 1
    assert set(kinds) == {"zip", "gz"}


def test_orders_have_a_csv_with_a_header():
    for mail in of_kind("order"):
        ((name, data),) = files(mail).items()
        assert name.endswith(".csv")
        assert data.startswith(b"position,article,quantity\r\n1,")


def test_bounces_are_delivery_reports_from_an_empty_sender():
    for mail in of_kind("bounce"):
        message = read(mail)
        assert message["Return-Path"] == "<>"
        assert message.get_content_type() == "multipart/report"
        assert [part.get_content_type() for part in message.iter_parts()] == [
            "text/plain",
            "message/delivery-status",
            "text/rfc822-headers",
        ]


def test_newsletters_say_how_to_leave():
    assert all(read(mail)["List-Unsubscribe"] for mail in of_kind("newsletter"))


def test_the_character_sets_are_really_used():
    sets = {read(mail).get_content_charset() for mail in of_kind("charset")}
    assert {"iso-2022-jp", "koi8-r", "windows-1252", "utf-7", "gb18030", "euc-kr"} <= sets
    japanese = next(mail for mail in of_kind("charset") if b"charset=iso-2022-jp" in mail.raw)
    assert read(japanese)["Subject"] == "見積書の件"
    assert b"\x1b$B" in read(japanese).get_payload(decode=True)


def test_a_name_in_pieces_is_put_together():
    pieces = next(mail for mail in of_kind("charset") if b"filename*0*" in mail.raw)
    assert b"filename*2=.bin" in pieces.raw


def test_hostile_names_survive_the_way_into_the_mail():
    names = {name for mail in of_kind("file-name") for name in files(mail)}
    assert {"../../etc/passwd", "CON", "invoice\u202efdp.exe", "n" * 300 + ".pdf", None} <= names


def test_three_files_of_one_name_are_in_one_mail():
    scans = next(mail for mail in of_kind("file-name") if mail.raw.count(b"scan.pdf") >= 3)
    assert [part.get_filename() for part in read(scans).iter_attachments()] == ["scan.pdf"] * 3


def test_broken_mail_is_broken_in_the_ways_promised():
    broken = of_kind("broken")
    assert any(b"\x00" in mail.raw for mail in broken)
    assert any(mail.raw == b"" for mail in broken)
    assert any(mail.raw.startswith(b"\r\n") for mail in broken)
    assert sum(bool(email.message_from_bytes(mail.raw).defects) for mail in broken) >= 3


def test_nested_mails_have_the_invoice_at_the_bottom():
    depths = set()
    for mail in of_kind("nested"):
        levels = [part.get_content_type() for part in read(mail).walk()]
        assert levels[-1] == "application/pdf"
        depths.add(levels.count("message/rfc822"))
    assert depths == {1, 2, 3, 4, 5, 6}


def test_large_mails_are_megabytes_and_some_beyond_what_graph_inlines():
    sizes = [len(mail.raw) for mail in of_kind("large")]
    assert min(sizes) > 1_000_000
    assert max(sizes) > 3_000_000


def test_subjects_have_emoji_and_one_is_missing_and_one_endless():
    subjects = [str(read(mail)["Subject"]) for mail in of_kind("question")]
    assert any("🎉" in subject for subject in subjects)
    assert "" in subjects
    assert max(map(len, subjects)) == 900


def test_the_simulated_mailboxes_take_every_mail_unchanged(tmp_path):
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    state = TenantState(tmp_path, lambda: now)
    for mail in MAILS:
        mailbox = state.add_mailbox(f"{mail.mailbox}@contoso.example")
        stored = state.deliver_mime(mailbox.address, mail.raw, received_at=now - mail.age)
        assert mailbox.contents.raw(stored) == mail.raw
    assert sum(len(mailbox.messages) for mailbox in state.mailboxes.values()) == len(MAILS)
    state.close()
