import email
import mailbox
import re

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
