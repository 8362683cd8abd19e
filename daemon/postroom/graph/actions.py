"""Mail actions carried out: read, compare, write what differs. Doing it twice does no more than doing it once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from postroom.errors import Conflict, GraphError, NotFound
from postroom.failpoints import reach
from postroom.graph.call import Call
from postroom.graph.changes import Changes, changes
from postroom.graph.classify import item_is_gone
from postroom.graph.client import GraphClient
from postroom.graph.decode import decode
from postroom.graph.folders import Folders
from postroom.graph.tolerant import dumps
from postroom.graph.urls import STATE_FIELDS, Urls
from postroom.graph.wire import WireState
from postroom.model import MailAction
from postroom.ports import GONE

NOTHING = "nothing to do"

_JSON = {"Content-Type": "application/json"}
_TRIES = 3


class Actions:
    """Writes to the messages of one mailbox; `headers` ask for immutable ids."""

    def __init__(
        self, client: GraphClient, urls: Urls, folders: Folders, mailbox: str, headers: Mapping[str, str]
    ) -> None:
        self._client = client
        self._urls = urls
        self._folders = folders
        self._mailbox = mailbox
        self._headers = headers

    async def act(self, message_id: str, actions: Sequence[MailAction]) -> str:
        """Carry the actions out and say what was done; a concurrent write (409, 412) is read again and retried."""
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                return await self._once(message_id, actions)
            except Conflict:
                if last:
                    raise
            except NotFound as error:
                if not item_is_gone(error):
                    raise
                if await self._read(message_id) is None:
                    return GONE
                if last:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def _once(self, message_id: str, actions: Sequence[MailAction]) -> str:
        state = await self._read(message_id)
        if state is None:
            return GONE
        wanted = changes(state, actions)
        if wanted.patch:
            await self._change("PATCH", self._urls.message(message_id), "changing", dumps(wanted.patch), success=200)
        done = [*wanted.notes, *await self._place(message_id, state, wanted)]
        return ", ".join(done) or NOTHING

    async def _place(self, message_id: str, state: WireState, wanted: Changes) -> list[str]:
        """Delete the message or move it, last of all, for what comes after might not find it."""
        if wanted.delete:
            await self._send("DELETE", self._urls.message(message_id), "deleting", success=204)
            return ["deleted"]
        if wanted.destination is None:
            return []
        folder_id = await self._folders.ensure(wanted.destination)
        if folder_id == state.parent_folder_id:
            return []
        await self._move(message_id, folder_id)
        return [f"moved to {wanted.destination}"]

    async def _move(self, message_id: str, folder_id: str) -> None:
        """Move; a 404 may be the folder's, so its id is looked up again before the next try."""
        body = dumps({"destinationId": folder_id})
        try:
            await self._change("POST", self._urls.move(message_id), "moving", body, success=201)
        except NotFound:
            self._folders.forget(folder_id)
            raise

    async def _read(self, message_id: str) -> WireState | None:
        """Return the message as it is now, or None when it is gone."""
        doing = f"reading a message of {self._mailbox}"
        try:
            body = await self._client.fetch(
                Call("GET", self._urls.message(message_id, STATE_FIELDS), self._mailbox, doing, self._headers)
            )
        except GraphError as error:
            if item_is_gone(error):
                return None
            raise
        return decode(WireState, body, doing=doing, mailbox=self._mailbox)

    async def _change(self, method: str, url: str, verb: str, body: bytes, *, success: int) -> None:
        """Write, and believe it only when Graph answers with the message."""
        answer = await self._send(method, url, verb, body, success=success)
        decode(WireState, answer, doing=f"{verb} a message of {self._mailbox}", mailbox=self._mailbox)

    async def _send(self, method: str, url: str, verb: str, body: bytes | None = None, *, success: int) -> bytes:
        """Write; a POST may have been carried out, and is not sent again blindly."""
        headers = {**self._headers, **_JSON} if body is not None else self._headers
        doing = f"{verb} a message of {self._mailbox}"
        reach("action.writing")
        call = Call(method, url, self._mailbox, doing, headers, body, repeatable=method != "POST", success=success)
        answer = await self._client.fetch(call)
        reach("action.answered")
        return answer
