"""Replies and forwards over real HTTP."""

from base64 import b64encode

import pytest

from postroom.simulator.graph import Caller

ME = "ann@contoso.example"
IMMUTABLE = 'IdType="ImmutableId"'
QUESTION = (
    b"From: Bob <bob@fabrikam.example>\r\nTo: Ann <ann@contoso.example>, Carl <carl@contoso.example>\r\n"
    b"Cc: dora@contoso.example\r\nSubject: Question\r\nDate: Sun, 01 Mar 2026 09:00:00 +0000\r\n"
    b"Message-ID: <q@fabrikam.example>\r\nReferences: <first@fabrikam.example>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n<html><body><p>Why?</p></body></html>\r\n"
    b"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=why.pdf\r\n\r\nPDF\r\n--b--\r\n"
)
TO_CARL = [{"emailAddress": {"name": "Carl", "address": "carl@contoso.example"}}]
TEXT = {"Content-Type": "text/plain"}


@pytest.fixture
def carl(state):
    return state.add_mailbox("carl@contoso.example", "Carl")


@pytest.fixture
def question(ann, state, carl):
    return ann.immutable_id(state.deliver_mime(ME, QUESTION))


def addresses(people):
    return [one["emailAddress"]["address"] for one in people]


def inbox(mailbox):
    return mailbox.by_time(mailbox.folder("inbox"))


async def made(graph, question, kind, **body):
    answer = await graph("POST", f"/messages/{question}/{kind}", body=body, prefer=IMMUTABLE)
    assert answer.status == 201, answer.data
    return answer.json


async def test_a_reply_draft_is_addressed_named_threaded_and_quotes_the_mail(graph, ann, question):
    draft = await made(graph, question, "createReply", comment="Because <of> it.\nTruly.")
    original = await graph.get(f"/messages/{question}")
    assert (draft["subject"], draft["isDraft"]) == ("RE: Question", True)
    assert addresses(draft["toRecipients"]) == ["bob@fabrikam.example"]
    assert draft["ccRecipients"] == []
    assert draft["conversationId"] == original["conversationId"]
    assert draft["parentFolderId"] == ann.folder("drafts").id
    content = draft["body"]["content"]
    assert (
        content.index("Because &lt;of&gt; it.<br>\r\nTruly.") < content.index("divRplyFwdMsg") < content.index("Why?")
    )
    assert draft["hasAttachments"] is False
    found = await graph.get(f"/messages/{draft['id']}?$select=internetMessageHeaders,uniqueBody")
    headers = {one["name"]: one["value"] for one in found["internetMessageHeaders"]}
    assert headers["In-Reply-To"] == "<q@fabrikam.example>"
    assert headers["References"] == "<first@fabrikam.example> <q@fabrikam.example>"
    assert "Because" in found["uniqueBody"]["content"]
    assert "Why?" not in found["uniqueBody"]["content"]


async def test_a_reply_to_all_leaves_the_mailbox_itself_out(graph, question):
    draft = await made(graph, question, "createReplyAll")
    assert addresses(draft["toRecipients"]) == ["bob@fabrikam.example", "carl@contoso.example"]
    assert addresses(draft["ccRecipients"]) == ["dora@contoso.example"]


async def test_a_reply_goes_where_reply_to_says(graph, ann, state):
    raw = QUESTION.replace(b"Cc: dora", b"Reply-To: desk@fabrikam.example\r\nCc: dora")
    stored = ann.immutable_id(state.deliver_mime(ME, raw))
    assert addresses((await made(graph, stored, "createReply"))["toRecipients"]) == ["desk@fabrikam.example"]


async def test_a_forward_takes_the_attachments_along(graph, question):
    draft = await made(graph, question, "createForward", toRecipients=TO_CARL)
    assert (draft["subject"], draft["toRecipients"], draft["hasAttachments"]) == ("FW: Question", TO_CARL, True)
    (file,) = (await graph.get(f"/messages/{draft['id']}/attachments"))["value"]
    assert file["name"] == "why.pdf"
    assert (await graph("GET", f"/messages/{draft['id']}/attachments/{file['id']}/$value")).data == b"PDF"


async def test_a_subject_gets_its_prefix_once(graph, question):
    reply = await made(graph, question, "createReply")
    assert (await made(graph, reply["id"], "createReply"))["subject"] == "RE: Question"
    assert (await made(graph, reply["id"], "createForward"))["subject"] == "FW: RE: Question"


async def test_the_message_parameter_changes_the_draft(graph, question):
    message = {
        "subject": "else",
        "body": {"contentType": "text", "content": "mine alone"},
        "toRecipients": TO_CARL,
        "importance": "high",
        "categories": ["Red"],
        "internetMessageHeaders": [{"name": "x-op", "value": "7"}],
    }
    draft = await made(graph, question, "createReply", Message=message)
    assert (draft["subject"], draft["importance"], draft["categories"]) == ("else", "high", ["Red"])
    assert draft["toRecipients"] == TO_CARL
    assert "Why?" not in draft["body"]["content"]
    headers = (await graph.get(f"/messages/{draft['id']}?$select=internetMessageHeaders"))["internetMessageHeaders"]
    assert {"In-Reply-To", "x-op"} <= {one["name"] for one in headers}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("createReply", {"comment": "a", "message": {"body": {"content": "b"}}}),
        ("reply", {"comment": "", "message": {"body": {"content": "b"}}}),
        ("replyAll", {"comment": 1}),
        ("reply", {"toRecipients": TO_CARL}),
        ("reply", {"nonsense": 1}),
        ("reply", {"message": {"nonsense": 1}}),
        ("reply", {"message": "x"}),
        ("forward", {"comment": "a"}),
        ("forward", {"toRecipients": TO_CARL, "message": {"toRecipients": TO_CARL}}),
        ("createForward", {"toRecipients": TO_CARL, "message": {"toRecipients": TO_CARL}}),
        ("forward", {"toRecipients": []}),
    ],
)
async def test_what_an_answer_cannot_be_made_of_is_a_400_and_leaves_nothing(graph, ann, question, kind, body):
    answer = await graph("POST", f"/messages/{question}/{kind}", body=body)
    assert answer.status == 400
    assert not ann.folder("drafts").messages
    assert not ann.folder("sentitems").messages


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("reply", {"message": {"toRecipients": TO_CARL}, "comment": "yes"}),
        ("replyAll", {"comment": "yes"}),
        ("forward", {"toRecipients": TO_CARL, "comment": "see"}),
    ],
)
async def test_an_answer_is_sent_and_kept(graph, carl, question, kind, body):
    answer = await graph("POST", f"/messages/{question}/{kind}", body=body)
    assert (answer.status, answer.data) == (202, b"")
    (got,) = inbox(carl)
    assert carl.contents.envelope(got).subject == f"{'FW' if kind == 'forward' else 'RE'}: Question"
    assert len((await graph.get("/mailFolders/sentitems/messages"))["value"]) == 1
    assert (await graph.get("/mailFolders/drafts/messages"))["value"] == []


async def test_a_reply_without_a_body_is_sent_too(graph, ann, question):
    answer = await graph("POST", f"/messages/{question}/reply")
    assert answer.status == 202
    assert len(ann.folder("sentitems").messages) == 1


async def test_an_answer_given_as_mime_is_filled_up(graph, ann, carl, question):
    raw = b"Subject: mine\r\nX-Own: 1\r\n\r\nbody"
    made = await graph("POST", f"/messages/{question}/createReplyAll", data=b64encode(raw), headers=TEXT)
    assert (made.status, made.json["subject"]) == (201, "mine")
    assert addresses(made.json["toRecipients"]) == ["bob@fabrikam.example", "carl@contoso.example"]
    assert made.json["conversationId"] == (await graph.get(f"/messages/{question}"))["conversationId"]
    forward = await graph(
        "POST", f"/messages/{question}/forward", data=b64encode(b"To: carl@contoso.example\r\n" + raw), headers=TEXT
    )
    assert forward.status == 202
    assert len(inbox(carl)) == 1
    broken = await graph("POST", f"/messages/{question}/reply", data=b"!", headers=TEXT)
    assert (broken.status, broken.code) == (400, "ErrorMimeContentInvalidBase64String")


async def test_replying_needs_leave_to_send_and_drafting_leave_to_write(graph, question):
    graph.caller = Caller("app", frozenset({"Mail.Send"}), None)
    assert (await graph("POST", f"/messages/{question}/reply", body={})).status == 202
    assert (await graph("POST", f"/messages/{question}/createReply", body={})).code == "ErrorAccessDenied"
    graph.caller = Caller("app", frozenset({"Mail.ReadWrite"}), None)
    assert (await graph("POST", f"/messages/{question}/reply", body={})).code == "ErrorAccessDenied"


async def test_a_mail_is_a_draft_first_and_then_kept_in_sent_items(graph, ann):
    link = (await graph.round("/mailFolders/drafts/messages/delta", prefer=IMMUTABLE))[1]
    await graph("POST", "/sendMail", body={"message": {"subject": "x", "toRecipients": TO_CARL}})
    (left,), _ = await graph.round(link, prefer=IMMUTABLE)
    (kept,) = (await graph.get("/mailFolders/sentitems/messages", prefer=IMMUTABLE))["value"]
    assert (left["id"], left["@removed"]) == (kept["id"], {"reason": "deleted"})
    assert (kept["isDraft"], kept["isRead"]) == (False, True)


async def test_mail_to_somebody_unknown_comes_back_to_the_senders_inbox(graph, ann, carl):
    people = [*TO_CARL, {"emailAddress": {"address": "nobody@contoso.example"}}, *TO_CARL]
    people.append({"emailAddress": {"address": "stranger@elsewhere.example"}})
    sent = await graph("POST", "/sendMail", body={"message": {"subject": "Grüße", "toRecipients": people}})
    assert sent.status == 202
    assert len(inbox(carl)) == 1
    (report,) = (await graph.get("/mailFolders/inbox/messages"))["value"]
    assert report["subject"] == "Undeliverable: Grüße"
    assert "nobody@contoso.example" in report["body"]["content"]
    headers = (await graph.get(f"/messages/{report['id']}?$select=internetMessageHeaders"))["internetMessageHeaders"]
    assert {"name": "Auto-Submitted", "value": "auto-replied"} in headers
    parts = (await graph.get(f"/messages/{report['id']}/attachments"))["value"]
    assert [one["contentType"] for one in parts] == ["message/delivery-status", "text/rfc822-headers"]


async def test_the_from_of_submitted_mime_is_ignored(graph, ann, carl):
    raw = b"From: Boss <boss@contoso.example>\r\nSender: x@y.example\r\nTo: carl@contoso.example\r\nSubject: s\r\n\r\nb"
    sent = await graph("POST", "/sendMail", data=b64encode(raw), headers=TEXT)
    assert sent.status == 202
    (got,) = inbox(carl)
    assert carl.contents.envelope(got).sent_from.address == ME
    assert carl.contents.envelope(got).sender.address == ME


async def test_the_default_id_of_a_draft_is_gone_once_it_is_sent(graph, carl):
    made = (await graph("POST", "/messages", body={"subject": "x", "toRecipients": TO_CARL})).json
    assert (await graph("POST", f"/messages/{made['id']}/send")).status == 202
    gone = await graph("GET", f"/messages/{made['id']}")
    assert (gone.status, gone.code) == (404, "ErrorItemNotFound")
