"""What goes into the journal comes out again, whatever a stranger wrote."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.errors import JournalError
from postroom.journal.codec import (
    clean,
    decode_actions,
    decode_message,
    decode_rules,
    encode_actions,
    encode_message,
    encode_rules,
    micros,
    moment,
)
from postroom.model import Address, Categorise, Delete, Flag, MarkRead, Message, MoveTo

anything = st.text(st.characters(categories=None), max_size=50)
utf8 = st.text(max_size=50)
times = st.datetimes(timezones=st.just(UTC))


def messages(text: st.SearchStrategy[str]) -> st.SearchStrategy[Message]:
    addresses = st.builds(Address, text, text)
    return st.builds(
        Message,
        id=text,
        mailbox=text,
        folder=text,
        received_at=times,
        sent_at=st.none() | times,
        subject=text,
        sender=addresses,
        sent_from=addresses,
        to=st.lists(addresses, max_size=3).map(tuple),
        categories=st.lists(text, max_size=3).map(tuple),
        preview=text,
        is_read=st.booleans(),
        size=st.none() | st.integers(0, 2**40),
    )


actions = st.lists(
    st.one_of(
        st.builds(MarkRead, st.booleans()),
        st.builds(MoveTo, utf8.map(clean)),
        st.builds(Categorise, st.lists(utf8.map(clean), max_size=3).map(tuple)),
        st.builds(Flag, st.sampled_from(["flagged", "complete", "notFlagged"])),
        st.just(Delete()),
    )
).map(tuple)


@given(messages(utf8))
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    assert decode_message(encode_message(message, bytearray())[0]) == message


@given(messages(anything))
def test_any_text_is_stored_and_readable(message: Message) -> None:
    text, stored = encode_message(message, bytearray())
    assert b"\0" not in text
    assert decode_message(text).received_at == message.received_at
    assert decode_message(text) == stored


def test_a_message_of_an_older_program_has_defaults_for_what_it_did_not_know() -> None:
    old = '{"id":"A","mailbox":"a@b","folder":"Inbox","received_at":"2026-01-01T00:00:00Z","gone":1}'
    assert decode_message(old) == Message(
        id="A", mailbox="a@b", folder="Inbox", received_at=datetime(2026, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 5}'])
def test_a_damaged_snapshot_is_a_journal_error(text: str) -> None:
    with pytest.raises(JournalError, match="cannot be read"):
        decode_message(text)


@given(actions)
def test_mail_actions_come_out_as_they_went_in(wanted: tuple[object, ...]) -> None:
    assert decode_actions(encode_actions(wanted)) == wanted


def test_mail_actions_are_written_in_the_words_of_the_configuration() -> None:
    assert encode_actions((MoveTo("Done"), MarkRead(), Delete())) == (
        '[{"move_to":"Done"},{"mark_read":true},{"delete":true}]'
    )


def test_equal_actions_of_different_kinds_are_not_mistaken_for_each_other() -> None:
    assert encode_actions((MoveTo("x"),)) != encode_actions((Flag("x"),))
    assert decode_actions(encode_actions((MarkRead(read=False),))) == (MarkRead(read=False),)


def test_an_action_of_a_newer_program_is_a_journal_error_that_names_it() -> None:
    with pytest.raises(JournalError, match="'archive_it'"):
        decode_actions('[{"archive_it":true}]')


@given(st.dictionaries(utf8, st.lists(utf8, max_size=3).map(tuple), max_size=4))
def test_rules_come_out_in_their_order(rules: dict[str, tuple[str, ...]]) -> None:
    assert list(decode_rules(encode_rules(rules)).items()) == list(rules.items())


@given(times)
def test_times_keep_their_microseconds(at: datetime) -> None:
    assert moment(micros(at)) == at


@given(anything, st.integers(0, 60))
def test_clean_text_is_short_and_fits_every_database(text: str, longest: int) -> None:
    cleaned = clean(text, longest)
    assert len(cleaned) <= longest
    assert "\0" not in cleaned
    cleaned.encode()
    assert clean(cleaned, longest) == cleaned
