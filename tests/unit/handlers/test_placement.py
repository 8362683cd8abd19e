import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from postroom.handlers.placement import (
    LONGEST_VALUE,
    PLACEHOLDERS,
    Directory,
    directory_for,
    make_fixed_part,
    missing_directory,
    short_name,
)
from postroom.plugin import Address, HandlerError, TemporaryError
from postroom.testing import make_message

HOSTILE = st.text(alphabet=st.one_of(st.sampled_from("./\\{}-~\0\n "), st.characters()), max_size=200)


def check(text):
    return TypeAdapter(Directory).validate_python(text)


@given(HOSTILE, HOSTILE)
def test_whatever_a_mail_says_its_directory_is_where_the_operator_put_it(subject, sender):
    message = make_message(subject=subject, sender=Address("", sender), folder=subject, mailbox=sender)
    template = Path("/srv/mail/x-{mailbox}/{folder}/{date}/{sender_domain}{sender}/{subject}")
    directory = directory_for(template, message)
    assert directory.parts[:3] == ("/", "srv", "mail")
    assert len(directory.parts) == len(template.parts)
    assert ".." not in directory.parts
    assert all(len(part.encode()) <= 255 for part in directory.parts)


@given(HOSTILE)
def test_a_short_name_is_short_and_safe(text):
    short = short_name(text, "nothing")
    assert 0 < len(short.encode()) <= LONGEST_VALUE
    assert "/" not in short
    assert not short.startswith(".")
    assert not short.endswith((".", " "))


def test_every_placeholder_has_its_value():
    message = make_message(subject="Re: 4711")
    template = Path("/".join(f"{{{name}}}" for name in PLACEHOLDERS))
    assert str(directory_for(template, message)) == (
        "invoices@contoso.example/Inbox/2026-03-02/2026/03/02/ada@supplier.example/supplier.example/Re_ 4711"
    )


def test_braces_of_the_configurations_own_directory_stay():
    assert directory_for(Path("/srv/{x}/{year}"), make_message()) == Path("/srv/{x}/2026")


def test_an_empty_value_is_named():
    message = make_message(subject="", sender=Address("", ""))
    assert directory_for(Path("{subject}/{sender_domain}"), message) == Path("no subject/no sender_domain")


def test_a_subject_with_braces_is_not_filled_again():
    assert directory_for(Path("{subject}"), make_message(subject="{mailbox}")) == Path("{mailbox}")


@pytest.mark.parametrize("text", ["/srv/mail", "./mail/{mailbox}", "{year}-{month}/{day}"])
def test_known_placeholders_pass(text):
    assert check(text) == Path(text)


@pytest.mark.parametrize(("text", "hint"), [("{mailbx}", "did you mean {mailbox}"), ("{}", "there are mailbox, ")])
def test_an_unknown_placeholder_is_refused_with_a_suggestion(text, hint):
    with pytest.raises(ValidationError, match=hint):
        check(text)


def test_the_part_that_is_the_same_for_all_is_made(tmp_path):
    make_fixed_part(tmp_path / "a" / "b" / "{mailbox}" / "c")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_a_relative_directory_is_made_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_fixed_part(Path("a/{date}"))
    assert (tmp_path / "a").is_dir()


def test_a_directory_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HandlerError, match=r"Cannot make the directory .*file/x.*daemon's user"):
        make_fixed_part(tmp_path / "file" / "x")


def test_a_disk_that_is_full_now_may_have_room_later(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("postroom.handlers.placement.make_directory", full)
    with pytest.raises(TemporaryError, match="No space left"):
        make_fixed_part(tmp_path / "x")


def test_a_directory_that_can_be_made_or_written_to_is_not_missing(tmp_path):
    assert missing_directory(tmp_path) == {}
    assert missing_directory(tmp_path / "a" / "b" / "{year}") == {}
    assert list(tmp_path.iterdir()) == [], "looking changes nothing"


def test_a_directory_that_cannot_be_made_is_missing(tmp_path):
    (tmp_path / "file").touch()
    fixed = tmp_path / "file" / "x"
    assert missing_directory(fixed / "{year}") == {
        "directory": f"the directory {fixed} cannot be made, for {tmp_path}/file is no directory"
    }
    assert missing_directory(tmp_path / "file") == {"directory": f"{tmp_path}/file is no directory"}
    assert missing_directory(Path("/proc/x/y")) == {
        "directory": "the directory /proc/x/y cannot be made, for /proc may not be written to"
    }


def test_a_directory_that_may_not_be_written_to_is_missing(tmp_path):
    tmp_path.chmod(0o555)
    assert missing_directory(tmp_path) == {"directory": f"{tmp_path} may not be written to"}
    tmp_path.chmod(0o755)


def test_of_what_may_not_be_looked_into_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: not (mode & os.X_OK and path == tmp_path))
    assert missing_directory(tmp_path / "x") == {}, "the daemon's user may look into it"
