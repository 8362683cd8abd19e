"""The control endpoint does what it is told, says what is wrong, and obeys nobody's web page."""

from __future__ import annotations

import asyncio
import base64
import json
from email import message_from_bytes, policy

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postroom.simulator.server import SimulatedTenant
from postroom.simulator.state import parse

ADDRESS = "ann@contoso.example"
MAIL = b"From: a@x.example\r\nTo: ann@contoso.example\r\nSubject: Hello\r\n\r\nHi\r\n"


class Control:
    """A client of the control endpoint."""

    def __init__(self, tenant, client):
        self.tenant, self.client = tenant, client

    async def __call__(self, method, path, body=None, **more):
        more = {"json": body, **more} if body is not None else more
        async with self.client.request(method, f"{self.tenant.control}{path}", allow_redirects=False, **more) as got:
            text = await got.text()
            return got.status, json.loads(text) if got.content_type == "application/json" else text

    async def ok(self, method, path, body=None, **more):
        status, answer = await self(method, path, body, **more)
        assert status in (200, 204), answer
        return answer

    async def deliver(self, **letter):
        return await self.ok("POST", f"/api/mailboxes/{ADDRESS}/messages", letter)


@pytest.fixture
async def tenant(tmp_path):
    async with SimulatedTenant(
        tmp_path, mailboxes=[ADDRESS, "bob@contoso.example"], control="127.0.0.1:0", smtp=None, tls=False
    ) as running:
        yield running


@pytest.fixture
async def control(tenant):
    async with aiohttp.ClientSession() as client:
        yield Control(tenant, client)


async def signed_in(client, tenant):
    form = {"grant_type": "client_credentials", "client_id": tenant.client_id, "client_secret": tenant.client_secret}
    form["scope"] = f"{tenant.graph}/.default"
    async with client.post(f"{tenant.login}/{tenant.tenant_id}/oauth2/v2.0/token", data=form) as answer:
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


def mailbox(tenant):
    return tenant.state.mailbox(ADDRESS)


# What it tells


async def test_the_state_tells_everything_a_client_needs(control, tenant):
    told = await control.ok("GET", "/api/state")
    assert told["tenant"]["graph"] == tenant.graph
    assert told["tenant"]["control"] == tenant.control
    assert told["profile"] == "calm"
    assert [each["address"] for each in told["mailboxes"]] == [ADDRESS, "bob@contoso.example"]
    assert told["faults"] == []
    assert told["clock"]["frozen"] is False


async def test_a_mailbox_tells_its_folders_and_a_folder_its_messages(control, tenant):
    tenant.deliver(ADDRESS, MAIL)
    told = await control.ok("GET", f"/api/mailboxes/{ADDRESS}")
    assert (told["inbox"], told["unread"], told["messages"]) == (1, 1, 1)
    inbox = next(folder for folder in told["folders"] if folder["name"] == "Inbox")
    for folder in ("inbox", inbox["id"]):
        (message,) = (await control.ok("GET", f"/api/mailboxes/{ADDRESS}/messages?folder={folder}"))["messages"]
        assert (message["subject"], message["from"], message["is_read"]) == ("Hello", "a@x.example", False)


async def test_a_long_folder_is_told_in_parts(control, tenant, monkeypatch):
    monkeypatch.setattr("postroom.simulator.control.controls.MOST_LISTED", 2)
    for number in range(5):
        tenant.deliver(ADDRESS, MAIL.replace(b"Hello", str(number).encode()))
    parts = [await control.ok("GET", f"/api/mailboxes/{ADDRESS}/messages?skip={skip}") for skip in (0, 2, 4, 6)]
    assert [[each["subject"] for each in part["messages"]] for part in parts] == [["4", "3"], ["2", "1"], ["0"], []]


# The weather


async def test_a_profile_is_changed_while_it_runs(control, tenant):
    told = await control.ok("POST", "/api/profile", {"name": "throttled", "seed": 7})
    assert (told["profile"], told["seed"]) == ("throttled", 7)
    assert tenant.weather.profile.name == "throttled"
    listed = (await control.ok("GET", "/api/profiles"))["profiles"]
    assert [each["name"] for each in listed if each["in_force"]] == ["throttled"]


async def test_a_single_fault_strikes_is_logged_counted_and_can_be_taken_away(control, tenant):
    rule = {"effect": "html_page", "status": 502, "path": "/v1.0/*", "count": 2, "name": "page"}
    added = await control.ok("POST", "/api/faults", rule)
    async with control.client.get(f"{tenant.graph}/v1.0/users") as answer:
        assert (answer.status, answer.content_type) == (502, "text/html")
    told = await control.ok("GET", "/api/injected")
    assert told["counts"] == {"page": 1}
    (struck,) = told["injected"]
    assert (struck["number"], struck["name"], struck["method"], struck["path"], struck["effect"]) == (
        1, "page", "GET", "/v1.0/users", "html_page",
    )  # fmt: skip
    assert (await control.ok("GET", "/api/injected?after=1"))["injected"] == []
    assert [fault["count"] for fault in (await control.ok("GET", "/api/faults"))["faults"]] == [1]
    assert (await control("DELETE", f"/api/faults/{added['id']}"))[0] == 204
    async with control.client.get(f"{tenant.graph}/v1.0/users") as answer:
        assert answer.status == 401
    assert (await control("DELETE", f"/api/faults/{added['id']}"))[0] == 404


async def test_what_struck_can_be_forgotten_and_its_numbers_go_on(control, tenant):
    await control.ok("POST", "/api/faults", {"effect": "html_page", "count": None, "name": "page"})
    await control.ok("PATCH", "/api/nuisances", {"unfound": 1.0})
    tenant.state.nuisance.strike("unfound", ADDRESS)
    await (await control.client.get(f"{tenant.graph}/v1.0/users")).read()
    assert (await control.ok("GET", "/api/injected"))["counts"] == {"page": 1, "unfound": 1}
    assert (await control("DELETE", "/api/injected"))[0] == 204
    assert await control.ok("GET", "/api/injected") == {"counts": {}, "injected": []}
    assert (tenant.state.nuisance.unfound, len(tenant.faults.faults)) == (1.0, 1)
    await (await control.client.get(f"{tenant.graph}/v1.0/users")).read()
    told = await control.ok("GET", "/api/injected?after=1")
    assert (told["counts"], [struck["number"] for struck in told["injected"]]) == ({"page": 1}, [2])


async def test_limits_are_told_set_and_count_from_nothing_again(control, tenant):
    token = await signed_in(control.client, tenant)

    async def status():
        async with control.client.get(f"{tenant.graph}/v1.0/users/{ADDRESS}/messages", headers=token) as answer:
            return answer.status

    assert (await control.ok("GET", "/api/limits"))["requests"] == 10_000
    told = await control.ok("PATCH", "/api/limits", {"requests": 1, "say_when": False})
    assert (told["requests"], told["say_when"], told["in_flight"], told["refused"]) == (1, False, 4, {})
    assert [await status(), await status()] == [200, 429]
    assert (await control.ok("GET", "/api/limits"))["refused"] == {"MailboxRequests": 1}
    assert (await control("DELETE", "/api/limits"))[0] == 204
    assert await control.ok("GET", "/api/limits") == told
    assert [await status(), await status()] == [200, 429]


async def test_all_faults_are_cleared_at_once(control, tenant):
    await control.ok("POST", "/api/profile", {"name": "bad-tuesday"})
    await control.ok("POST", "/api/faults", {"effect": "reset"})
    await control.ok("DELETE", "/api/faults")
    assert tenant.faults.faults == []
    assert tenant.weather.profile.name == "calm"


async def test_a_nuisance_is_set_alone(control, tenant):
    told = await control.ok("PATCH", "/api/nuisances", {"replay": 0.5})
    assert told["replay"] == 0.5
    assert (await control.ok("GET", "/api/nuisances")) == told
    assert tenant.state.nuisance.replay == 0.5


@pytest.mark.parametrize("condition", ["full", "licensed", "moving", "provisioned"])
async def test_a_mailbox_gets_into_a_condition_and_out_again(control, tenant, condition):
    before = getattr(mailbox(tenant), condition)
    told = await control.ok("PATCH", f"/api/mailboxes/{ADDRESS}", {condition: not before})
    assert told[condition] is getattr(mailbox(tenant), condition) is not before
    await control.ok("PATCH", f"/api/mailboxes/{ADDRESS}", {condition: before})
    assert getattr(mailbox(tenant), condition) is before


# The clock


async def test_the_clock_is_advanced_frozen_and_let_go(control, tenant):
    assert (await control.ok("POST", "/api/clock", {"advance": 3600}))["ahead"] == pytest.approx(3600, abs=1)
    told = await control.ok("POST", "/api/clock", {"freeze": "2030-01-01T00:00:00Z", "advance": 60})
    assert (told["frozen"], told["now"]) == (True, "2030-01-01T00:01:00+00:00")
    assert tenant.clock().year == 2030
    assert (await control.ok("POST", "/api/clock", {"resume": True}))["frozen"] is False
    assert (await control.ok("POST", "/api/clock", {"freeze": True}))["frozen"] is True
    assert (await control.ok("GET", "/api/clock"))["now"].startswith("2030")
    told = await control.ok("POST", "/api/clock", {"reset": True})
    assert (told["frozen"], told["ahead"]) == (False, pytest.approx(0, abs=0.1))


# The mail


async def test_a_mail_is_delivered_byte_for_byte(control, tenant):
    told = await control.ok(
        "POST", f"/api/mailboxes/{ADDRESS}/messages", data=MAIL, headers={"Content-Type": "message/rfc822"}
    )
    stored = mailbox(tenant).message(told["immutable_id"])
    assert mailbox(tenant).contents.raw(stored) == MAIL
    assert mailbox(tenant).default_id(stored) == told["id"]


async def test_a_mail_is_written_from_a_few_fields(control, tenant):
    told = await control.deliver(
        subject="Ärger",
        **{"from": "Bo <bo@x.example>"},
        text="plain",
        html="<p>rich</p>",
        headers={"Auto-Submitted": "auto-replied"},
        attachments=[
            {"name": "a.pdf", "content": base64.b64encode(b"%PDF").decode(), "content_type": "application/pdf"}
        ],
        folder="junkemail",
        received_at="2026-01-02T03:04:05Z",
    )
    assert (told["folder"], told["received_at"]) == ("Junk Email", "2026-01-02T03:04:05+00:00")
    assert (told["subject"], told["from"], told["from_name"], told["has_attachments"]) == (
        "Ärger", "bo@x.example", "Bo", True,
    )  # fmt: skip
    raw = mailbox(tenant).contents.raw(mailbox(tenant).message(told["id"]))
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail["Auto-Submitted"] == "auto-replied"
    assert [part.get_content_type() for part in mail.walk() if not part.is_multipart()] == [
        "text/plain", "text/html", "application/pdf",
    ]  # fmt: skip


async def test_without_a_word_it_is_a_plain_mail_to_the_mailbox(control):
    told = await control.deliver()
    assert (told["subject"], told["folder"]) == ("Hello", "Inbox")


async def test_a_message_is_moved_marked_and_deleted_as_its_owner_would(control, tenant):
    told = await control.deliver()
    at = f"/api/mailboxes/{ADDRESS}/messages/{told['immutable_id']}"
    assert (await control.ok("POST", f"{at}/move", {"folder": "archive"}))["folder"] == "Archive"
    assert (await control.ok("PATCH", at, {"is_read": True}))["is_read"] is True
    await control.ok("DELETE", at)
    stored = mailbox(tenant).message(told["immutable_id"])
    assert stored.folder.display_name == "Deleted Items"
    await control.ok("DELETE", at)
    assert (await control("DELETE", at))[0] == 404


async def test_delta_links_are_made_void(control, tenant):
    inbox = mailbox(tenant).folder("inbox")
    before = inbox.epoch
    await control.ok("POST", f"/api/mailboxes/{ADDRESS}/reset", {"folder": "inbox"})
    assert inbox.epoch == before + 1


async def test_a_mailbox_is_added(control, tenant):
    await control.ok("POST", "/api/mailboxes", {"address": "new@contoso.example"})
    assert tenant.knows("new@contoso.example")


async def test_the_sample_mails_are_spread_over_the_mailboxes(control, tenant):
    delivered = (await control.ok("POST", "/api/samples", {}))["delivered"]
    assert delivered > 200
    assert sum(len(each.messages) for each in tenant.state.mailboxes.values()) == delivered


async def test_what_was_sent_can_be_counted_for_each_recipient(control, tenant):
    mailbox = tenant.state.mailbox(ADDRESS)
    people = f"To: a@elsewhere.example, {ADDRESS}\r\nBcc: b@elsewhere.example"
    raw = f"From: {ADDRESS}\r\n{people}\r\nSubject: S\r\n\r\n".encode()
    tenant.state.transport(raw, parse(raw), sender=mailbox)
    sent = (await control.ok("GET", "/api/outbox"))["sent"]
    assert [each["recipient"] for each in sent] == ["a@elsewhere.example", ADDRESS, "b@elsewhere.example"]
    assert {(each["sender"], each["subject"]) for each in sent} == {(ADDRESS, "S")}
    assert len((await control.ok("GET", "/api/outbox?skip=2"))["sent"]) == 1


# What it refuses


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (("POST", "/api/profile", {"name": "sunny"}), 400, "bad-tuesday"),
        (("POST", "/api/profile", {}), 400, "name"),
        (("POST", "/api/profile", {"name": "calm", "sed": 1}), 400, "sed"),
        (("POST", "/api/faults", {"effect": "explode"}), 400, "effect is one of"),
        (("PATCH", "/api/nuisances", {"replay": 7.0}), 400, "replay"),
        (("PATCH", f"/api/mailboxes/{ADDRESS}", {"full": "very"}), 400, "full"),
        (("PATCH", f"/api/mailboxes/{ADDRESS}", {"address": True}), 400, "address"),
        (("POST", "/api/clock", {"freeze": "yesterday"}), 400, "yesterday"),
        (("POST", "/api/clock", {"freeze": "2026-01-01T00:00:00"}), 400, "zone"),
        (("POST", "/api/clock", {"advance": 1e15}), 400, "clock"),
        (("PATCH", "/api/limits", {"requests": -1}), 400, "requests"),
        (("PATCH", "/api/limits", {"request": 1}), 400, "request"),
        (("GET", "/api/nothing", None), 404, "/api/nothing"),
        (("DELETE", "/api/faults/x", None), 404, "/api/faults/x"),
        (("PUT", "/api/state", {}), 405, "only GET"),
        (("GET", "/api/samples", None), 405, "only POST"),
        (("POST", "/api/mailboxes", {"address": "nobody"}), 400, "mail address"),
        (("GET", "/api/mailboxes/nobody@contoso.example", None), 404, "nobody"),
        (("GET", f"/api/mailboxes/{ADDRESS}/messages?folder=nowhere", None), 404, ""),
        (("GET", f"/api/mailboxes/{ADDRESS}/messages?skip=x", None), 400, "skip"),
        (("POST", f"/api/mailboxes/{ADDRESS}/messages", {"subjekt": "x"}), 400, "subjekt"),
        (("POST", f"/api/mailboxes/{ADDRESS}/messages", {"received_at": "2026-01-01T00:00:00"}), 400, "zone"),
        (("POST", f"/api/mailboxes/{ADDRESS}/messages", {"attachments": [{"content": "*"}]}), 400, "base64"),
        (("POST", f"/api/mailboxes/{ADDRESS}/messages", {"attachments": [{"content_type": "x"}]}), 400, "content_type"),
        (("POST", f"/api/mailboxes/{ADDRESS}/messages", {"headers": {"To": "x"}}), 400, "To"),
        (("POST", f"/api/mailboxes/{ADDRESS}/messages", {"headers": {"A:B": "x"}}), 400, "A:B"),
        (("POST", f"/api/mailboxes/{ADDRESS}/messages/x/move", {"folder": "archive"}), 404, ""),
    ],
)
async def test_a_mistake_is_answered_with_words(control, request_, status, words):
    got, answer = await control(*request_)
    assert got == status
    assert words in answer["error"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(control, data):
    status, answer = await control("POST", "/api/profile", data=data, headers={"Content-Type": "application/json"})
    assert status == 400
    assert answer["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:80"}, 421),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_what_a_foreign_page_can_send_is_refused_and_changes_nothing(control, tenant, headers, status):
    sent = {"Content-Type": "application/json", **headers}
    got, answer = await control("POST", "/api/profile", data=b'{"name": "slow"}', headers=sent)
    assert (got, bool(answer["error"])) == (status, True)
    assert tenant.weather.profile.name == "calm"


@pytest.mark.parametrize("path", ["/", "/api/state"])
async def test_a_rebound_name_can_not_even_read(control, path):
    assert (await control("GET", path, headers={"Host": "rebound.example"}))[0] == 421


async def test_a_page_of_its_own_may_write(control, tenant):
    headers = {"Origin": tenant.control, "Sec-Fetch-Site": "same-origin"}
    await control.ok("POST", "/api/profile", {"name": "slow"}, headers=headers)
    assert tenant.weather.profile.name == "slow"


async def test_graphs_own_port_knows_nothing_of_control(control, tenant):
    async with control.client.get(f"{tenant.graph}/api/state") as answer:
        assert (answer.status, (await answer.json())["error"]["message"]) == (400, "Invalid version.")


async def test_without_the_option_there_is_no_control(tmp_path):
    async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS], smtp=None, tls=False) as tenant:
        assert tenant.control == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
WRITES = [
    ("POST", "/api/profile"), ("POST", "/api/faults"), ("PATCH", "/api/nuisances"), ("POST", "/api/clock"),
    ("PATCH", f"/api/mailboxes/{ADDRESS}"), ("POST", f"/api/mailboxes/{ADDRESS}/messages"),
    ("POST", f"/api/mailboxes/{ADDRESS}/reset"), ("POST", "/api/mailboxes"), ("PATCH", "/api/limits"),
]  # fmt: skip
FIELDS = st.sampled_from(
    ["name", "seed", "effect", "count", "path", "replay", "late_seconds", "advance", "freeze", "resume", "full",
     "reset", "requests", "window", "code",
     "subject", "from", "text", "html", "attachments", "headers", "folder", "received_at", "address"]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(requests=st.lists(st.tuples(st.sampled_from(WRITES), st.dictionaries(FIELDS, JSON, max_size=4)), max_size=5))
def test_nothing_that_is_sent_breaks_it(tmp_path_factory, requests):
    async def run():
        directory = tmp_path_factory.mktemp("tenant")
        async with (
            SimulatedTenant(directory, mailboxes=[ADDRESS], control="127.0.0.1:0", smtp=None, tls=False) as tenant,
            aiohttp.ClientSession() as client,
        ):
            control = Control(tenant, client)
            for (method, path), body in requests:
                status, _ = await control(method, path, body)
                assert status in (200, 204, 400, 404), (method, path, body)
            assert (await control("GET", "/api/state"))[0] == 200
            assert (await control("GET", "/"))[0] == 200

    asyncio.run(run())
