"""$batch over real HTTP."""

import base64
import json

import pytest

from postroom.simulator.graph import Caller
from postroom.simulator.state import Limits
from support.exchanges import REFUSED_BATCH

ANN = "/users/ann@contoso.example"
JSON = {"Content-Type": "application/json"}


async def batch(graph, *requests, headers=None, unjudged=""):
    return await graph(
        "POST", f"{graph.root}/$batch", body={"requests": list(requests)}, headers=headers, unjudged=unjudged
    )


async def answers(graph, *requests, **more):
    answer = await batch(graph, *requests, **more)
    assert answer.status == 200, answer.data
    return {one["id"]: one for one in answer.json["responses"]}


def get(name, path="/mailFolders/inbox", **more):
    return {"id": name, "method": "GET", "url": f"{ANN}{path}", **more}


def create(name, title, **more):
    body = {"displayName": title}
    return {"id": name, "method": "POST", "url": f"{ANN}/mailFolders", "headers": JSON, "body": body, **more}


async def test_every_part_has_its_own_status_headers_and_body(graph):
    found = await answers(graph, get("1"), get("2", "/mailFolders/nonsense"), create("3", "Bills"))
    assert {name: one["status"] for name, one in found.items()} == {"1": 200, "2": 400, "3": 201}
    assert found["1"]["body"]["displayName"] == "Inbox"
    assert found["2"]["body"]["error"]["code"] == "ErrorInvalidIdMalformed"
    assert "application/json" in found["1"]["headers"]["Content-Type"]


async def test_parts_come_back_in_any_order(graph):
    orders = set()
    for _ in range(10):
        answer = await batch(graph, *(get(str(n)) for n in range(4)))
        orders.add(tuple(one["id"] for one in answer.json["responses"]))
    assert len(orders) > 1


async def test_preferences_and_options_of_a_part_count(graph, ann, state):
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    part = get("1", "/messages?$select=subject&$top=1", headers={"Prefer": 'IdType="ImmutableId"'})
    found = await answers(graph, part)
    body = found["1"]["body"]
    assert [(one["id"], one["subject"]) for one in body["value"]] == [(ann.immutable_id(stored), "x")]


async def test_content_that_is_no_json_comes_in_base64(graph, ann, state):
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\nbody")
    found = await answers(graph, get("1", f"/messages/{ann.default_id(stored)}/$value"))
    assert b"Subject: x" in base64.b64decode(found["1"]["body"])


async def test_a_part_without_content_has_no_body(graph, ann):
    folder = ann.create_folder("Bills")
    found = await answers(graph, {"id": "1", "method": "DELETE", "url": f"{ANN}/mailFolders/{folder.id}"})
    assert found["1"]["status"] == 204
    assert "body" not in found["1"]


async def test_a_delta_link_can_be_followed_in_a_batch(graph, ann, state):
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    _, link = await graph.round("/mailFolders/inbox/messages/delta")
    state.deliver_mime(ann.address, b"Subject: y\r\n\r\n")
    found = await answers(graph, {"id": "1", "method": "GET", "url": link.removeprefix(graph.root)})
    assert [one["subject"] for one in found["1"]["body"]["value"]] == ["y"]


async def test_twenty_parts_are_served_and_not_one_more(graph):
    assert len(await answers(graph, *(get(str(n)) for n in range(20)))) == 20
    answer = await batch(graph, *(get(str(n)) for n in range(21)), unjudged=REFUSED_BATCH)
    assert (answer.status, answer.code) == (400, "MaximumValueExceeded")


async def test_each_part_is_throttled_on_its_own(graph, state):
    state.limits = Limits(requests=3)
    found = await answers(graph, *(get(str(n)) for n in range(5)))
    assert sorted(one["status"] for one in found.values()) == [200, 200, 200, 429, 429]
    refused = next(one for one in found.values() if one["status"] == 429)
    assert refused["body"]["error"]["code"] == "ApplicationThrottled"
    assert refused["headers"]["Retry-After"] == "600"


async def test_one_batch_alone_is_within_the_four_at_a_time(graph, state):
    state.limits.service_time = 0.05
    found = await answers(graph, *(get(str(n)) for n in range(20)))
    assert {one["status"] for one in found.values()} == {200}


async def test_a_part_that_depends_on_another_comes_after_it(graph):
    parts = [create(str(n), "same name", dependsOn=[str(n - 1)] if n else []) for n in range(2)]
    found = await answers(graph, *reversed(parts))
    assert {name: one["status"] for name, one in found.items()} == {"0": 201, "1": 409}


async def test_what_depends_on_a_failure_is_not_carried_out(graph, ann):
    found = await answers(
        graph, get("1", "/mailFolders/nonsense"), create("2", "never", dependsOn=["1"]), get("3", dependsOn=["2"])
    )
    assert {name: one["status"] for name, one in found.items()} == {"1": 400, "2": 424, "3": 424}
    assert found["2"]["body"]["error"]["code"] == "FailedDependency"
    assert "never" not in [one.display_name for one in ann.root.children]


@pytest.mark.parametrize(
    "requests",
    [
        [get("a"), get("A")],
        [get("1", dependsOn=["2"])],
        [get("1", dependsOn=["2"]), get("2", dependsOn=["1"])],
        [get("1", dependsOn=["1"])],
        [{"id": "1", "method": "GET", "url": "https://graph.microsoft.com/v1.0/users"}],
        [{"id": "1", "method": "GET", "url": "//elsewhere.example/users"}],
        [{"id": "1", "method": "POST", "url": f"{ANN}/mailFolders", "body": {"displayName": "x"}}],
        [{"id": "1", "method": "POST", "url": f"{ANN}/messages/x/send"}],
        [{"id": "1", "method": "BREW", "url": "/users"}],
        [{"method": "GET", "url": "/users"}],
        [{"id": "1", "method": "GET"}],
        [get("1", headers={"X": "a\r\nb"})],
        [get("1", headers=["X"])],
        [get("1", dependsOn="2")],
        ["nonsense"],
        [],
    ],
)
async def test_a_batch_that_is_malformed_fails_as_a_whole(graph, ann, requests):
    before = list(ann.folders)
    answer = await batch(graph, *requests, unjudged=REFUSED_BATCH)
    assert (answer.status, answer.code) == (400, "BadRequest")
    assert list(ann.folders) == before


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"requests": 1}', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_batch_is_refused(graph, data):
    answer = await graph("POST", f"{graph.root}/$batch", data=data, unjudged=REFUSED_BATCH)
    assert (answer.status, answer.code) == (400, "BadRequest")


async def test_a_batch_in_a_batch_is_refused(graph):
    part = {"id": "1", "method": "POST", "url": "/$batch", "headers": JSON, "body": {"requests": []}}
    found = await answers(graph, part, unjudged=REFUSED_BATCH)
    assert found["1"]["status"] == 400


async def test_a_batch_is_only_posted(graph):
    assert (await graph("GET", f"{graph.root}/$batch", unjudged=REFUSED_BATCH)).status == 405


async def test_each_part_needs_its_own_permission(graph):
    graph.caller = Caller("app", frozenset({"Mail.Read"}), None)
    found = await answers(graph, get("1"), create("2", "Bills"))
    assert {name: one["status"] for name, one in found.items()} == {"1": 200, "2": 403}


async def test_a_body_in_text_is_taken_as_it_is(graph, ann):
    mime = base64.b64encode(b"To: x@fabrikam.example\r\nSubject: x\r\n\r\nbody").decode()
    part = {"id": "1", "method": "POST", "url": f"{ANN}/messages", "headers": {"Content-Type": "text/plain"}}
    found = await answers(graph, {**part, "body": mime}, unjudged=REFUSED_BATCH)
    assert (found["1"]["status"], found["1"]["body"]["subject"]) == (201, "x")


async def test_a_json_body_is_json_even_when_it_is_text(graph):
    part = {"id": "1", "method": "POST", "url": f"{ANN}/mailFolders", "headers": JSON, "body": json.dumps({})}
    found = await answers(graph, part, unjudged=REFUSED_BATCH)
    assert found["1"]["status"] == 400
