"""What the simulated tenant does not serve is refused in the shape of the side it was meant for."""

import ssl
from datetime import UTC, datetime

import aiohttp
import pytest

from postroom.simulator.effects import EntraAnswer, GraphAnswer
from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant

ADDRESS = "ann@contoso.example"


@pytest.fixture
async def tenant(tmp_path):
    async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS], smtp=None, managed_identity="127.0.0.1:0") as running:
        yield running


@pytest.fixture
async def ask(tenant):
    trust = ssl.create_default_context(cafile=tenant.ca_file)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client:

        async def ask(method, path, *, root=tenant.graph, **more):
            async with client.request(method, f"{root}{path}", **more) as got:
                is_json = got.content_type == "application/json"
                return got.status, got.headers, await (got.json() if is_json else got.text())

        yield ask


@pytest.fixture
async def token(tenant, ask):
    form = {"grant_type": "client_credentials", "client_id": tenant.client_id, "client_secret": tenant.client_secret}
    form["scope"] = f"{tenant.graph}/.default"
    _, _, answer = await ask("POST", f"/{tenant.tenant_id}/oauth2/v2.0/token", data=form)
    return {"Authorization": f"Bearer {answer['access_token']}"}


# Sign-in


async def test_every_endpoint_that_discovery_names_answers_and_says_that_apps_alone_sign_in(tenant, ask, token):
    _, _, named = await ask("GET", f"/{tenant.tenant_id}/v2.0/.well-known/openid-configuration")
    client = f"?client_id={tenant.client_id}&response_type=code"
    status, headers, page = await ask("GET", client, root=named["authorization_endpoint"])
    assert (status, headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "AADSTS500113" in page
    assert "signs in apps only" in page
    status, _, page = await ask("GET", "", root=named["end_session_endpoint"])
    assert (status, "signs in apps only" in page) == (200, True)
    form = {"client_id": tenant.client_id, "scope": "openid"}
    status, _, refused = await ask("POST", "", root=named["device_authorization_endpoint"], data=form)
    assert (status, refused["error"], refused["error_codes"]) == (401, "invalid_client", [70002])
    assert "signs in apps only" in refused["error_description"]
    status, _, refused = await ask("GET", "", root=named["userinfo_endpoint"], headers=token)
    assert (status, refused["error"]["code"]) == (400, "BadRequest")
    assert (await ask("GET", "", root=named["jwks_uri"]))[0] == 200
    assert (await ask("GET", "", root=named["userinfo_endpoint"]))[0] == 401


@pytest.mark.parametrize(
    ("query", "code"),
    [("", "AADSTS900144"), ("?client_id=11111111-2222-3333-4444-555555555555", "AADSTS700016")],
)
async def test_an_app_that_is_not_there_is_told_before_anything_else(tenant, ask, query, code):
    status, _, page = await ask("GET", f"/{tenant.tenant_id}/oauth2/v2.0/authorize{query}")
    assert (status, code in page) == (400, True)


@pytest.mark.parametrize("name", ["common", "organizations"])
async def test_people_of_any_tenant_cannot_sign_in_either(ask, name):
    _, _, page = await ask("GET", f"/{name}/oauth2/v2.0/authorize?client_id=x")
    assert "AADSTS500113" in page


async def test_what_the_client_sent_is_written_into_no_page_as_markup(tenant, ask):
    _, _, page = await ask("GET", f"/{tenant.tenant_id}/oauth2/v2.0/authorize?client_id=%3Cscript%3E")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


async def test_the_token_endpoint_takes_post_only(tenant, ask):
    status, _, page = await ask("GET", f"/{tenant.tenant_id}/oauth2/v2.0/token")
    assert (status, "AADSTS900561" in page, "GET" in page) == (400, True, True)


async def test_another_path_of_the_sign_in_is_refused_as_sign_in_does(tenant, ask):
    status, _, refused = await ask("POST", f"/{tenant.tenant_id}/oauth2/token", data={"resource": "x"})
    assert (status, refused["error_codes"]) == (404, [9002313])
    status, _, page = await ask("GET", f"/{tenant.tenant_id}/oauth2/v2.0/nowhere")
    assert (status, "AADSTS9002313" in page) == (404, True)
    _, _, refused = await ask("POST", "/nobody.example/oauth2/token", data={})
    assert refused["error_codes"] == [90002]


# Graph


@pytest.mark.parametrize("path", ["/", "/foo", "/api/state", "/v2.0/me", f"/users/{ADDRESS}"])
async def test_an_unknown_version_is_said_in_graphs_shape(ask, path):
    status, headers, refused = await ask("GET", path)
    assert (status, refused["error"]["code"], refused["error"]["message"]) == (400, "BadRequest", "Invalid version.")
    assert set(refused["error"]["innerError"]) == {"date", "request-id", "client-request-id"}
    assert headers["request-id"] == refused["error"]["innerError"]["request-id"]


async def test_the_beta_version_is_said_to_be_missing(ask, token):
    status, _, refused = await ask("POST", f"/beta/users/{ADDRESS}/messages", headers=token, json={})
    assert (status, refused["error"]["code"]) == (501, "NotImplemented")
    assert "beta" in refused["error"]["message"]
    assert (await ask("GET", "/beta/me"))[0] == 401


@pytest.mark.parametrize("path", ["/v1.0", "/v1.0/", "/v1.0/nowhere", "/v1.0/users"])
async def test_nothing_below_the_version_is_answered_in_another_shape(ask, token, path):
    status, _, refused = await ask("GET", path, headers=token)
    assert 400 <= status < 500
    assert refused["error"]["code"]


@pytest.mark.parametrize("size", [20_000, 200_000])
async def test_a_url_or_a_header_that_is_too_long_is_refused_in_graphs_shape(ask, token, size):
    path = f"/v1.0/users/{ADDRESS}/messages"
    for url, headers in ((f"{path}?$filter={'x' * size}", token), (path, {**token, "X-Long": "x" * size})):
        status, _, refused = await ask("GET", url, headers=headers)
        assert (status, refused["error"]["code"]) == (400, "UnknownError")
        assert "Too Long" in refused["error"]["message"]


async def test_a_url_of_twelve_kilobytes_is_read(ask, token):
    path = f"/v1.0/users/{ADDRESS}/messages?$select={','.join(['subject'] * 1_500)}"
    assert (await ask("GET", path, headers=token))[0] == 200


async def test_a_sign_in_with_a_query_that_is_too_long_is_90015(tenant, ask):
    status, _, refused = await ask("POST", f"/{tenant.tenant_id}/oauth2/v2.0/token?x={'x' * 20_000}", data={})
    assert (status, refused["error_codes"]) == (400, [90015])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}])
async def test_a_401_says_where_to_sign_in(tenant, ask, headers):
    status, answered, _ = await ask("GET", f"/v1.0/users/{ADDRESS}/messages", headers=headers)
    assert status == 401
    assert answered["WWW-Authenticate"] == (
        f'Bearer realm="", authorization_uri="{tenant.login}/common/oauth2/authorize", '
        'client_id="00000003-0000-0000-c000-000000000000"'
    )


@pytest.mark.parametrize(("method", "path"), [("POST", "/messages"), ("PATCH", "/messages/x"), ("POST", "/sendMail")])
async def test_json_without_a_content_type_is_not_read(tenant, ask, token, method, path):
    stored = tenant.deliver(ADDRESS, b"Subject: Hello\r\n\r\nHi\r\n")
    path = path.replace("x", tenant.state.mailbox(ADDRESS).immutable_id(stored))
    more = {"headers": token, "skip_auto_headers": ["Content-Type"]}
    status, _, refused = await ask(method, f"/v1.0/users/{ADDRESS}{path}", data=b'{"isRead": true}', **more)
    assert (status, refused["error"]["code"]) == (400, "BadRequest")
    assert "Content-Type" in refused["error"]["message"]
    assert stored.is_read is False


# The clock


async def test_errors_carry_the_time_in_the_tenant(tenant, ask):
    tenant.clock.freeze(datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))
    _, _, refused = await ask("GET", "/v1.0/users")
    assert refused["error"]["innerError"]["date"] == "2030-01-02T03:04:05"
    tenant.faults.add(Fault(GraphAnswer(503, "ServiceUnavailable")))
    _, _, refused = await ask("GET", "/v1.0/users")
    assert (refused["error"]["code"], refused["error"]["innerError"]["date"]) == (
        "ServiceUnavailable", "2030-01-02T03:04:05",
    )  # fmt: skip
    tenant.faults.add(Fault(EntraAnswer(90033), count=2))
    for root in (tenant.graph, tenant.metadata):
        _, _, refused = await ask("POST", "/common/oauth2/v2.0/token", root=root)
        assert refused["timestamp"] == "2030-01-02 03:04:05Z"
