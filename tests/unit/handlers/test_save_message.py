import email
import mailbox
import os
import re
from pathlib import Path

import pytest

from postroom.handlers.save_message import SaveMessage
from postroom.plugin import Done, TemporaryError
from postroom.testing import FakeContext, make_message, run_handler


def mail(**fields):
    return FakeContext(message=make_message(**fields), raw=b"Subject: x\r\n\r\nthe raw mail\xff")


def names(directory):
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


async def save(directory, context, **options):
    return await run_handler(SaveMessage, {"directory": directory, **options}, context=context)


async def test_an_eml_file_is_the_mail_byte_by_byte_named_after_date_and_subject(tmp_path):
    outcome = await save(tmp_path, mail(subject="Invoice 4711"))
    (name,) = names(tmp_path)
    assert outcome == Done(note=name)
    assert re.fullmatch(r"2026-03-02 090000 Invoice 4711 [0-9a-f]{12}\.eml", name)
    assert (tmp_path / name).read_bytes() == b"Subject: x\r\n\r\nthe raw mail\xff"


@pytest.mark.parametrize("subject", ["", "../../etc/passwd", "a/b\\c\0\n" * 50, "漢" * 300, ".hidden", "x" * 900])
async def test_whatever_the_subject_the_file_stays_in_the_directory(tmp_path, subject):
    await save(tmp_path / "inside", mail(subject=subject))
    (name,) = names(tmp_path)
    assert re.fullmatch(r"inside/2026-03-02 090000 [^/]+\.eml", name)
    assert len(name.encode()) < 200


async def test_a_repeat_makes_no_second_file_even_when_the_mime_is_worded_anew(tmp_path):
    context = mail()
    await save(tmp_path, context)
    context.raw = b"Subject: x\r\nX-Boundary: another\r\n\r\n"
    outcome = await save(tmp_path, context)
    assert outcome.note.endswith("was there already")
    assert len(names(tmp_path)) == 1


async def test_a_name_left_empty_by_a_killed_daemon_gets_its_mail(tmp_path):
    context = mail()
    await save(tmp_path, context)
    (name,) = names(tmp_path)
    (tmp_path / name).write_bytes(b"")
    assert await save(tmp_path, context) == Done(note=name)
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == context.raw


@pytest.mark.parametrize("stand", [Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
async def test_what_is_no_file_under_the_name_is_not_taken_for_the_mail(tmp_path, stand):
    context = mail()
    await save(tmp_path, context)
    (name,) = names(tmp_path)
    (tmp_path / name).unlink()
    stand(tmp_path / name)
    outcome = await save(tmp_path, context)
    assert outcome == Done(note=name.replace(".eml", " (2).eml"))
    assert (tmp_path / outcome.note).read_bytes() == context.raw


@pytest.mark.parametrize("place", ["new/{}", "cur/{}:2,S"])
async def test_an_empty_mail_in_a_maildir_is_not_taken_for_the_mail(tmp_path, place):
    context = mail()
    outcome = await save(tmp_path, context, format="maildir")
    (tmp_path / "new" / outcome.note).rename(tmp_path / place.format(outcome.note))
    (tmp_path / place.format(outcome.note)).write_bytes(b"")
    assert await save(tmp_path, context, format="maildir") == outcome
    assert (tmp_path / "new" / outcome.note).read_bytes() == context.raw


async def test_the_disk_has_a_mail_whole_before_it_lies_in_new(tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def noting(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            synced.append((path.parent.name, path.read_bytes(), names(tmp_path / "new")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    context = mail()
    await save(tmp_path, context, format="maildir")
    assert synced == [("tmp", context.raw, [])]


@pytest.mark.parametrize("there", [True, False])
async def test_new_directories_of_a_maildir_are_made_durable_in_their_parents(tmp_path, monkeypatch, there):
    synced, sync = set(), os.fsync

    def noting(descriptor):
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    await save(tmp_path / ("" if there else "a/{folder}"), mail(), format="maildir")
    maildir = tmp_path if there else tmp_path / "a" / "Inbox"
    due = {maildir, maildir / "new"} | (set() if there else {maildir.parent})
    assert {str(path) for path in due} <= synced


async def test_two_mails_of_one_second_and_subject_are_two_files(tmp_path):
    await save(tmp_path, mail())
    await save(tmp_path, mail())
    assert len(names(tmp_path)) == 2


async def test_the_directory_may_depend_on_the_mail(tmp_path):
    await save(tmp_path / "{year}" / "{sender_domain}", mail())
    assert names(tmp_path)[0].startswith("2026/supplier.example/")


async def test_a_maildir_gets_the_mail_in_new(tmp_path):
    outcome = await save(tmp_path, mail(), format="maildir")
    (name,) = names(tmp_path)
    assert name == f"new/{outcome.note}"
    assert (tmp_path / name).read_bytes() == b"Subject: x\r\n\r\nthe raw mail\xff"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cur", "new", "tmp"]


async def test_a_maildir_gets_no_second_copy_after_a_reader_has_seen_the_first(tmp_path):
    context = mail()
    outcome = await save(tmp_path, context, format="maildir")
    await save(tmp_path, context, format="maildir")
    assert names(tmp_path) == [f"new/{outcome.note}"]
    (tmp_path / "new" / outcome.note).rename(tmp_path / "cur" / f"{outcome.note}:2,S")
    await save(tmp_path, context, format="maildir")
    assert names(tmp_path) == [f"cur/{outcome.note}:2,S"]


async def test_a_maildir_can_be_read_by_the_standard_library(tmp_path):
    context = FakeContext(message=make_message(subject="Grüße"))
    await save(tmp_path, context, format="maildir")
    with_maildir = mailbox.Maildir(tmp_path, create=False)
    (message,) = list(with_maildir)
    assert str(email.header.make_header(email.header.decode_header(message["Subject"]))) == "Grüße"


async def test_the_order_of_two_mails_is_that_of_their_names_in_a_maildir(tmp_path):
    await save(tmp_path, mail(), format="maildir")
    assert re.fullmatch(r"new/1772442000\.[0-9a-f]{32}\.postroom", names(tmp_path)[0])


@pytest.mark.parametrize("form", ["eml", "maildir"])
async def test_a_disk_that_cannot_be_written_is_temporary(tmp_path, form):
    (tmp_path / "Inbox").write_text("in the way")
    with pytest.raises(TemporaryError, match=r"Cannot write to .*: .*disk has room"):
        await save(tmp_path / "{folder}", mail(), format=form)


@pytest.mark.parametrize("form", ["eml", "maildir"])
async def test_an_error_never_quotes_the_mail(tmp_path, form):
    (tmp_path / "Dismissal of J. Doe").write_text("in the way")
    with pytest.raises(TemporaryError, match=r"Cannot write to .*/\{subject\}: ") as caught:
        await save(tmp_path / "{subject}", mail(subject="Dismissal of J. Doe"), format=form)
    assert "Doe" not in str(caught.value)
