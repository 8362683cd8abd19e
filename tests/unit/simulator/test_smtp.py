"""Mail comes in by SMTP, whole and unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postroom.simulator.listen import Place, bind
from postroom.simulator.smtp import SmtpListener

MAIL = b"From: a@x.example\r\nSubject: Hi\r\n\r\n.leading dot\r\n\xff\x00 raw bytes\r\n"


class Drop:
    def __init__(self) -> None:
        self.mailboxes = {"one@contoso.example", "two@contoso.example"}
        self.delivered: list[tuple[str, bytes]] = []

    def knows(self, address: str) -> bool:
        return address.lower() in self.mailboxes

    def deliver(self, address: str, raw: bytes) -> None:
        self.delivered.append((address, raw))


class Door:
    """A listener and somebody who sends to it."""

    def __init__(self, drop: Drop, sock: socket.socket) -> None:
        self.drop = drop
        self.port = sock.getsockname()[1]

    async def send(self, recipients: list[str], raw: bytes, sender: str = "a@x.example") -> dict:
        def work() -> dict:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
                return client.sendmail(sender, recipients, raw)

        return await asyncio.to_thread(work)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    drop, sock = Drop(), bind(Place("127.0.0.1", 0))
    listener = SmtpListener(drop, sock, largest=100_000)
    await listener.start()
    yield Door(drop, sock)
    await listener.stop()


async def test_a_mail_arrives_byte_for_byte(door):
    assert await door.send(["one@contoso.example"], MAIL) == {}
    assert door.drop.delivered == [("one@contoso.example", MAIL)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\r", b"").replace(b"\n", b"")), min_size=1)
)
async def test_any_bytes_in_lines_arrive_unchanged(door, lines):
    raw = b"Subject: x\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)
    door.drop.delivered.clear()
    await door.send(["one@contoso.example"], raw)
    assert door.drop.delivered == [("one@contoso.example", raw)]


async def test_every_recipient_gets_a_copy_and_only_one(door):
    await door.send(["one@contoso.example", "TWO@contoso.example", "One@contoso.example"], MAIL)
    assert [address for address, _ in door.drop.delivered] == ["one@contoso.example", "TWO@contoso.example"]


async def test_an_unknown_recipient_is_refused_with_550_5_1_1_and_the_others_are_served(door):
    refused = await door.send(["nobody@contoso.example", "one@contoso.example"], MAIL)
    assert refused["nobody@contoso.example"][0] == 550
    assert refused["nobody@contoso.example"][1].startswith(b"5.1.1 ")
    assert len(door.drop.delivered) == 1


async def test_a_mail_for_nobody_we_know_is_refused_whole(door):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await door.send(["nobody@contoso.example"], MAIL)


async def test_a_mail_beyond_the_limit_is_refused_with_552(door):
    with pytest.raises(smtplib.SMTPResponseException) as refusal:
        await door.send(["one@contoso.example"], b"Subject: big\r\n\r\n" + b"x\r\n" * 40_000)
    assert refusal.value.smtp_code == 552
    assert door.drop.delivered == []


async def test_a_line_far_longer_than_the_rule_is_taken(door):
    raw = b"Subject: long\r\n\r\n" + b"x" * 50_000 + b"\r\n"
    await door.send(["one@contoso.example"], raw)
    assert door.drop.delivered[0][1] == raw


async def test_a_bounce_with_an_empty_sender_is_taken(door):
    await door.send(["one@contoso.example"], MAIL, sender="")
    assert len(door.drop.delivered) == 1


async def test_stopping_hangs_up_on_those_who_are_still_connected():
    sock = bind(Place("127.0.0.1", 0))
    listener = SmtpListener(Drop(), sock)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    assert (await reader.readline()).startswith(b"220 ")
    async with asyncio.timeout(5):
        await listener.stop()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError, match=r".*"):
        await asyncio.open_connection("127.0.0.1", writer.get_extra_info("peername")[1])


async def test_stopping_what_never_started_does_nothing():
    with bind(Place("127.0.0.1", 0)) as sock:
        await SmtpListener(Drop(), sock).stop()
