import asyncio
import errno
import os
import stat
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom import files
from postroom.files import LONGEST_NAME, safe_name, save_once


async def pieces(*content: bytes):
    for piece in content:
        yield piece


HOSTILE = st.one_of(
    st.text(max_size=400),
    st.text(alphabet=' ./\\-~_:"<>|?*\0\n\u202e\u200b\ud800é', max_size=60),
    st.builds(
        str.__add__, st.text(min_size=150, max_size=400), st.sampled_from([".pdf", ".tar.gz", ". ", ".", ".PDF "])
    ),
)


@given(HOSTILE)
@example("..")
@example("../../etc/passwd")
@example("\ud800")
@example("con .txt")
@example("a" * 190 + ". " + "b" * 30)
@example("é" * 300)
def test_a_safe_name_names_one_visible_file_in_its_directory(name):
    safe = safe_name(name)
    assert safe
    assert Path(safe).name == safe
    assert safe not in {".", ".."}
    assert not safe.startswith((".", "-", "~", " "))
    assert not safe.endswith((".", " "))
    assert len(safe.encode("utf-8")) <= LONGEST_NAME
    assert not any(unicodedata.category(one) in {"Cc", "Zl", "Zp"} for one in safe)
    assert not set(safe) & set('<>:"/\\|?*')


@given(HOSTILE)
def test_a_safe_name_can_be_written(name):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / safe_name(name)
        path.write_bytes(b"")
        assert [each.name for each in Path(directory).iterdir()] == [path.name]


@given(HOSTILE)
def test_making_a_safe_name_safe_again_changes_nothing(name):
    safe = safe_name(name)
    assert safe_name(safe) == safe


@given(st.text(alphabet="abcäß 漢-_()", min_size=1, max_size=300), st.sampled_from([".pdf", ".xml", ".jpeg"]))
def test_the_extension_is_kept(stem, suffix):
    assert safe_name(f"x{stem}{suffix}").endswith(suffix)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("Rechnung März.pdf", "Rechnung März.pdf"),
        ("../../etc/passwd", "_._etc_passwd"),
        ("C:\\Windows\\system32.dll", "C_Windows_system32.dll"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        (".htaccess", "htaccess"),
        ("-rf", "_rf"),
        ("~root", "_root"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("lpt1 .txt", "_lpt1.txt"),
        ("com¹", "_com¹"),
        ("console.log", "console.log"),
        ("a\r\nb.txt", "a_b.txt"),
        ("name. .", "name"),
        ("e\u0301.txt", "\u00e9.txt"),
    ],
)
def test_names_are_made_safe_with_as_little_change_as_possible(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["", "   ", "...", "///", "\0", "\u200b", "_", "-", "??"])
def test_the_fallback_stands_in_for_nothing(name):
    assert safe_name(name, "attachment") == "attachment"


def test_a_hostile_fallback_is_made_safe_too():
    assert safe_name("", "../x") == "_x"
    assert safe_name("", "") == "unnamed"


async def test_a_file_is_saved_byte_by_byte(tmp_path):
    saved = await save_once(tmp_path / "new" / "deep", "a/b.bin", pieces(b"\x00\xff", b"", b"tail"))
    assert saved == files.Saved(tmp_path / "new" / "deep" / "a_b.bin", 6, new=True)
    assert saved.path.read_bytes() == b"\x00\xfftail"
    assert [path.name for path in saved.path.parent.iterdir()] == ["a_b.bin"]


async def test_the_same_content_under_the_same_name_is_one_file(tmp_path):
    first = await save_once(tmp_path, "a.txt", pieces(b"one"))
    second = await save_once(tmp_path, "a.txt", pieces(b"o", b"ne"))
    assert (first.new, second.new) == (True, False)
    assert first.path == second.path
    assert len(list(tmp_path.iterdir())) == 1


async def test_other_content_under_the_same_name_gets_a_number(tmp_path):
    saved = [await save_once(tmp_path, "a.txt", pieces(content)) for content in (b"one", b"two", b"three", b"two")]
    assert [each.path.name for each in saved] == ["a.txt", "a (2).txt", "a (3).txt", "a (2).txt"]
    assert [each.path.read_bytes() for each in saved] == [b"one", b"two", b"three", b"two"]


async def test_beyond_the_numbers_the_content_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "NUMBERED", 3)
    saved = [await save_once(tmp_path, "a.txt", pieces(content)) for content in (b"1", b"2", b"3", b"4", b"4")]
    assert saved[2].path.name == "a (3).txt"
    assert saved[3].path.name == "a (4b227777d4dd1fc6).txt"
    assert saved[4] == files.Saved(saved[3].path, 1, new=False)


async def test_many_at_once_lose_nothing(tmp_path):
    contents = [b"same", b"other", b"third"] * 5
    saved = await asyncio.gather(*(save_once(tmp_path, "a.txt", pieces(content)) for content in contents))
    assert [each.path.read_bytes() for each in saved] == contents
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a (2).txt", "a (3).txt", "a.txt"]
    assert sum(each.new for each in saved) == 3


async def test_a_failure_half_way_leaves_nothing(tmp_path):
    async def broken():
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await save_once(tmp_path, "a.txt", broken())
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_save_leaves_nothing(tmp_path):
    started = asyncio.Event()

    async def endless():
        yield b"half"
        started.set()
        await asyncio.Event().wait()

    saving = asyncio.ensure_future(save_once(tmp_path, "a.txt", endless()))
    await started.wait()
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("turns", range(12))
async def test_a_save_cancelled_at_any_point_is_whole_or_absent(tmp_path, turns):
    saving = asyncio.ensure_future(save_once(tmp_path / "d", "a.txt", pieces(b"one", b"two")))
    for _ in range(turns * 3):
        await asyncio.sleep(0)
    saving.cancel()
    await asyncio.wait({saving})
    found = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert found in ([], [b"onetwo"])


async def test_what_stands_in_the_way_is_not_followed_or_read(tmp_path):
    (tmp_path / "a.txt").symlink_to("/dev/zero")
    (tmp_path / "a (2).txt").mkdir()
    os.mkfifo(tmp_path / "a (3).txt")
    saved = await save_once(tmp_path, "a.txt", pieces(b"x"))
    assert saved.path.name == "a (4).txt"


async def test_a_file_is_not_readable_by_everybody(tmp_path):
    saved = await save_once(tmp_path, "a.txt", pieces(b"x"))
    assert stat.S_IMODE(saved.path.stat().st_mode) & 0o137 == 0


@pytest.mark.parametrize("there", [True, False], ids=["a repeat", "new"])
async def test_the_disk_has_a_file_before_its_name_and_the_name_before_it_counts_as_saved(tmp_path, monkeypatch, there):
    if there:
        await save_once(tmp_path, "a.txt", pieces(b"all of it"))
    synced, sync = [], os.fsync

    def noting(descriptor):
        found = os.fstat(descriptor)
        synced.append((stat.S_ISDIR(found.st_mode) or found.st_size, (tmp_path / "a.txt").exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    await save_once(tmp_path, "a.txt", pieces(b"all ", b"of it"))
    assert synced == [(len(b"all of it"), there), (True, True)]


async def test_a_directory_that_cannot_be_made_raises_oserror(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotADirectoryError):
        await save_once(tmp_path / "file" / "d", "a.txt", pieces(b"x"))


def refuse_links(code):
    def link(temporary, path):
        raise OSError(code, os.strerror(code))

    return link


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_is_served_as_well(tmp_path, code):
    part, taken = tmp_path / "part", tmp_path / "taken"
    part.write_bytes(b"x")
    taken.write_bytes(b"y")
    assert not files._claim(part, taken, refuse_links(code))
    assert taken.read_bytes() == b"y"
    assert files._claim(part, tmp_path / "free", refuse_links(code))
    assert (tmp_path / "free").read_bytes() == b"x"


def test_a_name_reserved_in_vain_is_free_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        files._claim(tmp_path / "no part to move there", tmp_path / "free", refuse_links(errno.EPERM))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_mistaken_for_missing_hard_links(tmp_path):
    with pytest.raises(OSError, match="No space"):
        files._claim(tmp_path / "part", tmp_path / "free", refuse_links(errno.ENOSPC))


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_only_equal_content_is_the_same(left, right):
    with tempfile.TemporaryDirectory() as directory:
        one, other = Path(directory, "one"), Path(directory, "other")
        one.write_bytes(left)
        other.write_bytes(right)
        assert files._same_content(one, other) == (left == right)


def test_a_file_that_vanishes_is_not_the_same(tmp_path):
    (tmp_path / "one").write_bytes(b"x")
    assert not files._same_content(tmp_path / "one", tmp_path / "gone")


def test_a_file_that_is_being_written_leaves_nothing_behind_when_the_process_is_killed(tmp_path):
    unfinished = files._Unfinished(tmp_path)
    unfinished.open()
    if unfinished.path.parent != files._OPEN_FILES:
        pytest.skip("this file system has no files without a name")
    unfinished.write(b"half of it")
    unfinished.file.close()  # as the system does it; nobody discards the unfinished
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", sorted(files._NO_NAMELESS_FILES))
async def test_a_file_system_without_nameless_files_is_served_as_well(tmp_path, monkeypatch, code):
    real = os.open

    def refuse(path, flags, *mode, **where):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(code, os.strerror(code))
        return real(path, flags, *mode, **where)

    monkeypatch.setattr(files.os, "open", refuse)
    saved = await save_once(tmp_path, "a.txt", pieces(b"x"))
    again = await save_once(tmp_path, "a.txt", pieces(b"x"))
    assert (saved.new, again.new) == (True, False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


async def test_no_error_but_that_is_taken_for_a_missing_feature(tmp_path, monkeypatch):
    def refuse(path, flags, *mode, **where):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(OSError, match="No space"):
        await save_once(tmp_path, "a.txt", pieces(b"x"))
