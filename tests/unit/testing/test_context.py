import asyncio
import email
import email.policy

import pytest

from postroom.plugin import Address, Body
from postroom.testing import FakeContext, make_attachment, make_message


async def test_the_context_is_that_of_the_message():
    context = FakeContext(message=make_message(id="ID", mailbox="a@b.example"), handler="h", attempt=2)
    assert (context.mailbox, context.attempt) == ("a@b.example", 2)
    assert context.idempotency_key == "a@b.example/ID/h"


async def test_text_headers_and_files_are_what_the_test_gave():
    files = [make_attachment("a.PDF"), make_attachment("b.txt"), make_attachment("logo.pdf", inline=True)]
    context = FakeContext(files=files, text=Body("text", "Hello"), internet_headers=[("X-A", "1")])
    assert await context.body() == Body("text", "Hello")
    assert (await context.body("html")).kind == "html"
    assert await context.headers() == (("X-A", "1"),)
    assert [file.name async for file in context.attachments("*.pdf")] == ["a.PDF"]
    assert [file.name async for file in context.attachments("*.pdf", inline=True)] == ["a.PDF", "logo.pdf"]


async def test_the_mime_is_a_real_file_that_goes_away():
    context = FakeContext(raw=b"raw")
    async with context.mime() as path:
        assert path.read_bytes() == b"raw"
    assert not path.exists()


async def test_the_mime_is_made_from_the_parts_when_none_is_given():
    message = make_message(subject="Grüße\n\ud800", sender=Address("", "a@x.example"))
    context = FakeContext(
        message=message, files=[make_attachment("a.bin", b"\x00\xff" * 50)], text=Body("text", "Hello\n")
    )
    async with context.mime() as path:
        parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert parsed["Subject"] == "Grüße ?"
    assert parsed.get_body().get_content() == "Hello\n"
    (attachment,) = parsed.iter_attachments()
    assert attachment.get_filename() == "a.bin"
    assert attachment.get_content() == b"\x00\xff" * 50


async def test_an_effect_is_claimed_once():
    context = FakeContext()
    assert [await context.once(key) for key in ("a", "a", "b")] == [True, False, True]


async def test_state_keeps_json_and_nothing_else():
    context = FakeContext()
    await context.state.set("seen", [1, "two"])
    assert await context.state.get("seen") == [1, "two"]
    assert await context.state.get("other", 7) == 7
    assert [await context.state.add("count"), await context.state.add("count", 5)] == [1, 6]
    with pytest.raises(TypeError, match="no whole number"):
        await context.state.add("seen")
    with pytest.raises(TypeError):
        await context.state.set("bad", object())


async def test_what_is_logged_can_be_looked_at():
    context = FakeContext()
    context.log.debug("a")
    context.log.info("b", x=1)
    context.log.warning("c")
    context.log.error("d")
    assert context.logged == [("debug", "a", {}), ("info", "b", {"x": 1}), ("warning", "c", {}), ("error", "d", {})]


async def test_a_stalling_context_hangs_and_says_so():
    context = FakeContext(stalls=True)
    reading = asyncio.ensure_future(context.body())
    await context.stalled.wait()
    assert not reading.done()
    reading.cancel()
    await asyncio.wait({reading})


async def test_the_session_is_made_once_and_closed_with_the_context():
    async with FakeContext() as context:
        session = context.http
        assert session is context.http
    assert session.closed


async def test_the_clock_is_the_tests():
    context = FakeContext()
    before = context.now()
    await context.clock.advance(60)
    assert (context.now() - before).total_seconds() == 60


def test_messages_differ_by_themselves():
    assert make_message().id != make_message().id
    assert make_message(subject="x").subject == "x"


def test_a_misspelt_field_is_an_error():
    with pytest.raises(TypeError):
        make_message(subjct="x")
