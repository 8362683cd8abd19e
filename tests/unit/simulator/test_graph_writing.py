"""How writes are read, refused, answered and kept apart."""

import asyncio
import json

import pytest

from postroom.simulator.graph.message_input import draft_parts
from postroom.simulator.graph.message_names import spelled

ME = "ann@contoso.example"
IMMUTABLE = 'IdType="ImmutableId"'
CARL = {"emailAddress": {"address": "carl@contoso.example"}}
GUID = "{00020329-0000-0000-c000-000000000046}"


@pytest.fixture
def message(ann, state):
    raw = b"From: b@x.example\r\nSubject: s\r\nMessage-ID: <m@x>\r\nIn-Reply-To: <earlier@x>\r\n\r\nb"
    return state.deliver_mime(ME, raw)


@pytest.fixture
def path(ann, message):
    return f"/messages/{ann.immutable_id(message)}"


async def test_of_two_writes_that_overlap_one_is_a_conflict_and_changes_nothing(graph, ann, message, path):
    ann.write_time = 0.2
    answers = await asyncio.gather(
        graph("PATCH", path, body={"isRead": True}),
        graph("PATCH", path, body={"categories": ["Red"]}),
    )
    assert sorted(answer.status for answer in answers) == [200, 409]
    (refused,) = (answer for answer in answers if answer.status == 409)
    assert refused.code == "ErrorIrresolvableConflict"
    assert message.is_read != bool(message.categories)
    assert (await graph("PATCH", path, body={"isRead": True, "categories": ["Red"]})).status == 200


async def test_a_write_under_way_keeps_all_other_writes_from_the_message_but_no_reads(graph, ann, message, path):
    ann.writing.add(message.item)
    for method, tail, body in (
        ("PATCH", "", {"isRead": True}),
        ("DELETE", "", None),
        ("POST", "/send", None),
        ("POST", "/move", {"destinationId": "archive"}),
        ("POST", "/permanentDelete", None),
        ("POST", "/attachments", {}),
    ):
        answer = await graph(method, path + tail, body=body)
        assert (answer.status, answer.code) == (409, "ErrorIrresolvableConflict")
    assert (await graph("GET", path)).status == 200
    ann.writing.clear()
    assert (await graph("DELETE", path)).status == 204


async def test_an_if_match_of_an_earlier_state_holds_for_every_write(graph, ann, message, path):
    stale = {"If-Match": 'W/"stale"'}
    for method, tail, body in (
        ("PATCH", "", {"isRead": True}),
        ("DELETE", "", None),
        ("POST", "/move", {"destinationId": "archive"}),
    ):
        answer = await graph(method, path + tail, body=body, headers=stale)
        assert (answer.status, answer.code) == (412, "ErrorIrresolvableConflict")
    assert message.folder is ann.folder("inbox")


async def test_the_etag_of_a_message_is_a_header_too(graph, path):
    answer = await graph("GET", path)
    assert answer.headers["ETag"] == answer.json["@odata.etag"]


async def test_a_corrupt_item_is_a_500_for_good_but_is_listed(graph, ann, message, path):
    ann.corrupt.add(message.item)
    for method, tail in (("GET", ""), ("GET", "/$value"), ("GET", "/attachments"), ("PATCH", "")):
        for _ in range(2):
            answer = await graph(method, path + tail)
            assert (answer.status, answer.code) == (500, "ErrorCorruptData")
    listed = (await graph.get("/messages?$select=id", prefer=IMMUTABLE))["value"]
    assert [one["id"] for one in listed] == [ann.immutable_id(message)]


async def test_the_minimum_preferred_is_no_body(graph, ann, message, path):
    answer = await graph("PATCH", path, body={"isRead": True}, prefer=[IMMUTABLE, "return=minimal"])
    assert (answer.status, answer.data) == (204, b"")
    assert "return=minimal" in answer.headers["Preference-Applied"]
    assert message.is_read
    made = await graph("POST", "/messages", body={"subject": "x"}, prefer="return=minimal")
    assert made.status == 204
    assert (await graph.get(made.headers["Location"]))["subject"] == "x"


async def test_what_is_created_says_where_it_is(graph, path):
    made = await graph("POST", "/messages", body={"subject": "x"})
    assert (await graph.get(made.headers["Location"]))["id"] == made.json["id"]


async def test_a_message_deleted_for_good_is_not_recoverable(graph, ann, message, path):
    answer = await graph("POST", f"{path}/permanentDelete")
    assert (answer.status, answer.data) == (204, b"")
    assert (await graph("GET", path)).code == "ErrorItemNotFound"
    assert (await graph.get("/mailFolders/recoverableitemsdeletions/messages"))["value"] == []


async def test_parameters_are_understood_with_either_initial(graph, ann, state, path):
    carl = state.add_mailbox("carl@contoso.example")
    assert (await graph("POST", f"{path}/move", body={"DestinationId": "archive"})).status == 201
    assert (
        await graph("POST", f"{path}/reply", body={"Comment": "x", "Message": {"toRecipients": [CARL]}})
    ).status == 202
    assert (await graph("POST", f"{path}/forward", body={"ToRecipients": [CARL], "Comment": "x"})).status == 202
    assert len(carl.folder("inbox").messages) == 2


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda name: name[0].upper() + name[1:]])
def test_property_names_are_understood_in_any_case(change):
    body = {"subject": "x", "body": {"contentType": "HTML", "content": "<p>"}, "toRecipients": [CARL]}

    def rewritten(value):
        if isinstance(value, dict):
            return {change(name): rewritten(one) for name, one in value.items()}
        return [rewritten(one) for one in value] if isinstance(value, list) else value

    assert spelled(rewritten(body)) == body
    parts = draft_parts(spelled(rewritten(body)))
    assert (parts["subject"], parts["body"].kind, parts["to"][0].address) == ("x", "html", "carl@contoso.example")


@pytest.mark.parametrize(
    "body",
    [
        {"body": {"content": "x", "nonsense": 1}},
        {"body": {"contentType": "rtf"}},
        {"toRecipients": [{"emailAddress": {"adress": "x"}}]},
        {"toRecipients": [{"address": "x"}]},
        {"internetMessageHeaders": 1},
        {"internetMessageHeaders": [1]},
        {"flag": {"flagStatus": "flagged", "dueDateTime": 1}},
        {"attachments": [1]},
        {"singleValueExtendedProperties": {}},
        {"singleValueExtendedProperties": [{"id": "String 0x1a", "value": 1}]},
    ],
)
async def test_nested_properties_are_held_to_their_types(graph, ann, body):
    answer = await graph("POST", "/messages", body=body)
    assert (answer.status, answer.code) == (400, "RequestBodyRead")
    assert not ann.folder("drafts").messages


async def test_a_due_date_needs_a_start(graph, path):
    day = {"dateTime": "2026-03-02T00:00:00", "timeZone": "UTC"}
    answer = await graph("PATCH", path, body={"flag": {"flagStatus": "flagged", "dueDateTime": day}})
    assert (answer.status, answer.code) == (400, "ErrorInvalidArgument")
    whole = {"flagStatus": "flagged", "startDateTime": day, "dueDateTime": day}
    assert (await graph("PATCH", path, body={"flag": whole})).json["flag"] == whole


async def test_nulls_clear_what_they_name(graph):
    made = (await graph("POST", "/messages", body={"subject": "x", "toRecipients": [CARL], "categories": ["Red"]})).json
    nulls = {"subject": None, "toRecipients": [], "categories": [], "importance": None, "body": None, "flag": None}
    changed = (await graph("PATCH", f"/messages/{made['id']}", body=nulls)).json
    assert (changed["subject"], changed["toRecipients"], changed["categories"]) == ("", [], [])
    assert (changed["importance"], changed["flag"]) == ("normal", {"flagStatus": "notFlagged"})


async def test_a_body_of_endless_nesting_or_lone_surrogates_is_no_trouble(graph):
    deep = {"attachments": []}
    for _ in range(60):
        item = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "x", "item": deep}
        deep = {"attachments": [item]}
    assert (await graph("POST", "/messages", body=deep)).status == 400
    made = await graph("POST", "/messages", data=json.dumps({"subject": "a\ud800b", "categories": ["\udfff"]}).encode())
    assert (made.status, made.json["subject"], made.json["categories"]) == (201, "a?b", ["?"])


async def test_extended_properties_are_set_on_a_draft_and_come_when_expanded(graph, path):
    named = f"String {GUID} Name case"
    body = {
        "subject": "x",
        "singleValueExtendedProperties": [{"id": named, "value": "42"}, {"id": "Integer 0x00004001", "value": "7"}],
        "multiValueExtendedProperties": [{"id": f"StringArray {GUID} Name tags", "value": ["a", "b"]}],
    }
    made = (await graph("POST", "/messages", body=body)).json
    assert "singleValueExtendedProperties" not in made
    expand = f"singleValueExtendedProperties($filter=id eq '{named}' or id eq 'Integer 0x4001' or id eq 'String 0x99')"
    expand += f",multiValueExtendedProperties($filter=id eq 'StringArray {GUID} Name tags')"
    found = await graph.get(f"/messages/{made['id']}?$select=id&$expand={expand.replace(' ', '%20')}")
    assert found["singleValueExtendedProperties"] == [
        {"id": named, "value": "42"},
        {"id": "Integer 0x4001", "value": "7"},
    ]
    assert found["multiValueExtendedProperties"] == [{"id": f"StringArray {GUID} Name tags", "value": ["a", "b"]}]
    change = {"singleValueExtendedProperties": [{"id": named, "value": "43"}]}
    assert (await graph("PATCH", f"/messages/{made['id']}", body=change)).status == 200
    clause = f"singleValueExtendedProperties/any(ep:ep/id eq '{named}' and ep/value eq '43')"
    hit = await graph.get(f"/messages?$filter={clause.replace(' ', '%20')}")
    assert [one["id"] for one in hit["value"]] == [made["id"]]
    refused = await graph("PATCH", path, body=change)
    assert (refused.status, refused.code) == (400, "ErrorInvalidPropertySet")


async def test_exchange_makes_extended_properties_of_a_mail_itself(graph, path):
    wanted = ["String 0x001A", "String 0x0037", "String 0x1035", "String 0x1042", "Integer 0x0E07", "String 0x007D"]
    clause = " or ".join(f"id eq '{one}'" for one in wanted).replace(" ", "%20")
    found = await graph.get(f"{path}?$expand=singleValueExtendedProperties($filter={clause})")
    values = [one["value"] for one in found["singleValueExtendedProperties"]]
    assert values[:5] == ["IPM.Note", "s", "<m@x>", "<earlier@x>", "0"]
    assert values[5].startswith("From: b@x.example")


async def test_message_flags_without_unsent_import_a_mail_as_received(graph, ann):
    body = {"subject": "old", "singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "1"}]}
    made = (await graph("POST", "/mailFolders/archive/messages", body=body)).json
    assert (made["isDraft"], made["isRead"]) == (False, True)


INVITATION = """\
From: bob@fabrikam.example\r
Subject: Lunch\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary=b\r
\r
--b\r
Content-Type: text/plain\r
\r
Lunch?\r
--b\r
Content-Type: text/calendar; method={method}; charset=utf-8\r
\r
BEGIN:VCALENDAR\r
BEGIN:VTIMEZONE\r
DTSTART:16010101T000000\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
ATTENDEE;PARTSTAT={answer}:mailto:ann@contoso.example\r
DTSTART;TZID=Romance Standard Time:20260302T120000\r
DTEND:20260302T120000Z\r
LOCATION:Canteen\\, left\r
END:VEVENT\r
END:VCALENDAR\r
--b--\r
"""


@pytest.mark.parametrize(
    ("invitation", "kind", "meeting"),
    [
        (("REQUEST", "NEEDS-ACTION"), "eventMessageRequest", "meetingRequest"),
        (("REPLY", "ACCEPTED"), "eventMessageResponse", "meetingAccepted"),
        (("REPLY", "TENTATIVE"), "eventMessageResponse", "meetingTenativelyAccepted"),
        (("REPLY", "DECLINED"), "eventMessageResponse", "meetingDeclined"),
        (("CANCEL", "NEEDS-ACTION"), "eventMessage", "meetingCancelled"),
    ],
)
async def test_a_mail_with_an_invitation_is_an_event_message(graph, state, invitation, kind, meeting):
    method, answer = invitation
    stored = state.deliver_mime(ME, INVITATION.format(method=method, answer=answer).encode())
    stored = state.mailbox(ME).immutable_id(stored)
    found = await graph.get(f"/messages/{stored}")
    assert (found["@odata.type"], found["meetingMessageType"]) == (f"#microsoft.graph.{kind}", meeting)
    assert found["startDateTime"] == {"dateTime": "2026-03-02T12:00:00.0000000", "timeZone": "Romance Standard Time"}
    assert found["endDateTime"]["timeZone"] == "UTC"
    assert found["location"]["displayName"] == "Canteen, left"
    assert (found["hasAttachments"], found["isAllDay"]) == (False, False)
    assert found.get("responseType") == {
        "ACCEPTED": "accepted",
        "TENTATIVE": "tentativelyAccepted",
        "DECLINED": "declined",
    }.get(answer)
    bare = (await graph.get("/messages?$select=id"))["value"][0]
    assert bare["@odata.type"] == f"#microsoft.graph.{kind}"
    assert "startDateTime" not in bare
    picked = await graph.get(f"/messages/{stored}?$select=subject,microsoft.graph.eventMessage/isAllDay")
    assert picked["isAllDay"] is False
    page = await graph.get("/mailFolders/inbox/messages/delta?$select=subject")
    assert page["value"][0]["@odata.type"] == f"#microsoft.graph.{kind}"


async def test_an_ordinary_mail_has_no_type_of_its_own(graph, path):
    picked = await graph.get(f"{path}?$select=subject,microsoft.graph.eventMessage/isAllDay")
    assert not {"@odata.type", "isAllDay"} & picked.keys()


@pytest.mark.parametrize(
    ("kind", "whole", "unique"),
    [
        ("html", '<p>new</p><div id="appendonsend"></div><hr><p>old</p>', "<p>new</p>"),
        ("html", '<p>new</p><div class="gmail_quote">old</div>', "<p>new</p>"),
        ("html", '<p>new</p><blockquote type="cite">old</blockquote>', "<p>new</p>"),
        (
            "html",
            '<html><body><p>new</p><div id="x_divRplyFwdMsg">old</div></body></html>',
            "<html><body><p>new</p></body></html>",
        ),
        ("html", "<p>only</p>", "<p>only</p>"),
        ("plain", "new\r\n\r\nOn Sunday, Bob wrote:\r\n> old\r\n", "new\r\n"),
        ("plain", "new\r\n-----Original Message-----\r\nFrom: b\r\n", "new\r\n"),
        ("plain", "new\r\n> old", "new\r\n"),
        ("plain", "a > b", "a > b"),
    ],
)
async def test_the_unique_body_leaves_quoted_mail_out(graph, state, kind, whole, unique):
    stored = state.mailbox(ME).immutable_id(
        state.deliver_mime(ME, f"Content-Type: text/{kind}\r\n\r\n{whole}".encode())
    )
    prefer = ["outlook.allow-unsafe-html"] + ['outlook.body-content-type="text"'] * (kind == "plain")
    found = await graph.get(f"/messages/{stored}?$select=uniqueBody,body", prefer=prefer)
    assert found["uniqueBody"]["content"] == unique
    assert found["body"]["content"] == whole


async def test_a_large_mime_is_streamed_and_whole(graph, ann, state, monkeypatch):
    raw = b"Subject: large\r\n\r\n" + bytes(range(256)) * 8192
    stored = ann.immutable_id(state.deliver_mime(ME, raw))

    def refuse(*_):
        raise AssertionError("read whole")

    monkeypatch.setattr(type(ann.contents), "raw", refuse)
    answer = await graph("GET", f"/messages/{stored}/$value")
    assert (answer.data == raw, answer.headers["Content-Length"]) == (True, str(len(raw)))
    assert "request-id" in answer.headers
