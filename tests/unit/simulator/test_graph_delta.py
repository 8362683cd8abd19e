"""messages/delta over real HTTP."""

import pytest

from postroom.simulator.state.filing import purge_folder
from support.exchanges import DIALECT, OTHER_HOST

INBOX = "/mailFolders/inbox/messages/delta"
IMMUTABLE = 'IdType="ImmutableId"'


def mail(subject="hello"):
    return f"From: Bob <bob@fabrikam.example>\r\nTo: ann@contoso.example\r\nSubject: {subject}\r\n\r\nbody".encode()


@pytest.fixture
def three(state):
    return [state.deliver_mime("ann@contoso.example", mail(f"number {n}")) for n in range(3)]


async def test_the_first_round_lists_what_is_there_in_pages_of_the_size_preferred(graph, three):
    page = await graph.get(f"{INBOX}?$select=subject", prefer="odata.maxpagesize=2")
    assert [one["subject"] for one in page["value"]] == ["number 0", "number 1"]
    assert page["value"][0].keys() == {"@odata.type", "@odata.etag", "id", "subject"}
    assert "@odata.deltaLink" not in page
    last = await graph.get(page["@odata.nextLink"], prefer="odata.maxpagesize=2")
    assert [one["subject"] for one in last["value"]] == ["number 2"]
    assert "@odata.nextLink" not in last


async def test_a_page_has_ten_entries_unless_asked_otherwise(graph, state):
    for n in range(11):
        state.deliver_mime("ann@contoso.example", mail(str(n)))
    assert len((await graph.get(INBOX))["value"]) == 10


async def test_a_quiet_folder_gives_the_same_link_again(graph, three):
    _, link = await graph.round(INBOX)
    assert await graph.round(link) == ([], link)


async def test_an_empty_folder_gives_the_same_link_again(graph):
    _, link = await graph.round(INBOX)
    entries, second = await graph.round(link)
    assert (entries, second) == ([], link)


async def test_what_was_deleted_or_moved_out_is_removed(graph, ann, three):
    _, link = await graph.round(INBOX, prefer=IMMUTABLE)
    ann.delete(three[0])
    ann.move(three[1], ann.folder("archive"))
    entries, _ = await graph.round(link, prefer=IMMUTABLE)
    assert [one["@removed"] for one in entries] == [{"reason": "deleted"}] * 2
    assert [one["id"] for one in entries] == [ann.immutable_id(three[0]), ann.immutable_id(three[1])]


async def test_a_move_shows_the_same_immutable_id_in_the_other_folder(graph, ann, three):
    archive = "/mailFolders('archive')/messages/microsoft.graph.delta()"
    _, there = await graph.round(archive, prefer=IMMUTABLE)
    ann.move(three[1], ann.folder("archive"))
    entries, _ = await graph.round(there, prefer=IMMUTABLE)
    assert [one["id"] for one in entries] == [ann.immutable_id(three[1])]
    assert "@removed" not in entries[0]


async def test_a_move_changes_the_default_id_and_removes_the_old_one(graph, ann, three):
    before = ann.default_id(three[0])
    _, link = await graph.round(INBOX)
    ann.move(three[0], ann.folder("archive"))
    ann.move(three[0], ann.folder("inbox"))
    entries, _ = await graph.round(link)
    assert {one["id"]: "@removed" in one for one in entries} == {before: True, ann.default_id(three[0]): False}


async def test_a_message_that_left_and_came_back_is_present_under_its_immutable_id(graph, ann, three):
    _, link = await graph.round(INBOX, prefer=IMMUTABLE)
    ann.move(three[0], ann.folder("archive"))
    ann.move(three[0], ann.folder("inbox"))
    entries, _ = await graph.round(link, prefer=IMMUTABLE)
    assert [(one["id"], "@removed" in one) for one in entries] == [(ann.immutable_id(three[0]), False)]


async def test_an_update_comes_back_with_the_properties_selected(graph, ann, three):
    _, link = await graph.round(f"{INBOX}?$select=isRead,categories")
    ann.update(three[2], is_read=True, categories=("Red",))
    entries, _ = await graph.round(link)
    assert [(one["isRead"], one["categories"]) for one in entries] == [(True, ["Red"])]


async def test_what_changes_during_a_round_comes_in_it_or_the_next(graph, ann, state, three):
    page = await graph.get(INBOX, prefer=["odata.maxpagesize=1", IMMUTABLE])
    ann.delete(three[0])
    late = state.deliver_mime("ann@contoso.example", mail("late"))
    entries, link = await graph.round(page["@odata.nextLink"], prefer=["odata.maxpagesize=1", IMMUTABLE])
    more, _ = await graph.round(link, prefer=IMMUTABLE)
    told = {one["id"]: "@removed" in one for one in entries + more}
    assert told[ann.immutable_id(three[0])] is True
    assert told[ann.immutable_id(late)] is False


async def test_top_caps_the_whole_round_and_not_the_page(graph, three):
    page = await graph.get(f"{INBOX}?$top=2")
    assert len(page["value"]) == 2
    rest, link = await graph.round(page["@odata.nextLink"])
    assert rest == []
    assert (await graph.round(link))[0] == []


async def test_only_the_newest_three_generations_can_be_resumed(graph, state, three):
    links = [(await graph.round(INBOX))[1]]
    for n in range(3):
        state.deliver_mime("ann@contoso.example", mail(str(n)))
        links.append((await graph.round(links[-1]))[1])
    assert (await graph("GET", links[1])).status == 200
    answer = await graph("GET", links[0])
    assert (answer.status, answer.code) == (410, "SyncStateNotFound")
    assert "generation=1;[highest=4][4][2][3]" in answer.json["error"]["message"]


async def test_a_link_may_be_used_again_when_its_answer_was_lost(graph, state, three):
    _, link = await graph.round(INBOX)
    state.deliver_mime("ann@contoso.example", mail("new"))
    answers = [await graph.round(link) for _ in range(5)]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0][0]) == 1


async def test_a_reset_voids_all_links_and_says_where_to_begin_again(graph, ann, three):
    _, link = await graph.round(f"{INBOX}?$select=subject&$filter=receivedDateTime%20ge%202026-01-01T00:00:00Z")
    ann.reset_delta("inbox")
    answer = await graph("GET", link)
    assert (answer.status, answer.code) == (410, "ResyncRequired")
    restart = answer.headers["Location"]
    assert "$deltatoken=&" in restart
    entries, _ = await graph.round(restart)
    assert [one["subject"] for one in entries] == ["number 0", "number 1", "number 2"]


async def test_a_token_that_was_tampered_with_or_is_of_another_folder_is_invalid(graph, three):
    _, link = await graph.round(INBOX)
    spoilt = link[:-3] + ("AAA" if link[-3:] != "AAA" else "BBB")
    token = link.partition("=")[2]
    for wrong in (spoilt, f"/mailFolders/archive/messages/delta?$deltatoken={token}", f"{INBOX}?$deltatoken=%20"):
        answer = await graph("GET", wrong)
        assert (answer.status, answer.code) == (410, "SyncStateInvalid")


@pytest.mark.parametrize(
    "filter_",
    [
        "isRead eq false",
        "receivedDateTime le 2026-01-01T00:00:00Z",
        "receivedDateTime ge yesterday",
        "receivedDateTime",
    ],
)
async def test_only_a_least_time_received_can_be_filtered_for(graph, filter_):
    answer = await graph("GET", f"{INBOX}?$filter={filter_.replace(' ', '%20')}")
    assert (answer.status, answer.code) == (400, "ErrorInvalidUrlQuery")


async def test_a_filter_holds_for_the_listing_and_new_mail_but_lets_removals_and_updates_leak(graph, ann, state, clock):
    old = state.deliver_mime("ann@contoso.example", mail("old"))
    gone = state.deliver_mime("ann@contoso.example", mail("gone"))
    clock.pass_seconds(60)
    state.deliver_mime("ann@contoso.example", mail("fresh"))
    entries, link = await graph.round(f"{INBOX}?$select=subject&$filter=receivedDateTime%20gt%202026-03-01T12:00:00Z")
    assert [one["subject"] for one in entries] == ["fresh"]
    ann.update(old, is_read=True)
    ann.delete(gone)
    state.deliver_mime("ann@contoso.example", mail("moved in"), received_at=clock.time.replace(year=2020))
    entries, _ = await graph.round(link)
    assert [one.get("subject", "removed") for one in entries] == ["old", "removed"]


async def test_newest_first_lists_by_time_received_and_then_goes_on_with_changes(graph, state, clock):
    for n in (2, 0, 1):
        received = clock.time.replace(minute=n)
        state.deliver_mime("ann@contoso.example", mail(str(n)), received_at=received)
    page = await graph.get(f"{INBOX}?$select=subject&$orderby=receivedDateTime%20desc", prefer="odata.maxpagesize=2")
    clock.pass_seconds(3600)
    state.deliver_mime("ann@contoso.example", mail("late"))
    rest, link = await graph.round(page["@odata.nextLink"])
    assert [one["subject"] for one in page["value"] + rest] == ["2", "1", "0"]
    assert [one["subject"] for one in (await graph.round(link))[0]] == ["late"]


async def test_another_order_is_refused(graph):
    answer = await graph("GET", f"{INBOX}?$orderby=receivedDateTime%20asc")
    assert (answer.status, answer.code) == (400, "ErrorInvalidUrlQuery")


@pytest.mark.parametrize(
    ("change", "told"), [("created", ["new"]), ("updated", ["number 0"]), ("deleted", ["removed"])]
)
async def test_a_chain_for_one_kind_of_change_lists_first_and_then_tells_only_that(graph, state, three, change, told):
    entries, link = await graph.round(f"{INBOX}?changeType={change}&$select=subject")
    assert len(entries) == 3
    ann = state.mailbox("ann@contoso.example")
    ann.update(three[0], is_read=True)
    ann.delete(three[1])
    state.deliver_mime("ann@contoso.example", mail("new"))
    entries, _ = await graph.round(link)
    assert [one.get("subject", "removed") for one in entries] == told


async def test_there_is_no_delta_of_a_whole_mailbox(graph):
    answer = await graph("GET", "/messages/delta")
    assert (answer.status, answer.code) == (400, "BadRequest")


async def test_links_follow_the_host_the_client_addressed(graph, three):
    link = (await graph.get(INBOX, headers={"Host": "graph.contoso.example:8443"}, unjudged=OTHER_HOST))[
        "@odata.deltaLink"
    ]
    assert link.startswith("http://graph.contoso.example:8443/v1.0/users('ann%40contoso.example')/mailFolders('")


async def test_beginning_many_chains_forgets_the_one_idle_longest(graph, three):
    _, first = await graph.round(INBOX)
    for _ in range(64):
        await graph.round(INBOX)
    assert (await graph("GET", first)).code == "SyncStateNotFound"


async def test_there_is_no_token_to_begin_with_what_is_yet_to_come(graph, three):
    entries, _ = await graph.round(f"{INBOX}?$deltatoken=latest")
    assert len(entries) == 3


async def test_options_added_to_a_link_are_not_those_of_the_chain(graph, ann, three):
    _, link = await graph.round(f"{INBOX}?$select=subject")
    ann.update(three[0], is_read=True)
    entries, _ = await graph.round(f"{link}&$select=isRead&$top=1", unjudged=DIALECT)
    assert entries[0].keys() == {"@odata.type", "@odata.etag", "id", "subject"}


async def test_attachments_are_expanded_but_extended_properties_are_not(graph, state):
    parts = b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nx\r\n--b--\r\n"
    state.deliver_mime("ann@contoso.example", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts)
    wanted = "attachments,singleValueExtendedProperties($filter=id%20eq%20'String%200x001A')"
    entries, _ = await graph.round(f"{INBOX}?$select=id&$expand={wanted}")
    assert [one["name"] for one in entries[0]["attachments"]] == ["a.txt"]
    assert "singleValueExtendedProperties" not in entries[0]


async def test_a_folder_of_another_mailbox_is_not_tracked_through_this_one(graph, state):
    bob = state.add_mailbox("bob@contoso.example")
    assert (await graph("GET", f"/mailFolders/{bob.folder('inbox').id}/messages/delta")).status == 404


async def test_a_removed_folder_ends_its_chains(graph, ann):
    folder = ann.create_folder("Bills")
    _, link = await graph.round(f"/mailFolders/{folder.id}/messages/delta")
    purge_folder(ann, folder)
    answer = await graph("GET", link)
    assert (answer.status, answer.code) == (404, "ErrorItemNotFound")


async def test_a_list_walked_page_by_page_misses_what_moves_up_meanwhile(graph, ann, three):
    page = await graph.get("/mailFolders/inbox/messages?$top=1&$select=subject")
    ann.delete(three[2])
    rest = await graph.get(page["@odata.nextLink"])
    assert [one["subject"] for one in page["value"] + rest["value"]] == ["number 2", "number 0"]
