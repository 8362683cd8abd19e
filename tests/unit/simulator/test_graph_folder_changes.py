"""Renaming, moving, copying and deleting mail folders, search folders, counts, and names in other languages."""

import pytest

from support.exchanges import TEXT_COUNT


async def make(graph, name, under="", **more):
    path = f"/mailFolders/{under}/childFolders" if under else "/mailFolders"
    answer = await graph("POST", path, body={"displayName": name, **more})
    assert answer.status == 201, answer.data
    return answer.json


async def children(graph, folder):
    return [one["displayName"] for one in (await graph.get(f"/mailFolders/{folder}/childFolders"))["value"]]


async def test_a_folder_can_be_renamed_and_keeps_its_id(graph):
    folder = await make(graph, "Bills")
    renamed = await graph("PATCH", f"/mailFolders/{folder['id']}", body={"displayName": "Paid bills"})
    assert (renamed.status, renamed.json["displayName"], renamed.json["id"]) == (200, "Paid bills", folder["id"])


async def test_a_folder_cannot_take_the_name_of_a_sibling(graph):
    await make(graph, "Bills")
    other = await make(graph, "Orders")
    answer = await graph("PATCH", f"/mailFolders/{other['id']}", body={"displayName": "bills"})
    assert (answer.status, answer.code) == (409, "ErrorFolderExists")


async def test_a_folder_keeps_its_id_when_it_is_moved(graph, ann, state):
    folder = await make(graph, "Bills")
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n", folder=folder["id"])
    moved = await graph("POST", f"/mailFolders/{folder['id']}/move", body={"destinationId": "archive"})
    assert (moved.status, moved.json["id"], moved.json["totalItemCount"]) == (201, folder["id"], 1)
    assert moved.json["parentFolderId"] == ann.folder("archive").id
    assert await children(graph, "archive") == ["Bills"]


async def test_a_folder_cannot_be_moved_into_itself(graph):
    outer = await make(graph, "outer")
    inner = await make(graph, "inner", under=outer["id"])
    for destination in (outer, inner):
        for action in ("move", "copy"):
            path = f"/mailFolders/{outer['id']}/{action}"
            answer = await graph("POST", path, body={"destinationId": destination["id"]})
            assert (answer.status, answer.code) == (400, "ErrorInvalidOperation")


async def test_a_copy_of_a_folder_has_its_messages_and_folders(graph, ann, state):
    outer = await make(graph, "outer")
    inner = await make(graph, "inner", under=outer["id"])
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n", folder=inner["id"])
    copied = await graph("POST", f"/mailFolders/{outer['id']}/copy", body={"destinationId": "archive"})
    assert copied.status == 201
    below = (await graph.get(f"/mailFolders/{copied.json['id']}/childFolders"))["value"]
    assert [(one["displayName"], one["totalItemCount"]) for one in below] == [("inner", 1)]
    assert stored.folder.id == inner["id"]


async def test_a_deleted_folder_lies_in_deleted_items_and_is_gone_when_deleted_there(graph, ann, state):
    folder = await make(graph, "Bills")
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n", folder=folder["id"])
    assert (await graph("DELETE", f"/mailFolders/{folder['id']}")).status == 204
    assert await children(graph, "deleteditems") == ["Bills"]
    assert (await graph.get(f"/mailFolders/{folder['id']}"))["totalItemCount"] == 1
    assert (await graph("DELETE", f"/mailFolders/{folder['id']}")).status == 204
    assert (await graph("GET", f"/mailFolders/{folder['id']}")).code == "ErrorItemNotFound"
    assert not ann.messages


async def test_a_folder_is_deleted_even_if_deleted_items_has_one_of_its_name(graph):
    for _ in range(2):
        folder = await make(graph, "Bills")
        assert (await graph("DELETE", f"/mailFolders/{folder['id']}")).status == 204
    assert await children(graph, "deleteditems") == ["Bills", "Bills1"]


async def test_a_folder_can_be_deleted_for_good_at_once(graph):
    folder = await make(graph, "Bills")
    assert (await graph("POST", f"/mailFolders/{folder['id']}/permanentDelete")).status == 204
    assert (await graph("GET", f"/mailFolders/{folder['id']}")).status == 404


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [
        ("DELETE", "", None),
        ("PATCH", "", {"displayName": "Mine"}),
        ("POST", "/move", {"destinationId": "archive"}),
        ("POST", "/permanentDelete", None),
    ],
)
async def test_a_folder_that_every_mailbox_has_stays(graph, method, tail, body):
    answer = await graph(method, f"/mailFolders/inbox{tail}", body=body)
    assert (answer.status, answer.code) == (400, "ErrorDeleteDistinguishedFolder")


async def test_hidden_folders_are_created_and_left_out_of_lists(graph):
    await make(graph, "secret", isHidden=True)
    listed = await graph.get("/mailFolders?$filter=displayName%20eq%20'secret'")
    assert listed["value"] == []
    shown = await graph.get("/mailFolders?$filter=displayName%20eq%20'secret'&includeHiddenFolders=true")
    assert [one["isHidden"] for one in shown["value"]] == [True]


async def test_folders_are_ordered_by_name(graph):
    for name in ("b", "C", "a"):
        await make(graph, name, under="archive")
    found = await graph.get("/mailFolders/archive/childFolders?$orderby=displayName%20desc&$select=displayName")
    assert [one["displayName"] for one in found["value"]] == ["b", "a", "C"]


async def test_folders_are_counted(graph, ann):
    await make(graph, "one", under="archive")
    assert (await graph("GET", "/mailFolders/archive/childFolders/$count", unjudged=TEXT_COUNT)).data == b"1"
    everything = await graph.get("/mailFolders?$top=100&$count=true")
    assert everything["@odata.count"] == len(everything["value"])
    assert int((await graph("GET", "/mailFolders/$count", unjudged=TEXT_COUNT)).data) == len(everything["value"])


async def test_child_folders_can_be_expanded(graph):
    outer = await make(graph, "outer")
    await make(graph, "inner", under=outer["id"])
    found = await graph.get(f"/mailFolders/{outer['id']}?$expand=childFolders")
    assert [one["displayName"] for one in found["childFolders"]] == ["inner"]


async def test_a_search_folder_shows_what_its_filter_finds_in_other_folders(graph, ann, state):
    stored = state.deliver_mime(ann.address, b"Subject: weekly digest\r\n\r\n")
    state.deliver_mime(ann.address, b"Subject: other\r\n\r\n")
    search = await make(
        graph,
        "digests",
        under="searchfolders",
        **{
            "@odata.type": "#microsoft.graph.mailSearchFolder",
            "includeNestedFolders": True,
            "sourceFolderIds": [ann.root.id],
            "filterQuery": "contains(subject, 'weekly digest')",
        },
    )
    assert (search["@odata.type"], search["totalItemCount"]) == ("#microsoft.graph.mailSearchFolder", 1)
    found = await graph.get(f"/mailFolders/{search['id']}/messages")
    assert [one["id"] for one in found["value"]] == [ann.default_id(stored)]
    other = {"@odata.type": "#microsoft.graph.mailSearchFolder", "filterQuery": "isRead eq true"}
    assert (await graph("PATCH", f"/mailFolders/{search['id']}", body=other)).json["totalItemCount"] == 0
    assert (await graph("GET", f"/mailFolders/{search['id']}/messages/delta")).status == 400
    refused = await graph("POST", f"/messages/{ann.default_id(stored)}/move", body={"destinationId": search["id"]})
    assert refused.status == 400


async def test_a_folder_is_named_in_the_language_of_its_mailbox_and_found_by_its_well_known_name(graph, state):
    anna = state.add_mailbox("anna@contoso.example", "Anna", language="de")
    found = await graph.get(f"{graph.root}/users/{anna.address}/mailFolders/inbox")
    assert (found["displayName"], found["id"]) == ("Posteingang", anna.folder("inbox").id)
    anna.folders.speak("ja")
    assert (await graph.get(f"{graph.root}/users/{anna.address}/mailFolders/inbox"))["displayName"] == "受信トレイ"


def test_a_mailbox_speaks_only_languages_there_are(state):
    with pytest.raises(ValueError, match="may speak"):
        state.add_mailbox("x@contoso.example", language="tlh")


@pytest.mark.parametrize(
    "body", [{"displayName": ""}, {"displayName": 5}, {"displayName": "x", "isHidden": "no"}, {"@odata.type": 5}]
)
async def test_a_folder_that_makes_no_sense_is_refused(graph, body):
    assert (await graph("POST", "/mailFolders", body=body)).status == 400


@pytest.mark.parametrize(
    "wrong", [{"filterQuery": "nonsense"}, {"sourceFolderIds": []}, {"sourceFolderIds": "inbox"}, {"filterQuery": 1}]
)
async def test_a_search_folder_that_makes_no_sense_is_refused(graph, wrong):
    right = {"includeNestedFolders": False, "sourceFolderIds": ["inbox"], "filterQuery": "isRead eq true"}
    body = {"displayName": "s", "@odata.type": "microsoft.graph.mailSearchFolder", **right, **wrong}
    assert (await graph("POST", "/mailFolders", body=body)).status == 400
