"""The start page shows what is there, its forms do what they say, and a hostile mail stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import aiohttp
import pytest

from postroom.simulator.server import SimulatedTenant

ADDRESS = "ann@contoso.example"
EVIL = "<script>alert(1)</script>"
HOSTILE = (
    f"From: {EVIL} <a@x.example>\r\nTo: {ADDRESS}\r\nSubject: {EVIL}\r\nX-Evil: {EVIL}\r\n"
    f"Content-Type: text/html\r\n\r\n{EVIL}<img src=https://evil.example/x>\r\n"
).encode()


class Page(HTMLParser):
    """Reads a page: the forms with their fields, the links, every tag, and the text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__()
        self.status, self.source = status, text
        self.forms: list[dict] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag == "form":
            self.forms.append({"action": found.get("action"), "method": found.get("method", "get"), "fields": {}})
        elif tag == "a":
            self.links.append(found["href"])
        elif tag in ("input", "textarea", "select") and self.forms:
            self.forms[-1]["fields"][found.get("name")] = found.get("value", "")

    def handle_data(self, data):
        self.words += data

    def form(self, action):
        return next(form for form in self.forms if form["action"] == action)


class Browser:
    """A browser without scripts."""

    def __init__(self, tenant, client):
        self.tenant, self.client = tenant, client

    async def open(self, path="/", **more):
        async with self.client.get(f"{self.tenant.control}{path}", **more) as answer:
            return Page(answer.status, await answer.text())

    async def submit(self, form, *, follow=True, **fields):
        sent = {name: value for name, value in {**form["fields"], **fields}.items() if name and value is not None}
        async with self.client.post(
            f"{self.tenant.control}{form['action']}", data=sent, allow_redirects=follow
        ) as answer:
            return Page(answer.status, await answer.text())


@pytest.fixture
async def tenant(tmp_path):
    async with SimulatedTenant(
        tmp_path, mailboxes=[ADDRESS, "bob@contoso.example"], control="127.0.0.1:0", smtp=None, tls=False
    ) as running:
        yield running


@pytest.fixture
async def browser(tenant):
    async with aiohttp.ClientSession() as client:
        yield Browser(tenant, client)


def inbox(tenant):
    return tenant.state.mailbox(ADDRESS).folder("inbox").messages


async def test_it_shows_what_is_running(browser, tenant):
    page = await browser.open()
    for word in (ADDRESS, "bob@contoso.example", tenant.tenant_id, tenant.client_id, tenant.graph, "bad-tuesday"):
        assert word in page.words


async def test_a_test_mail_is_sent_from_the_page(browser, tenant):
    page = await browser.open()
    after = await browser.submit(page.form("/send"), to=ADDRESS, subject="Try me", text="Hello", attach="yes")
    assert "The mail is in the inbox." in after.words
    (message,) = inbox(tenant)
    envelope = tenant.state.mailbox(ADDRESS).contents.envelope(message)
    assert (envelope.subject, message.has_attachments) == ("Try me", True)


async def test_the_weather_is_changed_from_the_page(browser, tenant):
    page = await browser.open()
    after = await browser.submit(page.form("/profile"), name="slow", seed="9")
    assert (tenant.weather.profile.name, tenant.faults.seed) == ("slow", 9)
    assert "late answer" in after.words


async def test_a_single_fault_is_added_and_removed_on_the_page(browser, tenant):
    page = await browser.open()
    page = await browser.submit(page.form("/faults"), preset="502 HTML page", count="always", path="/v1.0/*")
    (fault,) = tenant.faults.faults
    assert (fault.name, fault.count, fault.path) == ("502 HTML page", None, "/v1.0/*")
    async with browser.client.get(f"{tenant.graph}/v1.0/x"):
        pass
    page = await browser.open()
    assert "What struck last" in page.words
    await browser.submit(page.form(f"/faults/{fault.id}/remove"))
    assert tenant.faults.faults == []


@pytest.mark.parametrize(("fields", "ahead"), [({"seconds": "3600"}, 3600), ({"seconds": "-60"}, -60)])
async def test_the_clock_is_set_on_the_page(browser, tenant, fields, ahead):
    page = await browser.open()
    await browser.submit(page.form("/clock"), **fields)
    assert tenant.clock.ahead == pytest.approx(ahead, abs=1)


async def test_the_clock_is_frozen_and_let_go_on_the_page(browser, tenant):
    page = await browser.open()
    page = await browser.submit(page.form("/clock"), do="freeze")
    assert tenant.clock.is_frozen
    assert "frozen" in page.words
    await browser.submit(page.form("/clock"), do="resume")
    assert not tenant.clock.is_frozen


async def test_the_clock_is_put_back_to_the_present_on_the_page(browser, tenant):
    page = await browser.open()
    assert "Back to the present" not in page.words
    page = await browser.submit(page.form("/clock"), seconds="3600")
    assert "Back to the present" in page.words
    await browser.submit(page.form("/clock"), do="reset")
    assert tenant.clock.ahead == pytest.approx(0, abs=1)


async def test_messages_are_listed_shown_and_put_elsewhere(browser, tenant):
    stored = tenant.deliver(ADDRESS, b"From: a@x.example\r\nSubject: Hello\r\n\r\nGood day.\r\n")
    page = await browser.open(f"/mailboxes/{ADDRESS}")
    assert "Hello" in page.words
    link = next(link for link in page.links if "/messages/" in link)
    message = await browser.open(link)
    assert "Good day." in message.words
    async with browser.client.get(f"{tenant.control}{next(each for each in message.links if '.eml' in each)}") as got:
        assert (await got.read()).endswith(b"Good day.\r\n")
        assert got.content_type == "message/rfc822"
    page = await browser.submit(page.form(link), do="read")
    assert stored.is_read
    page = await browser.submit(page.form(link), folder="archive")
    assert stored.folder.display_name == "Archive"
    archived = await browser.open(f"/mailboxes/{ADDRESS}?folder=archive")
    await browser.submit(archived.form(link), do="delete")
    assert stored.folder.display_name == "Deleted Items"


async def test_links_are_made_void_on_the_page(browser, tenant):
    before = tenant.state.mailbox(ADDRESS).folder("inbox").epoch
    page = await browser.open(f"/mailboxes/{ADDRESS}")
    await browser.submit(next(form for form in page.forms if form["action"].endswith("/reset")))
    assert tenant.state.mailbox(ADDRESS).folder("inbox").epoch == before + 1


async def test_a_mailbox_gets_into_a_condition_on_its_page(browser, tenant):
    mailbox = tenant.state.mailbox(ADDRESS)
    place = f"/mailboxes/{ADDRESS.replace('@', '%40')}/condition"
    fields = {"full": "yes", "moving": None, "unlicensed": None}
    await browser.submit((await browser.open(f"/mailboxes/{ADDRESS}")).form(place), **fields)
    assert (mailbox.full, mailbox.moving, mailbox.licensed) == (True, False, True)
    assert "full" in (await browser.open()).words
    fields = {"full": None, "moving": "yes", "unlicensed": "yes"}
    await browser.submit((await browser.open(f"/mailboxes/{ADDRESS}")).form(place), **fields)
    assert (mailbox.full, mailbox.moving, mailbox.licensed) == (False, True, False)


async def test_samples_fill_the_mailboxes(browser, tenant):
    await browser.submit((await browser.open()).form("/samples"))
    assert len(inbox(tenant)) > 20


async def test_a_hostile_mail_stays_text_on_every_page(browser, tenant):
    tenant.deliver(ADDRESS, HOSTILE)
    folder = await browser.open(f"/mailboxes/{ADDRESS}")
    message = await browser.open(next(link for link in folder.links if "/messages/" in link))
    for page in (folder, message):
        assert page.status == 200
        assert "alert(1)" in page.words
        assert not [tag for tag, _ in page.tags if tag in ("script", "img", "iframe", "object")]


async def test_nothing_comes_from_elsewhere_and_nothing_runs(browser, tenant):
    tenant.deliver(ADDRESS, HOSTILE)
    for path in ("/", f"/mailboxes/{ADDRESS}"):
        async with browser.client.get(f"{tenant.control}{path}") as answer:
            page = Page(answer.status, await answer.text())
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert not [found for _, found in page.tags if {"src", "onclick", "onload", "style"} & set(found)]
        assert all(link.startswith(("/", "?")) for link in page.links)
        assert not re.search(r"url\(|@import", page.source)


async def test_every_form_carries_the_token_and_none_is_obeyed_without(browser, tenant):
    tenant.deliver(ADDRESS, HOSTILE)
    for path in ("/", f"/mailboxes/{ADDRESS}"):
        page = await browser.open(path)
        for form in page.forms:
            assert form["method"] == "get" or form["fields"]["token"]
            for token in (None, "", "wrong", "ü"):
                if form["method"] == "post":
                    assert (await browser.submit(form, token=token)).status == 403
    assert (len(inbox(tenant)), tenant.weather.profile.name, tenant.clock.is_frozen) == (1, "calm", False)


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("/profile", {"name": "sunny"}),
        ("/profile", {"name": "slow", "seed": "x"}),
        ("/faults", {"preset": "none"}),
        ("/faults", {"preset": "502 HTML page", "count": "many"}),
        ("/clock", {"seconds": "soon"}),
        ("/clock", {"seconds": "1e18"}),
        ("/clock", {"seconds": "nan"}),
        ("/send", {"to": "nobody@contoso.example"}),
    ],
)
async def test_a_mistake_is_shown_on_the_page(browser, action, fields):
    page = await browser.open()
    shown = await browser.submit(page.form(action), **fields)
    assert shown.status == 400
    assert any(found.get("role") == "alert" for _, found in shown.tags)


@pytest.mark.parametrize("path", ["/mailboxes/nobody@x.example", f"/mailboxes/{ADDRESS}/messages/x", "/nowhere"])
async def test_what_is_not_there_is_not_found(browser, path):
    assert (await browser.open(path)).status == 404


async def test_of_many_mailboxes_some_are_shown_and_a_search_finds_the_others(browser, tenant):
    for number in range(120):
        tenant.state.add_mailbox(f"box{number:03}@contoso.example")
    page = await browser.open()
    assert "box119@contoso.example" not in page.words
    assert "and 72 more" in page.words
    assert "box119@contoso.example" in (await browser.open("/?search=BOX119")).words


async def test_a_tenant_without_a_mailbox_in_sight_still_has_a_page(browser):
    assert (await browser.open("/?search=nobody")).status == 200
