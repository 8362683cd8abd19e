"""Large attachments: an upload session, and the ranges put to its URL (LEARN outlook-large-attachments).

The URL carries its own permission and lies outside ``/v1.0``, where the real one is on another host. An Authorization
header there is ignored: clients send one when, as here, host and port are those of Graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aiohttp import web

from postroom.simulator.graph.answers import graph_middlewares, json_answer
from postroom.simulator.graph.attachment_input import LARGEST_FILE
from postroom.simulator.graph.attachments import add_enclosure
from postroom.simulator.graph.call import WRITE, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_input import check_known, text, wrong
from postroom.simulator.graph.message_names import read_body
from postroom.simulator.graph.sending import too_large
from postroom.simulator.state import Enclosure, TenantState, UnknownMessage, Upload
from postroom.simulator.state.ids import attachment_id

UPLOADS = "/api/gv1.0"
"""Where the upload URLs are mounted."""
LARGEST_UPLOAD = 150 * 1024 * 1024
_RANGE = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12})\Z", re.ASCII)
_ITEM = frozenset({"attachmentType", "name", "size", "contentType", "isInline", "contentId"})


async def _create(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    message = call.message(mailbox)
    file, size = _announced(await read_body(call))
    upload = call.state.uploads.begin(mailbox, call.path.keys["messages"], message.item, file, size)
    body = {
        "@odata.context": f"{call.base}/$metadata#microsoft.graph.uploadSession",
        "uploadUrl": f"{_root(call.request)}{_place(upload)}/AttachmentSessions('{upload.token[:32]}')"
        f"?authtoken={upload.token}",
        **_progress(upload),
    }
    return call.answer(body, status=201)


def _announced(body: Mapping[str, Any]) -> tuple[Enclosure, int]:
    """Read what is to be uploaded, and its size; raises GraphFault 400 or 413."""
    check_known(body, frozenset({"attachmentItem"}), "createUploadSession")
    item = body.get("attachmentItem")
    if not isinstance(item, dict):
        raise bad_request("The parameter 'AttachmentItem' is required.", "ErrorInvalidParameter")
    check_known(item, _ITEM, "attachmentItem")
    size = int(item["size"]) if re.fullmatch(r"\d{1,15}", str(item.get("size")), re.ASCII) else -1
    name = text("name", item.get("name"))
    if str(item.get("attachmentType", "file")).lower() != "file" or size < 0 or not name.strip():
        raise wrong("attachmentItem")
    if size < LARGEST_FILE:
        raise bad_request(
            "A file of under 3 MB is attached by one POST.", "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
        )
    if size > LARGEST_UPLOAD:
        raise GraphFault(413, "ErrorAttachmentSizeLimitExceeded", "A file may have 150 MB at most.")
    kind = text("contentType", item.get("contentType")) or "application/octet-stream"
    content_id = text("contentId", item.get("contentId"))
    return Enclosure(name, kind, content_id=content_id, inline=item.get("isInline") is True), size


def upload_application(state: TenantState, largest: int = LARGEST_UPLOAD) -> web.Application:
    """Return the application behind the upload URLs, to be mounted under `UPLOADS`; it asks for no bearer token."""

    async def serve(request: web.Request) -> web.StreamResponse:
        upload = state.uploads.find(request.query.get("authtoken", ""))
        if upload is None:
            raise GraphFault(404, "ErrorItemNotFound", "The upload session is not found or has expired.")
        handle = _METHODS.get(request.method)
        if handle is None:
            raise GraphFault(405, "ErrorInvalidRequest", f"The method {request.method} is not allowed here.")
        return await handle(request, state, upload)

    application = web.Application(middlewares=graph_middlewares(), client_max_size=largest + 1024)
    application.router.add_route("*", "/{path:.*}", serve)
    return application


async def _put(request: web.Request, state: TenantState, upload: Upload) -> web.StreamResponse:
    """Take a range in; with the last one the file is attached, and Location says where."""
    piece = await request.read()
    _check_range(request, upload, piece)
    message = upload.mailbox.find(upload.item)
    if message is None:
        raise UnknownMessage("The message of the upload session is gone.")
    if message.size + upload.received + len(piece) > upload.mailbox.largest_message:
        raise too_large()
    state.uploads.take(upload, piece)
    if upload.received < upload.size:
        return _status(request, upload)
    whole = replace(upload.file, data=state.uploads.data(upload))
    state.uploads.end(upload)
    part = add_enclosure(upload.mailbox, message, whole)
    name = attachment_id(upload.message, part.number)
    where = f"{_root(request)}{_place(upload)}/Attachments('{name}')"
    return web.Response(status=201, headers={"Location": where})


def _check_range(request: web.Request, upload: Upload, piece: bytes) -> None:
    """Refuse a range that is not the next one, or not what its header says."""
    match = _RANGE.match(request.headers.get("Content-Range", ""))
    if match is None:
        raise bad_request("The header Content-Range must be 'bytes {start}-{end}/{total}'.", "ErrorInvalidRequest")
    start, end, total = (int(number) for number in match.groups())
    if total != upload.size or end >= total or end - start + 1 != len(piece):
        raise bad_request("The header Content-Range does not fit the session or the content.", "ErrorInvalidRequest")
    if start != upload.received:
        raise GraphFault(
            416, "ErrorInvalidRange", f"Ranges must come in order; the next one begins at {upload.received}."
        )


async def _get(request: web.Request, _state: TenantState, upload: Upload) -> web.StreamResponse:
    return _status(request, upload)


async def _delete(_request: web.Request, state: TenantState, upload: Upload) -> web.StreamResponse:
    state.uploads.end(upload)
    return web.Response(status=204)


def _status(request: web.Request, upload: Upload) -> web.Response:
    """Say what is missing: as Graph spells it and as the pages that show this host's answers do."""
    progress = _progress(upload)
    shown = {name[0].upper() + name[1:]: value for name, value in progress.items()}
    context = f"{_root(request)}/$metadata#{_place(upload)[1:]}/AttachmentSessions/$entity"
    return json_answer(request, {"@odata.context": context, **progress, **shown})


def _progress(upload: Upload) -> dict[str, Any]:
    following = str(upload.received) if upload.received else "0-"
    return {
        "expirationDateTime": upload.expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "nextExpectedRanges": [following],
    }


def _root(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}{UPLOADS}"


def _place(upload: Upload) -> str:
    return f"/users('{upload.mailbox.id}')/messages('{quote(upload.message, safe='=-_')}')"


_METHODS = {"PUT": _put, "GET": _get, "DELETE": _delete}

OPERATIONS: Operations = {
    ("POST", f"{parent}messages/*/attachments/createuploadsession"): Operation(_create, WRITE)
    for parent in ("users/*/", "users/*/mailfolders/*/")
}
