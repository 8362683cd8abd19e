"""Mail folders over real HTTP."""

import pytest

from support.exchanges import NOT_LISTED


async def test_the_folders_under_the_root_are_listed_without_hidden_ones(graph):
    found = await graph.get("/mailFolders?$top=50")
    names = [one["displayName"] for one in found["value"]]
    assert {"Inbox", "Drafts", "Sent Items", "Deleted Items", "Junk Email", "Archive", "Outbox"} <= set(names)
    assert not {"Clutter", "Deletions", "Conflicts"} & set(names)
    assert not any(one["isHidden"] for one in found["value"])
    hidden = await graph.get("/mailFolders?$top=50&includeHiddenFolders=true")
    assert "Clutter" in [one["displayName"] for one in hidden["value"]]


async def test_folders_come_in_pages(graph):
    first = await graph.get("/mailFolders?$top=3&$select=displayName")
    assert [set(one) for one in first["value"]] == [{"id", "displayName"}] * 3
    second = await graph.get(first["@odata.nextLink"])
    assert not {one["id"] for one in first["value"]} & {one["id"] for one in second["value"]}


@pytest.mark.parametrize("name", ["inbox", "SentItems", "recoverableitemsdeletions", "msgfolderroot", "conflicts"])
async def test_a_folder_is_found_by_well_known_name_and_by_id(graph, name):
    folder = await graph.get(f"/mailFolders/{name}")
    assert await graph.get(f"/mailFolders('{folder['id']}')") == folder


async def test_folders_are_created_at_the_root_and_under_others(graph, ann, state):
    made = await graph("POST", "/mailFolders", body={"displayName": "Done / kept"})
    assert (made.status, made.json["parentFolderId"]) == (201, ann.root.id)
    under = await graph("POST", f"/mailFolders/{made.json['id']}/childFolders", body={"displayName": "2026"})
    assert (under.status, under.json["parentFolderId"]) == (201, made.json["id"])
    listed = await graph.get(f"/mailFolders/{made.json['id']}/childFolders?$filter=displayName%20eq%20'2026'")
    assert [one["id"] for one in listed["value"]] == [under.json["id"]]
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n", folder=under.json["id"])
    nested = f"/mailFolders/{made.json['id']}/childFolders/{under.json['id']}"
    assert (await graph.get(nested))["totalItemCount"] == 1
    assert len((await graph.get(f"{nested}/messages", unjudged=NOT_LISTED))["value"]) == 1


async def test_a_name_that_is_taken_is_a_conflict(graph):
    answer = await graph("POST", "/mailFolders", body={"displayName": "INBOX"})
    assert (answer.status, answer.code) == (409, "ErrorFolderExists")


@pytest.mark.parametrize("body", [{}, {"displayName": ""}, {"displayName": 1}, {"displayName": "x" * 256}])
async def test_a_folder_must_have_a_proper_name(graph, body):
    assert (await graph("POST", "/mailFolders", body=body)).status == 400


async def test_counts_follow_the_messages(graph, ann, state):
    stored = [state.deliver_mime(ann.address, b"Subject: x\r\n\r\n") for _ in range(3)]
    ann.update(stored[0], is_read=True)
    ann.move(stored[1], ann.folder("archive"))
    inbox, archive = await graph.get("/mailFolders/inbox"), await graph.get("/mailFolders/archive")
    assert (inbox["totalItemCount"], inbox["unreadItemCount"]) == (2, 1)
    assert (archive["totalItemCount"], archive["unreadItemCount"]) == (1, 1)
