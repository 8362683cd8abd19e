import errno
import re
from dataclasses import replace

import pytest
from pydantic import ValidationError

from postroom.handlers import payload
from postroom.handlers.save_attachments import MOST_LINES, SaveAttachments, SaveAttachmentsOptions
from postroom.plugin import Done, HandlerError, Reject, Skip, TemporaryError
from postroom.testing import FakeContext, make_attachment, make_message, run_handler

MAIL = b"Received: by x\r\nSubject: inner\r\n\r\ntext"


async def save(directory, *files, **options):
    return await run_handler(SaveAttachments, {"directory": directory, **options}, attachments=files)


def names(directory):
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


async def test_files_are_saved_byte_by_byte(tmp_path):
    content = bytes(range(256)) * 300
    assert await save(tmp_path, make_attachment("a.bin", content), make_attachment("b.txt", "b")) == Done(
        note="2 saved"
    )
    assert (tmp_path / "a.bin").read_bytes() == content


async def test_a_mail_without_attachments_is_skipped(tmp_path):
    assert await save(tmp_path) == Skip("no attachment fits")
    assert names(tmp_path) == []


async def test_hostile_names_stay_in_the_directory(tmp_path):
    inside = tmp_path / "inside"
    files = [
        make_attachment(name, name) for name in ("../../evil.sh", "/etc/passwd", "..", "a\0b", ".bashrc", "x/../../y")
    ]
    assert (await save(inside, *files)).note == "6 saved"
    assert len(names(inside)) == 6
    assert names(tmp_path) == [f"inside/{name}" for name in names(inside)]


async def test_same_content_is_one_file_and_other_content_gets_a_number(tmp_path):
    files = [make_attachment("a.txt", content) for content in ("one", "two", "one")]
    assert await save(tmp_path, *files) == Done(note="3 saved, 1 of them already there")
    assert names(tmp_path) == ["a (2).txt", "a.txt"]


async def test_a_repeat_makes_no_second_copy(tmp_path):
    files = [make_attachment("a.txt", "one"), make_attachment("a.txt", "two")]
    await save(tmp_path, *files)
    assert await save(tmp_path, *files) == Done(note="2 saved, 2 of them already there")
    assert names(tmp_path) == ["a (2).txt", "a.txt"]


@pytest.mark.parametrize(
    ("pattern", "saved"),
    [
        ("*.pdf", ["A.PDF", "b.pdf"]),
        ("*.PDF", ["A.PDF", "b.pdf"]),
        (["a.*", "*.xml"], ["A.PDF", "c.xml"]),
        ("[bc].*", ["b.pdf", "c.xml"]),
        ([], []),
    ],
)
async def test_only_names_that_fit_a_pattern_are_saved(tmp_path, pattern, saved):
    files = [make_attachment(name, name) for name in ("A.PDF", "b.pdf", "c.xml")]
    await save(tmp_path, *files, pattern=pattern)
    assert names(tmp_path) == saved


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("*.pdf,*.xml", '["*.pdf", "*.xml"]'),
        ("*.pdf; .xml", '["*.pdf", "*.xml"]'),
        ("/.*pdf/", "regular expression"),
        (r".*\.pdf$", "regular expression"),
        ("invoices/*.pdf", "bare name"),
        (".pdf", "write *.pdf"),
        ("PDF", "write *.PDF"),
        ("", "write *"),
        (["*.xml", ".pdf"], "write *.pdf"),
    ],
)
def test_a_pattern_that_fits_no_name_is_refused_with_what_was_meant(tmp_path, pattern, hint):
    with pytest.raises(ValidationError, match=re.escape(hint)):
        SaveAttachmentsOptions(directory=tmp_path, pattern=pattern)


@pytest.mark.parametrize("pattern", ["*", "winmail.dat", "a, b.pdf", "[ab]*.p?f", "README", "*.tar.gz", ".*", []])
def test_a_pattern_that_may_fit_is_taken(tmp_path, pattern):
    assert SaveAttachmentsOptions(directory=tmp_path, pattern=pattern).pattern == pattern


async def test_pictures_in_the_text_are_saved_only_when_asked_for(tmp_path):
    files = [make_attachment("logo.png", "png", inline=True), make_attachment("a.txt", "a")]
    await save(tmp_path, *files)
    assert names(tmp_path) == ["a.txt"]
    await save(tmp_path, *files, inline=True)
    assert names(tmp_path) == ["a.txt", "logo.png"]


async def test_a_file_over_the_limit_may_be_skipped_with_a_warning_and_the_others_saved(tmp_path):
    files = [make_attachment("../big\n.bin", b"x" * 1001), make_attachment("small.bin", b"x" * 1000)]
    context = FakeContext(files=files)
    options = {"directory": tmp_path, "max_size": "1kB", "too_large": "skip"}
    assert await run_handler(SaveAttachments, options, context=context) == Done(note="1 saved, 1 too large")
    assert names(tmp_path) == ["small.bin"]
    [(level, event, fields)] = context.logged
    assert (level, event, fields["name"], fields["size"]) == ("warning", "attachment_skipped", "_big_.bin", 1001)


async def test_hundreds_of_files_over_the_limit_make_few_lines(tmp_path):
    context = FakeContext(files=[make_attachment(f"{number}.bin", b"xx") for number in range(300)])
    options = {"directory": tmp_path, "max_size": 1, "too_large": "skip"}
    assert await run_handler(SaveAttachments, options, context=context) == Skip("300 too large")
    assert len(context.logged) == MOST_LINES
    assert context.logged[-1][2]["left_out"] == 300


async def test_unless_asked_to_skip_it_a_file_over_the_limit_makes_a_dead_letter(tmp_path):
    files = [make_attachment("big.bin", b"x" * 1001), make_attachment("small.bin", b"x" * 1000)]
    assert isinstance(await save(tmp_path, *files, max_size="1kB"), Reject)
    assert names(tmp_path) == []


async def test_when_all_are_too_large_the_mail_is_skipped_and_says_so(tmp_path):
    assert await save(tmp_path, make_attachment("big.bin", b"x" * 99), max_size=10, too_large="skip") == Skip(
        "1 too large"
    )


async def test_a_size_that_was_stated_too_small_is_noticed(tmp_path):
    liar = make_attachment("big.bin", b"x" * 200_000, size=5)
    assert await save(tmp_path, liar, max_size="100kB", too_large="skip") == Skip("1 too large")
    assert names(tmp_path) == []
    assert isinstance(await save(tmp_path, liar, max_size="100kB", too_large="reject"), Reject)
    assert names(tmp_path) == []


async def test_a_file_over_the_limit_rejects_the_mail_before_any_is_saved(tmp_path):
    files = [make_attachment("small.bin", b"x"), make_attachment("../big\n.bin", b"x" * 2000)]
    outcome = await save(tmp_path, *files, max_size="1kB", too_large="reject")
    assert outcome == Reject("The attachment '_big_.bin' is larger than 1.0KB (option max_size).")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (MAIL, "Fwd_ hello.eml"),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR", "Fwd_ hello.ics"),
        (b"\xef\xbb\xbfBEGIN:VCARD\r\nEND:VCARD", "Fwd_ hello.vcf"),
        (b"", "Fwd_ hello.eml"),
    ],
)
async def test_an_item_in_the_mail_gets_the_extension_of_its_content(tmp_path, content, name):
    item = make_attachment("Fwd: hello", content, kind="item")
    await save(tmp_path, item, pattern="*.eml")
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == content


async def test_the_directory_may_depend_on_the_mail(tmp_path):
    context = FakeContext(message=make_message(subject="../etc"), files=[make_attachment("a.txt", "a")])
    options = {"directory": tmp_path / "{mailbox}" / "{date}" / "{subject}"}
    assert await run_handler(SaveAttachments, options, context=context) == Done(note="1 saved")
    assert names(tmp_path) == ["invoices@contoso.example/2026-03-02/_etc/a.txt"]


async def test_a_disk_that_cannot_be_written_is_temporary(tmp_path):
    (tmp_path / "invoices@contoso.example").write_text("in the way")
    with pytest.raises(TemporaryError, match=r"Cannot write to .*: .*disk has room"):
        await save(tmp_path / "{mailbox}", make_attachment())


async def test_a_wrong_directory_refuses_the_configuration(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HandlerError, match="Cannot make the directory"):
        await save(tmp_path / "file", make_attachment())


async def test_a_misspelt_placeholder_is_a_wrong_option(tmp_path):
    with pytest.raises(ValidationError, match=r"did you mean \{mailbox\}"):
        await save(tmp_path / "{mailbx}")


async def test_an_error_never_quotes_the_mail(tmp_path):
    (tmp_path / "Dismissal of J. Doe").write_text("in the way")
    context = FakeContext(message=make_message(subject="Dismissal of J. Doe"), files=[make_attachment("a.txt", "a")])
    with pytest.raises(TemporaryError, match=r"Cannot write to .*/\{subject\}: ") as caught:
        await run_handler(SaveAttachments, {"directory": tmp_path / "{subject}"}, context=context)
    assert "Doe" not in str(caught.value)


class Counting:
    """The content of attachments, counting the streams that are open; they are kept, so that nothing tidies up."""

    def __init__(self):
        self.open = 0
        self.kept = []

    def attachment_content(self, attachment_id):
        stream = self._content()
        self.kept.append(stream)
        return stream

    async def _content(self):
        self.open += 1
        try:
            for _ in range(3):
                yield bytes(1000)
        finally:
            self.open -= 1


@pytest.mark.parametrize("kind", ["file", "item"])
async def test_a_full_disk_leaves_no_content_half_read(tmp_path, monkeypatch, kind):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    source = Counting()
    monkeypatch.setattr("postroom.files._Unfinished.write", full)
    with pytest.raises(TemporaryError):
        await save(tmp_path, replace(make_attachment("a.pdf", "x", kind=kind), source=source))
    assert (len(source.kept), source.open) == (1, 0)


async def test_one_that_turns_out_too_large_is_not_left_half_read(tmp_path):
    source = Counting()
    file = replace(make_attachment("a.pdf", "x"), source=source)
    assert isinstance(await save(tmp_path, file, max_size=1500), Reject)
    assert (len(source.kept), source.open) == (1, 0)


async def test_an_attachment_that_cannot_be_saved_is_not_left_half_read(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    source = Counting()
    monkeypatch.setattr("postroom.files._Unfinished.write", full)
    with pytest.raises(OSError, match="No space"):
        await replace(make_attachment("a.pdf", "x"), source=source).save_to(tmp_path)
    assert (len(source.kept), source.open) == (1, 0)


async def test_a_webhook_leaves_nothing_half_read_that_does_not_fit():
    source = Counting()
    files = [replace(make_attachment("a.pdf", "x"), source=source)]
    found = await payload.parts(FakeContext(files=files), {"attachments"}, 0, 1500)
    assert (found["attachments"][0]["content"], source.open) == (None, 0)
