"""Subscriptions and their notifications over real HTTP, with a real endpoint."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from postroom.simulator.graph import Caller

ADDRESS = "ann@contoso.example"
MESSAGES = "/users/ann@contoso.example/mailFolders('inbox')/messages"
WAIT = 5


class Endpoint:
    """Takes notifications as an app would; `token` and `status` say how well."""

    def __init__(self):
        self.received = asyncio.Queue()
        self.validated = []
        self.refusals = 0
        self.echo = lambda token: web.Response(text=token)

    async def take(self, request):
        if "validationToken" in request.query:
            self.validated.append(request.query["validationToken"])
            return self.echo(request.query["validationToken"])
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        for one in (await request.json())["value"]:
            self.received.put_nowait(one)
        return web.Response(status=202)

    async def next(self):
        return await asyncio.wait_for(self.received.get(), WAIT)


@pytest.fixture
async def endpoint():
    endpoint = Endpoint()
    application = web.Application()
    application.router.add_post("/hook", endpoint.take)
    async with TestServer(application) as server:
        endpoint.url = str(server.make_url("/hook"))
        yield endpoint


@pytest.fixture
def body(endpoint, clock):
    return {
        "changeType": "created,updated,deleted",
        "notificationUrl": endpoint.url,
        "resource": MESSAGES,
        "expirationDateTime": until(clock, minutes=60),
        "clientState": "secret",
    }


def until(clock, **delta):
    return (clock.time + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")


async def subscribe(graph, body, **more):
    answer = await graph("POST", f"{graph.root}/subscriptions", body=body, **more)
    assert answer.status == 201, answer.data
    return answer.json


async def test_an_endpoint_is_validated_before_a_subscription_is_made(graph, body, endpoint):
    made = await subscribe(graph, body)
    assert len(endpoint.validated) == 1
    assert endpoint.validated[0].startswith("Validation: ")
    assert made["resource"] == MESSAGES
    assert (made["applicationId"], made["latestSupportedTlsVersion"]) == ("app", "v1_2")
    path = f"{graph.root}/subscriptions/{made['id']}"
    assert (await graph.get(path))["id"] == made["id"]
    assert [one["id"] for one in (await graph.get(f"{graph.root}/subscriptions"))["value"]] == [made["id"]]


async def test_both_urls_are_validated(graph, body, endpoint):
    await subscribe(graph, {**body, "lifecycleNotificationUrl": endpoint.url})
    assert len(endpoint.validated) == 2


@pytest.mark.parametrize(
    "echo",
    [
        lambda _: web.Response(text="something else"),
        lambda token: web.Response(text=token, status=202),
        lambda token: web.Response(text=token, content_type="text/html"),
        lambda _: web.Response(status=500),
    ],
)
async def test_an_endpoint_that_fails_the_handshake_gets_no_subscription(graph, body, endpoint, echo):
    endpoint.echo = echo
    answer = await graph("POST", f"{graph.root}/subscriptions", body=body)
    assert (answer.status, answer.code) == (400, "ValidationError")
    assert (await graph.get(f"{graph.root}/subscriptions"))["value"] == []


async def test_new_mail_is_told_with_what_the_app_needs_to_find_it(graph, ann, state, body, endpoint):
    made = await subscribe(graph, body)
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    told = await endpoint.next()
    assert (told["subscriptionId"], told["clientState"], told["changeType"]) == (made["id"], "secret", "created")
    assert told["resourceData"]["id"] == ann.default_id(stored)
    assert told["resource"] == f"Users/{ann.id}/Messages/{ann.default_id(stored)}"
    assert "lifecycleEvent" not in told
    assert (await graph("GET", f"/messages/{told['resourceData']['id']}")).status == 200


async def test_ids_are_those_preferred_when_the_subscription_was_made(graph, ann, state, body, endpoint):
    await subscribe(graph, body, prefer='IdType="ImmutableId"')
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    assert (await endpoint.next())["resourceData"]["id"] == ann.immutable_id(stored)


async def test_updates_and_removals_are_told_in_order(graph, ann, state, body, endpoint):
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    await subscribe(graph, body)
    ann.update(stored, is_read=True)
    ann.delete(stored)
    assert [(await endpoint.next())["changeType"] for _ in range(2)] == ["updated", "deleted"]


async def test_only_the_kinds_and_the_folder_subscribed_to_are_told(graph, ann, state, body, endpoint):
    await subscribe(graph, {**body, "changeType": "deleted"})
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n", folder="archive")
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    ann.update(stored, is_read=True)
    ann.delete(stored)
    told = await endpoint.next()
    assert (told["changeType"], told["resourceData"]["id"].startswith("AAMk")) == ("deleted", True)
    assert endpoint.received.empty()


async def test_a_whole_mailbox_can_be_subscribed_to(graph, ann, state, body, endpoint):
    await subscribe(graph, {**body, "resource": "users/ann@contoso.example/messages"})
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n", folder="archive")
    assert (await endpoint.next())["resourceData"]["id"] == ann.default_id(stored)


async def test_a_filter_turns_reading_into_deletion(graph, ann, state, body, endpoint):
    await subscribe(graph, {**body, "resource": f"{MESSAGES}?$filter=isRead eq false"})
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    ann.update(stored, categories=("Red",))
    ann.update(stored, is_read=True)
    ann.update(stored, is_read=False)
    kinds = [(await endpoint.next())["changeType"] for _ in range(4)]
    assert kinds == ["created", "updated", "deleted", "created"]


async def test_a_notification_nobody_takes_is_tried_again(graph, ann, state, body, endpoint):
    state.subscriptions.retry_first = 0.01
    await subscribe(graph, body)
    endpoint.refusals = 3
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    assert (await endpoint.next())["changeType"] == "created"


async def test_a_notification_given_up_is_told_as_missed(graph, ann, state, body, endpoint):
    state.subscriptions.retry_for = 0
    made = await subscribe(graph, {**body, "lifecycleNotificationUrl": endpoint.url})
    endpoint.refusals = 1
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    told = await endpoint.next()
    assert (told["lifecycleEvent"], told["subscriptionId"]) == ("missed", made["id"])
    assert "resourceData" not in told
    assert state.subscriptions.dropped == 1


async def test_lifecycle_events_go_to_their_own_url(graph, state, body, endpoint):
    made = await subscribe(graph, {**body, "lifecycleNotificationUrl": f"{endpoint.url}?kind=lifecycle"})
    subscription = state.subscriptions.all[made["id"]]
    state.subscriptions.announce(subscription, "reauthorizationRequired")
    assert (await endpoint.next())["lifecycleEvent"] == "reauthorizationRequired"
    assert (await graph("POST", f"{graph.root}/subscriptions/{made['id']}/reauthorize")).status == 204
    state.subscriptions.announce(subscription, "subscriptionRemoved")
    assert (await endpoint.next())["lifecycleEvent"] == "subscriptionRemoved"
    assert (await graph("GET", f"{graph.root}/subscriptions/{made['id']}")).status == 404


async def test_late_mail_is_told_when_it_shows(graph, state, clock, body, endpoint):
    await subscribe(graph, body)
    state.nuisance.late, state.nuisance.late_seconds = 1, (0.01, 0.01)
    state.deliver_mime(ADDRESS, b"Subject: x\r\n\r\n")
    clock.pass_seconds(1)
    told = await endpoint.next()
    assert (await graph("GET", f"/messages/{told['resourceData']['id']}")).status == 200


async def test_a_subscription_is_renewed_deleted_and_expires(graph, state, clock, body):
    made = await subscribe(graph, body)
    path = f"{graph.root}/subscriptions/{made['id']}"
    longer = await graph("PATCH", path, body={"expirationDateTime": until(clock, days=6)})
    assert (longer.status, longer.json["expirationDateTime"][:10]) == (200, "2026-03-07")
    clock.pass_seconds(7 * 24 * 3600)
    assert (await graph("GET", path)).status == 404
    body["expirationDateTime"] = until(clock, minutes=5)
    other = await subscribe(graph, body)
    assert (await graph("DELETE", f"{graph.root}/subscriptions/{other['id']}")).status == 204
    assert (await graph("DELETE", f"{graph.root}/subscriptions/{other['id']}")).status == 404


async def test_an_expired_subscription_is_told_nothing(graph, state, clock, body, endpoint):
    await subscribe(graph, body)
    clock.pass_seconds(3601)
    state.deliver_mime(ADDRESS, b"Subject: x\r\n\r\n")
    body["expirationDateTime"] = until(clock, minutes=5)
    await subscribe(graph, body)
    stored = state.deliver_mime(ADDRESS, b"Subject: y\r\n\r\n")
    assert (await endpoint.next())["resourceData"]["id"] == state.mailbox(ADDRESS).default_id(stored)


async def test_a_subscription_lives_a_week_at_most(graph, clock, body):
    await subscribe(graph, {**body, "expirationDateTime": until(clock, minutes=10_080)})
    answer = await graph(
        "POST", f"{graph.root}/subscriptions", body={**body, "expirationDateTime": until(clock, minutes=10_081)}
    )
    assert (answer.status, answer.code) == (400, "ExtensionError")


async def test_a_mailbox_has_a_thousand_subscriptions_at_most(graph, state, body):
    made = await subscribe(graph, body)
    one = state.subscriptions.all[made["id"]]
    for number in range(999):
        state.subscriptions.add(_twin(one, str(number)))
    answer = await graph("POST", f"{graph.root}/subscriptions", body=body)
    assert answer.status == 403
    assert "1000" in answer.json["error"]["message"]


def _twin(subscription, name):
    slots = {slot: getattr(subscription, slot) for slot in subscription.__slots__}
    return type(subscription)(**slots | {"id": name})


@pytest.mark.parametrize(
    "change",
    [
        {"changeType": None},
        {"changeType": "created,exploded"},
        {"notificationUrl": "https://app.fabrikam.example/hook"},
        {"notificationUrl": "ftp://localhost/"},
        {"notificationUrl": "http://[::1/"},
        {"notificationUrl": 5},
        {"lifecycleNotificationUrl": "https://app.fabrikam.example/hook"},
        {"resource": "users/ann@contoso.example/events"},
        {"resource": "https://graph.microsoft.com/v1.0/users/ann@contoso.example/messages"},
        {"resource": f"{MESSAGES}?$filter=nonsense"},
        {"resource": "http://["},
        {"expirationDateTime": "soon"},
        {"expirationDateTime": "2020-01-01T00:00:00Z"},
        {"clientState": "x" * 129},
        {"includeResourceData": True},
    ],
)
async def test_a_subscription_that_makes_no_sense_is_refused(graph, body, endpoint, change):
    answer = await graph("POST", f"{graph.root}/subscriptions", body={**body, **change})
    assert answer.status == 400
    assert not endpoint.validated


async def test_other_hosts_are_notified_only_when_allowed(graph, state, body):
    body["notificationUrl"] = "https://hook.invalid/x"
    answer = await graph("POST", f"{graph.root}/subscriptions", body=body)
    assert answer.code == "InvalidRequest"
    state.subscriptions.allowed_hosts.add("hook.invalid")
    answer = await graph("POST", f"{graph.root}/subscriptions", body=body)
    assert answer.code == "ValidationError"


async def test_an_app_subscribes_only_to_what_it_may_see_and_sees_only_its_own(graph, body):
    made = await subscribe(graph, body)
    graph.caller = Caller("other", frozenset({"Mail.Read"}), frozenset())
    assert (await graph("POST", f"{graph.root}/subscriptions", body=body)).status == 403
    assert (await graph.get(f"{graph.root}/subscriptions"))["value"] == []
    assert (await graph("DELETE", f"{graph.root}/subscriptions/{made['id']}")).status == 404
    graph.caller = Caller("app", frozenset({"Mail.Send"}), None)
    assert (await graph("POST", f"{graph.root}/subscriptions", body=body)).status == 403


async def test_a_tenant_that_closes_tries_no_more(graph, ann, state, body, endpoint):
    before = asyncio.all_tasks()
    state.subscriptions.retry_first = 3600
    await subscribe(graph, body)
    endpoint.refusals = 1
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    (task,) = {one for one in asyncio.all_tasks() - before if "_drain" in repr(one)}
    state.close()
    await asyncio.wait([task], timeout=WAIT)
    assert task.cancelled()
