from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from postroom.errors import Conflict, Forbidden, Unavailable
from postroom.graph.changes import changes
from postroom.graph.mail import MailboxMail
from postroom.graph.wire import WireFlag, WireState
from postroom.model import Categorise, Delete, Flag, MarkRead, MoveTo


class OneMessage:
    """A message on the scripted Graph that can be read, changed, moved and deleted."""

    def __init__(self, graph):
        self.state = {
            "id": "M1",
            "parentFolderId": "F-inbox",
            "isRead": False,
            "categories": ["Red"],
            "flag": {"flagStatus": "notFlagged"},
        }
        self.folders = {"F-done": "Done"}
        self.writes = []
        graph.default = self.handle

    async def handle(self, request):
        path = unquote(request.path)
        if "/mailFolders" in path:
            return await self.folder(request)
        if self.state is None:
            return web.json_response({"error": {"code": "ErrorItemNotFound", "message": ""}}, status=404)
        return await self.message(request, path)

    async def folder(self, request):
        if request.method == "POST":
            name = json.loads(await request.text())["displayName"]
            self.folders[f"F-{name}"] = name
            return web.json_response({"id": f"F-{name}", "displayName": name}, status=201)
        return web.json_response({"value": [{"id": key, "displayName": name} for key, name in self.folders.items()]})

    async def message(self, request, path):
        if request.method == "GET":
            return web.json_response(self.state)
        self.writes.append(request.method)
        if request.method == "DELETE":
            self.state = None
            return web.Response(status=204)
        body = json.loads(await request.text())
        if path.endswith("/move"):
            if body["destinationId"] not in self.folders:
                return web.json_response({"error": {"code": "ErrorItemNotFound", "message": ""}}, status=404)
            self.state["parentFolderId"] = body["destinationId"]
            return web.json_response(self.state, status=201)
        self.state.update(body)
        return web.json_response(self.state)


@pytest.fixture
def message(graph):
    return OneMessage(graph)


@pytest.fixture
def mail(message, client, kit):
    return MailboxMail(client, kit.mailbox)


ALL = [MarkRead(), Categorise(("Blue", "red")), Flag("complete"), MoveTo("Done")]


async def test_all_that_can_share_a_patch_does_and_the_move_comes_last(mail, message, graph):
    done = await mail.act("M1", ALL)
    assert message.writes == ["PATCH", "POST"]
    assert message.state["isRead"] is True
    assert message.state["categories"] == ["Red", "Blue"]
    assert message.state["flag"] == {"flagStatus": "complete"}
    assert message.state["parentFolderId"] == "F-done"
    assert done == "marked read, categorised Blue, flag set to complete, moved to Done"
    assert all("ImmutableId" in each.headers["Prefer"] for each in graph.seen if "/messages/" in each.path)


async def test_doing_it_again_writes_nothing(mail, message):
    await mail.act("M1", ALL)
    message.writes.clear()
    assert await mail.act("M1", ALL) == "nothing to do"
    assert message.writes == []


async def test_a_message_that_is_gone_needs_nothing(mail, message):
    message.state = None
    assert await mail.act("M1", ALL) == "the message is gone"


async def test_a_message_is_deleted_once(mail, message):
    assert await mail.act("M1", [MarkRead(), MoveTo("Done"), Delete()]) == "marked read, deleted"
    assert await mail.act("M1", [Delete()]) == "the message is gone"
    assert message.writes == ["PATCH", "DELETE"]


async def test_a_folder_that_is_missing_is_made(mail, message):
    await mail.act("M1", [MoveTo("Processed")])
    assert message.state["parentFolderId"] == "F-Processed"


async def test_a_folder_that_vanished_is_looked_up_again(mail, message):
    await mail.act("M1", [MoveTo("Done")])
    message.state["parentFolderId"] = "F-inbox"
    message.folders = {"F-done2": "Done"}
    await mail.act("M1", [MoveTo("Done")])
    assert message.state["parentFolderId"] == "F-done2"


async def test_a_concurrent_write_is_read_again_and_nothing_of_it_is_lost(mail, message, graph, kit):
    def conflict(request):
        message.state["categories"] = ["Red", "Green"]
        return kit.failure(409, "ErrorIrresolvableConflict")(request)

    graph.script = [message.handle, conflict]
    await mail.act("M1", [Categorise(("Blue",))])
    assert message.state["categories"] == ["Red", "Green", "Blue"]


async def test_endless_conflicts_end(mail, message, graph, kit):
    graph.script = [message.handle, kit.failure(412, "ErrorIrresolvableConflict")] * 9
    with pytest.raises(Conflict):
        await mail.act("M1", [MarkRead()])
    assert len(graph.seen) == 6


async def test_a_move_of_which_the_answer_was_lost_is_not_sent_blindly_again(mail, message, graph, kit):
    async def lost(request):
        await message.handle(request)
        return kit.failure(503, "serviceNotAvailable")(request)

    graph.script = [message.handle, message.handle, lost]
    with pytest.raises(Unavailable):
        await mail.act("M1", [MoveTo("Done")])
    assert await mail.act("M1", [MoveTo("Done")]) == "nothing to do"
    assert message.writes == ["POST"]


@pytest.mark.parametrize("wanted", [MarkRead(), MoveTo("Done"), Delete()])
@pytest.mark.parametrize("body", [b"", b"<html>Welcome to the hotel</html>", b'{"id": "M1"}'])
async def test_nothing_is_done_that_something_else_than_graph_says_is_done(mail, message, *, graph, kit, wanted, body):
    def portal(request):
        return kit.foreign(body, 204 if request.method == "DELETE" and not body else 200)(request)

    graph.default = lambda request: message.handle(request) if request.method == "GET" else portal(request)
    with pytest.raises(Unavailable):
        await mail.act("M1", [wanted])
    graph.default = message.handle
    assert await mail.act("M1", [wanted]) != "nothing to do"


async def test_a_missing_permission_is_told(mail, graph, kit):
    graph.default = kit.failure(403, "ErrorAccessDenied")
    with pytest.raises(Forbidden):
        await mail.act("M1", [MarkRead()])


NAMES = st.sampled_from(["Red", "red", "Blue", "Green"])
ACTIONS = st.lists(
    st.builds(MarkRead, st.booleans())
    | st.builds(Flag, st.sampled_from(["flagged", "complete", "notFlagged"]))
    | st.builds(Categorise, st.lists(NAMES).map(tuple))
    | st.builds(MoveTo, st.sampled_from(["A", "B"]))
    | st.just(Delete())
)
STATES = st.builds(
    WireState,
    id=st.just("M1"),
    is_read=st.none() | st.booleans(),
    categories=st.none() | st.lists(st.none() | NAMES),
    flag=st.none() | st.builds(WireFlag, st.none() | st.just("flagged")),
)


@given(STATES, ACTIONS)
def test_once_patched_nothing_is_left_to_patch(state, actions):
    patch = changes(state, actions).patch
    flag = WireFlag(patch["flag"]["flagStatus"]) if "flag" in patch else state.flag
    after = WireState("M1", None, patch.get("isRead", state.is_read), patch.get("categories", state.categories), flag)
    assert changes(after, actions).patch == {}


@given(STATES, ACTIONS)
def test_no_category_is_ever_taken_away(state, actions):
    kept = [name for name in state.categories or () if name]
    assert changes(state, actions).patch.get("categories", kept)[: len(kept)] == kept


def test_the_last_word_counts():
    state = WireState("M1", is_read=True)
    wanted = changes(state, [MarkRead(False), MoveTo("A"), MarkRead(True), MoveTo("B")])
    assert (wanted.patch, wanted.destination, wanted.delete) == ({}, "B", False)
