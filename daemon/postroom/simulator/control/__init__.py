"""The control side of a simulated tenant, on a port of its own: a page for people and JSON for programs.

`controls` is what can be done, `api` says it in JSON, `page` in HTML, and `guard` keeps other people's web pages out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from postroom.simulator.control.api import api_routes
from postroom.simulator.control.controls import Controls
from postroom.simulator.control.guard import guard, harden, spoken
from postroom.simulator.control.page import page_routes

if TYPE_CHECKING:
    from postroom.simulator.server import SimulatedTenant

__all__ = ["Controls", "control_application"]

LARGEST_REQUEST = 200 * 1024 * 1024
"""Bytes of a request: a mail of the greatest size Exchange Online takes, base64 included."""


def control_application(tenant: SimulatedTenant) -> web.Application:
    """Return the web application that controls `tenant`."""
    controls = Controls(tenant)
    application = web.Application(middlewares=[spoken, guard], client_max_size=LARGEST_REQUEST)
    application.on_response_prepare.append(harden)
    application.add_routes([*page_routes(controls), *api_routes(controls)])
    return application
