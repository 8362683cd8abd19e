"""Holds every request to the limits of its app and mailbox (LEARN throttling-limits)."""

from __future__ import annotations

import asyncio

from aiohttp import web

from postroom.simulator.graph.call import Call, Operation
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.state import Mailbox, Throttled, UnknownMailbox

_UPLOADS = frozenset({"POST", "PATCH", "PUT"})


async def in_flight(call: Call, operation: Operation) -> web.StreamResponse:
    """Carry an operation out within the limits; raises GraphFault 429."""
    limits = call.state.limits
    now = call.state.now().timestamp()
    mailbox = _mailbox(call)
    try:
        limits.check_app(call.caller.app_id, now)
        if mailbox is None:
            return await _carry_out(call, operation)
        use = limits.use(call.caller.app_id, mailbox.id)
        limits.check(use, now)
        use.in_flight += 1
        try:
            if use.has_company(id(call.request.transport), asyncio.get_running_loop().time()):
                await asyncio.sleep(limits.service_time)
            if call.request.method in _UPLOADS and (body := await call.request.read()):
                limits.check_upload(use, now, len(body))
            return await _carry_out(call, operation)
        finally:
            use.in_flight -= 1
    except Throttled as refusal:
        raise too_many(call, refusal) from refusal


def too_many(call: Call, refusal: Throttled) -> GraphFault:
    """Make the 429, with Retry-After where the tenant says when."""
    limits = call.state.limits
    headers = {"Retry-After": str(refusal.wait)} if limits.say_when else {}
    return GraphFault(429, limits.code, str(refusal), headers=headers)


async def _carry_out(call: Call, operation: Operation) -> web.StreamResponse:
    call.require(operation.needs)
    return await operation.handle(call)


def _mailbox(call: Call) -> Mailbox | None:
    """Find the mailbox whose limits count; None for a request about none that is there."""
    name = call.path.keys.get("users")
    try:
        return None if name is None else call.state.mailbox(name)
    except UnknownMailbox:
        return None
