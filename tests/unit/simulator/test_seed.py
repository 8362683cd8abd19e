"""A directory of .eml files becomes mail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postroom.simulator import seed as module
from postroom.simulator.seed import mailbox_for, seed

MAILBOXES = ("invoices@contoso.example", "Support@contoso.example")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("b.eml", "a.EML", "support/c.eml", "invoices@contoso.example/deep/d.eml", "other/e.eml", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


async def test_every_eml_file_is_delivered_in_order_to_the_mailbox_its_folder_names(files):
    got: list[tuple[str, bytes]] = []
    report = await seed(files, MAILBOXES, lambda address, raw: got.append((address, raw)))
    assert got == [
        ("invoices@contoso.example", b"a.EML"),
        ("invoices@contoso.example", b"b.eml"),
        ("invoices@contoso.example", b"invoices@contoso.example/deep/d.eml"),
        ("invoices@contoso.example", b"other/e.eml"),
        ("Support@contoso.example", b"support/c.eml"),
    ]
    assert (report.delivered, report.problems) == (5, ())


async def test_what_cannot_be_read_is_reported_and_the_rest_is_delivered(files):
    os.mkfifo(files / "pipe.eml")
    (files / "gone.eml").symlink_to(files / "nowhere")
    (files / "folder.eml").mkdir()
    report = await seed(files, MAILBOXES, lambda *_: None)
    assert report.delivered == 5
    assert sorted(Path(problem.partition(": ")[0]).name for problem in report.problems) == [
        "folder.eml",
        "gone.eml",
        "pipe.eml",
    ]


async def test_a_file_beyond_the_limit_is_reported(files, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_FILE", 6)
    report = await seed(files, MAILBOXES, lambda *_: None)
    assert report.delivered == 2
    assert all("larger than 6 bytes" in problem for problem in report.problems)


async def test_a_place_that_is_no_directory_is_an_error(tmp_path):
    with pytest.raises(NotADirectoryError):
        await seed(tmp_path / "missing", MAILBOXES, lambda *_: None)


@pytest.mark.parametrize(
    ("path", "mailbox"),
    [
        ("x.eml", MAILBOXES[0]),
        ("SUPPORT/x.eml", MAILBOXES[1]),
        ("a/support@CONTOSO.example/x.eml", MAILBOXES[1]),
        ("support.eml", MAILBOXES[0]),
    ],
)
def test_a_folder_is_matched_by_address_or_local_part_in_any_case(path, mailbox):
    assert mailbox_for(Path(path), MAILBOXES) == mailbox


def test_of_two_mailboxes_with_the_same_local_part_the_first_wins():
    assert mailbox_for(Path("info/x.eml"), ("z@b.example", "info@a.example", "info@b.example")) == "info@a.example"
