"""The small print of change tracking: each nuisance strikes, says so, and keeps to what Graph may do."""

import pytest

from postroom.simulator.state import Nuisance

INBOX = "/mailFolders/inbox/messages/delta"
IMMUTABLE = 'IdType="ImmutableId"'


@pytest.fixture
def three(state):
    return [state.deliver_mime("ann@contoso.example", f"Subject: {n}\r\n\r\n".encode()) for n in range(3)]


def subjects(entries):
    return [one.get("subject", "removed") for one in entries]


async def test_nothing_strikes_unless_it_is_asked_for(graph, ann, state, three):
    for _ in range(3):
        _, link = await graph.round(INBOX)
        ann.update(three[0], is_read=True)
        await graph.round(link)
    assert not state.nuisance.struck


async def test_a_change_may_be_told_again_in_a_later_round(graph, ann, state, three):
    _, link = await graph.round(f"{INBOX}?$select=subject")
    ann.update(three[1], is_read=True)
    _, link = await graph.round(link)
    state.nuisance = Nuisance(replay=1)
    entries, _ = await graph.round(link)
    assert subjects(entries) == ["1"]
    assert state.nuisance.struck["replay"] == 1


async def test_an_entry_may_come_twice_in_a_round_but_no_page_is_larger_than_asked_for(graph, state, three):
    state.nuisance = Nuisance(duplicate=1)
    page = await graph.get(f"{INBOX}?$select=subject", prefer="odata.maxpagesize=2")
    assert len(page["value"]) == 2
    rest, _ = await graph.round(page["@odata.nextLink"], prefer="odata.maxpagesize=2")
    told = subjects(page["value"] + rest)
    assert set(told) == {"0", "1", "2"}
    assert len(told) > 3
    assert state.nuisance.struck["duplicate"] == len(told) - 3


async def test_a_page_may_be_empty_and_have_a_next_link_many_times_in_a_row(graph, state, three):
    state.nuisance = Nuisance(empty_page=1, empty_in_a_row=4)
    links, link = [], f"{INBOX}?$select=subject"
    while not (page := await graph.get(link))["value"]:
        links.append(link := page["@odata.nextLink"])
    assert len(links) == len(set(links)) == 4
    assert subjects(page["value"]) == ["0", "1", "2"]
    assert state.nuisance.struck["empty_page"] == 4


async def test_an_update_may_lack_what_did_not_change(graph, ann, state, three):
    state.nuisance = Nuisance(partial=1)
    entries, link = await graph.round(INBOX)
    assert all("subject" in one for one in entries)
    ann.update(three[0], is_read=True)
    entries, _ = await graph.round(link)
    assert [one["isRead"] for one in entries] == [True]
    assert not {"subject", "receivedDateTime", "from"} & set(entries[0])
    assert state.nuisance.struck["partial"] == 1


async def test_a_round_may_tell_of_a_message_that_nobody_touched(graph, state, three):
    _, link = await graph.round(INBOX)
    state.nuisance = Nuisance(noise=1)
    entries, _ = await graph.round(link)
    assert len(entries) == 1
    assert state.nuisance.struck["noise"] == 1


async def test_a_chain_for_creations_may_be_told_of_updates_and_removals(graph, ann, state, three):
    _, link = await graph.round(f"{INBOX}?changeType=created&$select=subject")
    state.nuisance = Nuisance(leak=1)
    ann.update(three[0], is_read=True)
    ann.delete(three[1])
    entries, _ = await graph.round(link)
    assert subjects(entries) == ["0", "removed"]
    assert state.nuisance.struck["leak"] == 2


async def test_delivered_mail_may_show_late_in_delta_and_lists(graph, ann, state, clock, three):
    _, link = await graph.round(INBOX)
    state.nuisance = Nuisance(late=1, late_seconds=(3, 3))
    state.deliver_mime(ann.address, b"Subject: late\r\n\r\n")
    assert (await graph.round(link))[0] == []
    assert len((await graph.get("/messages"))["value"]) == 3
    clock.pass_seconds(4)
    assert subjects((await graph.round(link))[0]) == ["late"]
    assert subjects((await graph.get("/messages?$top=1"))["value"]) == ["late"]
    assert state.nuisance.struck["late"] == 1


async def test_a_message_just_delivered_may_not_be_found_by_its_id(graph, ann, state, clock, three):
    state.nuisance = Nuisance(unfound=1)
    path = f"/messages/{ann.default_id(three[0])}"
    assert (await graph("GET", path)).code == "ErrorItemNotFound"
    clock.pass_seconds(11)
    assert (await graph("GET", path)).status == 200
    assert state.nuisance.struck["unfound"] == 1


async def test_what_left_and_came_back_may_fall_into_a_hole_by_immutable_id(graph, ann, state, three):
    state.nuisance = Nuisance(move_hole=True)
    _, link = await graph.round(INBOX, prefer=IMMUTABLE)
    ann.move(three[0], ann.folder("archive"))
    ann.move(three[0], ann.folder("inbox"))
    entries, link = await graph.round(link, prefer=IMMUTABLE)
    assert [(one["id"], "@removed" in one) for one in entries] == [(ann.immutable_id(three[0]), True)]
    assert state.nuisance.struck["move_hole"] == 1
    assert (await graph.round(link, prefer=IMMUTABLE))[0] == []
    ann.update(three[0], is_read=True)
    entries, _ = await graph.round(link, prefer=IMMUTABLE)
    assert [(one["id"], "@removed" in one) for one in entries] == [(ann.immutable_id(three[0]), False)]


async def test_the_hole_is_none_for_default_ids(graph, ann, state, three):
    state.nuisance = Nuisance(move_hole=True)
    _, link = await graph.round(INBOX)
    ann.move(three[0], ann.folder("archive"))
    ann.move(three[0], ann.folder("inbox"))
    entries, _ = await graph.round(link)
    assert {one["id"]: "@removed" in one for one in entries}[ann.default_id(three[0])] is False


async def test_the_id_a_move_answers_may_not_be_the_one_that_is_listed(graph, ann, state, three):
    state.nuisance = Nuisance(move_race=1)
    moved = await graph("POST", f"/messages/{ann.default_id(three[0])}/move", body={"destinationId": "archive"})
    listed = await graph.get("/mailFolders/archive/messages")
    assert [one["id"] for one in listed["value"]] != [moved.json["id"]]
    assert state.nuisance.struck["move_race"] == 1


async def test_a_chain_may_be_forgotten_at_any_time(graph, state, three):
    _, link = await graph.round(INBOX)
    state.nuisance = Nuisance(forget=1)
    answer = await graph("GET", link)
    assert (answer.status, answer.code) == (410, "SyncStateNotFound")
    state.nuisance.forget = 0
    assert (await graph("GET", link)).status == 410
    assert state.nuisance.struck["forget"] == 1


async def test_a_folder_may_be_reset_at_any_time(graph, state, three):
    _, link = await graph.round(f"{INBOX}?$select=subject")
    state.nuisance = Nuisance(reset=1)
    answer = await graph("GET", link)
    assert (answer.status, answer.code) == (410, "ResyncRequired")
    entries, _ = await graph.round(answer.headers["Location"])
    assert subjects(entries) == ["0", "1", "2"]
    assert state.nuisance.struck["reset"] == 1


async def test_even_the_documented_filter_may_be_refused(graph, state, three):
    state.nuisance = Nuisance(filter_refused=True)
    answer = await graph("GET", f"{INBOX}?$filter=receivedDateTime%20ge%202026-01-01T00:00:00Z")
    assert (answer.status, answer.code) == (400, "ErrorInvalidUrlQuery")
    assert state.nuisance.struck["filter_refused"] == 1


async def test_the_same_seed_brings_the_same_nuisances(graph, ann, state, three):
    told = []
    for _ in range(2):
        state.nuisance = Nuisance(seed=7, duplicate=0.5, empty_page=0.3)
        rounds = [await graph.round(f"{INBOX}?$select=subject", prefer="odata.maxpagesize=2") for _ in range(5)]
        told.append([subjects(entries) for entries, _ in rounds])
    assert told[0] == told[1]
    assert state.nuisance.struck


async def test_whoever_dedupes_arrives_at_the_truth_through_all_of_it(graph, ann, state, clock):
    state.nuisance = Nuisance(
        seed=3, replay=0.4, duplicate=0.4, empty_page=0.4, partial=0.5, noise=0.4, late=0.3, forget=0.1, reset=0.05
    )
    known, link = set(), INBOX
    for turn in range(60):
        stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
        inside = list(ann.folder("inbox").messages)
        if turn % 3 == 0 and stored in inside:
            ann.move(stored, ann.folder("archive"))
        if turn % 4 == 0 and inside:
            ann.update(inside[0], is_read=True)
        clock.pass_seconds(2)
        answer = await graph("GET", link, prefer=IMMUTABLE)
        if answer.status == 410:
            known, link = set(), INBOX
            continue
        page = answer.json
        for one in page["value"]:
            (known.discard if "@removed" in one else known.add)(one["id"])
        link = page.get("@odata.nextLink") or page["@odata.deltaLink"]
    state.nuisance = Nuisance(empty_page=0)
    clock.pass_seconds(60)
    for _ in range(2):
        answer = await graph("GET", link, prefer=IMMUTABLE)
        if answer.status == 410:
            known, link = set(), INBOX
        entries, link = await graph.round(link, prefer=IMMUTABLE)
        for one in entries:
            (known.discard if "@removed" in one else known.add)(one["id"])
    assert known == {ann.immutable_id(one) for one in ann.folder("inbox").messages}
