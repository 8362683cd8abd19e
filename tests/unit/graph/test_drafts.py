"""Mails of ours through Graph: what is asked, and what is made of the answers."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from aiohttp import web

from postroom.errors import Forbidden, NotFound, Refused, Unavailable
from postroom.graph.drafts import SUPPRESS, TAG_PROPERTY
from postroom.graph.mail import MailboxMail
from postroom.model import Forward, Reply, Send
from postroom.outgoing import MOST_RECIPIENTS, TAG_HEADER
from postroom.ports import Draft

SINCE = datetime(2026, 3, 1, 11, tzinfo=UTC)


@pytest.fixture
def drafts(client, kit):
    return MailboxMail(client, kit.mailbox).drafts


def people(count):
    return [{"emailAddress": {"address": f"a{number}@x.example"}} for number in range(count)]


def made(**fields):
    return {"id": "D1", "isDraft": True, "toRecipients": people(1), "ccRecipients": []} | fields


def query(seen):
    return {name: values[0] for name, values in parse_qs(urlsplit(seen.path).query).items()}


async def test_an_answer_is_drafted_as_plain_text_with_tag_and_marks(drafts, graph, kit):
    graph.script = [kit.answer(made(), status=201)]
    assert await drafts.make("M1", Reply("Hello <b>", "About\r\nBcc: x"), "tag") == Draft("D1", True, 1)
    [seen] = graph.seen
    assert unquote(seen.path).endswith("/messages/M1/createReply")
    assert 'IdType="ImmutableId"' in seen.headers["Prefer"]
    message = seen.json["message"]
    assert message["body"] == {"contentType": "text", "content": "Hello <b>"}
    assert message["subject"] == "About Bcc: x"
    assert message["singleValueExtendedProperties"] == [{"id": TAG_PROPERTY, "value": "tag"}]
    headers = {each["name"]: each["value"] for each in message["internetMessageHeaders"]}
    assert headers == {TAG_HEADER: "tag", SUPPRESS[0]: SUPPRESS[1]}
    assert all(name.lower().startswith("x-") for name in headers)
    assert "comment" not in seen.json


async def test_an_answer_without_a_subject_keeps_the_one_graph_makes(drafts, graph, kit):
    graph.script = [kit.answer(made(), status=201)]
    await drafts.make("M1", Reply("Hello", to_all=True), "tag")
    assert "subject" not in graph.seen[0].json["message"]
    assert graph.paths[0].endswith("/createReplyAll")


async def test_a_forward_names_its_recipients_once_and_has_no_markup(drafts, graph, kit):
    graph.script = [kit.answer(made(), status=201)]
    await drafts.make("M1", Forward(("a@b.example",), "<script>"), "tag")
    body = graph.seen[0].json
    assert body["comment"] == "\u2039script\u203a"
    assert body["message"]["toRecipients"] == [{"emailAddress": {"address": "a@b.example"}}]
    assert "toRecipients" not in body
    assert "body" not in body["message"]


async def test_a_new_mail_is_drafted_in_the_mailbox(drafts, graph, kit):
    graph.script = [kit.answer(made(), status=201)]
    await drafts.make("M1", Send(("a@b.example",), "S", "T", ("c@d.example",)), "tag")
    [seen] = graph.seen
    assert seen.path.endswith("/messages")
    assert seen.json["ccRecipients"] == [{"emailAddress": {"address": "c@d.example"}}]
    assert seen.json["subject"] == "S"


async def test_an_answer_to_a_crowd_is_deleted_and_refused(drafts, graph, kit):
    graph.script = [
        kit.answer(made(ccRecipients=people(MOST_RECIPIENTS)), status=201),
        lambda _: web.Response(status=204),
    ]
    with pytest.raises(Refused, match="51 addresses"):
        await drafts.make("M1", Reply("Hello", to_all=True), "tag")
    assert graph.paths[1].startswith("DELETE")


async def test_what_may_have_been_carried_out_is_not_asked_for_again(drafts, graph, kit):
    graph.default = kit.failure(503, "ServiceUnavailable")
    for work in (drafts.make("M1", Reply("Hello"), "tag"), drafts.send("D1")):
        with pytest.raises(Unavailable):
            await work
    assert len(graph.seen) == 2


async def test_a_throttled_request_was_not_carried_out_and_is_sent_again(drafts, graph, kit):
    graph.script = [kit.failure(429, "ApplicationThrottled", Retry_After="1"), lambda _: web.Response(status=202)]
    await drafts.send("D1")
    assert len(graph.seen) == 2


async def test_sending_has_no_body_and_says_so(drafts, graph):
    graph.script = [lambda _: web.Response(status=202)]
    await drafts.send("D1")
    [seen] = graph.seen
    assert seen.path.endswith("/messages/D1/send")
    assert seen.headers["Content-Length"] == "0"


@pytest.mark.parametrize("answer", ["foreign 202", "foreign 200", "graphs 200"])
async def test_a_mail_is_sent_when_graph_says_accepted_and_nobody_else(drafts, graph, kit, answer):
    whose, status = answer.split()
    graph.default = (kit.foreign if whose == "foreign" else kit.raw)(b"", int(status))
    with pytest.raises(Unavailable):
        await drafts.send("D1")
    assert len(graph.seen) == 1, "it may have been sent, and is not sent again blindly"


@pytest.mark.parametrize("answer", ["foreign 204", "foreign 200", "graphs 200"])
async def test_a_draft_is_deleted_when_graph_says_so_and_nobody_else(drafts, graph, kit, answer):
    whose, status = answer.split()
    graph.default = (kit.foreign if whose == "foreign" else kit.raw)(b"", int(status))
    with pytest.raises(Unavailable):
        await drafts.discard("D1")


async def test_not_being_allowed_to_send_is_told_as_it_is(drafts, graph, kit):
    graph.default = kit.failure(403, "ErrorAccessDenied")
    with pytest.raises(Forbidden):
        await drafts.send("D1")


async def test_what_has_the_tag_is_asked_for_by_it_and_by_time(drafts, graph, kit):
    graph.script = [kit.answer({"value": [{"id": "D1", "isDraft": True}, {"id": "S1", "isDraft": False}]})]
    assert await drafts.find("tag", SINCE) == (Draft("D1", True), Draft("S1", False))
    asked = query(graph.seen[0])["$filter"]
    assert asked.startswith("receivedDateTime ge 2026-03-01T11:00:00Z and singleValueExtendedProperties/any(")
    assert f"p/id eq '{TAG_PROPERTY}' and p/value eq 'tag'" in asked


async def test_what_has_the_tag_is_found_on_a_later_page(drafts, graph, kit):
    link = f"{graph.url}/v1.0/users/{kit.mailbox}/messages?$skiptoken=2"
    graph.script = [kit.answer({"value": [], "@odata.nextLink": link})]
    graph.default = kit.answer({"value": [{"id": "S1", "isDraft": False}]})
    assert await drafts.find("tag", SINCE) == (Draft("S1", False),)
    assert graph.paths[1].endswith("$skiptoken=2")
    assert 'IdType="ImmutableId"' in graph.seen[1].headers["Prefer"]


async def test_a_list_of_what_has_the_tag_that_does_not_end_is_no_answer(drafts, graph, kit):
    link = f"{graph.url}/v1.0/users/{kit.mailbox}/messages?$skiptoken=2"
    graph.default = kit.answer({"value": [], "@odata.nextLink": link})
    with pytest.raises(Unavailable):
        await drafts.find("tag", SINCE)


@pytest.mark.parametrize("odd", [{"value": [{"id": "D1"}]}, {"value": [{"isDraft": True}]}, {}, {"value": None}])
async def test_an_answer_that_does_not_say_whether_it_was_sent_is_no_answer(drafts, graph, kit, odd):
    graph.default = kit.answer(odd)
    with pytest.raises(Unavailable):
        await drafts.find("tag", SINCE)


async def test_a_draft_is_there_or_sent_or_gone(drafts, graph, kit):
    graph.script = [
        kit.answer({"id": "D1", "isDraft": True}),
        kit.answer({"id": "D1", "isDraft": False}),
        kit.failure(404, "ErrorItemNotFound"),
    ]
    assert await drafts.look("D1") == Draft("D1", True)
    assert await drafts.look("D1") == Draft("D1", False)
    assert await drafts.look("D1") is None


async def test_a_mailbox_that_is_not_found_says_nothing_of_a_draft(drafts, graph, kit):
    graph.default = kit.failure(404, "ErrorInvalidUser")
    with pytest.raises(NotFound):
        await drafts.look("D1")
    with pytest.raises(NotFound):
        await drafts.discard("D1")


async def test_a_draft_that_is_gone_needs_no_deleting(drafts, graph, kit):
    graph.script = [kit.failure(404, "ErrorItemNotFound")]
    await drafts.discard("D1")
