from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.errors import Unavailable
from postroom.graph.decode import decode, decode_message, decode_page
from postroom.graph.snapshot import _with_gaps, entries, file_info, message
from postroom.graph.tolerant import repair
from postroom.graph.wire import WireAttachments, WireFolders
from postroom.model import Address
from postroom.ports import EARLIEST, LATEST

FULL = {
    "@odata.etag": 'W/"x"',
    "id": "AAA=",
    "receivedDateTime": "2026-03-01T12:00:00Z",
    "sentDateTime": "2026-03-01T11:59:58.1234567Z",
    "subject": "Invoice 7",
    "from": {"emailAddress": {"name": "Ann", "address": "ann@supplier.example"}},
    "sender": {"emailAddress": {"name": "Bob", "address": "bob@supplier.example"}},
    "toRecipients": [{"emailAddress": {"name": "", "address": "a@b"}}, {"emailAddress": None}, None],
    "ccRecipients": [],
    "replyTo": None,
    "internetMessageId": "<1@x>",
    "conversationId": "c1",
    "importance": "high",
    "categories": ["Red", None],
    "isRead": True,
    "hasAttachments": True,
    "bodyPreview": "Dear ...",
    "parentFolderId": "F1",
    "somethingNew": {"deep": [1, 2, {}]},
}


WHOLE = {**FULL, "toRecipients": FULL["toRecipients"][:1], "replyTo": [], "categories": []}


def page(*messages, **links):
    return json.dumps({"value": messages, **links}).encode()


def read(body):
    return entries(decode_page(body), "a@b", "Inbox")


@given(st.datetimes(), st.sampled_from(["", "Z", "+14:00", "-12:00"]))
@example(datetime.min, "Z")  # noqa: DTZ901 - as imported mail has it: Graph's times say no zone but their own
@example(datetime.max, "-12:00")  # noqa: DTZ901 - same
def test_with_any_time_that_a_message_has_one_can_count(moment, zone):
    (entry,) = read(page({**FULL, "receivedDateTime": moment.isoformat() + zone, "sentDateTime": moment.isoformat()}))
    for told in (entry.message.received_at, entry.message.sent_at):
        assert EARLIEST <= told <= LATEST
        assert told - timedelta(days=1) < told.astimezone(UTC) < told + timedelta(days=1)


def test_a_message_is_read_whole():
    (entry,) = read(page(FULL))
    found = entry.message
    assert found.id == entry.id == "AAA="
    assert found.mailbox == "a@b"
    assert found.folder == "Inbox"
    assert found.received_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.sent_at == datetime(2026, 3, 1, 11, 59, 58, 123457, tzinfo=UTC)
    assert found.sender == Address("Ann", "ann@supplier.example")
    assert found.sent_from == Address("Bob", "bob@supplier.example")
    assert found.to == (Address("", "a@b"), Address("", ""))
    assert found.cc == found.reply_to == ()
    assert (found.subject, found.importance, found.categories) == ("Invoice 7", "high", ("Red",))
    assert (found.internet_message_id, found.conversation_id, found.preview) == ("<1@x>", "c1", "Dear ...")
    assert found.is_read
    assert found.has_attachments


@given(st.sampled_from(sorted(set(FULL) - {"id", "receivedDateTime"})))
def test_any_field_may_be_null(name):
    (entry,) = read(page({**FULL, name: None}))
    assert entry.message is not None


odd = st.none() | st.sampled_from(
    [
        "",
        "2026-03-01T12:00:00",
        [],
        [None],
        [{}],
        [{"emailAddress": {"name": None}}],
        {"emailAddress": {"name": "A"}},
        ["Red"],
    ]
)


@given(st.dictionaries(st.sampled_from(sorted(set(WHOLE) - {"id", "receivedDateTime"})), odd))
def test_a_message_is_the_same_whether_it_has_gaps_or_not(changes):
    wire = decode_message(json.dumps({**WHOLE, **changes}).encode())
    found = message(wire, "a@b", "Inbox")
    assert found == _with_gaps(wire, wire.id, wire.received_at)
    assert found.sent_at is None or found.sent_at.tzinfo is not None


def test_a_message_without_gaps_is_made_in_one_step(monkeypatch):
    monkeypatch.setattr("postroom.graph.snapshot._with_gaps", None)
    (entry,) = read(page(WHOLE))
    assert (entry.message.subject, entry.message.sender) == ("Invoice 7", Address("Ann", "ann@supplier.example"))


@given(st.sampled_from(sorted(FULL)), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))
def test_a_field_of_the_wrong_type_never_costs_the_page(name, value):
    found = read(page({**FULL, name: value}, {**FULL, "id": "BBB="}))
    assert found[-1].message.id == "BBB="


def test_an_entry_that_is_no_object_is_left_out():
    assert [each.id for each in read(page(None, 7, FULL, [], {"subject": "no id"}))] == ["AAA="]


def test_a_removal_is_told():
    (entry,) = read(page({"id": "AAA=", "@removed": {"reason": "deleted"}}))
    assert entry.removed
    assert entry.message is None


def test_a_partial_update_makes_no_message():
    (entry,) = read(page({"id": "AAA=", "receivedDateTime": "2026-03-01T12:00:00Z", "isRead": True}))
    assert (entry.id, entry.removed, entry.message) == ("AAA=", False, None)
    assert entry.received_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert read(page({"id": "AAA=", "isRead": True}))[0].received_at is None


def test_without_a_time_of_receipt_there_is_no_message():
    (entry,) = read(page({**FULL, "receivedDateTime": None}))
    assert entry.message is None


def test_a_time_without_a_zone_is_utc():
    (entry,) = read(page({**FULL, "receivedDateTime": "2026-03-01T12:00:00", "sentDateTime": "2026-03-01T12:00:00"}))
    assert entry.message.received_at == entry.message.sent_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_links_are_told():
    found = decode_page(page(**{"@odata.nextLink": "https://x/1"}))
    assert (found.next_link, found.delta_link) == ("https://x/1", None)
    assert decode_page(page(**{"@odata.deltaLink": "https://x/2"})).delta_link == "https://x/2"


def test_a_link_of_the_wrong_type_is_no_page():
    with pytest.raises(Unavailable):
        decode_page(page({**FULL, "subject": 7}, **{"@odata.nextLink": 7}))


@pytest.mark.parametrize("character", [chr(code) for code in range(32)])
def test_control_characters_in_strings_are_tolerated(character):
    body = page({**FULL, "subject": "before@after"}).replace(b"@after", character.encode() + b"after")
    (entry,) = read(body)
    assert entry.message.subject.replace(character, "") == "beforeafter"


def test_half_an_emoji_is_tolerated():
    body = page({**FULL, "bodyPreview": "cut "}).replace(b'"cut "', b'"cut \\ud83d"')
    (entry,) = read(body)
    assert entry.message.preview == "cut ?"


def test_bytes_that_are_no_text_are_tolerated():
    (entry,) = read(page(FULL).replace(b"Invoice 7", b"Invoice \xff"))
    assert entry.message.subject == "Invoice \ufffd"


def test_a_nul_character_is_left_out_for_no_database_takes_it():
    (entry,) = read(page({**FULL, "subject": "a\x00b", "bodyPreview": "c:\\u0000"}))
    assert (entry.message.subject, entry.message.preview) == ("ab", "c:\\u0000")


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b'{"value": 7}', b"{", b"[" * 100_000])
def test_what_is_no_page_is_unavailable(body):
    with pytest.raises(Unavailable):
        decode_page(body)
    with pytest.raises(Unavailable):
        decode(WireFolders, body)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_else(body):
    for reader in (decode_page, decode_message, lambda body: decode(WireAttachments, body)):
        with contextlib.suppress(Unavailable):
            reader(body)


@given(st.dictionaries(st.text(), st.text()))
def test_repair_keeps_what_is_sound(document):
    kept = {key.replace("\0", ""): value.replace("\0", "") for key, value in document.items()}
    assert json.loads(repair(json.dumps(document).encode())) == kept


def test_a_message_without_what_it_needs_is_none():
    assert message(decode_message(b'{"id": "A"}'), "a@b", "Inbox") is None


def test_attachments_are_told_apart():
    kinds = [
        "#microsoft.graph.fileAttachment",
        "#microsoft.graph.itemAttachment",
        "#microsoft.graph.referenceAttachment",
    ]
    listed = [{"@odata.type": kind, "id": "1", "name": None, "size": None, "isInline": None} for kind in [*kinds, None]]
    found = [file_info(each) for each in decode(WireAttachments, page(*listed)).value]
    assert [each.kind for each in found] == ["file", "item", "reference", "file"]
    assert (found[0].name, found[0].size, found[0].is_inline) == ("", 0, False)
