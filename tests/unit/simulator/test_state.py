"""Mailboxes, ids and mail between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.simulator.state import (
    ForeignId,
    MalformedId,
    UnknownFolder,
    UnknownMailbox,
    UnknownMessage,
)
from postroom.simulator.state.ids import Ids, decode, encode
from postroom.simulator.state.tenant import without_bcc

ME = "ann@contoso.example"
NUMBERS = st.integers(0, 2**63)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_ids_name_what_they_were_made_from(folder, item, entered):
    ids = Ids("6f1c1c1e-0000-4000-8000-000000000001")
    assert ids.read_folder(ids.folder(folder)) == folder
    assert ids.read_message(ids.message(folder, item, entered)) == (item, folder, entered)
    assert ids.read_message(ids.immutable(item)) == (item, None, None)
    assert len(ids.immutable(item)) == len(ids.message(folder, item, entered)) == 152


@given(st.text(max_size=200))
def test_text_that_is_no_id_is_malformed(text):
    ids = Ids("6f1c1c1e-0000-4000-8000-000000000001")
    for read in (ids.read_folder, ids.read_message):
        with pytest.raises(MalformedId):
            read(text)


def test_ids_of_another_mailbox_are_told_apart():
    ids, other = (Ids(f"6f1c1c1e-0000-4000-8000-00000000000{n}") for n in (1, 2))
    for foreign in (other.message(1, 2, 3), other.immutable(2)):
        with pytest.raises(ForeignId):
            ids.read_message(foreign)


def test_an_id_in_another_case_is_another_id(ann, state):
    stored = state.deliver_mime(ME, b"Subject: x\r\n\r\n")
    with pytest.raises((MalformedId, ForeignId)):
        ann.message(ann.immutable_id(stored).lower())


def test_only_the_one_spelling_of_bytes_is_an_id():
    assert decode(encode(b"ab")) == b"ab"
    with pytest.raises(MalformedId):
        decode("YWJ=")


def test_mailboxes_keep_their_ids_from_run_to_run(state, ann):
    assert state.mailbox(ann.id) is state.mailbox("ANN@contoso.example") is ann
    assert state.add_mailbox("Ann@Contoso.example") is ann
    with pytest.raises(UnknownMailbox):
        state.mailbox("nobody@contoso.example")


def test_a_message_is_found_by_the_default_id_only_until_it_moves(ann, state):
    stored = state.deliver_mime(ME, b"Subject: x\r\n\r\n")
    before = ann.default_id(stored)
    assert ann.message(before) is stored
    ann.move(stored, ann.folder("archive"))
    ann.move(stored, ann.folder("inbox"))
    with pytest.raises(UnknownMessage):
        ann.message(before)
    assert ann.message(ann.immutable_id(stored)) is ann.message(ann.default_id(stored)) is stored


def test_a_message_deleted_twice_is_gone_for_good(ann, state):
    stored = state.deliver_mime(ME, b"Subject: x\r\n\r\n")
    recoverable = ann.folder("recoverableitemsdeletions")
    ann.delete(stored)
    assert ann.message(ann.immutable_id(stored), recoverable) is stored
    ann.delete(stored)
    assert not ann.messages
    with pytest.raises(UnknownMessage):
        ann.message(ann.immutable_id(stored), recoverable)


def test_listeners_hear_of_every_change(ann, state):
    heard = []
    state.on_change.append(heard.append)
    stored = state.deliver_mime(ME, b"Subject: x\r\n\r\n")
    ann.update(stored, is_read=True)
    ann.move(stored, ann.folder("archive"))
    ann.copy(stored, ann.folder("inbox"))
    ann.delete(stored)
    ann.create_folder("Done")
    assert heard == [ann] * 6


def test_a_folder_must_exist_to_take_mail(ann, state):
    with pytest.raises(MalformedId):
        state.deliver_mime(ME, b"", folder="No Such Folder")
    with pytest.raises(UnknownFolder):
        state.deliver_mime(ME, b"", folder=ann.ids.folder(999))


def test_mail_lies_on_disk_and_not_in_memory(ann, state, tmp_path):
    marker = b"unmistakable-" * 40_000
    stored = state.deliver_mime(ME, b"Subject: x\r\n\r\n" + marker)
    assert marker in (tmp_path / "mail.spool").read_bytes()
    kept = [getattr(stored, name) for name in stored.__slots__]
    assert not any(isinstance(value, bytes | str) and len(value) > 100 for value in kept)
    assert ann.contents.raw(stored).endswith(marker)


def test_the_bcc_field_goes_with_its_continuation_and_nothing_else_does():
    raw = b"To: a@x\nBCC: b@x,\n\tc@x\nSubject: s\n\nBcc: in the body\n"
    assert without_bcc(raw) == b"To: a@x\nSubject: s\n\nBcc: in the body\n"
