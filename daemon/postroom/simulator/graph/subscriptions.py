"""Subscriptions to change notifications: create, list, get, renew, reauthorize, delete (subscription resource type)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.pages import collection_json
from postroom.simulator.graph.subscription_input import read_body, read_expiration, read_subscription
from postroom.simulator.state import Subscription


async def _create(call: Call) -> web.StreamResponse:
    subscription = read_subscription(call, await read_body(call))
    call.state.subscriptions.check_number(subscription.mailbox)
    for url in (subscription.url, subscription.lifecycle_url):
        problem = await call.notifier.validate(url) if url else ""
        if problem:
            raise GraphFault(400, "ValidationError", problem)
    call.state.subscriptions.add(subscription)
    return _answer(call, subscription, status=201)


async def _list(call: Call) -> web.StreamResponse:
    _expire(call)
    mine = call.state.subscriptions.of(call.caller.app_id)
    return call.answer(collection_json(call, "subscriptions", mine, _json))


async def _get(call: Call) -> web.StreamResponse:
    return _answer(call, _addressed(call))


async def _renew(call: Call) -> web.StreamResponse:
    """Extend a subscription, which authorises it anew as well."""
    subscription = _addressed(call)
    subscription.expires = read_expiration(call, await read_body(call))
    return _answer(call, subscription)


async def _reauthorize(call: Call) -> web.StreamResponse:
    call.mailbox_of(_addressed(call).mailbox.id)
    return web.Response(status=204)


async def _delete(call: Call) -> web.StreamResponse:
    call.state.subscriptions.remove(_addressed(call))
    return web.Response(status=204)


def _expire(call: Call) -> None:
    call.state.subscriptions.expire(call.state.now().timestamp())


def _addressed(call: Call) -> Subscription:
    """Find the subscription that the path names."""
    _expire(call)
    return call.state.subscriptions.find(call.path.keys["subscriptions"], call.caller.app_id)


def _json(subscription: Subscription) -> dict[str, Any]:
    expires = datetime.fromtimestamp(subscription.expires, UTC)
    return {
        "id": subscription.id,
        "resource": subscription.resource,
        "applicationId": subscription.app_id,
        "changeType": subscription.change_type,
        "clientState": subscription.client_state,
        "notificationUrl": subscription.url,
        "notificationQueryOptions": None,
        "lifecycleNotificationUrl": subscription.lifecycle_url,
        "expirationDateTime": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "creatorId": subscription.app_id,
        "includeResourceData": None,
        "latestSupportedTlsVersion": subscription.tls,
        "encryptionCertificate": None,
        "encryptionCertificateId": None,
        "notificationUrlAppId": None,
    }


def _answer(call: Call, subscription: Subscription, *, status: int = 200) -> web.Response:
    context = f"{call.base}/$metadata#subscriptions/$entity"
    return call.answer({"@odata.context": context, **_json(subscription)}, status=status)


OPERATIONS: Operations = {
    ("POST", "subscriptions"): Operation(_create, READ_BASIC),
    ("GET", "subscriptions"): Operation(_list, READ_BASIC),
    ("GET", "subscriptions/*"): Operation(_get, READ_BASIC),
    ("PATCH", "subscriptions/*"): Operation(_renew, READ_BASIC),
    ("DELETE", "subscriptions/*"): Operation(_delete, READ_BASIC),
    ("POST", "subscriptions/*/reauthorize"): Operation(_reauthorize, READ_BASIC),
}
