"""What a handler is lent for one attempt."""

from __future__ import annotations

import pytest

from postroom.pipeline.context import AttemptContext
from postroom.ports import FileInfo
from support.pipeline import MAILBOX, deliver, delivery


@pytest.fixture
def context(mail, journal, clock):
    given = delivery(attempt=2, handler="erp", rule="invoices")
    return AttemptContext(given, mail=mail, journal=journal, clock=clock, http=None, bind_log=None)


def test_it_says_what_the_attempt_is_about(context, clock):
    assert (context.mailbox, context.rule, context.handler, context.attempt) == (MAILBOX, "invoices", "erp", 2)
    assert context.idempotency_key.startswith(f"{MAILBOX}/")
    assert context.now() == clock.now()


async def test_attachments_are_those_with_content_whose_name_fits(context, mail):
    async def listed(message_id):
        return (
            FileInfo("1", "Invoice.PDF", "application/pdf", 7, is_inline=False),
            FileInfo("2", "logo.pdf", "application/pdf", 7, is_inline=True),
            FileInfo("3", "cloud.pdf", "", 0, is_inline=False, kind="reference"),
            FileInfo("4", "forwarded.pdf", "message/rfc822", 7, is_inline=False, kind="item"),
            FileInfo("5", "notes.txt", "text/plain", 7, is_inline=False),
        )

    mail.attachments = listed

    assert [(each.id, each.kind) async for each in context.attachments("*.pdf")] == [("1", "file"), ("4", "item")]
    assert [each.id async for each in context.attachments("*.PDF", inline=True)] == ["1", "2", "4"]
    [first] = [each async for each in context.attachments("invoice*")]
    assert await first.read() == b"content"


async def test_the_mime_file_lives_as_long_as_it_is_used(context):
    async with context.mime() as path:
        assert path.read_bytes() == b"From: a@b\r\n\r\ntext"

    assert not path.parent.exists()


async def test_the_mime_file_goes_when_reading_fails(context, mail):
    seen = []

    async def breaks(message_id):
        seen.append(message_id)
        yield b"some"
        raise OSError("broken")

    mail.mime = breaks
    with pytest.raises(OSError, match="broken"):
        async with context.mime():
            pytest.fail("not reached")

    assert seen


async def test_an_effect_is_claimed_once_for_all_attempts(journal, folder, clock, mail):
    await deliver(journal, folder, clock, "erp")
    [claimed] = await journal.turn([], {"erp": 1}, clock.now(), lambda _: [])

    def attempt():
        return AttemptContext(claimed, mail=mail, journal=journal, clock=clock, http=None, bind_log=None)

    assert await attempt().once("post") is True
    assert await attempt().once("post") is False
    assert await attempt().once("mail") is True


async def test_state_is_kept_for_each_configured_handler(journal, folder, clock, mail):
    def state(handler):
        given = delivery(handler=handler)
        return AttemptContext(given, mail=mail, journal=journal, clock=clock, http=None, bind_log=None).state

    assert await state("erp").get("seen", "nothing") == "nothing"
    await state("erp").set("seen", {"count": 3})

    assert await state("erp").get("seen") == {"count": 3}
    assert await state("log").get("seen") is None


@pytest.fixture
async def effect(journal, folder, mail, clock):
    """Return a way to ask for an effect of one delivery, each time in an attempt of its own."""
    await deliver(journal, folder, clock, "erp")
    [claimed] = await journal.turn([], {"erp": 1}, clock.now(), lambda _: [])

    def once(key):
        return AttemptContext(claimed, mail=mail, journal=journal, clock=clock, http=None, bind_log=None).once(key)

    return once


async def test_an_effect_entered_is_recorded_when_the_block_has_ended_well(effect):
    async def fail() -> None:
        async with effect("a") as first:
            assert first
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with effect("a") as first:
        assert first
        async with effect("a") as inner:
            assert inner
    async with effect("a") as first:
        assert not first
    assert not await effect("a")
