"""Drafts and sending over real HTTP."""

import asyncio
from base64 import b64encode

import pytest

IMMUTABLE = 'IdType="ImmutableId"'
TO_CARL = [{"emailAddress": {"name": "Carl", "address": "carl@contoso.example"}}]
RAW = (
    b"From: ann@contoso.example\r\nTo: carl@contoso.example\r\n"
    b"Bcc: dora@contoso.example,\r\n ann@contoso.example\r\nSubject: raw\r\n\r\nbody\r\n"
)


@pytest.fixture
def carl(state):
    return state.add_mailbox("carl@contoso.example")


def message(**more):
    return {
        "subject": "Grüße\r\nBcc: evil@example",
        "body": {"contentType": "html", "content": "<p>ü</p>\n"},
        "toRecipients": TO_CARL,
        **more,
    }


BAD_HEADERS = "InvalidInternetMessageHeaderCollection"


def headers(*names):
    return {"internetMessageHeaders": [{"name": name, "value": "x"} for name in names]}


def inbox(mailbox):
    return mailbox.by_time(mailbox.folder("inbox"))


async def test_a_draft_is_created_from_json_and_says_what_was_written(graph, ann):
    attachment = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "é.txt",
        "contentBytes": b64encode(b"1\n2").decode(),
    }
    body = message(
        importance="high",
        categories=["Red"],
        internetMessageHeaders=[{"name": "x-operation", "value": "42"}],
        attachments=[attachment],
    )
    made = await graph("POST", "/messages", body=body, prefer=IMMUTABLE)
    assert made.status == 201
    found = await graph.get(
        f"/messages/{made.json['id']}?$select=subject,isDraft,isRead,importance,categories,body,toRecipients,from,parentFolderId,internetMessageHeaders,internetMessageId&$expand=attachments"
    )
    assert found["subject"] == "Grüße Bcc: evil@example"
    assert (found["isDraft"], found["isRead"], found["importance"], found["categories"]) == (
        True,
        True,
        "high",
        ["Red"],
    )
    assert found["body"] == {"contentType": "html", "content": "<p>ü</p>\n"}
    assert found["toRecipients"] == TO_CARL
    assert found["from"]["emailAddress"] == {"name": "Ann Example", "address": "ann@contoso.example"}
    assert found["parentFolderId"] == ann.folder("drafts").id
    assert {"name": "x-operation", "value": "42"} in found["internetMessageHeaders"]
    assert found["internetMessageId"].endswith("@contoso.example>")
    assert [(one["name"], one["size"]) for one in found["attachments"]] == [("é.txt", 3)]


async def test_a_draft_can_be_rewritten_and_keeps_the_rest(graph, ann):
    made = (await graph("POST", "/mailFolders/archive/messages", body=message(), prefer=IMMUTABLE)).json
    patch = {"subject": "new", "body": {"contentType": "text", "content": "plain"}, "isRead": False}
    changed = await graph("PATCH", f"/messages/{made['id']}", body=patch, prefer='outlook.body-content-type="text"')
    assert changed.status == 200
    assert (changed.json["subject"], changed.json["body"]["content"]) == ("new", "plain")
    assert changed.json["toRecipients"] == TO_CARL
    assert changed.json["internetMessageId"] == made["internetMessageId"]
    assert ann.folder("archive").unread == 1


async def test_a_sent_draft_arrives_and_is_kept_in_sent_items_under_its_immutable_id(graph, ann, carl):
    made = (await graph("POST", "/messages", body=message(), prefer=IMMUTABLE)).json
    sent = await graph("POST", f"/messages/{made['id']}/send", headers={"Content-Length": "0"})
    assert (sent.status, sent.data) == (202, b"")
    kept = await graph.get(f"/messages/{made['id']}", prefer=IMMUTABLE)
    assert (kept["isDraft"], kept["parentFolderId"]) == (False, ann.folder("sentitems").id)
    (arrived,) = inbox(carl)
    assert carl.contents.envelope(arrived).message_id == made["internetMessageId"]
    assert not arrived.is_read
    again = await graph("POST", f"/messages/{made['id']}/send")
    assert again.status == 403
    assert len(inbox(carl)) == 1


async def test_a_sent_draft_stays_a_draft_until_transport_picks_it_up(graph, ann, state, carl):
    state.transport_time = 0.05
    made = (await graph("POST", "/messages", body=message(), prefer=IMMUTABLE)).json
    departed = asyncio.Event()
    state.on_change.append(lambda mailbox: departed.set() if mailbox is carl else None)
    assert (await graph("POST", f"/messages/{made['id']}/send")).status == 202
    assert (await graph.get(f"/messages/{made['id']}", prefer=IMMUTABLE))["isDraft"]
    async with asyncio.timeout(5):
        await departed.wait()
    assert not (await graph.get(f"/messages/{made['id']}", prefer=IMMUTABLE))["isDraft"]
    assert len(inbox(carl)) == 1


@pytest.mark.parametrize(("save", "kept"), [({}, 1), ({"saveToSentItems": True}, 1), ({"SaveToSentItems": False}, 0)])
async def test_mail_is_sent_at_once_and_saved_unless_told_not_to(graph, ann, carl, save, kept):
    answer = await graph("POST", "/sendMail", body={"Message": message(), **save})
    assert (answer.status, answer.data) == (202, b"")
    assert len(inbox(carl)) == 1
    assert len(ann.folder("sentitems").messages) == kept


async def test_mime_is_sent_as_it_is_but_nobody_sees_the_bcc(graph, ann, state, carl):
    dora = state.add_mailbox("dora@contoso.example")
    answer = await graph("POST", "/sendMail", data=b64encode(RAW), headers={"Content-Type": "text/plain"})
    assert answer.status == 202
    for mailbox in (carl, dora, ann):
        (arrived,) = inbox(mailbox)
        assert mailbox.contents.raw(arrived) == RAW.replace(
            b"Bcc: dora@contoso.example,\r\n ann@contoso.example\r\n", b""
        )
    (kept,) = ann.folder("sentitems").messages
    assert ann.contents.raw(kept) == RAW


async def test_a_draft_is_created_from_mime(graph, ann):
    answer = await graph("POST", "/messages", data=b64encode(RAW), headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.json["subject"], answer.json["isDraft"]) == (201, "raw", True)


async def test_bad_base64_is_told(graph):
    for path in ("/messages", "/sendMail"):
        answer = await graph("POST", path, data=b"!!!", headers={"Content-Type": "text/plain"})
        assert (answer.status, answer.code) == (400, "ErrorMimeContentInvalidBase64String")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"toRecipients": []}, (400, "ErrorInvalidRecipients")),
        ({"toRecipients": [{"emailAddress": {"address": "nobody"}}]}, (400, "ErrorInvalidRecipients")),
        ({"from": {"emailAddress": {"address": "boss@contoso.example"}}}, (403, "ErrorSendAsDenied")),
        (headers(), (400, BAD_HEADERS)),
        (headers("Subject"), (400, BAD_HEADERS)),
        (headers(*(f"x-{n}" for n in range(6))), (400, BAD_HEADERS)),
        ({"toRecipients": "carl"}, (400, "RequestBodyRead")),
        ({"attachments": [{"name": "x"}]}, (400, "RequestBodyRead")),
        ({"nonsense": 1}, (400, "RequestBodyRead")),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_nothing_is_saved(graph, ann, carl, change, refusal):
    answer = await graph("POST", "/sendMail", body={"message": message(**change)})
    assert (answer.status, answer.code) == refusal
    assert not ann.folder("sentitems").messages
    assert not inbox(carl)
