"""Faults strike where and as often as the plan says, and look like the real thing on the wire."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from postroom.simulator.effects import (
    ControlCharacters,
    Delayed,
    EmptyBody,
    EntraAnswer,
    GraphAnswer,
    HtmlPage,
    Reset,
    Stalled,
    Truncated,
)
from postroom.simulator.faults import Fault, FaultPlan, fault_middleware

BODY = b"0123456789" * 100


class Server:
    """A server whose every answer is BODY, behind a plan."""

    def __init__(self) -> None:
        self.plan = FaultPlan()
        self.served = 0
        self.base = ""
        self.client: aiohttp.ClientSession

    async def get(self, path: str = "/v1.0/users/a/messages") -> tuple[int, bytes, aiohttp.ClientResponse]:
        async with self.client.get(self.base + path) as response:
            return response.status, await response.read(), response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()

    async def handler(_request: web.Request) -> web.Response:
        made.served += 1
        return web.Response(body=BODY, headers={"X-Mark": "here"})

    application = web.Application(middlewares=[fault_middleware(made.plan)])
    application.router.add_get("/{tail:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as made.client:
        yield made
    await runner.cleanup()


async def test_an_empty_plan_changes_nothing(server):
    assert (await server.get())[:2] == (200, BODY)
    assert server.plan.injected == []


async def test_a_graph_error_has_graphs_shape_and_the_headers_given(server):
    server.plan.add(Fault(GraphAnswer(429, "ApplicationThrottled", headers={"Retry-After": "7"}), name="throttled"))
    status, _, response = await server.get()
    error = (await response.json())["error"]
    assert (status, error["code"], response.headers["Retry-After"]) == (429, "ApplicationThrottled", "7")
    assert error["innerError"]["request-id"] == response.headers["request-id"]
    assert server.served == 0
    assert [(struck.name, struck.method, struck.path) for struck in server.plan.injected] == [
        ("throttled", "GET", "/v1.0/users/a/messages")
    ]
    assert (await server.get())[0] == 200


@pytest.mark.parametrize(("code", "status"), [(90055, 429), (90033, 503)])
async def test_an_entra_error_is_temporarily_unavailable(server, code, status):
    server.plan.add(Fault(EntraAnswer(code)))
    got, _, response = await server.get("/t/oauth2/v2.0/token")
    document = await response.json()
    assert (got, document["error"], document["error_codes"]) == (status, "temporarily_unavailable", [code])


async def test_a_gateway_page_is_html(server):
    server.plan.add(Fault(HtmlPage()))
    status, body, response = await server.get()
    assert (status, response.content_type) == (502, "text/html")
    assert body.startswith(b"<html>")


@pytest.mark.parametrize("serve", [True, False])
async def test_an_empty_body_hides_whether_the_request_was_served(server, serve):
    server.plan.add(Fault(EmptyBody(status=200, serve=serve)))
    assert (await server.get())[:2] == (200, b"")
    assert server.served == serve


@pytest.mark.parametrize("serve", [True, False])
async def test_a_reset_breaks_the_connection_before_or_after_the_work(server, serve):
    server.plan.add(Fault(Reset(serve=serve), count=2))  # aiohttp tries a GET once more by itself
    with pytest.raises(aiohttp.ClientConnectionError):
        await server.get()
    assert server.served == 2 * serve


async def test_a_truncated_answer_promises_more_than_it_gives(server):
    server.plan.add(Fault(Truncated(0.25)))
    async with server.client.get(server.base) as response:
        assert response.content_length == len(BODY)
        assert response.headers["X-Mark"] == "here"
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert (await server.get())[1] == BODY


async def test_a_stall_outlasts_the_clients_patience(server):
    server.plan.add(Fault(Stalled(), count=None))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await server.get()


async def test_a_stall_may_come_in_the_middle(server):
    server.plan.add(Fault(Stalled(part=0.5)))
    async with server.client.get(server.base) as response:
        assert await response.content.readexactly(500) == BODY[:500]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await response.content.readexactly(1)


async def test_a_stall_ends_with_the_connection(server):
    server.plan.add(Fault(Stalled(seconds=0.01), count=2))
    with pytest.raises(aiohttp.ClientConnectionError):
        await server.get()


async def test_a_delayed_answer_is_the_right_one(server):
    server.plan.add(Fault(Delayed(0.01)))
    assert (await server.get())[:2] == (200, BODY)
    assert len(server.plan.injected) == 1


def strikes(fault: Fault, times: int, seed: int = 0, path: str = "/x") -> list[bool]:
    plan = FaultPlan(seed)
    plan.add(fault)
    return [plan.choose("GET", path) is not None for _ in range(times)]


def test_a_fault_strikes_as_often_as_its_count_says():
    assert strikes(Fault(Reset(), count=2), 4) == [True, True, False, False]
    assert strikes(Fault(Reset(), count=None), 3) == [True] * 3


def test_a_fault_lets_the_first_requests_pass_when_told_to():
    assert strikes(Fault(Reset(), after=2), 4) == [False, False, True, False]


def test_chance_is_the_same_for_the_same_seed_and_another_for_another():
    first, again, other = (strikes(Fault(Reset(), count=None, probability=0.3), 200, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert 30 < sum(first) < 90


@pytest.mark.parametrize(
    ("pattern", "method", "hit"),
    [
        ("*", "*", True),
        ("/v1.0/users/*/messages", "GET", True),
        ("/v1.0/*", "POST", False),
        ("/t/oauth2/*", "GET", False),
    ],
)
def test_a_fault_is_about_the_paths_and_the_method_it_names(pattern, method, hit):
    assert strikes(Fault(Reset(), path=pattern, method=method), 1, path="/v1.0/users/a/messages") == [hit]


def test_the_first_fault_that_strikes_wins_and_the_next_has_its_turn_after():
    plan = FaultPlan()
    plan.add(Fault(HtmlPage(), name="first"))
    plan.add(Fault(EmptyBody(), name="second"))
    assert [type(plan.choose("GET", "/")) for _ in range(3)] == [HtmlPage, EmptyBody, type(None)]
    assert [struck.name for struck in plan.injected] == ["first", "second"]


def test_a_profile_replaces_the_faults_and_keeps_the_record():
    plan = FaultPlan()
    plan.add(Fault(Reset(), count=None))
    plan.choose("GET", "/")
    plan.replace([Fault(HtmlPage())], seed=3)
    assert isinstance(plan.choose("GET", "/"), HtmlPage)
    plan.clear()
    assert plan.choose("GET", "/") is None
    assert len(plan.injected) == 2


async def test_a_retry_after_may_be_seconds_or_a_date(server):
    server.plan.add(Fault(GraphAnswer(429, "ApplicationThrottled", retry_after=7)))
    server.plan.add(Fault(GraphAnswer(429, "ApplicationThrottled", retry_after=7, as_date=True)))
    server.plan.add(Fault(EntraAnswer(90055, retry_after=3)))
    headers = [(await server.get())[2].headers["Retry-After"] for _ in range(3)]
    assert (headers[0], headers[2]) == ("7", "3")
    assert parsedate_to_datetime(headers[1]).tzinfo is not None


@pytest.mark.parametrize("packed", [False, True])
async def test_control_characters_get_into_the_texts_of_an_answer_and_nowhere_else(packed):
    plan = FaultPlan()
    plan.add(Fault(ControlCharacters(), count=None))

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/text":
            return web.Response(text='{"subject": "x"}')
        body = json.dumps({"subject": "Hello", "id": "subject"}).encode()
        headers = {"Content-Encoding": "gzip"} if packed else {}
        return web.Response(
            body=gzip.compress(body) if packed else body, headers=headers, content_type="application/json"
        )

    application = web.Application(middlewares=[fault_middleware(plan)])
    application.router.add_get("/{tail:.*}", handler)
    async with TestClient(TestServer(application)) as client:
        spoilt = await (await client.get("/json")).read()
        assert json.loads(spoilt, strict=False) == {"subject": "\x0bHello", "id": "subject"}
        with pytest.raises(ValueError, match="control character"):
            json.loads(spoilt)
        assert await (await client.get("/text")).text() == '{"subject": "x"}'


async def test_each_strike_is_logged(server, caplog):
    server.plan.add(Fault(HtmlPage(), name="page"))
    with caplog.at_level("INFO", "postroom.simulator.faults"):
        await server.get()
    assert [record.getMessage() for record in caplog.records] == ["fault injected: page on GET /v1.0/users/a/messages"]


def test_a_rule_can_be_taken_away_by_its_id():
    plan = FaultPlan()
    first, second = (plan.add(Fault(Reset(), count=None, name=name)) for name in ("first", "second"))
    assert plan.remove(first.id)
    assert not plan.remove(first.id)
    assert plan.choose("GET", "/") is second.effect
    assert plan.counts == {"second": 1}
