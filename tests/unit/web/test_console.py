import base64
import hashlib
import re

import aiohttp
import pytest

from postroom.web import build_console, serve
from postroom.web.console import is_loopback
from postroom.web.page import age, render

TIME = "2026-03-01T12:00:00+00:00"


def snapshot(**changes):
    return {
        "status": "ok",
        "phase": "running",
        "started_at": TIME,
        "problems": [],
        "notices": [],
        "stuck": [],
        "mailboxes": [],
        "counts": {},
        **changes,
    }


PROBLEM = {
    "id": "0a1b2c3d",
    "where": "mailbox a@b.example/Inbox",
    "what": "Graph refused to list Inbox.",
    "what_to_do": "Grant Mail.Read.",
    "since": TIME,
    "last": TIME,
    "count": 3,
    "fields": {},
}
FOLDER = {
    "mailbox": "a@b.example",
    "folder": "Inbox",
    "age_seconds": 130.0,
    "limit_seconds": 90.0,
    "stale": True,
    "last_round": TIME,
}


@pytest.fixture
def state():
    return snapshot()


@pytest.fixture
async def console(state):
    app = build_console(lambda: state, lambda: b"postroom_problems 0\n")
    async with serve(app, port=0) as (host, port), aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("degraded", 200), ("failing", 503)])
async def test_healthz_fails_only_when_nothing_can_be_handled(console, state, status, code):
    state["status"] = status
    async with console.get("/healthz") as response:
        assert (response.status, await response.json()) == (code, state)


@pytest.mark.parametrize(("phase", "code"), [("starting", 503), ("running", 200), ("stopping", 503)])
async def test_readyz_is_yes_only_while_running(console, state, phase, code):
    state["phase"] = phase
    async with console.get("/readyz") as response:
        assert (response.status, await response.json()) == (code, {"phase": phase})


async def test_metrics_are_handed_out_in_prometheus_text_format(console):
    async with console.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await response.read() == b"postroom_problems 0\n"


async def test_the_page_shows_problems_freshness_and_deliveries(console, state):
    state.update(snapshot(status="degraded", problems=[PROBLEM], mailboxes=[FOLDER], stuck=["dispatch"]))
    state["counts"] = {"messages": 7, "deliveries.dead": 41, "actions.done": 42}
    async with console.get("/") as response:
        assert response.content_type == "text/html"
        page = await response.text()
    for text in (
        "Graph refused to list Inbox.",
        "Grant Mail.Read.",
        "0a1b2c3d",
        "a@b.example",
        "2 min ago",
        "dispatch",
    ):
        assert text in page
    assert "limit 90 s" in page
    assert '<td>dead</td><td class="number">41</td>' in page
    assert "7 messages" in page


async def test_the_page_shows_what_is_not_as_usual_with_a_folder(console, state):
    usual = {"stale": False, "mode": "delta", "parked": False, "unaccounted": 0}
    state["mailboxes"] = [FOLDER | usual]
    async with console.get("/") as response:
        assert '<span class="tag">' not in await response.text()
    state["mailboxes"] = [FOLDER | {"mode": "listing", "parked": True, "unaccounted": 3}]
    async with console.get("/") as response:
        tags = re.findall(r'<span class="tag">(.*?)</span>', await response.text())
    assert tags == ["late: limit 90 s", "parked", "by listing", "3 unaccounted"]


async def test_dead_letters_and_problems_stand_out_and_times_are_for_people(console, state):
    dead = {"what": "2 dead letters", "what_to_do": "`postroom deliveries list --dead` shows why.", "count": 2}
    state.update(notices=[dead], problems=[PROBLEM], counts={"deliveries.dead": 2})
    async with console.get("/") as response:
        page = await response.text()
    assert "2 dead letters" in page
    assert '<tr class="bad"><td>dead</td>' in page
    assert f'<time datetime="{TIME}">2026-03-01 12:00:00Z</time>' in page
    assert "<title>Postroom: ok (1)</title>" in page


async def test_nothing_on_the_page_can_be_markup_from_outside(console, state):
    evil = "<script>alert(1)</script>"
    problem = PROBLEM | {"what": evil, "where": evil, "what_to_do": evil}
    state.update(problems=[problem], mailboxes=[FOLDER | {"mailbox": evil, "folder": evil}], stuck=[evil])
    async with console.get("/") as response:
        assert "<script" not in await response.text()


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/nothing"])
async def test_every_answer_is_hardened(console, path):
    async with console.get(path) as response:
        headers = response.headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "postroom"


async def test_the_style_of_the_page_is_the_one_the_policy_allows(console):

    async with console.get("/") as response:
        style = re.search(r"<style>(.*?)</style>", await response.text(), re.DOTALL)[1]
        policy = response.headers["Content-Security-Policy"]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
async def test_the_console_only_reads(console, method):
    async with getattr(console, method)("/healthz") as response:
        assert response.status == 405


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("127.0.0.1:8642", 200),
        ("[::1]:8642", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
async def test_on_loopback_only_loopback_names_are_answered(console, host, code):
    async with console.get("/healthz", headers={"Host": host}) as response:
        assert response.status == code


async def test_a_port_in_use_is_an_oserror_and_leaves_nothing_behind(console):
    with pytest.raises(OSError, match="address already in use"):
        async with serve(build_console(snapshot, bytes), port=console._base_url.port):
            pass


async def test_the_default_address_is_loopback():
    async with serve(build_console(snapshot, bytes), port=0) as (host, _):
        assert is_loopback(host)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_an_age_is_said_in_one_unit(seconds, text):
    assert age(seconds) == text


def test_the_page_of_an_idle_daemon_renders():
    assert "No folder is watched." in render(snapshot())


def test_the_page_says_what_waits_for_an_operator():
    notice = {"what": "3 dead letters", "what_to_do": "`postroom deliveries list --dead` shows why.", "count": 3}
    assert "<strong>3 dead letters:</strong> `postroom deliveries list --dead` shows why." in render(
        snapshot(notices=[notice])
    )
    assert "dead letter" not in render(snapshot())
