"""Reads what somebody subscribes to (subscription resource type); what makes no sense is refused with 400."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from postroom.simulator.graph.call import Call
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_filter import message_filter
from postroom.simulator.graph.paths import read_path
from postroom.simulator.state import Subscription

LONGEST_MINUTES = 10_080
"""Minutes a subscription to messages lives at most (LEARN change-notifications-overview)."""
LONGEST_STATE = 128
_KINDS = frozenset({"created", "updated", "deleted"})
_REQUIRED = ("changeType", "notificationUrl", "resource", "expirationDateTime")
_RESOURCES = frozenset({"users/*/messages", "users/*/mailfolders/*/messages"})
_LONGEST_URL = 2048


async def read_body(call: Call) -> dict[str, Any]:
    """Read the body, its names in the spelling of Graph whichever their initial."""
    body = await call.json()
    return {name if name.startswith("@") else name[:1].lower() + name[1:]: value for name, value in body.items()}


def read_subscription(call: Call, body: dict[str, Any]) -> Subscription:
    """Read what is subscribed to; raises GraphFault."""
    missing = next((name for name in _REQUIRED if not isinstance(body.get(name), str) or not body[name]), None)
    if missing is not None:
        raise _invalid(f"{missing} is a required property for subscription creation")
    if body.get("includeResourceData"):
        raise _invalid("The simulated tenant sends no resource data with its notifications.")
    kinds = frozenset(kind.strip().lower() for kind in body["changeType"].split(","))
    if not kinds <= _KINDS:
        raise _invalid("changeType must name created, updated or deleted, joined by commas.")
    subscription = _place(call, body)
    subscription.kinds, subscription.change_type = kinds, body["changeType"]
    return subscription


def _place(call: Call, body: dict[str, Any]) -> Subscription:
    """Find the messages that are subscribed to, if the app may see them."""
    place, _, query = body["resource"].partition("?")
    path = read_path(f"/v1.0/{place}")
    if path.shape not in _RESOURCES:
        raise _invalid(f"Unsupported resource: {body['resource'][:200]}")
    mailbox = call.mailbox_of(path.keys["users"])
    folder = mailbox.folder(path.keys["mailfolders"]) if "mailfolders" in path.keys else None
    condition = parse_qs(query).get("$filter", [""])[0]
    return Subscription(
        id=str(uuid.uuid4()),
        app_id=call.caller.app_id,
        tenant_id=call.caller.tenant_id,
        mailbox=mailbox,
        folder=folder,
        resource=body["resource"],
        kinds=frozenset(),
        change_type="",
        url=_url(call, body["notificationUrl"]),
        lifecycle_url=_optional_url(call, body.get("lifecycleNotificationUrl")),
        client_state=_text(body, "clientState", LONGEST_STATE),
        tls=_text(body, "latestSupportedTlsVersion", 10) or "v1_2",
        immutable=call.prefer.immutable,
        expires=read_expiration(call, body),
        passes=message_filter(mailbox, condition) if condition else None,
    )


def _optional_url(call: Call, url: object) -> str | None:
    return None if url is None else _url(call, url)


def _url(call: Call, url: object) -> str:
    """Read where notifications go; raises GraphFault 400 for what is no URL or may not be reached from here."""
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not re.match(r"https?://[^\s/?#]", url):
        raise _invalid("notificationUrl and lifecycleNotificationUrl must be https URLs.")
    try:
        reachable = call.notifier.may_reach(url)
    except ValueError:
        reachable = False
    if not reachable:
        raise _invalid(
            "The simulated tenant notifies this machine only. Use a loopback URL, or allow the host in the tenant."
        )
    return url


def _text(body: dict[str, Any], name: str, longest: int) -> str | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > longest):
        raise _invalid(f"{name} must be text of at most {longest} characters.")
    return value


def read_expiration(call: Call, body: dict[str, Any]) -> float:
    """Read until when; it must be ahead, and not too far."""
    try:
        value = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", body["expirationDateTime"]))
        expires = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _invalid("expirationDateTime is a required property and must be a date and time.") from None
    now = call.state.now().timestamp()
    if expires <= now:
        raise _invalid("Subscription expiration must be in the future.")
    if expires > now + LONGEST_MINUTES * 60:
        raise GraphFault(
            400, "ExtensionError", f"Subscription expiration can only be {LONGEST_MINUTES} minutes in the future."
        )
    return expires


def _invalid(why: str) -> GraphFault:
    return bad_request(why, "InvalidRequest")
