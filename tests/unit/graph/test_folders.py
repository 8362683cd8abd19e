from __future__ import annotations

import asyncio
import json
from urllib.parse import unquote

import pytest
from aiohttp import web

from postroom.errors import Conflict, Forbidden, NotFound
from postroom.graph.folders import REMEMBERED, Folders, match, well_known
from postroom.graph.mail import MailboxMail
from postroom.graph.urls import Urls

TREE = {
    "F-inbox": (None, "Posteingang"),
    "F-done": ("F-inbox", "Done"),
    "F-2026": ("F-done", "2026"),
    "F-slash": ("F-inbox", "A/B"),
    "F-top": (None, "Projects"),
}


class FolderTree:
    """Folders of a mailbox on the scripted Graph, two a page."""

    def __init__(self, graph):
        self.graph = graph
        self.folders = dict(TREE)
        self.made = []
        graph.default = self.handle

    async def handle(self, request):
        parts = unquote(request.path).split("/")[5:]
        if request.method == "POST":
            return self.make(None if not parts else parts[0], json.loads(await request.text())["displayName"])
        if len(parts) == 1:
            found = {"inbox": "F-inbox"}.get(parts[0])
            return self.answer(found) if found else self.missing()
        return self.children(parts[0] if parts else None, request)

    def children(self, parent, request):
        start = int(request.query.get("$skip", 0))
        ids = [each for each, (above, _) in self.folders.items() if above == parent]
        page = {"value": [{"id": each, "displayName": self.folders[each][1]} for each in ids[start : start + 2]]}
        if len(ids) > start + 2:
            page["@odata.nextLink"] = f"{self.graph.url}{request.path}?$skip={start + 2}"
        return web.json_response(page)

    def make(self, parent, name):
        if any(each == (parent, name) for each in self.folders.values()):
            return web.json_response({"error": {"code": "ErrorFolderExists", "message": ""}}, status=409)
        self.folders[f"N-{name}"] = (parent, name)
        self.made.append(name)
        return self.answer(f"N-{name}", 201)

    def answer(self, folder, status=200):
        return web.json_response({"id": folder, "displayName": self.folders[folder][1]}, status=status)

    def missing(self):
        return web.json_response({"error": {"code": "ErrorItemNotFound", "message": ""}}, status=404)


@pytest.fixture
def tree(graph):
    return FolderTree(graph)


@pytest.fixture
def folders(tree, client, kit):
    return Folders(client, Urls(client.root, kit.mailbox), kit.mailbox)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Inbox", "F-inbox"),
        ("inbox", "F-inbox"),
        ("IN box", "F-inbox"),
        ("Posteingang", "F-inbox"),
        ("Inbox/Done", "F-done"),
        ("inbox / DONE/2026", "F-2026"),
        ("Inbox/A/B", "F-slash"),
        ("Projects", "F-top"),
    ],
)
async def test_a_folder_is_found_by_well_known_name_or_path(folders, name, folder):
    assert await folders.find(name) == folder


async def test_a_folder_made_anew_under_the_same_name_is_found_after_a_while(folders, tree, clock):
    assert await folders.find("Inbox/Done") == "F-done"
    tree.folders["F-anew"] = tree.folders.pop("F-done")
    await clock.sleep(REMEMBERED - 1)
    assert await folders.find("Inbox/Done") == "F-done"
    await clock.sleep(1)
    assert await folders.find("Inbox/Done") == "F-anew"


async def test_a_folder_is_looked_up_once(folders, graph):
    await folders.find("Inbox/Done")
    asked = len(graph.seen)
    await folders.find("inbox/done")
    assert len(graph.seen) == asked
    folders.forget("F-done")
    await folders.find("Inbox/Done")
    assert len(graph.seen) > asked


async def test_a_missing_part_is_named_with_what_comes_near(folders):
    with pytest.raises(NotFound) as caught:
        await folders.find("Inbox/Don/2026")
    assert "'Don'" in str(caught.value)
    assert "'Done'" in caught.value.remedy
    assert caught.value.code == "FolderNotFound"


@pytest.mark.parametrize("name", ["", "/", " / "])
async def test_an_empty_name_is_no_folder(folders, name):
    with pytest.raises(NotFound):
        await folders.find(name)


async def test_missing_folders_are_made_where_a_mail_is_to_go(folders, tree):
    assert await folders.ensure("Inbox/Done/2027/May") == "N-May"
    assert tree.made == ["2027", "May"]
    assert tree.folders["N-May"] == ("N-2027", "May")
    assert await folders.ensure("Archive") == "N-Archive", "a well-known folder that is not there is made by name"


async def test_two_who_want_the_same_new_folder_make_it_once(folders, tree):
    found = await asyncio.gather(*(folders.ensure("New") for _ in range(5)))
    assert set(found) == {"N-New"}
    assert tree.made == ["New"]


async def test_a_folder_that_somebody_else_made_meanwhile_is_taken(folders, tree, graph):
    def taken(request):
        tree.folders["X-New"] = (None, "new")
        return tree.make(None, "new")

    graph.script = [tree.handle, taken]
    assert await folders.ensure("New") == "X-New"


async def test_a_conflict_that_leaves_no_folder_is_told(folders, graph, kit):
    graph.script = [kit.answer({"value": []}), kit.failure(409, "ErrorFolderExists"), kit.answer({"value": []})]
    with pytest.raises(Conflict):
        await folders.ensure("New")


async def test_no_permission_is_not_taken_for_a_missing_folder(folders, graph, kit):
    graph.default = kit.failure(403, "ErrorAccessDenied")
    with pytest.raises(Forbidden):
        await folders.find("Inbox")


async def test_an_unknown_mailbox_is_not_taken_for_a_missing_folder(folders, graph, kit):
    graph.default = kit.failure(404, "ErrorInvalidUser")
    with pytest.raises(NotFound) as caught:
        await folders.find("Inbox")
    assert caught.value.code == "ErrorInvalidUser"


async def test_a_folder_that_vanished_is_looked_up_again(tree, graph, client, kit):
    mail = MailboxMail(client, kit.mailbox)
    folder_id = await mail.folder_id("Inbox/Done")
    graph.script = [kit.failure(404, "ErrorItemNotFound")]
    with pytest.raises(NotFound):
        await mail.delta_page("Inbox/Done", folder_id, None, 10)
    tree.folders = {("F-done2" if key == "F-done" else key): value for key, value in tree.folders.items()}
    assert await mail.folder_id("Inbox/Done") == "F-done2"


def test_well_known_names_are_known_in_any_spelling():
    assert well_known("Sent Items") == "sentitems"
    assert well_known("DELETEDITEMS") == "deleteditems"
    assert well_known("Invoices") is None


def test_the_longest_name_that_fits_is_taken():
    names = {"a": "1", "a/b": "2"}
    assert match(names, ["A", "B", "C"]) == ("2", 2)
    assert match(names, ["a", "c"]) == ("1", 1)
    assert match(names, ["c"]) is None
