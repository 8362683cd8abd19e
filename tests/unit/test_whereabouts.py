"""The note of where a running daemon has its console: read whole, or not at all."""

from __future__ import annotations

import os

import pytest

from postroom import whereabouts


@pytest.fixture
def file(tmp_path):
    return tmp_path / "journal.db.console"


@pytest.fixture
def journal(tmp_path):
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8642", "http://[::1]:8642"])
def test_a_note_tells_where_the_console_of_a_living_process_is_until_it_is_forgotten(journal, file, url):
    whereabouts.note(journal, url)
    assert whereabouts.console_of(journal) == (os.getpid(), url)
    whereabouts.forget(journal)
    assert whereabouts.console_of(journal) is None
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize(
    "note",
    [
        "http://127.0.0.1",
        "http://127.0.0.1:",
        "http://127.0.0.1:0",
        "http://127.0.0.1:86420",
        "http://127.0.0.1:x",
        "http://[::1",
        "http:/",
        "",
    ],
)
def test_a_note_without_a_whole_address_is_none(journal, file, note):
    file.write_text(f"{os.getpid()} {note}")
    assert whereabouts.console_of(journal) is None


@pytest.mark.parametrize("process", ["9" * 30, "9" * 5000])
def test_a_note_of_a_process_that_cannot_be_is_none(journal, file, process):
    file.write_text(f"{process} http://127.0.0.1:8642\n")
    assert whereabouts.console_of(journal) is None


def test_who_reads_a_note_while_another_takes_its_place_reads_the_whole_of_one(journal, file):
    whereabouts.note(journal, "http://127.0.0.1:8642")
    with file.open() as reading:
        whereabouts.note(journal, "http://127.0.0.1:8643")
        assert reading.read() == f"{os.getpid()} http://127.0.0.1:8642\n"
    assert whereabouts.console_of(journal) == (os.getpid(), "http://127.0.0.1:8643")


def test_a_note_that_cannot_be_written_leaves_nothing_and_keeps_nobody_from_working(journal, file):
    file.mkdir()
    whereabouts.note(journal, "http://127.0.0.1:8642")
    assert list(file.parent.iterdir()) == [file]


def test_an_old_note_is_taken_away_whoever_it_is_of(journal, file):
    file.write_text("1 http://127.0.0.1:8642\n")
    whereabouts.clear(journal)
    whereabouts.clear(journal)
    assert not file.exists()
