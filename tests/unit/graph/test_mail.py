from __future__ import annotations

import random
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from aiohttp import web

from postroom.errors import Forbidden, NotFound, Refused, ResyncRequired, Unavailable
from postroom.graph.mail import MailboxMail
from postroom.graph.session import Limits

IMMUTABLE = 'IdType="ImmutableId"'
MESSAGE = {
    "id": "M1",
    "receivedDateTime": "2026-03-01T12:00:00Z",
    "subject": "Invoice",
    "toRecipients": [],
    "hasAttachments": False,
}


@pytest.fixture
def mail(client, kit):
    return MailboxMail(client, kit.mailbox)


def options(seen):
    return dict(parse_qsl(urlsplit(seen.path).query))


def path(seen):
    return unquote(urlsplit(seen.path).path)


async def test_a_full_walk_starts_with_the_delta_of_the_folder(graph, mail, kit):
    graph.default = kit.answer({"value": [MESSAGE], "@odata.nextLink": f"{graph.url}/v1.0/next"})
    page = await mail.delta_page("Inbox", "F/1+=", None, 50)
    (seen,) = graph.seen
    assert path(seen) == f"/v1.0/users/{kit.mailbox}/mailFolders/F/1+=/messages/delta"
    assert "F%2F1%2B=" in seen.path
    assert options(seen).keys() == {"$select"}
    assert seen.headers["Prefer"] == f"{IMMUTABLE}, odata.maxpagesize=50"
    assert page.next_link == f"{graph.url}/v1.0/next"
    assert page.delta_link is None
    assert page.entries[0].message.mailbox == kit.mailbox
    assert page.entries[0].message.folder == "Inbox"


async def test_every_link_is_followed_as_it_is_with_the_same_preferences(graph, mail, kit):
    link = f"{graph.url}/v1.0/users('x')/mailFolders('F')/messages/microsoft.graph.delta?$deltatoken=a%2Bb"
    graph.default = kit.answer({"value": [], "@odata.deltaLink": f"{graph.url}/v1.0/delta"})
    page = await mail.delta_page("Inbox", "F", link, 7)
    (seen,) = graph.seen
    assert graph.url + seen.path == link
    assert seen.headers["Prefer"] == f"{IMMUTABLE}, odata.maxpagesize=7"
    assert page.delta_link == f"{graph.url}/v1.0/delta"


async def test_a_page_must_have_exactly_one_link(graph, mail, kit):
    both = {"@odata.nextLink": f"{graph.url}/a", "@odata.deltaLink": f"{graph.url}/b"}
    for links in ({}, both):
        graph.default = kit.answer({"value": [], **links})
        with pytest.raises(Unavailable):
            await mail.delta_page("Inbox", "F", None, 10)


@pytest.mark.parametrize("link", ["https://evil.example/v1.0/x", "{root}/v1.0/users//mailFolders/x"])
async def test_a_link_that_leads_astray_is_refused_before_it_is_stored(graph, mail, kit, link):
    graph.default = kit.answer({"value": [], "@odata.nextLink": link.format(root=graph.url)})
    with pytest.raises((Refused, Unavailable)):
        await mail.delta_page("Inbox", "F", None, 10)


async def test_a_dead_link_asks_for_a_resync(graph, mail, kit):
    graph.default = kit.failure(410, "SyncStateNotFound")
    with pytest.raises(ResyncRequired):
        await mail.delta_page("Inbox", "F", f"{graph.url}/v1.0/x", 10)


async def test_the_listing_is_oldest_first_and_filters_what_it_orders_by(graph, mail, kit):
    since = datetime(2026, 2, 1, 8, 30, 1, 999, tzinfo=UTC)
    graph.script = [kit.answer({"value": [MESSAGE], "@odata.nextLink": f"{graph.url}/v1.0/n?$skip=5"})]
    page = await mail.listing_page("Inbox", "F", None, 5, since)
    wanted = options(graph.seen[0])
    assert wanted["$filter"] == "receivedDateTime ge 2026-02-01T08:30:01Z"
    assert (wanted["$orderby"], wanted["$top"]) == ("receivedDateTime", "5")
    assert graph.seen[0].headers["Prefer"] == IMMUTABLE
    last = await mail.listing_page("Inbox", "F", page.next_link, 5, since)
    assert (last.next_link, last.delta_link) == (None, None)
    await mail.listing_page("Inbox", "F", None, 5, None)
    assert "$filter" not in options(graph.seen[2])


async def test_a_message_is_read_by_its_immutable_id(graph, mail, kit):
    graph.default = kit.answer(MESSAGE)
    found = await mail.message("M1", "Inbox")
    assert found.id == "M1"
    assert graph.seen[0].headers["Prefer"] == IMMUTABLE
    assert path(graph.seen[0]).endswith("/messages/M1")


async def test_a_message_that_is_gone_is_none(graph, mail, kit):
    graph.default = kit.failure(404, "ErrorItemNotFound")
    assert await mail.message("M1", "Inbox") is None


@pytest.mark.parametrize("code", ["ErrorInvalidUser", "ResourceNotFound"])
async def test_a_mailbox_that_cannot_be_found_does_not_make_its_messages_gone(graph, mail, kit, code):
    graph.default = kit.failure(404, code)
    with pytest.raises(Unavailable):
        await mail.message("M1", "Inbox")
    with pytest.raises(Unavailable):
        await mail.details("M1", frozenset({"attachments"}))
    with pytest.raises(Unavailable):
        await anext(mail.mime("M1"))
    with pytest.raises(NotFound):
        await mail.act("M1", [])


async def test_a_removed_licence_is_told_as_such(graph, mail, kit):
    graph.default = kit.failure(404, "MailboxNotEnabledForRESTAPI")
    with pytest.raises(Forbidden) as caught:
        await mail.message("M1", "Inbox")
    assert "licence" in caught.value.remedy


async def test_details_take_one_request_for_headers_and_size(graph, mail, kit):
    size = [{"id": "Integer 0xe08", "value": "12345"}]
    headers = [{"name": "X-A", "value": "1"}, {"name": "X-A", "value": "2"}, {"name": None}]
    graph.default = kit.answer({"id": "M1", "internetMessageHeaders": headers, "singleValueExtendedProperties": size})
    found = await mail.details("M1", frozenset({"headers", "size"}))
    assert found.headers == (("X-A", "1"), ("X-A", "2"))
    assert (found.size, found.attachments) == (12345, None)
    (seen,) = graph.seen
    assert options(seen)["$expand"] == "singleValueExtendedProperties($filter=id eq 'Integer 0x0E08')"


async def test_details_read_only_what_is_wanted(graph, mail, kit):
    listed = [{"id": "A1", "name": "a.pdf"}, {"id": "A2", "name": "logo.png", "isInline": True}]
    graph.default = kit.answer({"value": listed})
    found = await mail.details("M1", frozenset({"attachments"}))
    assert (found.headers, found.attachments, found.size) == (None, ("a.pdf",), None)
    assert len(graph.seen) == 1


async def test_the_body_comes_in_the_form_asked_for(graph, mail, kit):
    graph.default = kit.answer({"id": "M1", "body": {"contentType": "text", "content": "Hello"}})
    body = await mail.body("M1", "text")
    assert (body.kind, body.content) == ("text", "Hello")
    assert graph.seen[0].headers["Prefer"] == f'{IMMUTABLE}, outlook.body-content-type="text"'
    graph.default = kit.answer({"id": "M1", "body": None})
    assert (await mail.body("M1", "html")).content == ""


async def test_attachments_are_listed_over_pages_without_content(graph, mail, kit):
    graph.script = [kit.answer({"value": [{"id": "A1", "name": "a"}], "@odata.nextLink": f"{graph.url}/v1.0/n"})]
    graph.default = kit.answer({"value": [{"id": "A2", "name": "b", "size": 3, "contentType": "text/plain"}]})
    assert [each.id for each in await mail.attachments("M1")] == ["A1", "A2"]
    assert options(graph.seen[0])["$select"] == "id,name,contentType,size,isInline"


async def test_a_list_that_fails_is_read_one_by_one(graph, mail, kit):
    graph.script = [kit.failure(500, "ErrorCorruptData"), kit.answer({"value": [{"id": "A1"}, {"id": "A2"}]})]
    graph.default = kit.answer({"id": "A", "name": "a.pdf"})
    assert [each.name for each in await mail.attachments("M1")] == ["a.pdf", "a.pdf"]
    assert [path(each).rpartition("/")[2] for each in graph.seen] == ["attachments", "attachments", "A1", "A2"]


async def test_a_list_without_end_is_given_up(graph, mail, kit):
    graph.default = kit.answer({"value": [], "@odata.nextLink": f"{graph.url}/v1.0/n"})
    with pytest.raises(Unavailable):
        await mail.attachments("M1")


async def test_content_and_mime_are_streamed(graph, mail, kit):
    content = random.randbytes(200_000)
    graph.default = kit.raw(content, content_type="application/octet-stream")
    assert b"".join([piece async for piece in mail.attachment_content("M1", "A/1=")]) == content
    assert b"".join([piece async for piece in mail.mime("M1")]) == content
    assert graph.seen[0].path.endswith("/messages/M1/attachments/A%2F1=/$value")
    assert graph.seen[1].path.endswith("/messages/M1/$value")


async def test_a_link_to_the_cloud_has_no_content(graph, mail, kit):
    graph.default = kit.failure(405, "ErrorInvalidRequest")
    with pytest.raises(Refused) as caught:
        await anext(mail.attachment_content("M1", "A1"))
    assert caught.value.remedy


@pytest.mark.parametrize("address", ["../admin@x", "a@b/../c", "o'brien@x", "guest#ext#@x", "a?b@x", ".."])
async def test_no_address_breaks_out_of_its_place_in_the_url(graph, client, kit, address):
    graph.default = kit.answer(MESSAGE)
    await MailboxMail(client, address).message("..", "Inbox")
    raw = urlsplit(graph.seen[0].path).path.split("/")
    assert raw[:3] == ["", "v1.0", "users"]
    assert unquote(raw[3]) == address
    assert raw[4:] == ["messages", "%2E%2E"]


async def test_a_message_without_a_time_of_receipt_is_graphs_fault(graph, mail, kit):
    graph.default = kit.answer({"id": "M1"})
    with pytest.raises(Unavailable):
        await mail.message("M1", "Inbox")


async def test_a_page_that_is_no_json_is_unavailable(graph, mail):
    graph.default = lambda request: web.Response(text="<html>", content_type="text/html")
    with pytest.raises(Unavailable) as caught:
        await mail.delta_page("Inbox", "F", None, 10)
    assert "Inbox" in str(caught.value)


async def test_what_is_read_of_one_message_is_held_to_the_lower_limit(graph, make_client, kit):
    mail = MailboxMail(await make_client(limits=Limits(single=1_000)), kit.mailbox)
    graph.default = kit.answer({"id": "m", "body": {"contentType": "text", "content": "x" * 2_000}})
    for reading in (mail.body("m", "text"), mail.headers("m"), mail.message("m", "Inbox")):
        with pytest.raises(Refused) as caught:
            await reading
        assert caught.value.code == "MessageTooLarge"
        assert "xxx" not in str(caught.value)


@pytest.mark.parametrize("read", ["attachment_content", "mime"])
async def test_what_is_left_early_gives_its_slot_back_before_anything_else_happens(graph, mail, client, kit, read):
    graph.default = kit.raw(bytes(300_000))
    stream = mail.mime("M1") if read == "mime" else mail.attachment_content("M1", "A1")
    await anext(stream)
    budget = client.budgets.of(mail.address)
    assert budget._running == 1
    await stream.aclose()
    assert budget._running == 0
