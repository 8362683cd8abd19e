"""The control endpoint: what `controls` can do, as JSON under ``/api``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from postroom.simulator.control.compose import read_letter, write_mail
from postroom.simulator.control.controls import Controls
from postroom.simulator.state import StateError

_Handler = Callable[[web.Request], Awaitable[web.Response]]
_Shape = TypeVar("_Shape")
_MAIL = "message/rfc822"


class _ProfileRequest(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    seed: int | None = None


class _ClockRequest(msgspec.Struct, forbid_unknown_fields=True):
    advance: float | None = None
    freeze: bool | str = False
    resume: bool = False
    reset: bool = False


_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
_Window = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class _LimitsRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    in_flight: _Count | msgspec.UnsetType = msgspec.UNSET
    requests: _Count | msgspec.UnsetType = msgspec.UNSET
    window: _Window | msgspec.UnsetType = msgspec.UNSET
    upload: _Count | msgspec.UnsetType = msgspec.UNSET
    upload_window: _Window | msgspec.UnsetType = msgspec.UNSET
    app_requests: _Count | msgspec.UnsetType = msgspec.UNSET
    app_window: _Window | msgspec.UnsetType = msgspec.UNSET
    say_when: bool | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET


class _FolderRequest(msgspec.Struct, forbid_unknown_fields=True):
    folder: str = "inbox"


class _MarkRequest(msgspec.Struct, forbid_unknown_fields=True):
    is_read: bool


class _MailboxRequest(msgspec.Struct, forbid_unknown_fields=True):
    address: str


def api_routes(controls: Controls) -> list[web.RouteDef]:
    """Return the routes."""
    api = _Api(controls)
    routes = {
        ("GET", "/api/state"): api.state,
        ("GET", "/api/profiles"): api.profiles,
        ("POST", "/api/profile"): api.use_profile,
        ("GET", "/api/faults"): api.faults,
        ("POST", "/api/faults"): api.add_fault,
        ("DELETE", "/api/faults"): api.clear_faults,
        ("DELETE", r"/api/faults/{id:\d{1,9}}"): api.remove_fault,
        ("GET", "/api/injected"): api.injected,
        ("DELETE", "/api/injected"): api.forget,
        ("GET", "/api/limits"): api.limits,
        ("PATCH", "/api/limits"): api.set_limits,
        ("DELETE", "/api/limits"): api.reset_limits,
        ("GET", "/api/nuisances"): api.nuisances,
        ("PATCH", "/api/nuisances"): api.disturb,
        ("GET", "/api/clock"): api.clock,
        ("POST", "/api/clock"): api.set_clock,
        ("GET", "/api/mailboxes"): api.mailboxes,
        ("POST", "/api/mailboxes"): api.add_mailbox,
        ("GET", "/api/mailboxes/{address}"): api.mailbox,
        ("PATCH", "/api/mailboxes/{address}"): api.set_condition,
        ("POST", "/api/mailboxes/{address}/reset"): api.reset,
        ("GET", "/api/mailboxes/{address}/messages"): api.messages,
        ("POST", "/api/mailboxes/{address}/messages"): api.deliver,
        ("PATCH", "/api/mailboxes/{address}/messages/{id}"): api.mark,
        ("DELETE", "/api/mailboxes/{address}/messages/{id}"): api.delete,
        ("POST", "/api/mailboxes/{address}/messages/{id}/move"): api.move,
        ("GET", "/api/outbox"): api.outbox,
        ("POST", "/api/samples"): api.samples,
    }
    return [web.route(method, path, _answering(handler)) for (method, path), handler in routes.items()]


class _Api:
    """Each method reads a request, pulls a lever and returns what is to be answered, None for nothing."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    async def state(self, _: web.Request) -> Any:
        return self._controls.state()

    async def profiles(self, _: web.Request) -> Any:
        return {"profiles": self._controls.profiles()}

    async def use_profile(self, request: web.Request) -> Any:
        wanted = await _read(request, _ProfileRequest)
        return self._controls.use_profile(wanted.name, wanted.seed)

    async def faults(self, _: web.Request) -> Any:
        return {"faults": self._controls.faults()}

    async def add_fault(self, request: web.Request) -> Any:
        return self._controls.add_fault(await _json(request))

    async def remove_fault(self, request: web.Request) -> Any:
        return self._controls.remove_fault(int(request.match_info["id"]))

    async def clear_faults(self, _: web.Request) -> Any:
        return self._controls.clear_faults()

    async def injected(self, request: web.Request) -> Any:
        return {"counts": self._controls.counts(), "injected": self._controls.injected(_number(request, "after"))}

    async def forget(self, _: web.Request) -> Any:
        return self._controls.forget()

    async def limits(self, _: web.Request) -> Any:
        return self._controls.limits()

    async def set_limits(self, request: web.Request) -> Any:
        return self._controls.set_limits(msgspec.to_builtins(await _read(request, _LimitsRequest)))

    async def reset_limits(self, _: web.Request) -> Any:
        self._controls.set_limits({})

    async def nuisances(self, _: web.Request) -> Any:
        return self._controls.tenant.weather.nuisances

    async def disturb(self, request: web.Request) -> Any:
        return self._controls.disturb(await _json(request))

    async def clock(self, _: web.Request) -> Any:
        return self._controls.clock()

    async def set_clock(self, request: web.Request) -> Any:
        wanted = await _read(request, _ClockRequest)
        if wanted.reset:
            self._controls.reset_clock()
        if wanted.resume:
            self._controls.resume()
        if wanted.freeze is not False:
            self._controls.freeze(wanted.freeze if isinstance(wanted.freeze, str) else "")
        if wanted.advance is not None:
            self._controls.advance(wanted.advance)
        return self._controls.clock()

    async def mailboxes(self, _: web.Request) -> Any:
        return {"mailboxes": self._controls.mailboxes()}

    async def add_mailbox(self, request: web.Request) -> Any:
        return self._controls.add_mailbox((await _read(request, _MailboxRequest)).address)

    async def mailbox(self, request: web.Request) -> Any:
        return self._controls.mailbox(request.match_info["address"])

    async def set_condition(self, request: web.Request) -> Any:
        return self._controls.set_condition(request.match_info["address"], await _json(request))

    async def reset(self, request: web.Request) -> Any:
        return self._controls.reset_delta(request.match_info["address"], (await _read(request, _FolderRequest)).folder)

    async def messages(self, request: web.Request) -> Any:
        folder = request.query.get("folder", "inbox")
        return {"messages": self._controls.messages(request.match_info["address"], folder, _number(request, "skip"))}

    async def outbox(self, request: web.Request) -> Any:
        return {"sent": self._controls.outbox(_number(request, "skip"))}

    async def deliver(self, request: web.Request) -> Any:
        address = request.match_info["address"]
        if request.content_type == _MAIL:
            return self._controls.deliver(address, await request.read())
        letter = read_letter(await _json(request))
        raw = write_mail(letter, address, self._controls.tenant.clock())
        return self._controls.deliver(address, raw, folder=letter.folder, received_at=letter.received_at)

    async def mark(self, request: web.Request) -> Any:
        wanted = await _read(request, _MarkRequest)
        return self._controls.mark(request.match_info["address"], request.match_info["id"], is_read=wanted.is_read)

    async def delete(self, request: web.Request) -> Any:
        return self._controls.delete(request.match_info["address"], request.match_info["id"])

    async def move(self, request: web.Request) -> Any:
        wanted = await _read(request, _FolderRequest)
        return self._controls.move(request.match_info["address"], request.match_info["id"], wanted.folder)

    async def samples(self, _: web.Request) -> Any:
        return {"delivered": self._controls.deliver_samples()}


def _answering(handler: Callable[[web.Request], Awaitable[Any]]) -> _Handler:
    """Answer 200 with JSON, 204 with nothing; 400 and 404 say what is wrong."""

    async def answer(request: web.Request) -> web.Response:
        try:
            found = await handler(request)
        except StateError as error:
            return web.json_response({"error": error.message}, status=404)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.Response(status=204) if found is None else web.json_response(found)

    return answer


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("The body is not a JSON object.") from None


async def _read(request: web.Request, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(await _json(request), shape)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 12:  # noqa: PLR2004 - far beyond any count
        raise ValueError(f"{name} is not a number")
    return int(text)
