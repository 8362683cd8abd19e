"""Graph's limits of one app in one mailbox, as they are from the start."""

import asyncio

import pytest

from postroom.simulator.state import Limits

BOB = "bob@contoso.example"


async def at_once(graph, number, path="/mailFolders/inbox"):
    return await asyncio.gather(*(graph("GET", path) for _ in range(number)))


async def test_four_requests_at_a_time_are_served_and_more_are_refused(graph, state):
    answers = await at_once(graph, 12)
    refused = [one for one in answers if one.status == 429]
    assert {one.status for one in answers} == {200, 429}
    assert {one.code for one in refused} == {"ApplicationThrottled"}
    assert refused[0].json["error"]["message"] == "Application is over its MailboxConcurrency limit."
    assert refused[0].headers["Retry-After"] == "1"
    assert state.limits.refused["MailboxConcurrency"] == len(refused)
    assert (await graph("GET", "/mailFolders/inbox")).status == 200


async def test_four_at_a_time_are_never_refused(graph):
    for _ in range(5):
        assert {one.status for one in await at_once(graph, 4)} == {200}


async def test_a_mailbox_is_not_affected_by_another_at_its_limit(graph, state):
    state.add_mailbox(BOB)
    paths = ["/mailFolders/inbox", f"{graph.root}/users/{BOB}/mailFolders/inbox"]
    answers = await asyncio.gather(*(graph("GET", paths[n % 2]) for n in range(8)))
    assert {one.status for one in answers} == {200}


async def test_a_mailbox_addressed_by_its_id_is_the_same_mailbox(graph, ann):
    paths = ["/mailFolders/inbox", f"{graph.root}/users/{ann.id}/mailFolders/inbox"]
    answers = await asyncio.gather(*(graph("GET", paths[n % 2]) for n in range(12)))
    assert 429 in {one.status for one in answers}


async def test_requests_in_ten_minutes_are_counted_refused_ones_too(graph, state, clock):
    state.limits = Limits(requests=3)
    answers = [await graph("GET", "/mailFolders/inbox") for _ in range(5)]
    assert [one.status for one in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"] == "600"
    clock.pass_seconds(590)
    again = await graph("GET", "/mailFolders/inbox")
    assert (again.status, again.headers["Retry-After"]) == (429, "10")
    clock.pass_seconds(11)
    assert (await graph("GET", "/mailFolders/inbox")).status == 200


def test_the_limits_are_those_of_exchange_online_unless_told_otherwise(state):
    limits = state.limits
    assert (limits.in_flight, limits.requests, limits.window) == (4, 10_000, 600)
    assert (limits.upload, limits.upload_window) == (150 * 1024 * 1024, 300)
    assert (limits.app_requests, limits.app_window) == (130_000, 10)


async def test_uploaded_bytes_in_five_minutes_are_counted(graph, state, clock):
    state.limits = Limits(upload=100)
    body = {"displayName": "x" * 60}
    assert (await graph("POST", "/mailFolders", body=body)).status == 201
    refused = await graph("POST", "/mailFolders", body=body)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "300")
    assert refused.json["error"]["message"] == "Application is over its IncomingBytes limit."
    assert (await graph("GET", "/mailFolders/inbox")).status == 200
    clock.pass_seconds(301)
    assert (await graph("POST", "/mailFolders", body=body)).status == 409


async def test_all_requests_of_an_app_are_counted_together(graph, state, clock):
    state.add_mailbox(BOB)
    state.limits = Limits(app_requests=1)
    assert (await graph("GET", "/mailFolders/inbox")).status == 200
    refused = await graph("GET", f"{graph.root}/users/{BOB}/mailFolders/inbox")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
    clock.pass_seconds(11)
    assert (await graph("GET", "/mailFolders/inbox")).status == 200


@pytest.mark.parametrize("code", ["ApplicationThrottled", "TooManyRequests", "activityLimitReached"])
async def test_a_refusal_may_come_without_a_time_and_under_other_names(graph, state, code):
    state.limits = Limits(requests=0, say_when=False, code=code)
    refused = await graph("GET", "/mailFolders/inbox")
    assert (refused.status, refused.code) == (429, code)
    assert "Retry-After" not in refused.headers


async def test_a_slot_is_free_again_after_a_request_that_failed(graph, state):
    state.limits = Limits(in_flight=1)
    for _ in range(3):
        assert (await graph("GET", "/mailFolders/nonsense")).status == 400
    assert (await graph("GET", "/mailFolders/inbox")).status == 200
