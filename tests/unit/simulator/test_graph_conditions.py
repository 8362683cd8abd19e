"""What stands between an app and a mailbox: permissions, scope, licence, the mailbox's own condition, the cloud."""

import pytest

from postroom.simulator.graph import Caller
from support.exchanges import NOT_LISTED

INBOX = "/mailFolders/inbox/messages/delta"
BASIC = frozenset({"Mail.ReadBasic.All"})


def code(answer):
    return answer.status, answer.code


@pytest.mark.parametrize(
    ("roles", "method", "path", "body"),
    [
        (frozenset(), "GET", "/mailFolders", None),
        (frozenset({"Mail.Send"}), "GET", INBOX, None),
        (frozenset({"Mail.Read"}), "POST", "/mailFolders", {"displayName": "x"}),
        (frozenset({"Mail.Read"}), "PATCH", "/mailFolders/inbox", {"displayName": "x"}),
        (frozenset({"Mail.Read"}), "DELETE", "/mailFolders/inbox", None),
        (frozenset({"Mail.Read"}), "POST", "/mailFolders/inbox/move", {"destinationId": "archive"}),
    ],
)
async def test_what_an_app_may_not_do_is_denied(graph, roles, method, path, body):
    graph.caller = Caller("app", roles, None)
    answer = await graph(method, path, body=body)
    assert code(answer) == (403, "ErrorAccessDenied")
    assert "RAOP" not in answer.json["error"]["message"]


@pytest.mark.parametrize("role", ["Mail.ReadBasic.All", "Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])
@pytest.mark.parametrize("path", ["/mailFolders", "/mailFolders/inbox/childFolders", "/mailFolders/delta", INBOX])
async def test_folders_and_changes_can_be_read_with_any_permission_to_read(graph, role, path):
    graph.caller = Caller("app", frozenset({role}), None)
    assert (await graph("GET", path)).status == 200


async def test_basic_reading_leaves_the_body_out_of_changes(graph, ann, state):
    state.deliver_mime(ann.address, b"Subject: x\r\n\r\nsecret")
    graph.caller = Caller("app", BASIC, None)
    entries, _ = await graph.round(INBOX)
    assert not {"body", "bodyPreview", "uniqueBody"} & set(entries[0])
    assert code(await graph("GET", f"{INBOX}?$select=body")) == (403, "ErrorAccessDenied")


async def test_a_mailbox_out_of_scope_is_denied_with_the_words_that_tell(graph, ann, state):
    state.add_mailbox("bob@contoso.example")
    graph.caller = Caller("app", BASIC, frozenset({"Bob@contoso.example"}))
    answer = await graph("GET", INBOX)
    assert code(answer) == (403, "ErrorAccessDenied")
    assert "[RAOP]" in answer.json["error"]["message"]
    assert (await graph("GET", f"{graph.root}/users/bob@contoso.example{INBOX}")).status == 200


@pytest.mark.parametrize("name", ["ErrorInvalidUser", "Request_ResourceNotFound", "ResourceNotFound"])
async def test_an_unknown_mailbox_is_called_as_the_data_centre_likes(graph, state, name):
    state.unknown_user = name
    assert code(await graph("GET", f"{graph.root}/users/nobody@contoso.example/mailFolders")) == (404, name)


async def test_a_mailbox_without_a_licence_is_none_for_graph(graph, ann):
    ann.licensed = False
    for path in (INBOX, "/messages", "/mailFolders"):
        assert code(await graph("GET", path)) == (404, "MailboxNotEnabledForRESTAPI")
    ann.licensed = True
    assert (await graph("GET", INBOX)).status == 200


async def test_a_mailbox_being_moved_answers_nothing_until_it_is_there(graph, ann):
    ann.moving = True
    assert code(await graph("GET", INBOX)) == (503, "ErrorMailboxMoveInProgress")
    ann.moving = False
    assert (await graph("GET", INBOX)).status == 200


async def test_a_mailbox_nobody_opened_has_well_known_folders_only(graph, ann):
    folder = ann.create_folder("Bills")
    ann.provisioned = False
    for path in ("/mailFolders", f"/mailFolders/{folder.id}", "/mailFolders/delta"):
        answer = await graph("GET", path)
        assert code(answer) == (404, "ErrorItemNotFound")
        assert "Default folder Root not found" in answer.json["error"]["message"]
    assert (await graph("GET", INBOX)).status == 200
    ann.provisioned = True
    assert (await graph("GET", f"/mailFolders/{folder.id}")).status == 200


async def test_a_full_mailbox_refuses_change_tracking_and_nothing_else(graph, ann, state):
    stored = state.deliver_mime(ann.address, b"Subject: x\r\n\r\n")
    _, link = await graph.round(INBOX)
    ann.full = True
    for path in (INBOX, link, "/mailFolders/delta"):
        assert code(await graph("GET", path)) == (403, "ErrorQuotaExceeded")
    assert len((await graph.get("/mailFolders/inbox/messages"))["value"]) == 1
    assert (await graph("GET", f"/messages/{ann.default_id(stored)}")).status == 200
    ann.full = False
    assert (await graph("GET", link)).status == 200


async def test_the_china_cloud_has_no_change_tracking(graph, state):
    state.cloud = "china"
    assert code(await graph("GET", INBOX)) == (400, "BadRequest")
    assert code(await graph("GET", "/mailFolders/delta")) == (400, "BadRequest")
    assert (await graph("GET", "/mailFolders/inbox/messages")).status == 200


async def test_the_us_government_cloud_translates_no_ids(graph, state):
    state.cloud = "usgov"
    answer = await graph("POST", "/translateExchangeIds", body={}, unjudged=NOT_LISTED)
    assert code(answer) == (400, "BadRequest")
    assert (await graph("GET", INBOX)).status == 200
