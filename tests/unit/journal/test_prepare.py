"""What is made of a page's messages before they are stored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from postroom.journal.codec import LONGEST_LABEL
from postroom.journal.prepare import PreparedMessage, prepare, together
from postroom.model import Message
from postroom.ports import MatchedRule, NewMessage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = (MatchedRule("all", ("erp",)),)


def mail(subject: str, *, dispatch: bool = True) -> NewMessage:
    message = Message(id="A1", mailbox="a@contoso.example", folder="Inbox", received_at=NOW, subject=subject)
    return NewMessage(message, RULES, dispatch)


def prepared(new: NewMessage) -> PreparedMessage:
    return prepare([new], NOW)["A1"]


def test_of_a_mail_that_comes_in_two_pages_the_last_counts() -> None:
    pages = [prepare([mail(subject)], NOW) for subject in ("first", "last")]
    assert together(pages)["A1"].subject == "last"


@pytest.mark.parametrize("dispatch", [True, False])
@pytest.mark.parametrize(
    ("subject", "label"),
    [
        ("Grüße", "Grüße"),
        ("a\0b", "ab"),
        ("half \ud83d an emoji", "half ? an emoji"),
        ("x" * 1_000, "x" * LONGEST_LABEL),
        ("\ud83d" + "\0" + "x" * 1_000, "?" + "x" * (LONGEST_LABEL - 2)),
    ],
)
def test_a_label_is_what_every_database_takes(subject: str, label: str, *, dispatch: bool) -> None:
    assert prepared(mail(subject, dispatch=dispatch)).subject == label


def test_what_is_only_remembered_has_no_snapshot_and_no_rules() -> None:
    kept = prepared(mail("Invoice", dispatch=False))
    assert kept.snapshot is None
    assert kept.row[7] is None


def test_snapshots_are_their_own_however_many_are_written_in_the_same_room() -> None:
    others = [new._replace(message=_named(new.message, key)) for key in ("B1", "C1") for new in [mail("long " * 100)]]
    page = prepare([mail("short"), *others], NOW)
    assert [b'"subject":"short"' in (each.snapshot or b"") for each in page.values()] == [True, False, False]


def _named(message: Message, key: str) -> Message:
    return Message(
        id=key, mailbox=message.mailbox, folder=message.folder, received_at=message.received_at, subject=message.subject
    )
