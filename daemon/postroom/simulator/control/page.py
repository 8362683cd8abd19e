"""The start page: what is running, the mail in it, and the levers; for a person with a browser, without scripts."""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
import markupsafe
from aiohttp import web

from postroom import __version__
from postroom.simulator.control.compose import Enclosed, Letter, write_mail
from postroom.simulator.control.controls import MOST_LISTED, Controls, message_json
from postroom.simulator.control.guard import style
from postroom.simulator.control.presets import PRESETS
from postroom.simulator.state import StateError

MOST_MAILBOXES = 50
"""Mailboxes on the page; a search finds the others."""

NEWEST_STRIKES = 12
LONGEST_TEXT = 100_000
"""Characters of a mail's text on its page."""

_DONE = {
    "sent": "The mail is in the inbox.",
    "samples": "The sample mails are in the mailboxes.",
    "profile": "The weather has changed.",
    "fault": "The fault waits for its next request.",
    "removed": "The fault is gone.",
    "clock": "The clock has been set.",
    "reset": "Every delta link of that inbox is void now.",
    "condition": "The mailbox is as you said.",
    "moved": "The message has been moved.",
    "marked": "The message has been marked.",
}
_PDF = "JVBERi0xLjQKMSAwIG9iajw8L1R5cGUvQ2F0YWxvZz4+ZW5kb2JqCnRyYWlsZXI8PC9Sb290IDEgMCBSPj4KJSVFT0YK"
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_Form = Mapping[str, str]
_Handler = Callable[[web.Request], Awaitable[web.Response]]


def page_routes(controls: Controls) -> list[web.RouteDef]:
    """Return the routes of the pages and of their forms."""
    page = _Page(controls)
    pages = {
        "/": page.start,
        "/mailboxes/{address}": page.mailbox,
        "/mailboxes/{address}/messages/{id}": page.message,
        "/mailboxes/{address}/messages/{id}/mail.eml": page.raw,
    }
    forms = {
        "/send": page.send,
        "/samples": page.samples,
        "/profile": page.profile,
        "/faults": page.fault,
        "/faults/{id}/remove": page.remove,
        "/clock": page.clock,
        "/mailboxes/{address}/reset": page.reset,
        "/mailboxes/{address}/condition": page.condition,
        "/mailboxes/{address}/messages/{id}": page.act,
    }
    return [
        *(web.get(path, _shown(handler)) for path, handler in pages.items()),
        *(web.post(path, page.checked(handler)) for path, handler in forms.items()),
    ]


class _Page:
    """Shows what `Controls` tells, and pulls its levers when a form says so."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._token = secrets.token_urlsafe(24)

    def checked(self, handler: Callable[[web.Request, _Form], Awaitable[str]]) -> _Handler:
        """Take a form that this page wrote and go to the page that `handler` names; a mistake is shown with 400."""

        async def answer(request: web.Request) -> web.Response:
            form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
            if not hmac.compare_digest(form.get("token", "").encode(), self._token.encode()):
                raise web.HTTPForbidden(text="This form is not of this run; load the page anew.\n")
            try:
                place = await handler(request, form)
            except (ValueError, StateError) as error:
                return self._start(problem=str(error), status=400)
            raise web.HTTPSeeOther(place)

        return answer

    async def start(self, request: web.Request) -> web.Response:
        return self._start(search=request.query.get("search", ""), done=_DONE.get(request.query.get("done", ""), ""))

    async def mailbox(self, request: web.Request) -> web.Response:
        address = request.match_info["address"]
        folder = self._controls.tenant.state.mailbox(address).folder(request.query.get("folder", "inbox"))
        return self._render(
            "mailbox.html",
            mailbox=self._controls.mailbox(address),
            folder=folder.id,
            folder_name=folder.display_name,
            messages=self._controls.messages(address, folder.id),
            most=MOST_LISTED,
            done=_DONE.get(request.query.get("done", ""), ""),
        )

    async def message(self, request: web.Request) -> web.Response:
        controls, address = self._controls, request.match_info["address"]
        mailbox, message = controls.find(address, request.match_info["id"])
        mail = mailbox.contents.mail(message)
        text = mail.text()
        return self._render(
            "message.html",
            mailbox=controls.mailbox(address),
            message=message_json(mailbox, message),
            headers=mail.headers(),
            kind=text.kind,
            text=text.content[:LONGEST_TEXT],
            files=[(part.name, part.content_type, part.size) for part in mail.envelope.attachments],
        )

    async def raw(self, request: web.Request) -> web.Response:
        mailbox, message = self._controls.find(request.match_info["address"], request.match_info["id"])
        headers = {"Content-Disposition": 'attachment; filename="mail.eml"'}
        return web.Response(body=mailbox.contents.raw(message), content_type="message/rfc822", headers=headers)

    async def send(self, _: web.Request, form: _Form) -> str:
        files = [Enclosed("invoice.pdf", _PDF, "application/pdf")] if form.get("attach") else []
        letter = Letter(form.get("subject", ""), form.get("from", ""), form.get("text", ""), attachments=files)
        address = form.get("to", "")
        self._controls.deliver(address, write_mail(letter, address, self._controls.tenant.clock()))
        return "/?done=sent"

    async def samples(self, _: web.Request, __: _Form) -> str:
        self._controls.deliver_samples()
        return "/?done=samples"

    async def profile(self, _: web.Request, form: _Form) -> str:
        self._controls.use_profile(form.get("name", ""), int(form.get("seed") or 0))
        return "/?done=profile"

    async def fault(self, _: web.Request, form: _Form) -> str:
        preset = PRESETS.get(form.get("preset", ""))
        if preset is None:
            raise ValueError("Choose one of the faults.")
        count = form.get("count") or "1"
        rule = {"name": form.get("preset", ""), "count": None if count == "always" else int(count)}
        self._controls.add_fault({**preset, **rule, **({"path": form["path"]} if form.get("path") else {})})
        return "/?done=fault"

    async def remove(self, request: web.Request, _: _Form) -> str:
        self._controls.remove_fault(int(request.match_info["id"]))
        return "/?done=removed"

    async def clock(self, _: web.Request, form: _Form) -> str:
        if form.get("do") == "freeze":
            self._controls.freeze()
        elif form.get("do") == "resume":
            self._controls.resume()
        elif form.get("do") == "reset":
            self._controls.reset_clock()
        else:
            self._controls.advance(float(form.get("seconds") or 0))
        return "/?done=clock"

    async def reset(self, request: web.Request, _: _Form) -> str:
        self._controls.reset_delta(request.match_info["address"])
        return f"{_at(request)}?done=reset"

    async def condition(self, request: web.Request, form: _Form) -> str:
        wanted = {"full": "full" in form, "moving": "moving" in form, "licensed": "unlicensed" not in form}
        self._controls.set_condition(request.match_info["address"], wanted)
        return f"{_at(request)}?done=condition"

    async def act(self, request: web.Request, form: _Form) -> str:
        controls, address, message = self._controls, request.match_info["address"], request.match_info["id"]
        wanted = form.get("do", "")
        if wanted == "delete":
            controls.delete(address, message)
        elif wanted in ("read", "unread"):
            controls.mark(address, message, is_read=wanted == "read")
        else:
            controls.move(address, message, form.get("folder", ""))
        done = "marked" if wanted in ("read", "unread") else "moved"
        return f"{_at(request)}?{urlencode({'folder': form.get('back') or 'inbox', 'done': done})}"

    def _start(self, *, search: str = "", done: str = "", problem: str = "", status: int = 200) -> web.Response:
        controls = self._controls
        found = [each for each in controls.mailboxes() if search.lower() in each["address"]]
        strikes = controls.tenant.faults.injected[-NEWEST_STRIKES:]
        return self._render(
            "start.html",
            status=status,
            facts=controls.tenant.describe(),
            clock=controls.clock(),
            profiles=controls.profiles(),
            profile=controls.tenant.weather.profile,
            seed=controls.tenant.faults.seed,
            faults=controls.faults(),
            counts=controls.counts(),
            nuisances=_in_force(controls.tenant.weather.nuisances),
            strikes=list(reversed(strikes)),
            presets=list(PRESETS),
            mailboxes=found[:MOST_MAILBOXES],
            hidden=max(len(found) - MOST_MAILBOXES, 0),
            search=search,
            done=done,
            problem=problem,
        )

    def _render(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        text = _template(template).render(
            values,
            token=self._token,
            version=__version__,
            style=markupsafe.Markup(style()),  # noqa: S704 - our own file
        )
        return web.Response(text=text, status=status, content_type="text/html")


def _shown(handler: _Handler) -> _Handler:
    """Show a page; what is not there is said with 404."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except StateError as error:
            raise web.HTTPNotFound(text=f"{error.message}\n") from None

    return answer


def _in_force(nuisances: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name the nuisances that strike at all, with their chance."""
    chances = [(name, value) for name, value in nuisances.items() if isinstance(value, float | bool) and value]
    return [(name.replace("_", " "), "" if value is True else f"{value:.0%}") for name, value in chances]


def _at(request: web.Request) -> str:
    return f"/mailboxes/{quote(request.match_info['address'], safe='@')}"


@functools.cache
def _template(name: str) -> jinja2.Template:
    return _environment.get_template(name)


def _when(text: str) -> str:
    """Write an ISO 8601 time for people."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def _size(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


_environment.filters.update(when=_when, size=_size)
