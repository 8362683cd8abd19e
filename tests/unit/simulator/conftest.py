"""A Graph server over a small tenant, and a client that speaks to it as an app would."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from yarl import URL

from postroom.simulator.application import LARGEST_REQUEST
from postroom.simulator.graph import UPLOADS, Caller, graph_middlewares, graph_routes, upload_application
from postroom.simulator.state import TenantState
from support.exchanges import keep

ADDRESS = "ann@contoso.example"
ALL_ROLES = frozenset({"Mail.ReadWrite", "Mail.Send"})


class Clock:
    """Time that moves only when told."""

    def __init__(self):
        self.time = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self):
        return self.time

    def pass_seconds(self, seconds):
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(tmp_path, clock):
    state = TenantState(tmp_path, clock)
    state.add_mailbox(ADDRESS, "Ann Example")
    yield state
    state.close()


@pytest.fixture
def ann(state):
    return state.mailbox(ADDRESS)


class Answer:
    """A whole answer."""

    def __init__(self, status, headers, data):
        self.status, self.headers, self.data = status, headers, data

    @property
    def json(self):
        return json.loads(self.data)

    @property
    def code(self):
        return self.json["error"]["code"]


class Graph:
    """A client of the test server; every exchange is kept for a judge."""

    def __init__(self, session, server):
        self.session = session
        self.server = server
        self.root = str(server.make_url("/v1.0"))
        self.exchanges = []
        self.caller = Caller("app", ALL_ROLES, None)

    async def __call__(self, method, path, *, prefer=(), headers=None, body=None, data=None, unjudged=""):
        """Ask; `unjudged` says why a judge by the published contract cannot judge this exchange."""
        url = path if path.startswith("http") else f"{self.root}/users/{ADDRESS}{path}"
        sent = dict(headers or {})
        if prefer:
            sent["Prefer"] = ", ".join([prefer] if isinstance(prefer, str) else prefer)
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        content = io.BytesIO(data) if data else data
        request = self.session.request(method, _verbatim(url), headers=sent, data=content, allow_redirects=False)
        async with request as got:
            answer = Answer(got.status, got.headers, await got.read())
        if not unjudged:
            self.exchanges.append(_exchange(method, url, sent, data, answer))
        return answer

    async def get(self, path, **more):
        answer = await self("GET", path, **more)
        assert answer.status == 200, answer.data
        return answer.json

    async def round(self, link, **more):
        """Walk to the delta link; returns all entries and that link."""
        entries = []
        while True:
            page = await self.get(link, **more)
            entries += page["value"]
            assert ("@odata.nextLink" in page) != ("@odata.deltaLink" in page)
            if "@odata.deltaLink" in page:
                return entries, page["@odata.deltaLink"]
            link = page["@odata.nextLink"]


def _verbatim(url):
    return URL(url, encoded="%" in url or "?" in url)


def _exchange(method, url, sent, data, answer):
    body = None if data is None else data.decode()
    return {
        "method": method,
        "url": url,
        "req_headers": sent,
        "req_body": body,
        "status": answer.status,
        "resp_headers": dict(answer.headers),
        "resp_body": answer.data.decode("latin-1") or None,
    }


@pytest.fixture
async def graph(request, state):
    application = web.Application(client_max_size=LARGEST_REQUEST)
    served = web.Application(middlewares=graph_middlewares(), client_max_size=LARGEST_REQUEST)
    client = None
    served.add_routes(graph_routes(state, lambda _request: client.caller))
    application.add_subapp("/v1.0", served)
    application.add_subapp(UPLOADS, upload_application(state))
    async with TestServer(application) as server, ClientSession() as session:
        client = Graph(session, server)
        yield client
    keep(client.exchanges, request.node.nodeid)
