from __future__ import annotations

import asyncio
import dataclasses
import gzip
import random
from email.utils import format_datetime

import pytest
from aiohttp import web

from postroom.errors import Forbidden, NotFound, Refused, Throttled, Unavailable
from postroom.graph.budget import Priority
from postroom.graph.client import GraphClient
from postroom.graph.session import Limits
from postroom.ports import LONGEST_RETRY_AFTER


def url(graph, path="/v1.0/users/a/messages"):
    return graph.url + path


async def test_a_request_carries_the_token_a_fresh_id_and_accepts_gzip(graph, client, kit):
    for _ in range(2):
        await client.fetch(kit.call(url(graph)))
    first, second = (each.headers for each in graph.seen)
    assert first["Authorization"] == "Bearer token-1"
    assert first["Accept-Encoding"] == "gzip"
    assert len(first["client-request-id"]) == 36
    assert first["client-request-id"] != second["client-request-id"]


async def test_one_connection_serves_many_requests(graph, client, kit):
    for _ in range(3):
        await client.fetch(kit.call(url(graph)))
    assert len({each.connection for each in graph.seen}) == 1


async def test_a_packed_answer_is_unpacked(graph, client, kit):
    graph.default = lambda request: web.Response(body=gzip.compress(b"x" * 9000), headers={"Content-Encoding": "gzip"})
    assert await client.fetch(kit.call(url(graph))) == b"x" * 9000


async def test_a_link_goes_back_as_it_came(graph, client, kit):
    link = url(graph, "/v1.0/users/a/mailFolders('AA==')/messages/delta?$deltatoken=a%2Fb%20c+d=&x='%27'")
    await client.fetch(kit.call(link))
    assert graph.seen[0].path == link.removeprefix(graph.url)


@pytest.mark.parametrize("status", [429, 503, 504])
async def test_a_fault_that_passes_is_tried_again(graph, client, kit, clock, status):
    graph.script = [kit.failure(status, "whatever")]
    graph.default = kit.answer({"value": [1]})
    assert await client.fetch(kit.call(url(graph))) == b'{"value": [1]}'
    assert len(graph.seen) == 2
    assert 0.2 < sum(clock.slept) < 2


async def test_retry_after_in_seconds_is_waited_exactly(graph, client, kit, clock):
    graph.script = [kit.failure(429, "ApplicationThrottled", Retry_After="17")]
    await client.fetch(kit.call(url(graph)))
    assert clock.slept == [17.0]


async def test_a_retry_after_date_is_honoured(graph, client, kit, clock):
    def later(request):
        when = format_datetime(kit.start.replace(second=30), usegmt=True)
        date = format_datetime(kit.start, usegmt=True)
        return web.json_response({"error": {"code": "x"}}, status=503, headers={"Retry-After": when, "Date": date})

    graph.script = [later]
    await client.fetch(kit.call(url(graph)))
    assert clock.slept == [30.0]


async def test_a_long_retry_after_is_raised_and_fences_the_mailbox(graph, client, kit, clock):
    graph.script = [kit.failure(429, "ApplicationThrottled", Retry_After="300")]
    with pytest.raises(Throttled) as caught:
        await client.fetch(kit.call(url(graph)))
    assert caught.value.retry_after == 300
    with pytest.raises(Throttled) as fenced:
        await client.fetch(kit.call(url(graph)))
    assert fenced.value.retry_after == pytest.approx(300)
    assert len(graph.seen) == 1
    clock.seconds += 301
    await client.fetch(kit.call(url(graph)))
    assert len(graph.seen) == 2


@pytest.mark.parametrize("asked", ["86400", "Tue, 01 Mar 2033 12:00:00 GMT"])
async def test_a_fence_lasts_no_longer_than_a_round_is_parked(graph, client, kit, clock, asked):
    graph.script = [kit.failure(429, "ApplicationThrottled", Retry_After=asked)]
    with pytest.raises(Throttled) as caught:
        await client.fetch(kit.call(url(graph)))
    assert caught.value.retry_after == LONGEST_RETRY_AFTER == 3600
    clock.seconds += LONGEST_RETRY_AFTER
    await client.fetch(kit.call(url(graph)))
    assert len(graph.seen) == 2


async def test_a_fence_holds_its_own_mailbox_only(graph, client, kit):
    graph.script = [kit.failure(429, "ApplicationThrottled", Retry_After="300")]
    with pytest.raises(Throttled):
        await client.fetch(kit.call(url(graph)))
    call = kit.call(url(graph))
    other = type(call)("GET", call.url, "other@contoso.example", "reading")
    await client.fetch(other)


async def test_a_retry_after_a_503_uses_a_new_connection(graph, client, kit):
    graph.script = [kit.failure(503, "serviceNotAvailable")]
    await client.fetch(kit.call(url(graph)))
    assert graph.seen[0].connection != graph.seen[1].connection


async def test_trying_ends_and_the_last_error_says_all(graph, make_client, kit):
    told = []
    client = await make_client(on_retry=lambda **fields: told.append(fields))
    graph.default = kit.failure(503, "ErrorMailboxStoreUnavailable", "The store is offline.")
    with pytest.raises(Unavailable) as caught:
        await client.fetch(kit.call(url(graph)))
    error = caught.value
    assert (error.status, error.code, error.request_id) == (503, "ErrorMailboxStoreUnavailable", "req-1")
    assert error.fields["mailbox"] == kit.mailbox
    assert "reading Inbox" in str(error)
    assert len(graph.seen) == 4
    assert [each["attempt"] for each in told] == [1, 2, 3]
    assert told[0]["status"] == 503


async def test_all_waiting_together_has_a_limit(graph, client, kit, clock):
    graph.default = kit.failure(503, "serviceNotAvailable", Retry_After="25")
    with pytest.raises(Unavailable):
        await client.fetch(kit.call(url(graph)))
    assert clock.slept == [25.0, 25.0]


async def test_what_may_not_be_sent_twice_is_not(graph, client, kit):
    graph.default = kit.failure(503, "serviceNotAvailable")
    with pytest.raises(Unavailable):
        await client.fetch(kit.call(url(graph), "POST", body=b"{}", repeatable=False))
    assert len(graph.seen) == 1


async def test_a_throttled_post_was_not_carried_out_and_is_sent_again(graph, client, kit):
    graph.script = [kit.failure(429, "ApplicationThrottled", Retry_After="1")]
    await client.fetch(kit.call(url(graph), "POST", body=b"{}", repeatable=False))
    assert len(graph.seen) == 2


async def test_a_refused_token_is_dropped_and_tried_once_more(graph, client, kit, token):
    graph.script = [kit.failure(401, "InvalidAuthenticationToken")]
    await client.fetch(kit.call(url(graph)))
    assert [each.headers["Authorization"] for each in graph.seen] == ["Bearer token-1", "Bearer token-2"]
    assert token.dropped == ["Bearer token-1"]


async def test_a_token_refused_twice_is_an_error_that_says_so(graph, client, kit):
    graph.default = kit.raw(b"", 401)
    with pytest.raises(Forbidden) as caught:
        await client.fetch(kit.call(url(graph)))
    assert caught.value.code == "InvalidAuthenticationToken"
    assert len(graph.seen) == 2


@pytest.mark.parametrize(
    "foreign",
    [
        "https://evil.example/v1.0/users/a",
        "http://127.0.0.1:1/v1.0",
        "{root}@evil.example/v1.0",
        "{root}.evil.example/v1.0",
        "https{tail}/v1.0",
        "{root}/v1.0/\r\nX-Evil: 1",
        "{root}/v1.0/a b",
        "//evil.example",
        "http://[broken",
        "",
    ],
)
async def test_the_token_goes_to_the_configured_host_only(graph, client, kit, foreign):
    link = foreign.format(root=graph.url, tail=graph.url.removeprefix("http"))
    with pytest.raises(Refused) as caught:
        await client.fetch(kit.call(link))
    assert caught.value.code == "NotPinned"
    assert graph.seen == []


async def test_plain_http_is_for_loopback_only(kit, token, clock):
    with pytest.raises(Refused):
        GraphClient(kit.tenant_at("http://graph.example"), token, clock=clock)


async def test_redirects_are_not_followed(graph, client, kit):
    graph.default = lambda request: web.Response(status=302, headers={"Location": f"{graph.url}/elsewhere"})
    with pytest.raises(Unavailable):
        await client.fetch(kit.call(url(graph)))
    assert {each.path for each in graph.seen} == {"/v1.0/users/a/messages"}


async def test_a_proxy_page_is_no_answer_of_graphs(graph, client, kit):
    graph.default = kit.raw(b"<html>Blocked</html>", 403)
    with pytest.raises(Unavailable) as caught:
        await client.fetch(kit.call(url(graph)))
    assert "proxy" in caught.value.remedy


@pytest.mark.parametrize("body", [b"", b"<html>Welcome to the hotel</html>", b'{"value": []}'])
async def test_a_success_that_does_not_carry_graphs_request_id_is_not_graphs(graph, client, kit, clock, body):
    graph.default = kit.foreign(body)
    with pytest.raises(Unavailable) as caught:
        await client.fetch(kit.call(url(graph)))
    error = caught.value
    assert (error.code, error.status) == ("ForeignAnswer", 0)
    assert "something between Postroom and 127.0.0.1 answered 200 (text/html) without the request-id" in error.message
    assert "proxy" in error.remedy
    assert client.budgets.of(kit.mailbox).answered_at < clock.monotonic(), "Graph has done nothing"


async def test_a_foreign_answer_is_asked_past_again_where_that_is_safe(graph, client, kit):
    graph.script = [kit.foreign()]
    graph.default = kit.answer({"value": [1]})
    assert await client.fetch(kit.call(url(graph))) == b'{"value": [1]}'
    graph.default = kit.foreign()
    with pytest.raises(Unavailable):
        await client.fetch(kit.call(url(graph), "POST", repeatable=False))
    assert [each.method for each in graph.seen] == ["GET", "GET", "POST"]


@pytest.mark.parametrize(("status", "success"), [(200, 202), (200, 204), (201, 200), (204, 202)])
async def test_a_success_of_another_status_than_graph_has_for_the_request_is_not_believed(
    graph, client, kit, status, success
):
    graph.default = kit.answer(status=status)
    with pytest.raises(Unavailable, match=f"answered {status} .* where Graph answers {success}"):
        await client.fetch(kit.call(url(graph), success=success))


async def test_of_a_foreign_content_no_byte_is_handed_on(graph, client, kit):
    graph.default = kit.foreign(b"<html>Welcome to the hotel</html>")
    pieces = client.stream(kit.call(url(graph, "/v1.0/users/a/messages/M1/$value")))
    with pytest.raises(Unavailable):
        await anext(pieces)


async def test_what_a_foreign_answer_says_of_itself_is_made_fit_for_a_log_line(graph, client, kit):
    graph.default = kit.foreign(content_type="text/" + "x" * 500)
    with pytest.raises(Unavailable) as caught:
        await client.fetch(kit.call(url(graph)))
    assert len(caught.value.message) < 400


async def test_a_truncated_answer_is_tried_again(graph, client, kit):
    async def broken(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        request.transport.close()
        return response

    graph.script = [broken]
    assert await client.fetch(kit.call(url(graph))) == b'{"value": []}'


async def test_a_stalled_answer_ends_by_the_read_limit(graph, make_client, kit):
    client = await make_client(limits=Limits(read=0.05, total=5.0, tries=1))
    done = asyncio.Event()

    async def stalled(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await done.wait()
        return response

    graph.default = stalled
    with pytest.raises(Unavailable) as caught:
        await client.fetch(kit.call(url(graph)))
    done.set()
    assert caught.value.code == "TimedOut"


async def test_a_drip_ends_by_the_total_limit(graph, make_client, kit):
    client = await make_client(limits=Limits(read=1.0, total=0.2, tries=1))

    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None:
            await response.write(b" ")
            await asyncio.sleep(0.01)
        return response

    graph.default = drip
    with pytest.raises(Unavailable) as caught:
        await client.fetch(kit.call(url(graph)))
    assert caught.value.code == "TimedOut"


async def test_no_connection_is_an_error_with_a_remedy(kit, token, clock):
    async with GraphClient(kit.tenant_at("http://127.0.0.1:1"), token, clock=clock) as client:
        with pytest.raises(Unavailable) as caught:
            await client.fetch(kit.call("http://127.0.0.1:1/v1.0/users/a", "POST", body=b"", repeatable=False))
    assert caught.value.code == "ConnectFailed"
    assert len(clock.slept) == 3, "it never left this machine, so even a POST is tried again"


async def test_an_answer_larger_than_the_limit_is_refused_even_if_packed_small(graph, make_client, kit):
    client = await make_client(limits=Limits(body=10_000))
    bomb = gzip.compress(b"0" * 1_000_000)
    graph.default = lambda request: web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(Refused) as caught:
        await client.fetch(kit.call(url(graph)))
    assert caught.value.code == "AnswerTooLarge"


async def test_the_text_of_one_message_has_a_lower_limit_of_its_own(graph, make_client, kit):
    client = await make_client(limits=Limits(body=100_000, single=10_000, large=1_000))
    graph.default = lambda request: web.Response(body=b"0" * int(request.query["n"]))
    for size in (0, 999, 1_000, 1_001, 9_999, 10_000):
        assert await client.fetch(kit.call(url(graph, f"/v1.0/a?n={size}"), single=True)) == b"0" * size
    assert len(await client.fetch(kit.call(url(graph, "/v1.0/a?n=10001")))) == 10_001
    seen = len(graph.seen)
    with pytest.raises(Refused) as caught:
        await client.fetch(kit.call(url(graph, "/v1.0/a?n=10001"), single=True))
    assert caught.value.code == "MessageTooLarge"
    assert len(graph.seen) == seen + 1, "another try would be of no use"


async def test_of_large_texts_one_at_a_time_is_read_on(graph, make_client, kit):
    client = await make_client(limits=Limits(read=2.0, total=5.0, single=10_000, large=100), in_flight=9)
    more, heads = asyncio.Event(), asyncio.Semaphore(0)

    async def large(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"0" * 200)
        heads.release()
        if request.query["n"] == "0":
            await more.wait()
        await response.write(b"0" * 200)
        return response

    graph.default = large
    first = asyncio.ensure_future(client.fetch(kit.call(url(graph, "/v1.0/a?n=0"), single=True)))
    await heads.acquire()
    while not client._transport._one_large.locked():  # noqa: ASYNC110 - no event tells that it waits
        await asyncio.sleep(0)
    second = asyncio.ensure_future(client.fetch(kit.call(url(graph, "/v1.0/a?n=1"), single=True)))
    await heads.acquire()
    graph.default = kit.raw(b"small")
    assert await client.fetch(kit.call(url(graph), single=True)) == b"small", "small ones do not wait"
    assert not second.done()
    more.set()
    assert [len(each) for each in await asyncio.gather(first, second)] == [400, 400]


async def test_never_more_than_so_many_requests_are_in_flight(graph, make_client, kit):
    client = await make_client(in_flight=3)
    running, most = 0, 0

    async def slow(request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return web.json_response({})

    graph.default = slow
    await asyncio.gather(
        *(client.fetch(kit.call(url(graph), priority=random.choice(list(Priority)))) for _ in range(30))
    )
    assert most == 3


async def test_a_stream_comes_in_pieces_and_gives_its_slot_back(graph, make_client, kit):
    client = await make_client(in_flight=1)
    content = random.randbytes(300_000)
    graph.default = kit.raw(content, content_type="application/octet-stream")
    for _ in range(3):
        pieces = [piece async for piece in client.stream(kit.call(url(graph)))]
        assert b"".join(pieces) == content
        assert max(map(len, pieces)) <= 65536


async def test_a_stream_left_early_gives_its_slot_back(graph, make_client, kit):
    client = await make_client(in_flight=1)
    graph.default = kit.raw(b"x" * 300_000)
    stream = client.stream(kit.call(url(graph)))
    await anext(stream)
    await stream.aclose()
    graph.default = kit.answer({})
    assert await asyncio.wait_for(client.fetch(kit.call(url(graph))), 1) == b"{}"


async def test_a_stream_that_fails_before_its_first_piece_is_tried_again(graph, client, kit):
    graph.script = [kit.failure(503, "serviceNotAvailable")]
    graph.default = kit.raw(b"content")
    assert [piece async for piece in client.stream(kit.call(url(graph)))] == [b"content"]


async def test_a_stream_that_breaks_off_in_the_middle_is_an_error(graph, client, kit):
    async def broken(request):
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(b"x" * 1000)
        request.transport.close()
        return response

    graph.default = broken
    with pytest.raises(Unavailable) as caught:
        async for _ in client.stream(kit.call(url(graph))):
            pass
    assert caught.value.code == "Truncated"


async def test_a_stream_that_is_refused_is_a_typed_error(graph, client, kit):
    graph.default = kit.failure(404, "ErrorItemNotFound", "gone")
    with pytest.raises(NotFound):
        await anext(client.stream(kit.call(url(graph))))


async def test_exchanges_are_recorded_without_the_token(graph, make_client, kit):
    seen = []
    client = await make_client(on_exchange=seen.append)
    graph.script = [kit.failure(503, "x")]
    await client.fetch(kit.call(url(graph), "PATCH", body=b'{"isRead": true}'))
    assert [each.status for each in seen] == [503, 200]
    assert seen[1].request_body == b'{"isRead": true}'
    assert seen[1].response_body == b'{"value": []}'
    assert "Authorization" not in seen[1].request_headers
    assert seen[1].request_headers["client-request-id"]


async def test_cancelling_a_request_gives_its_slot_back(graph, make_client, kit):
    client = await make_client(in_flight=1)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def stuck(request):
        arrived.set()
        await go.wait()
        return web.json_response({})

    graph.script = [stuck]
    task = asyncio.create_task(client.fetch(kit.call(url(graph))))
    await arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(client.fetch(kit.call(url(graph))), 1)
    go.set()


async def test_an_unreadable_ca_file_is_refused_with_a_remedy(kit, token, clock, tmp_path):
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "missing.pem"):
        with pytest.raises(Refused) as caught:
            await GraphClient(kit.tenant_at("https://127.0.0.1:1", ca_file=path), token, clock=clock).open()
        assert "ca_file" in caught.value.remedy


async def test_graph_over_tls_is_trusted_by_the_ca_file_alone(kit, token, clock, ca_file, server_tls):
    async def handle(request):
        return web.json_response({"ok": True})

    async with kit.serving(handle, server_tls, kit.stamp) as port:
        root = f"https://127.0.0.1:{port}"
        async with GraphClient(kit.tenant_at(root, ca_file=ca_file), token, clock=clock) as client:
            assert await client.fetch(kit.call(f"{root}/v1.0/x")) == b'{"ok": true}'
        async with GraphClient(kit.tenant_at(root), token, clock=clock) as client:
            with pytest.raises(Unavailable) as caught:
                await client.fetch(kit.call(f"{root}/v1.0/x"))
    assert caught.value.code == "TlsFailed"
    assert "ca_file" in caught.value.remedy


async def test_a_503_with_retry_after_fences_the_whole_mailbox(graph, client, clock, kit):
    graph.script = [kit.failure(503, "ServiceUnavailable", Retry_After="300")]
    with pytest.raises(Unavailable):
        await client.fetch(kit.call(url(graph)))
    with pytest.raises(Throttled) as caught:
        await client.fetch(kit.call(url(graph)))
    assert (caught.value.code, len(graph.seen)) == ("LocalBudget", 1)


async def test_a_storm_of_429s_that_say_nothing_costs_few_requests(graph, client, clock, kit):
    graph.default = kit.failure(429, "ApplicationThrottled")
    began = clock.seconds
    while clock.seconds < began + 3600:
        with pytest.raises(Throttled):
            await client.fetch(kit.call(url(graph), priority=Priority.POLL))
        clock.seconds += 30
    assert 15 <= len(graph.seen) <= 40
    graph.default = kit.answer({})
    clock.seconds += 300
    assert await client.fetch(kit.call(url(graph))) == b"{}"
    assert 2000 < client.budgets.of(kit.mailbox).throttled < 4000


async def test_a_stream_that_nobody_reads_on_loses_its_slot_when_its_time_is_up(graph, make_client, kit):
    client = await make_client(in_flight=1, limits=Limits(read=2.0, total=5.0, stream=0.05))
    graph.default = kit.raw(b"x" * 3_000_000)
    forgotten = client.stream(kit.call(url(graph)))
    await anext(forgotten)
    graph.default = kit.answer({})
    assert await asyncio.wait_for(client.fetch(kit.call(url(graph))), 5) == b"{}"
    with pytest.raises(Unavailable):
        [_ async for _ in forgotten]
    assert client.budgets.of(kit.mailbox)._running == 0


@pytest.mark.parametrize("spelling", ["Invoices@Contoso.example", "INVOICES@CONTOSO.EXAMPLE"])
async def test_a_mailbox_spelt_in_another_way_is_under_the_same_fence(graph, client, kit, spelling):
    client.budgets.of(kit.mailbox).fence(1000)
    with pytest.raises(Throttled):
        await client.fetch(dataclasses.replace(kit.call(url(graph)), mailbox=spelling))
