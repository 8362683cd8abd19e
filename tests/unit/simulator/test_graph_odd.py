"""Whatever is asked of messages and attachments, the answer is one of Graph's and never a failure of the server."""

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.exchanges import BY_CHANCE

ME = "ann@contoso.example"
NAMES = st.sampled_from(
    [
        "subject",
        "Subject",
        "body",
        "toRecipients",
        "from",
        "sender",
        "importance",
        "categories",
        "flag",
        "isRead",
        "isDraft",
        "replyTo",
        "internetMessageId",
        "internetMessageHeaders",
        "attachments",
        "singleValueExtendedProperties",
        "multiValueExtendedProperties",
        "message",
        "Message",
        "inferenceClassification",
        "comment",
        "saveToSentItems",
        "destinationId",
        "attachmentItem",
        "size",
        "name",
        "emailAddress",
        "address",
        "contentType",
        "content",
        "item",
        "contentBytes",
        "@odata.type",
        "id",
        "value",
        "flagStatus",
        "startDateTime",
        "dueDateTime",
        "dateTime",
    ]
)
WORDS = [
    "html",
    "Text",
    "high",
    "flagged",
    "x-a",
    "archive",
    "a@contoso.example",
    "YQ==",
    "8",
    "file",
    "2026-03-01T00:00:00Z",
    "=?utf-8?B?w?=",
    "#microsoft.graph.fileAttachment",
    "#microsoft.graph.itemAttachment",
    "#microsoft.graph.referenceAttachment",
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from([*WORDS, "Integer 0xe07", "\ud800", "\r\nBcc: x@y"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=6)
CLAUSES = [
    "isRead",
    "eq",
    "ne",
    "true",
    "'x'",
    "2026-03-01",
    "(",
    ")",
    "and",
    "or",
    "not",
    "subject",
    "1",
    ",",
    "contains(subject,'a')",
    "categories/any(c:c",
    "'Red')",
    "from/emailAddress/address",
    "null",
    "desc",
    '"subject:x"',
    '"received:today"',
    '"',
    "AND",
    "OR",
    "NOT",
    "attachments",
    "$select=name",
    "in",
    ":",
    "singleValueExtendedProperties",
    "microsoft.graph.eventMessage/type",
    "microsoft.graph.itemattachment/item",
    "receivedDateTime",
    "*",
    "size>9",
    "9999999999999999999999999",
]
CLAUSE = st.sampled_from([*CLAUSES, "\x00", "($filter=id eq 'Integer 0xe08')"])
OPTIONS = st.dictionaries(
    st.sampled_from(
        ["$filter", "$orderby", "$search", "$select", "$expand", "$top", "$skip", "$count", "filter", "$skiptoken"]
    ),
    st.one_of(st.text(max_size=30), st.lists(CLAUSE, max_size=8).map(" ".join)),
    max_size=3,
)
PLACES = st.sampled_from(["/messages", "/mailFolders/inbox/messages", "/messages/$count"])
TAILS = st.sampled_from(
    [
        "/",
        "/$value",
        "/attachments",
        "/attachments/$count",
        "/attachments/x",
        "/attachments/x/$value",
        "/move",
        "/copy",
        "/send",
        "/reply",
        "/replyAll",
        "/forward",
        "/createReply",
        "/createReplyAll",
        "/createForward",
        "/permanentDelete",
        "/attachments/createUploadSession",
        "/nonsense",
    ]
)
MIXED = b"""\
Subject: m\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
\r
t\r
--b\r
Content-Type: message/rfc822\r
\r
Subject: i\r
\r
x\r
--b--\r
"""
ODD = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(answer):
    """The answer is well formed, and none of the server's failures."""
    assert answer.status < 500, answer.data
    if answer.status in (202, 204):
        assert answer.data == b""
    elif answer.status >= 400:
        assert set(answer.json["error"]) == {"code", "message", "innerError"}
    elif "json" in answer.headers["Content-Type"]:
        assert isinstance(answer.json, dict)


@pytest.fixture
def fresh(ann):
    """Makes a received mail or a draft anew, for each example, and returns its id."""
    ann.write_time = 0

    def make(*, is_draft):
        folder = ann.folder("drafts" if is_draft else "inbox")
        return ann.immutable_id(ann.add(MIXED, folder, is_draft=is_draft))

    return make


@ODD
@given(options=OPTIONS, place=st.one_of(PLACES, TAILS.map("/messages/*{}".format)))
async def test_no_query_option_makes_the_server_fail(graph, fresh, options, place):
    path = place.replace("*", fresh(is_draft=False))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    check(await graph("GET", f"{path}?{query}", unjudged=BY_CHANCE))


@ODD
@given(
    request=st.tuples(st.sampled_from(["POST", "POST", "PATCH", "PUT", "DELETE"]), TAILS),
    is_draft=st.booleans(),
    body=st.one_of(BODIES, BODIES.map(lambda inner: {"message": inner}), VALUES),
)
async def test_no_body_makes_the_server_fail(graph, fresh, request, is_draft, body):
    method, tail = request
    path, data = f"/messages/{fresh(is_draft=is_draft)}{tail}", json.dumps(body).encode()
    for kind in ("application/json", "text/plain"):
        check(await graph(method, path, data=data, headers={"Content-Type": kind}, unjudged=BY_CHANCE))


@ODD
@given(path=st.sampled_from(["/messages", "/sendMail"]), body=BODIES, inside=st.booleans())
async def test_no_new_message_makes_the_server_fail(graph, path, body, inside):
    check(
        await graph("POST", path, data=json.dumps({"message": body} if inside else body).encode(), unjudged=BY_CHANCE)
    )
    page = await graph("GET", "/messages?$top=3&$expand=attachments", unjudged=BY_CHANCE)
    check(page)
    assert page.status == 200
