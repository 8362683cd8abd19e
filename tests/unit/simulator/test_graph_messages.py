"""Messages over real HTTP: lists, one, MIME, update, move, copy, delete, permissions, errors."""

import gzip

import pytest
from yarl import URL

from postroom.simulator.graph import Caller
from support.exchanges import NOT_LISTED

ME = "ann@contoso.example"
IMMUTABLE = 'IdType="ImmutableId"'

INVOICE = b"""\
From: "Bob, B." <bob@fabrikam.example>\r
To: Ann <ann@contoso.example>, carl@contoso.example\r
Cc: =?utf-8?Q?J=C3=BCrgen?= <j@fabrikam.example>\r
Reply-To: billing@fabrikam.example\r
Subject: =?utf-8?B?UmVjaG51bmcg4oKs?=\r
Date: Sun, 01 Mar 2026 10:00:00 +0100\r
Message-ID: <one@fabrikam.example>\r
X-Priority: 1\r
X-Trace: a\r
X-Trace: b\r
MIME-Version: 1.0\r
Content-Type: text/html; charset=iso-8859-1\r
Content-Transfer-Encoding: quoted-printable\r
\r
<p>Gr=FC=DFe</p><script>steal()</script>\r
"""


def mail(subject="hello"):
    return f"From: b@fabrikam.example\r\nTo: {ME}\r\nSubject: {subject}\r\n\r\nbody of {subject}".encode()


@pytest.fixture
def invoice(state):
    return state.deliver_mime(ME, INVOICE)


async def test_a_message_says_what_its_mime_said(graph, ann, invoice):
    found = await graph.get(f"/messages/{ann.default_id(invoice)}")
    assert found["subject"] == "Rechnung €"
    assert found["from"] == {"emailAddress": {"name": "Bob, B.", "address": "bob@fabrikam.example"}}
    assert [one["emailAddress"]["name"] for one in found["toRecipients"]] == ["Ann", "carl@contoso.example"]
    assert found["ccRecipients"][0]["emailAddress"]["name"] == "Jürgen"
    assert found["replyTo"][0]["emailAddress"]["address"] == "billing@fabrikam.example"
    assert (found["sentDateTime"], found["receivedDateTime"]) == ("2026-03-01T09:00:00Z", "2026-03-01T12:00:00Z")
    assert (found["importance"], found["internetMessageId"]) == ("high", "<one@fabrikam.example>")
    assert (found["isRead"], found["isDraft"], found["hasAttachments"]) == (False, False, False)
    assert found["flag"] == {"flagStatus": "notFlagged"}
    assert found["bodyPreview"] == "Grüße"
    assert found["@odata.etag"] == f'W/"{found["changeKey"]}"'
    assert not {"internetMessageHeaders", "uniqueBody", "@odata.type"} & found.keys()


async def test_a_body_comes_as_preferred_and_sanitised_unless_asked_otherwise(graph, ann, invoice):
    path = f"/messages/{ann.default_id(invoice)}?$select=body"
    html = (await graph.get(path))["body"]
    assert html == {"contentType": "html", "content": "<p>Grüße</p>\r\n"}
    answer = await graph("GET", path, prefer='outlook.body-content-type="text"')
    assert answer.json["body"] == {"contentType": "text", "content": "Grüße"}
    assert answer.headers["Preference-Applied"] == 'outlook.body-content-type="text"'
    unsafe = (await graph.get(path, prefer="outlook.allow-unsafe-html"))["body"]
    assert "<script>steal()</script>" in unsafe["content"]


async def test_a_text_mail_becomes_html_unless_text_is_preferred(graph, ann, state):
    stored = state.deliver_mime(ME, b"Subject: x\r\n\r\n1 < 2\r\nnext")
    path = f"/messages/{ann.default_id(stored)}?$select=body"
    assert "1 &lt; 2<br>\r\nnext" in (await graph.get(path))["body"]["content"]
    text = await graph.get(path, prefer='outlook.body-content-type="text"')
    assert text["body"]["content"] == "1 < 2\r\nnext"


async def test_headers_and_unique_body_come_when_selected_and_every_header_of_a_name_does(graph, ann, invoice):
    found = await graph.get(f"/messages/{ann.default_id(invoice)}?$select=internetMessageHeaders,uniqueBody")
    traces = [one["value"] for one in found["internetMessageHeaders"] if one["name"] == "X-Trace"]
    assert traces == ["a", "b"]
    assert "Grüße" in found["uniqueBody"]["content"]


async def test_the_size_comes_as_an_extended_property(graph, ann, invoice):
    expand = "singleValueExtendedProperties($filter=id%20eq%20'Integer%200x0E08')"
    found = await graph.get(f"/messages/{ann.default_id(invoice)}?$select=id&$expand={expand}")
    assert found["singleValueExtendedProperties"] == [{"id": "Integer 0xe08", "value": str(len(INVOICE))}]


async def test_mime_comes_byte_for_byte_as_it_was_delivered(graph, ann, state, invoice):
    answer = await graph("GET", f"/mailFolders/inbox/messages/{ann.immutable_id(invoice)}/$value")
    assert (answer.data, answer.headers["Content-Type"]) == (INVOICE, "text/plain")
    broken = state.deliver_mime(ME, bytes(range(256)) * 40)
    answer = await graph("GET", f"/messages/{ann.immutable_id(broken)}/$value", headers={"Accept-Encoding": "gzip"})
    assert answer.data == bytes(range(256)) * 40


async def test_ids_of_either_kind_are_accepted_and_the_preferred_kind_is_given(graph, ann, invoice):
    for given in (ann.default_id(invoice), ann.immutable_id(invoice)):
        assert (await graph.get(f"/messages/{given}"))["id"] == ann.default_id(invoice)
        answer = await graph("GET", f"/messages('{given}')", prefer=IMMUTABLE)
        assert answer.json["id"] == ann.immutable_id(invoice)
        assert answer.headers["Preference-Applied"] == IMMUTABLE


async def test_a_list_is_newest_first_and_pages_by_ten(graph, state, clock):
    for n in range(12):
        clock.pass_seconds(60)
        state.deliver_mime(ME, mail(str(n)))
    page = await graph.get("/mailFolders/inbox/messages?$select=subject&$count=true")
    assert [one["subject"] for one in page["value"]] == [str(n) for n in range(11, 1, -1)]
    assert page["@odata.count"] == 12
    rest = await graph.get(page["@odata.nextLink"])
    assert [one["subject"] for one in rest["value"]] == ["1", "0"]
    assert "@odata.nextLink" not in rest


async def test_a_list_can_be_filtered_and_ordered(graph, ann, state, clock):
    for n in range(4):
        state.deliver_mime(ME, mail(str(n)))
        clock.pass_seconds(60)
    ann.update(next(iter(ann.messages.values())), is_read=True)
    url = URL("/messages").with_query(
        {
            "$select": "subject",
            "$filter": "receivedDateTime ge 2026-03-01T12:00:00Z and isRead eq false and not hasAttachments eq true",
            "$orderby": "receivedDateTime asc",
        }
    )
    assert [one["subject"] for one in (await graph.get(str(url)))["value"]] == ["1", "2", "3"]


async def test_a_message_is_found_by_its_internet_message_id(graph, ann, state, invoice):
    state.deliver_mime(ME, mail())
    url = URL("/messages").with_query({"$filter": "internetMessageId eq '<one@fabrikam.example>'"})
    assert [one["id"] for one in (await graph.get(str(url)))["value"]] == [ann.default_id(invoice)]


async def test_an_order_that_is_not_first_in_the_filter_is_too_complex(graph):
    url = URL("/messages").with_query({"$filter": "isRead eq false", "$orderby": "receivedDateTime desc"})
    answer = await graph("GET", str(url))
    assert (answer.status, answer.code) == (400, "InefficientFilter")


@pytest.mark.parametrize("query", ["$filter=isRead%20eq", "$filter=%28%28%28", "$filter=%27", "$filter=" + "%28" * 400])
async def test_a_filter_that_cannot_be_read_is_a_400(graph, query):
    assert (await graph("GET", f"/messages?{query}")).status == 400


@pytest.mark.parametrize(
    "query",
    ["$select=nonsense", "$expand=nonsense", "$top=-1", "$top=1001", "$top=x", "$count=maybe", "$filter=body%20eq%201"],
)
async def test_an_option_that_makes_no_sense_is_a_400(graph, query):
    answer = await graph("GET", f"/messages?{query}")
    assert (answer.status, answer.code) == (400, "BadRequest")


@pytest.mark.parametrize("path", ["/messages?%24select=subject", "//mailFolders('inbox')//messages?%24select=subject"])
async def test_encoded_options_doubled_slashes_and_keys_in_parentheses_are_understood(graph, invoice, path):
    url = f"{graph.root}/users('ann%40contoso.example'){path}"
    assert [one["subject"] for one in (await graph.get(url))["value"]] == ["Rechnung €"]


async def test_a_patch_changes_what_it_names_and_answers_the_message(graph, ann, invoice):
    body = {"isRead": True, "categories": ["Red"], "flag": {"flagStatus": "flagged"}, "importance": "low"}
    answer = await graph("PATCH", f"/messages/{ann.immutable_id(invoice)}", body=body, prefer=IMMUTABLE)
    assert answer.status == 200
    found = await graph.get(f"/messages/{ann.immutable_id(invoice)}")
    assert {name: found[name] for name in body} == body
    assert found["changeKey"] == answer.json["changeKey"]
    assert (await graph.get("/mailFolders/inbox"))["unreadItemCount"] == 0


async def test_what_only_a_draft_may_change_is_refused_for_received_mail_and_nothing_changes(graph, ann, invoice):
    answer = await graph("PATCH", f"/messages/{ann.immutable_id(invoice)}", body={"isRead": True, "subject": "x"})
    assert (answer.status, answer.code) == (400, "ErrorInvalidPropertySet")
    assert not invoice.is_read


@pytest.mark.parametrize(
    "body",
    [
        {"nonsense": 1},
        {"isRead": "yes"},
        {"categories": "Red"},
        {"flag": {"flagStatus": "maybe"}},
        {"importance": "vital"},
    ],
)
async def test_a_patch_of_wrong_names_or_kinds_is_a_400(graph, ann, invoice, body):
    answer = await graph("PATCH", f"/messages/{ann.immutable_id(invoice)}", body=body)
    assert (answer.status, answer.code) == (400, "RequestBodyRead")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_a_400(graph, ann, invoice, data):
    answer = await graph("PATCH", f"/messages/{ann.immutable_id(invoice)}", data=data)
    assert (answer.status, answer.code) == (400, "BadRequest")


async def test_a_write_to_an_earlier_state_of_the_message_is_a_conflict(graph, ann, invoice):
    path = f"/messages/{ann.immutable_id(invoice)}"
    etag = (await graph.get(path))["@odata.etag"]
    assert (await graph("PATCH", path, body={"isRead": True}, headers={"If-Match": etag})).status == 200
    answer = await graph("PATCH", path, body={"isRead": False}, headers={"If-Match": etag})
    assert (answer.status, answer.code) == (412, "ErrorIrresolvableConflict")


async def test_a_move_keeps_the_immutable_id_and_makes_a_new_default_id(graph, ann, invoice):
    old = ann.default_id(invoice)
    answer = await graph("POST", f"/messages/{old}/move", body={"destinationId": "archive"})
    assert answer.status == 201
    assert answer.json["id"] != old
    assert answer.json["parentFolderId"] == ann.folder("archive").id
    gone = await graph("GET", f"/messages/{old}")
    assert (gone.status, gone.code) == (404, "ErrorItemNotFound")
    assert (await graph.get(f"/messages/{ann.immutable_id(invoice)}"))["parentFolderId"] == ann.folder("archive").id
    assert (await graph("GET", f"/mailFolders/inbox/messages/{ann.immutable_id(invoice)}")).status == 404


async def test_a_copy_is_another_message(graph, ann, invoice):
    path = f"/messages/{ann.immutable_id(invoice)}/microsoft.graph.copy"
    answer = await graph("POST", path, body={"DestinationId": ann.folder("archive").id}, prefer=IMMUTABLE)
    assert answer.status == 201
    assert answer.json["id"] != ann.immutable_id(invoice)
    copied = await graph("GET", f"/messages/{answer.json['id']}/$value")
    assert copied.data == INVOICE


async def test_a_deleted_message_is_gone_but_recoverable(graph, ann, invoice):
    path = f"/messages/{ann.immutable_id(invoice)}"
    answer = await graph("DELETE", path)
    assert (answer.status, answer.data) == (204, b"")
    assert (await graph("GET", path)).code == "ErrorItemNotFound"
    assert (await graph.get("/messages"))["value"] == []
    recoverable = await graph.get("/mailFolders/recoverableitemsdeletions/messages", prefer=IMMUTABLE)
    assert [one["id"] for one in recoverable["value"]] == [ann.immutable_id(invoice)]


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda text: text[:-1], (400, "ErrorInvalidIdMalformed")),
        (lambda text: text.swapcase(), (404, "ErrorInvalidMailboxItemId")),
        (lambda _: "nonsense", (400, "ErrorInvalidIdMalformed")),
        (lambda text: text[:-4] + "%%%%", (400, "ErrorInvalidIdMalformed")),
    ],
)
async def test_an_id_that_is_none_is_told_from_one_that_is_gone(graph, ann, invoice, change, refusal):
    wrong = str(URL.build(path=f"/messages/{change(ann.immutable_id(invoice))}"))
    answer = await graph("GET", wrong)
    assert (answer.status, answer.code) == refusal


async def test_a_message_of_another_mailbox_is_not_answered(graph, state):
    state.add_mailbox("carl@contoso.example")
    foreign = state.deliver_mime("carl@contoso.example", mail())
    carl = state.mailbox("carl@contoso.example")
    answer = await graph("GET", f"/messages/{carl.immutable_id(foreign)}")
    assert (answer.status, answer.code) == (404, "ErrorInvalidMailboxItemId")


async def test_an_unknown_mailbox_is_a_404(graph):
    answer = await graph("GET", f"{graph.root}/users/nobody@contoso.example/messages")
    assert (answer.status, answer.code) == (404, "ErrorInvalidUser")
    assert "nobody@contoso.example" in answer.json["error"]["message"]


async def test_a_mailbox_is_found_by_its_object_id_and_in_any_case(graph, ann, invoice):
    for name in (ann.id, "ANN@Contoso.example"):
        assert len((await graph.get(f"{graph.root}/users/{name}/messages"))["value"]) == 1


async def test_basic_permission_shows_no_bodies(graph, ann, invoice):
    graph.caller = Caller("app", frozenset({"Mail.ReadBasic.All"}), None)
    found = await graph.get(f"/messages/{ann.immutable_id(invoice)}")
    assert found["subject"] == "Rechnung €"
    assert not {"body", "bodyPreview"} & found.keys()
    for path in ("?$select=body", "?$expand=attachments", "/$value", "/attachments"):
        answer = await graph("GET", f"/messages/{ann.immutable_id(invoice)}{path}")
        assert (answer.status, answer.code) == (403, "ErrorAccessDenied")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("Mail.Read", {"read"}), ("Mail.ReadWrite", {"read", "write"}), ("Mail.Send", {"send"}), ("User.Read.All", set())],
)
async def test_each_permission_allows_what_it_says_and_no_more(graph, ann, invoice, role, allowed):
    graph.caller = Caller("app", frozenset({role}), None)
    message = {"toRecipients": [{"emailAddress": {"address": "x@fabrikam.example"}}]}
    answers = {
        "read": await graph("GET", f"/messages/{ann.immutable_id(invoice)}"),
        "write": await graph("PATCH", f"/messages/{ann.immutable_id(invoice)}", body={"isRead": True}),
        "send": await graph("POST", "/sendMail", body={"message": message}),
    }
    assert {name for name, answer in answers.items() if answer.status < 300} == allowed
    assert {answer.code for answer in answers.values() if answer.status >= 300} <= {"ErrorAccessDenied"}


async def test_a_mailbox_out_of_the_apps_scope_is_refused_in_words_of_its_own(graph, state):
    state.add_mailbox("carl@contoso.example")
    graph.caller = Caller("app", graph.caller.roles, frozenset({"Ann@contoso.example"}))
    assert (await graph("GET", "/messages")).status == 200
    answer = await graph("GET", f"{graph.root}/users/carl@contoso.example/messages")
    assert (answer.status, answer.code) == (403, "ErrorAccessDenied")
    assert "[RAOP]" in answer.json["error"]["message"]


async def test_every_answer_carries_request_ids_and_errors_repeat_them(graph):
    answer = await graph("GET", "/mailFolders/nonsense", headers={"client-request-id": "abc"})
    inner = answer.json["error"]["innerError"]
    assert inner["request-id"] == answer.headers["request-id"]
    assert inner["client-request-id"] == answer.headers["client-request-id"] == "abc"
    assert "ServerInfo" in answer.headers["x-ms-ags-diagnostic"]
    good = await graph("GET", "/mailFolders")
    assert good.headers["client-request-id"] == good.headers["request-id"] != answer.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("DELETE", "/messages", 405), ("GET", "/nonsense", 400), ("PUT", "/sendMail", 405), ("GET", "", 400)],
)
async def test_what_graph_does_not_have_is_refused_in_its_error_shape(graph, method, path, status):
    answer = await graph(method, path, unjudged=NOT_LISTED)
    assert answer.status == status
    assert answer.code


async def test_a_large_answer_is_compressed_when_accepted(graph, state, invoice):
    for _ in range(5):
        state.deliver_mime(ME, INVOICE)
    url = f"{graph.root}/users/{ME}/messages"
    async with graph.session.get(url, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert b"Rechnung" in gzip.decompress(await packed.read())
    async with graph.session.get(url, headers={"Accept-Encoding": "identity"}, auto_decompress=False) as plain:
        assert "Content-Encoding" not in plain.headers
        assert b"Rechnung" in await plain.read()
