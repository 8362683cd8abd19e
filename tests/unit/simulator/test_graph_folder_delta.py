"""mailFolders/delta over real HTTP."""

import pytest

from postroom.simulator.state.filing import move_folder, purge_folder, rename_folder

DELTA = "/mailFolders/delta"


async def test_the_first_round_lists_the_whole_tree_flat_in_pages(graph, ann):
    outer = ann.create_folder("outer")
    ann.create_folder("inner", outer)
    page = await graph.get(f"{DELTA}?$select=displayName", prefer="odata.maxpagesize=4")
    assert len(page["value"]) == 4
    rest, _ = await graph.round(page["@odata.nextLink"], prefer="odata.maxpagesize=4")
    names = [one["displayName"] for one in page["value"] + rest]
    assert {"Inbox", "outer", "inner"} <= set(names)
    assert not {"Clutter", "Top of Information Store"} & set(names)
    assert all(one.keys() == {"@odata.type", "id", "displayName"} for one in rest)


async def test_creations_renames_moves_and_removals_of_folders_are_told(graph, ann):
    kept, gone = ann.create_folder("kept"), ann.create_folder("gone")
    _, link = await graph.round(DELTA)
    assert await graph.round(link) == ([], link)
    rename_folder(ann, kept, "renamed")
    move_folder(ann, kept, ann.folder("archive"))
    purge_folder(ann, gone)
    made = ann.create_folder("made")
    entries, link = await graph.round(link)
    told = {one["id"]: one.get("displayName", "removed") for one in entries}
    assert told == {kept.id: "renamed", gone.id: "removed", made.id: "made"}
    assert (await graph.round(link))[0] == []


async def test_mail_is_no_change_of_a_folder(graph, ann, state):
    _, link = await graph.round(DELTA)
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    assert (await graph.round(link))[0] == []


async def test_the_children_of_one_folder_are_tracked_alone(graph, ann):
    archive = ann.folder("archive")
    inside, outside = ann.create_folder("inside", archive), ann.create_folder("outside")
    entries, link = await graph.round("/mailFolders/archive/childFolders/delta")
    assert [one["displayName"] for one in entries] == ["inside"]
    rename_folder(ann, outside, "still outside")
    move_folder(ann, inside, ann.root)
    entries, _ = await graph.round(link)
    assert [(one["id"], "@removed" in one) for one in entries] == [(inside.id, True)]


async def test_links_of_folders_die_of_age_and_resets_as_those_of_messages(graph, ann):
    links = [(await graph.round(f"{DELTA}?$select=displayName"))[1]]
    for n in range(3):
        ann.create_folder(str(n))
        links.append((await graph.round(links[-1]))[1])
    answer = await graph("GET", links[0])
    assert (answer.status, answer.code) == (410, "SyncStateNotFound")
    ann.folders.tracked.reset()
    answer = await graph("GET", links[-1])
    assert (answer.status, answer.code) == (410, "ResyncRequired")
    entries, _ = await graph.round(answer.headers["Location"])
    assert all(one.keys() == {"@odata.type", "id", "displayName"} for one in entries)


@pytest.mark.parametrize("option", ["$filter=isHidden%20eq%20true", "$orderby=displayName", "$top=3"])
async def test_only_select_is_known_to_folder_tracking(graph, option):
    answer = await graph("GET", f"{DELTA}?{option}")
    assert (answer.status, answer.code) == (400, "ErrorInvalidUrlQuery")


async def test_a_link_of_messages_is_no_link_of_folders(graph):
    _, link = await graph.round("/mailFolders/inbox/messages/delta")
    answer = await graph("GET", f"{DELTA}?$deltatoken={link.partition('=')[2]}")
    assert (answer.status, answer.code) == (410, "SyncStateInvalid")
