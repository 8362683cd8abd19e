"""`postroom audit`: what its options mean, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from postroom.cli.accounts import Period
from postroom.cli.audit import Moment, _show, verdict
from postroom.errors import ExitCode
from postroom.pipeline.audit import FolderAudit, Missing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WELL = FolderAudit("a@b.example", "Inbox", seen=7, states={"done": 4, "ready": 1, "running": 1, "no rule": 1})
LOST = FolderAudit("a@b.example", "Bills", seen=1, missing=(Missing("AAk=", NOON, "a bill\x1b[2J"),))
UNREAD = FolderAudit("c@d.example", "Inbox", error="No such mailbox.")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01", NOON.replace(hour=0)),
        ("2026-03-01T12:00", NOON),
        ("2026-03-01T13:00+01:00", NOON),
        ("2026-03-01T12:00:00Z", NOON),
    ],
)
def test_a_date_is_utc_unless_it_says_otherwise(text, moment):
    assert Moment()(text) == moment


def test_a_duration_is_so_long_ago():
    moment = Moment()("7d")
    ago = datetime.now(UTC) - moment
    assert timedelta(days=7) <= ago < timedelta(days=7, minutes=1)


@pytest.mark.parametrize("text", ["yesterday", "", "7", "2026-02-30", "99999999999d", "-1d"])
def test_what_is_no_point_in_time_is_refused(text):
    with pytest.raises(click.BadParameter, match="is no date"):
        Moment()(text)


@pytest.mark.parametrize(
    ("audits", "code"),
    [
        ([], ExitCode.OK),
        ([WELL], ExitCode.OK),
        ([WELL, UNREAD], ExitCode.UNAVAILABLE),
        ([UNREAD, LOST], ExitCode.FAILED),
    ],
)
def test_missing_mail_weighs_more_than_a_folder_that_cannot_be_read(audits, code):
    assert verdict(audits) == code


def test_every_message_is_shown_in_one_column_and_nothing_of_it_steers_the_terminal(capsys):
    _show([WELL, LOST, UNREAD], Period(NOON, NOON + timedelta(days=1)), 50)
    shown = capsys.readouterr().out
    [row] = [line for line in shown.splitlines() if "Inbox" in line and "7" in line]
    assert [int(cell) for cell in row.split()[2:]] == [7, 7, 4, 2, 0, 0, 1, 0, 0, 0, 0]
    assert "a bill" in shown
    assert "\x1b" not in shown
    assert "c@d.example/Inbox could not be read: No such mailbox." in shown
    assert "1 message is in a watched folder and not in the journal." in shown


def test_no_more_missing_messages_are_listed_than_asked_for(capsys):
    many = FolderAudit("a@b.example", "Inbox", missing=tuple(Missing(f"id{n}", NOON) for n in range(9)))
    _show([many], Period(NOON, NOON), 3)
    shown = capsys.readouterr().out
    assert "Missing (9)" in shown
    assert shown.count("id") - shown.count("Graph's id") == 3


def test_where_nothing_is_missing_the_dead_are_not_passed_over(capsys):
    _show([FolderAudit("a@b.example", "Inbox", seen=2, states={"done": 1, "dead": 1})], Period(NOON, NOON), 50)
    told = capsys.readouterr().out
    assert "1 message is dead: postroom messages list --dead" in told
    assert "Nothing is missing" in told


def test_of_a_folder_that_was_not_read_nothing_is_concluded(capsys):
    _show([WELL, UNREAD, WELL], Period(NOON, NOON), 50)
    told = capsys.readouterr().out
    assert told.endswith(
        "Nothing is missing in 2 of 3 folders, 1 was not looked at: 14 messages are accounted for there.\n"
    )
    _show([UNREAD], Period(NOON, NOON), 50)
    assert capsys.readouterr().out.endswith("Nothing can be said: the one folder was not looked at.\n")
    _show([UNREAD, UNREAD], Period(NOON, NOON), 50)
    assert capsys.readouterr().out.endswith("Nothing can be said: none of 2 folders was looked at.\n")
    _show([LOST, UNREAD], Period(NOON, NOON), 50)
    assert capsys.readouterr().out.endswith("1 of 2 folders was not looked at.\n")
