import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from postroom.handlers.webhook import LONGEST_RETRY_AFTER, Webhook, WebhookOptions, seconds, verdict
from postroom.plugin import Body, Done, HandlerError, Reject, Retry, TemporaryError
from postroom.testing import FakeContext, make_attachment, make_message, run_handler
from support.dates import header_dates

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Receiver:
    """A real server that answers as it is told and remembers what came."""

    def __init__(self):
        self.requests = []
        self.status = 204
        self.headers = {}
        self.body = b""
        self.asked = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()

    async def answer(self, request):
        self.requests.append((request.headers.copy(), await request.read()))
        self.asked.set()
        await self.answering.wait()
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    def data(self, index=-1):
        return json.loads(self.requests[index][1])["data"]


@pytest.fixture
async def receiver():
    told = Receiver()
    app = web.Application(client_max_size=1 << 28)
    app.router.add_route("*", "/{rest:.*}", told.answer)
    async with TestServer(app) as server:
        told.url = str(server.make_url("/hook?token=hush"))
        yield told
        told.answering.set()


async def post(receiver, context=None, **options):
    options = {"url": receiver.url, **options}
    if context is None:
        return await run_handler(Webhook, options)
    return await run_handler(Webhook, options, context=context)


async def test_the_mails_metadata_is_posted_as_json(receiver):
    async with FakeContext(message=make_message(subject="Grüße", size=77), rule="r", handler="erp") as context:
        outcome = await post(receiver, context)
    assert outcome == Done(note=f"{receiver.url.partition('/hook')[0]} answered 204")
    headers, body = receiver.requests[0]
    assert headers["Content-Type"] == "application/json"
    event = json.loads(body)
    assert (event["type"], event["timestamp"]) == ("message.received", "2026-03-02T09:00:00+00:00")
    data = event["data"]
    assert data["subject"] == "Grüße"
    assert data["from"] == {"name": "Ada Supplier", "address": "ada@supplier.example"}
    assert (data["size"], data["rule"], data["handler"]) == (77, "r", "erp")
    assert {"body", "headers", "attachments"}.isdisjoint(data)


async def test_nothing_of_the_text_is_sent_unless_asked_for(receiver):
    async with FakeContext(message=make_message(preview="HIDDEN"), text=Body("text", "HIDDEN")) as context:
        await post(receiver, context)
    assert b"HIDDEN" not in receiver.requests[0][1]


async def test_the_request_is_signed_so_that_a_receiver_can_check_it(receiver):
    async with FakeContext() as context:
        await post(receiver, context, secret=SECRET)
    headers, body = receiver.requests[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert int(headers["webhook-timestamp"]) == int(context.now().timestamp())


async def test_a_repeat_has_the_same_id_and_body_and_a_new_timestamp(receiver):
    async with FakeContext() as context:
        await post(receiver, context, secret=SECRET)
        context.attempt = 2
        await context.clock.advance(60)
        await post(receiver, context, secret=SECRET)
    (first, body), (second, again) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert body == again
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60


async def test_another_mail_has_another_id(receiver):
    await post(receiver)
    await post(receiver)
    assert receiver.requests[0][0]["webhook-id"] != receiver.requests[1][0]["webhook-id"]


async def test_a_secret_file_is_read_again_for_each_mail(receiver, tmp_path):
    file = tmp_path / "secret"
    file.write_text("one\n")
    handler = Webhook(WebhookOptions(url=receiver.url, secret_file=file))
    await handler.open()
    assert dict(handler.secrets()) == {"secret_file": file}
    async with FakeContext() as context:
        await handler.handle(context.message, context)
        file.write_text("two\n")
        await handler.handle(context.message, context)
        file.write_text("two\none\n")
        await handler.handle(context.message, context)
    one, two, both = (headers["webhook-signature"] for headers, _ in receiver.requests)
    assert one != two
    assert both == f"{two} {one}"


async def test_a_secret_file_that_vanishes_is_temporary_and_at_the_start_refused(receiver, tmp_path):
    gone = tmp_path / "gone"
    handler = Webhook(WebhookOptions(url=receiver.url, secret_file=gone))
    with pytest.raises(HandlerError, match="No such file") as caught:
        await handler.open()
    assert not isinstance(caught.value, TemporaryError)
    async with FakeContext() as context:
        with pytest.raises(TemporaryError, match="No such file"):
            await handler.handle(context.message, context)
    assert receiver.requests == []


async def test_a_wrong_secret_in_the_file_is_not_shown(receiver, tmp_path):
    (tmp_path / "secret").write_text("whsec_c2hvcnQtc2VjcmV0")
    with pytest.raises(HandlerError, match="12 bytes") as caught:
        await post(receiver, secret_file=tmp_path / "secret")
    assert "c2hvcnQ" not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "why"),
    [(b"whsec_c2hvcnQtc2VjcmV0", "12 bytes"), (b"\n", "is empty"), (b"\xff", "decode"), (b"any", None)],
)
def test_a_wrong_secret_in_the_file_is_found_without_opening(tmp_path, secret, why):
    file = tmp_path / "secret"
    file.write_bytes(secret)
    missing = Webhook(WebhookOptions(url="https://erp.example/", secret_file=file)).missing()
    assert (why in missing["secret_file"]) if why else missing == {}
    assert "c2hvcnQ" not in str(missing)


def test_a_secret_that_cannot_be_read_is_nothing_more_than_that(tmp_path):
    assert Webhook(WebhookOptions(url="https://erp.example/", secret_file=tmp_path / "gone")).missing() == {}
    assert Webhook(WebhookOptions(url="https://erp.example/")).missing() == {}


async def test_body_headers_and_attachments_are_sent_when_asked_for(receiver):
    files = [make_attachment("a.pdf", b"\x00\xff"), make_attachment("logo.png", inline=True)]
    async with FakeContext(
        files=files, text=Body("text", "Hello"), internet_headers=[("X-A", "1"), ("X-A", "2")]
    ) as mail:
        await post(receiver, mail, include=["body", "headers", "attachments"])
    data = receiver.data()
    assert data["body"] == {"kind": "text", "content": "Hello", "truncated": False}
    assert data["headers"] == [["X-A", "1"], ["X-A", "2"]]
    (attachment,) = data["attachments"]
    assert attachment["name"] == "a.pdf"
    assert base64.b64decode(attachment["content"]) == b"\x00\xff"


async def test_a_long_text_is_cut_and_says_so(receiver):
    async with FakeContext(text=Body("text", "x" * 200)) as context:
        await post(receiver, context, include=["body"], max_body=50)
    assert receiver.data()["body"] == {"kind": "text", "content": "x" * 50, "truncated": True}


async def test_headers_are_cut_where_they_become_too_many(receiver):
    async with FakeContext(internet_headers=[("X-A", "a" * 90_000)] * 4) as context:
        await post(receiver, context, include=["headers"])
    assert len(receiver.data()["headers"]) == 2


async def test_attachments_beyond_the_limit_are_listed_without_content(receiver):
    files = [
        make_attachment("one.bin", b"x" * 600),
        make_attachment("two.bin", b"y" * 600),
        make_attachment("liar.bin", b"z" * 50_000, size=10),
        make_attachment("small.bin", b"s" * 400),
    ]
    async with FakeContext(files=files) as context:
        await post(receiver, context, include=["attachments"], max_attachments="1kB")
    held = {each["name"]: each["content"] is not None for each in receiver.data()["attachments"]}
    assert held == {"one.bin": True, "two.bin": False, "liar.bin": False, "small.bin": True}


async def test_more_headers_are_sent(receiver):
    await post(receiver, headers={"Authorization": "Bearer hush", "X-Team": "mail"})
    headers, _ = receiver.requests[0]
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer hush", "mail")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Done), (201, Done), (204, Done), (299, Done),
        (301, Reject), (302, Reject), (304, Reject), (308, Reject),
        (400, Reject), (401, Reject), (404, Reject), (410, Reject), (422, Reject),
        (408, Retry), (425, Retry), (429, Retry), (500, Retry), (502, Retry), (503, Retry), (504, Retry),
    ],
)  # fmt: skip
async def test_the_status_decides(receiver, status, kind):
    receiver.status = status
    receiver.headers = {"Location": "http://127.0.0.1:1/elsewhere"} if 300 <= status < 400 else {}
    outcome = await post(receiver)
    assert isinstance(outcome, kind)
    assert str(status) in str(outcome)
    assert len(receiver.requests) == 1


async def test_a_redirect_is_not_followed_and_the_remedy_is_named(receiver):
    receiver.status, receiver.headers = 307, {"Location": receiver.url}
    outcome = await post(receiver)
    assert "set `url` to the new address" in outcome.reason
    assert len(receiver.requests) == 1


async def test_neither_the_answer_nor_the_query_is_repeated_in_the_reason(receiver):
    receiver.status, receiver.body = 400, b"stranger's words"
    outcome = await post(receiver)
    assert "stranger" not in outcome.reason
    assert "hush" not in outcome.reason


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_in_seconds_is_honoured(receiver, status):
    receiver.status, receiver.headers = status, {"Retry-After": "17"}
    assert (await post(receiver)).after == 17


async def test_a_retry_after_date_is_honoured(receiver):
    receiver.status, receiver.headers = 503, {"Retry-After": "Mon, 02 Mar 2026 09:02:00 GMT"}
    assert (await post(receiver)).after == 120


async def test_a_receiver_that_does_not_answer_is_tried_again(receiver):
    receiver.answering.clear()
    outcome = await post(receiver, timeout=0.05)
    assert isinstance(outcome, Retry)
    assert "did not answer within 0.05 s" in outcome.reason


async def test_a_receiver_that_is_not_there_is_tried_again():
    outcome = await run_handler(Webhook, {"url": f"http://127.0.0.1:{unused_port()}/?token=hush"})
    assert isinstance(outcome, Retry)
    assert "could not be reached" in outcome.reason
    assert "hush" not in outcome.reason


async def test_a_receiver_that_hangs_up_is_tried_again():
    def hang_up(reader, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await run_handler(Webhook, {"url": f"http://127.0.0.1:{port}/"})
    assert isinstance(outcome, Retry)


async def test_a_certificate_nobody_trusts_is_explained(tmp_path):
    async def not_tls(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(not_tls, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await run_handler(Webhook, {"url": f"https://127.0.0.1:{port}/"})
    assert isinstance(outcome, Retry)
    assert "TLS failed" in outcome.reason


async def test_a_cancelled_post_ends_at_once(receiver):
    receiver.answering.clear()
    async with FakeContext() as context:
        posting = asyncio.ensure_future(post(receiver, context))
        await receiver.asked.wait()
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting


@given(st.text(max_size=40) | header_dates)
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example("Mon, 01 Jan 2026 99999999999999999999:00:00 GMT")
def test_any_retry_after_is_read_or_ignored(text):
    found = seconds(text, NOW)
    assert found is None or 0 <= found <= LONGEST_RETRY_AFTER


@given(st.integers(min_value=-(10**6), max_value=10**6))
def test_a_date_is_as_far_off_as_it_is(offset):
    date = (NOW + timedelta(seconds=offset)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert seconds(date, NOW) == min(max(offset, 0), LONGEST_RETRY_AFTER)


@pytest.mark.parametrize(
    ("text", "after"),
    [("", None), ("0", 0), ("999999999999", 86400), ("-5", None), ("soon", None), ("1.5", None), ("٣", None)],
)
def test_odd_retry_after_values_do_no_harm(text, after):
    assert seconds(text, NOW) == after


def test_a_wait_goes_with_a_retry_only():
    assert verdict(503, 5.0, "x") == Retry("x answered 503.", after=5.0)
    assert verdict(200, 5.0, "x") == Done(note="x answered 200")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"url": "http://erp.example/"}, "plain http to another host"),
        ({"url": "ftp://erp.example/"}, "URL scheme"),
        ({"url": "https://user:hush@erp.example/"}, "holds a user or a password"),
        ({"secret": SECRET, "secret_file": "x"}, "both given"),
        ({"secret": "whsec_???"}, "not base64"),
        ({"secret": ""}, "empty"),
        ({"headers": {"Webhook-Id": "1"}}, "set by the handler itself"),
        ({"headers": {"X A": "1"}}, "no header name"),
        ({"headers": {"X-A": "1\r\nX-B: hush"}}, "must be one line"),
        ({"include": ["everything"]}, "include"),
        ({"timeout": 0}, "greater than 0"),
    ],
)
def test_wrong_options_are_refused_without_showing_secrets(options, why):
    with pytest.raises(ValidationError, match=why) as caught:
        WebhookOptions.model_validate({"url": "https://erp.example/", **options})
    assert "hush" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/", "http://127.0.0.2/", "http://[::1]:8080/", "https://erp.example/"]
)
def test_plain_http_is_for_this_host_only(url):
    WebhookOptions.model_validate({"url": url})


def test_plain_http_elsewhere_can_be_allowed():
    WebhookOptions.model_validate({"url": "http://erp:8080/", "allow_http": True})


def test_options_do_not_show_their_secrets():
    options = WebhookOptions.model_validate(
        {"url": "https://erp.example/", "secret": "hush-hush", "headers": {"Authorization": "Bearer hush"}}
    )
    assert "hush" not in repr(options)
