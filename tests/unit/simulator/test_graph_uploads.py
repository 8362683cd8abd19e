"""Attachments added, removed and uploaded in ranges; mails in mails."""

import email
import email.policy
import io
from base64 import b64decode, b64encode
from urllib.parse import unquote

import pytest

from support.exchanges import TEXT_COUNT

ME = "ann@contoso.example"
IMMUTABLE = 'IdType="ImmutableId"'
MB = 1024 * 1024
FILE = "#microsoft.graph.fileAttachment"


def file(name, data=b"data", **more):
    return {"@odata.type": FILE, "name": name, "contentBytes": b64encode(data).decode(), **more}


@pytest.fixture
async def draft(graph):
    body = {"subject": "with files", "toRecipients": [{"emailAddress": {"address": "carl@contoso.example"}}]}
    return (await graph("POST", "/messages", body=body, prefer=IMMUTABLE)).json["id"]


async def add(graph, message, body):
    answer = await graph("POST", f"/messages/{message}/attachments", body=body)
    assert answer.status == 201, answer.data
    return answer


async def names(graph, message):
    return {one["name"]: one["id"] for one in (await graph.get(f"/messages/{message}/attachments"))["value"]}


async def test_attachments_are_added_and_keep_their_ids_while_others_go(graph, ann, draft):
    first = await add(graph, draft, file("a.txt", b"\x00\xffa", contentType="text/plain"))
    assert (first.json["name"], first.json["size"], b64decode(first.json["contentBytes"])) == ("a.txt", 3, b"\x00\xffa")
    second = (await add(graph, draft, file("b.png", isInline=True, contentId="logo"))).json
    third = (await add(graph, draft, file("c.bin", b"c"))).json
    assert (second["isInline"], second["contentId"]) == (True, "logo")
    before = await names(graph, draft)
    assert (await graph("DELETE", f"/messages/{draft}/attachments/{before['a.txt']}")).status == 204
    after = await names(graph, draft)
    assert after == {name: before[name] for name in ("b.png", "c.bin")}
    assert (await graph("GET", f"/messages/{draft}/attachments/{third['id']}/$value")).data == b"c"
    gone = await graph("DELETE", f"/messages/{draft}/attachments/{before['a.txt']}")
    assert (gone.status, gone.code) == (404, "ErrorItemNotFound")
    assert (await graph.get(f"/messages/{draft}"))["hasAttachments"] is True
    fourth = (await add(graph, draft, file("d"))).json
    assert len({*before.values(), fourth["id"]}) == 4


async def test_where_an_attachment_is_is_told_when_it_is_added(graph, draft):
    answer = await add(graph, draft, file("a"))
    assert (await graph.get(answer.headers["Location"]))["id"] == answer.json["id"]


async def test_received_mail_keeps_its_fields_when_an_attachment_is_removed(graph, ann, state):
    raw = (
        b"From: b@fabrikam.example\r\nSubject: s\r\nDate: Sun, 01 Mar 2026 09:00:00 +0000\r\nX-Trace: 1\r\n"
        b"Message-ID: <m@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
        b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nPDF\r\n--b--\r\n"
    )
    stored = ann.immutable_id(state.deliver_mime(ME, raw))
    before = await graph.get(
        f"/messages/{stored}?$select=subject,from,sentDateTime,internetMessageId,internetMessageHeaders"
    )
    (attachment,) = (await names(graph, stored)).values()
    assert (await graph("DELETE", f"/messages/{stored}/attachments/{attachment}")).status == 204
    after = await graph.get(
        f"/messages/{stored}?$select=subject,from,sentDateTime,internetMessageId,internetMessageHeaders,hasAttachments"
    )
    assert after["hasAttachments"] is False
    assert {"name": "X-Trace", "value": "1"} in after["internetMessageHeaders"]
    for name in ("subject", "from", "sentDateTime", "internetMessageId"):
        assert after[name] == before[name]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "x"}, 400, "RequestBodyRead"),
        ({"@odata.type": FILE, "contentBytes": "YQ=="}, 400, "ErrorRequiredPropertyMissing"),
        ({"@odata.type": FILE, "name": "x", "contentBytes": "é"}, 400, "RequestBodyRead"),
        ({"@odata.type": FILE, "name": "x", "contentBytes": 1}, 400, "RequestBodyRead"),
        ({"@odata.type": FILE, "name": "x", "nonsense": 1}, 400, "RequestBodyRead"),
        ({"@odata.type": "#microsoft.graph.itemAttachment", "name": "x"}, 400, "RequestBodyRead"),
        (
            {
                "@odata.type": "#microsoft.graph.itemAttachment",
                "name": "x",
                "item": {"@odata.type": "microsoft.graph.event"},
            },
            400,
            "ErrorInvalidRequest",
        ),
        (file("x", b"\0" * 3 * MB), 413, "ErrorAttachmentSizeLimitExceeded"),
        (file("x", b"\0" * 4 * MB), 413, "RequestEntityTooLarge"),
    ],
)
async def test_an_attachment_that_cannot_be_is_refused(graph, draft, body, status, code):
    answer = await graph("POST", f"/messages/{draft}/attachments", body=body)
    assert (answer.status, answer.code) == (status, code)
    assert await names(graph, draft) == {}


async def test_attachments_can_be_counted_selected_filtered_and_paged(graph, draft):
    for name in ("a", "b", "c"):
        await add(graph, draft, file(name, isInline=name == "a", contentId=name))
    path = f"/messages/{draft}/attachments"
    assert (await graph("GET", f"{path}/$count", unjudged=TEXT_COUNT)).data == b"3"
    assert (await graph("GET", f"{path}/$count?$filter=isInline%20eq%20false", unjudged=TEXT_COUNT)).data == b"2"
    page = await graph.get(f"{path}?$top=1&$skip=1&$count=true&$select=name")
    assert (page["@odata.count"], [one["name"] for one in page["value"]]) == (3, ["b"])
    cast = await graph.get(f"{path}?$select=name,microsoft.graph.fileAttachment/contentId")
    assert [one["contentId"] for one in cast["value"]] == ["a", "b", "c"]
    assert "contentBytes" not in cast["value"][0]
    one = await graph.get(f"{path}/{cast['value'][0]['id']}?$select=name")
    assert set(one) == {"@odata.context", "@odata.type", "id", "name"}


async def test_an_expanded_list_of_attachments_takes_a_selection(graph, draft):
    await add(graph, draft, file("a"))
    found = await graph.get(f"/messages/{draft}?$select=id&$expand=attachments($select=name,size)")
    assert [set(one) for one in found["attachments"]] == [{"@odata.type", "id", "name", "size"}]


async def test_a_mail_is_enclosed_shown_as_an_item_and_given_as_mime(graph, draft):
    item = {
        "@odata.type": "#microsoft.graph.message",
        "subject": "inner",
        "body": {"contentType": "text", "content": "--=_ innermost"},
        "sentDateTime": "2026-02-01T10:00:00Z",
        "toRecipients": [{"emailAddress": {"address": "x@y.example"}}],
        "attachments": [file("deep.txt", b"deep")],
    }
    enclosed = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "the mail", "item": item}
    made = (await add(graph, draft, enclosed)).json
    assert "item" not in made
    path = f"/messages/{draft}/attachments/{made['id']}"
    shown = (await graph.get(f"{path}?$expand=microsoft.graph.itemattachment/item"))["item"]
    assert (shown["@odata.type"], shown["subject"]) == ("#microsoft.graph.message", "inner")
    assert shown["sentDateTime"] == "2026-02-01T10:00:00Z"
    assert b64decode(shown["attachments"][0]["contentBytes"]) == b"deep"
    inner = email.message_from_bytes((await graph("GET", f"{path}/$value")).data, policy=email.policy.default)
    assert inner["Subject"] == "inner"
    outer = await graph("GET", f"/messages/{draft}/$value")
    whole = email.message_from_bytes(outer.data, policy=email.policy.default)
    (part,) = whole.iter_attachments()
    assert part.get_content()["Subject"] == "inner"
    listed = await graph.get(f"/messages/{draft}/attachments?$expand=microsoft.graph.itemattachment/item")
    assert listed["value"][0]["item"]["subject"] == "inner"
    assert (await graph("GET", f"{path}?$expand=nonsense")).code == "BadRequest"


async def test_mails_in_mails_are_shown_thirty_deep(graph, ann, state):
    raw = b"Subject: m0\r\n\r\nx"
    for level in range(1, 40):
        raw = b"Subject: m%d\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n" % level + raw
    stored = ann.immutable_id(state.deliver_mime(ME, raw))
    page = await graph.get(f"/messages/{stored}/attachments?$expand=microsoft.graph.itemattachment/item")
    depth, item = 0, page["value"][0]
    while item:
        depth += 1
        (item,) = item["item"].get("attachments") or [None]
    assert depth == 31


async def session(graph, draft, size, **more):
    item = {"attachmentType": "file", "name": "flower.jpg", "size": size, "contentType": "image/jpeg", **more}
    body = {"AttachmentItem": item}
    answer = await graph("POST", f"/messages/{draft}/attachments/createUploadSession", body=body)
    assert answer.status == 201, answer.data
    return answer.json


async def put(graph, url, data, start, total, **headers):
    place = f"bytes {start}-{start + len(data) - 1}/{total}"
    sent = {"Content-Range": place, "Content-Type": "application/octet-stream", **headers}
    async with graph.session.put(url, data=io.BytesIO(data), headers=sent) as answer:
        return answer.status, answer.headers, (await answer.json() if answer.status != 201 else await answer.read())


async def test_a_large_file_is_put_in_ranges_without_a_token_and_location_names_it(graph, draft):
    data = bytes(range(256)) * (4 * MB // 256) + b"end"
    opened = await session(graph, draft, len(data))
    assert opened["nextExpectedRanges"] == ["0-"]
    assert "/v1.0/" not in opened["uploadUrl"]
    status, _, progress = await put(graph, opened["uploadUrl"], data[: 2 * MB], 0, len(data))
    assert (status, progress["nextExpectedRanges"]) == (200, [str(2 * MB)])
    assert progress["NextExpectedRanges"] == progress["nextExpectedRanges"]
    assert progress["expirationDateTime"] == opened["expirationDateTime"]
    status, headers, body = await put(graph, opened["uploadUrl"], data[2 * MB :], 2 * MB, len(data))
    assert (status, body) == (201, b"")
    attachment = unquote(headers["Location"]).rpartition("('")[2].removesuffix("')")
    path = f"/messages/{draft}/attachments/{attachment}"
    found = await graph.get(f"{path}?$select=name,size,contentType")
    assert (found["name"], found["size"], found["contentType"]) == ("flower.jpg", len(data), "image/jpeg")
    answer = await graph.session.get(f"{graph.root}/users/{ME}{path}/$value")
    assert await answer.read() == data
    assert (await put(graph, opened["uploadUrl"], b"x", 0, len(data)))[0] == 404


@pytest.mark.parametrize(
    ("start", "total", "status"), [(5, 3 * MB, 416), (0, 3 * MB + 1, 400), (3 * MB - 2, 3 * MB, 400)]
)
async def test_ranges_come_in_order_and_fit_the_session(graph, draft, start, total, status):
    opened = await session(graph, draft, 3 * MB)
    assert (await put(graph, opened["uploadUrl"], b"four", start, total))[0] == status
    assert (await put(graph, opened["uploadUrl"], b"four", 0, 3 * MB, **{"Content-Range": "x"}))[0] == 400
    async with graph.session.get(opened["uploadUrl"]) as answer:
        assert (await answer.json())["nextExpectedRanges"] == ["0-"]


async def test_a_session_can_be_given_up_and_ends_with_its_time(graph, draft, clock):
    first, second = await session(graph, draft, 3 * MB), await session(graph, draft, 3 * MB)
    async with graph.session.delete(first["uploadUrl"]) as answer:
        assert answer.status == 204
    clock.pass_seconds(3 * 3600)
    for url in (first["uploadUrl"], second["uploadUrl"], second["uploadUrl"] + "x"):
        status, _, body = await put(graph, url, b"x", 0, 3 * MB)
        assert (status, body["error"]["code"]) == (404, "ErrorItemNotFound")


@pytest.mark.parametrize(
    ("item", "status", "code"),
    [
        (
            {"attachmentType": "file", "name": "x", "size": 100},
            400,
            "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
        ),
        ({"attachmentType": "file", "name": "x", "size": 200 * MB}, 413, "ErrorAttachmentSizeLimitExceeded"),
        ({"attachmentType": "item", "name": "x", "size": 4 * MB}, 400, "RequestBodyRead"),
        ({"attachmentType": "file", "name": "x"}, 400, "RequestBodyRead"),
        ({"attachmentType": "file", "size": 4 * MB}, 400, "RequestBodyRead"),
        ({"attachmentType": "file", "name": "x", "size": 4 * MB, "nonsense": 1}, 400, "RequestBodyRead"),
        (None, 400, "ErrorInvalidParameter"),
    ],
)
async def test_a_session_for_what_cannot_be_uploaded_is_refused(graph, draft, item, status, code):
    body = {} if item is None else {"attachmentItem": item}
    answer = await graph("POST", f"/messages/{draft}/attachments/createUploadSession", body=body)
    assert (answer.status, answer.code) == (status, code)


async def test_a_mail_beyond_the_mailboxs_limit_is_a_413(graph, ann, draft):
    ann.largest_message = 4 * MB
    opened = await session(graph, draft, 5 * MB)
    assert (await put(graph, opened["uploadUrl"], b"x" * 3 * MB, 0, 5 * MB))[0] == 200
    status, _, body = await put(graph, opened["uploadUrl"], b"x" * 2 * MB, 3 * MB, 5 * MB)
    assert (status, body["error"]["code"]) == (413, "ErrorMessageSizeExceeded")
    ann.largest_message = 100
    for path, refused in ((f"/messages/{draft}/send", {}), (f"/messages/{draft}/attachments", file("x"))):
        answer = await graph("POST", path, body=refused)
        assert (answer.status, answer.code) == (413, "ErrorMessageSizeExceeded")


async def test_a_file_for_a_message_that_went_is_not_taken(graph, ann, draft):
    opened = await session(graph, draft, 3 * MB)
    ann.purge(ann.message(draft))
    status, _, body = await put(graph, opened["uploadUrl"], b"x", 0, 3 * MB)
    assert (status, body["error"]["code"]) == (404, "ErrorItemNotFound")
