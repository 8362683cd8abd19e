"""A round of one folder, against a mailbox that follows a script."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from postroom.errors import (
    AuthError,
    Forbidden,
    JournalError,
    NotFound,
    QuotaExceeded,
    Refused,
    ResyncRequired,
    Throttled,
    Unavailable,
)
from postroom.journal import JournalViews
from postroom.model import Delete, DeliveryState, Details, MarkRead, Settlement, Verdict
from postroom.pipeline import walk
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.examine import LOOKS_AT_ONCE, PATIENCE
from postroom.pipeline.mode import DELTA_PATIENCE, DELTA_RETRY, FULL, STORM, WAIT
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.reading import GONE_WAIT
from postroom.pipeline.unstored import OUTCOMES
from postroom.pipeline.walk import SEEN_LINK_LIMIT
from postroom.ports import ROUTING, UNDATED, UNROUTED, Entry, FolderSpec
from postroom.rule import HeaderIs, Pattern, Rule, SizeIs, TextIs
from postroom.testing import make_message
from postroom.testing.clock import START
from support.pipeline import ALWAYS, MAILBOX, desk, mail_at, opened, page, until

EVERYTHING = Rule("all", ALWAYS, ("erp",))
SPAM = Rule("spam", HeaderIs("X-Spam", (Pattern.parse("yes"),)), ("quarantine",))
GRAPH = {"status": 403, "code": "ErrorQuotaExceeded"}


@pytest.fixture
def poller_of(folder, journal, mail, clock, notes):
    def make(*rules, at=folder, **fields):
        settings = {"mail": mail, "journal": journal, "clock": clock, "report": notes, "page_size": 2}
        return FolderPoller(at, rules or (EVERYTHING,), **(settings | fields))

    return make


@pytest.fixture
def stored(journal, clock):
    """Read a folder as a restart would find it."""

    async def read(floor=None):
        [folder] = await journal.adopt([FolderSpec("default", MAILBOX, "Inbox", floor)], clock.now())
        return folder

    return read


@pytest.fixture
def page_by_page(monkeypatch):
    monkeypatch.setattr(walk, "ENOUGH", 1)


async def deliveries(journal):
    return {name: count for name, count in (await journal.counts()).items() if name.startswith("deliveries.") and count}


async def test_a_walk_stores_each_page_with_the_link_that_follows_it(poller_of, mail, stored, journal):
    mail.script(None, page(mail_at(0), mail_at(1), next_link="L1"))
    mail.script("L1", page(mail_at(2), next_link="L2"))
    mail.script("L2", page(delta_link="D1"))
    poller = poller_of()

    result = await poller.round()

    assert (result.pages, result.fresh, result.deliveries) == (3, 3, 3)
    assert await stored() == poller.folder
    assert (poller.folder.link, poller.folder.walk) == ("D1", "round")
    assert await deliveries(journal) == {"deliveries.ready": 3}


async def test_the_next_round_goes_on_from_the_delta_link(poller_of, mail):
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", page(mail_at(0), delta_link="D2"))
    poller = poller_of()

    await poller.round()
    result = await poller.round()

    assert mail.requests == [("delta", None), ("delta", "D1")]
    assert result.fresh == 1
    assert poller.folder.link == "D2"


async def test_a_round_that_changes_nothing_is_not_written(poller_of, mail, journal):
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", page(delta_link="D1"))
    poller = poller_of()
    await poller.round()
    journal.calls.clear()

    await poller.round()

    assert not journal.calls["commit_page"]


@pytest.fixture
def dispatcher(journal, clock, notes):
    """A dispatcher that does not run: it only keeps places and takes what comes."""
    return Dispatcher(
        desk(opened("erp", concurrency=10)),
        journal=journal,
        clock=clock,
        report=notes,
        bind_log=lambda _: None,
        acted=lambda: None,
    )


async def test_work_is_announced_only_when_there_is_some(poller_of, mail, dispatcher):
    mail.script(None, page(mail_at(0), delta_link="D1"))
    mail.script("D1", page(delta_link="D2"))
    announced = []
    dispatcher.desk.handlers = {}
    dispatcher.wake.set = lambda: announced.append(1)
    poller = poller_of(dispatcher=dispatcher)

    await poller.round()
    await poller.round()

    assert announced == [1]


async def test_no_new_mail_is_taken_in_while_the_journal_does_not_take_what_became_of_earlier_mail(
    poller_of, mail, journal, dispatcher
):
    mail.script(None, page(mail_at(0), delta_link="D1"), page(mail_at(0), delta_link="D1"))
    poller = poller_of(dispatcher=dispatcher)
    with pytest.raises(JournalError), dispatcher.unstored.storing(OUTCOMES):
        raise JournalError("The disk is full.", remedy="Free some space.")

    with pytest.raises(JournalError, match=r"not taken in.* Free some space"):
        await poller.round()

    assert await deliveries(journal) == {}
    with dispatcher.unstored.storing(OUTCOMES):
        pass
    assert (await poller.round()).fresh == 1


async def test_what_a_page_brings_runs_without_being_claimed_again(poller_of, mail, journal, dispatcher):
    mail.script(None, page(mail_at(0), mail_at(1), next_link="L1"))
    mail.script("L1", page(mail_at(2), delta_link="D1"))
    await poller_of(dispatcher=dispatcher).round()
    handler = dispatcher.desk.handlers["erp"].handler
    await until(lambda: len(handler.ran) == 3)

    assert [attempt for _, attempt in handler.ran] == [1, 1, 1]
    assert await deliveries(journal) == {"deliveries.running": 3}
    assert not journal.calls["turn"]


async def test_a_page_whose_round_was_cut_off_is_run_all_the_same(poller_of, mail, journal, dispatcher):
    mail.script(None, page(mail_at(0), delta_link="D1"))
    stored, go_on = asyncio.Event(), asyncio.Event()

    async def hold():
        stored.set()
        await go_on.wait()

    journal.after["commit_page"] = hold
    task = asyncio.create_task(poller_of(dispatcher=dispatcher).round())
    await stored.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    go_on.set()

    await until(lambda: len(dispatcher.desk.handlers["erp"].handler.ran) == 1)


async def test_a_page_that_could_not_be_stored_gives_its_places_back(poller_of, mail, journal, dispatcher):
    mail.script(None, page(mail_at(0), delta_link="D1"))
    journal.failures["commit_page"].append(JournalError("The disk is full."))

    with pytest.raises(JournalError):
        await poller_of(dispatcher=dispatcher).round()

    assert dispatcher.reserve(MAILBOX, {"erp": 10}).room == {"erp": 10}
    assert not dispatcher.desk.idle.is_set()


async def test_mail_from_before_the_floor_is_remembered_and_never_delivered(poller_of, mail, folder, journal):
    old = mail_at(-1)
    mail.script(None, page(old, mail_at(0), delta_link="D1"))
    mail.script("D1", page(replace(old, is_read=True), delta_link="D2"))
    poller = poller_of(at=replace(folder, floor=START))

    first = await poller.round()
    second = await poller.round()

    assert (first.fresh, first.deliveries) == (2, 1)
    assert (second.fresh, second.known, second.deliveries) == (0, 1, 0)


async def test_old_mail_moved_into_the_folder_later_is_delivered(poller_of, mail, folder):
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", page(mail_at(-1000), delta_link="D2"))
    poller = poller_of(at=replace(folder, floor=START))
    await poller.round()

    assert (await poller.round()).deliveries == 1


async def test_a_message_that_comes_twice_in_a_page_or_again_later_is_delivered_once(poller_of, mail, journal):
    message = mail_at(0)
    mail.script(None, page(message, message, next_link="L1"))
    mail.script("L1", page(message, Entry(message.id, removed=True), delta_link="D1"))

    await poller_of().round()

    assert await deliveries(journal) == {"deliveries.ready": 1}


async def test_a_removed_entry_is_only_a_hint(poller_of, mail, journal):
    message = mail_at(0)
    mail.script(None, page(Entry(message.id, removed=True), message, delta_link="D1"))

    assert (await poller_of().round()).fresh == 1


async def test_pages_that_come_at_once_are_stored_together_with_the_link_of_the_last(
    poller_of, mail, journal, stored, monkeypatch
):
    monkeypatch.setattr(walk, "ENOUGH", 3)
    for number in range(5):
        last = {"delta_link": "D"} if number == 4 else {"next_link": f"L{number + 1}"}
        mail.script(f"L{number}" if number else None, page(mail_at(number), **last))
    links = []

    async def look():
        links.append((await stored()).link)

    journal.after["commit_page"] = look

    result = await poller_of().round()

    assert links == ["L3", "D"]
    assert (result.pages, result.fresh) == (5, 5)


async def test_a_page_that_leads_nowhere_keeps_nothing_from_being_stored_that_came_before_it(
    poller_of, mail, journal, stored
):
    mail.script(None, page(mail_at(0), next_link="L1"))
    mail.script("L1", page(mail_at(1)))

    with pytest.raises(Unavailable):
        await poller_of().round()

    assert (await stored()).link == "L1"
    assert await deliveries(journal) == {"deliveries.ready": 1}


async def test_a_round_after_one_that_failed_stores_each_page_alone(poller_of, mail, journal, stored):
    mail.script(None, page(mail_at(0), next_link="L1"))
    mail.script("L1", page(Entry("unreadable"), next_link="L2"))
    mail.script("L2", page(mail_at(2), delta_link="D"))
    mail.messages["unreadable"].append(Unavailable("Down."))
    poller = poller_of()

    with pytest.raises(Unavailable):
        await poller.round()
    assert (await stored()).link is None
    with pytest.raises(Unavailable):
        await poller.round()

    assert (await stored()).link == "L1"
    assert await deliveries(journal) == {"deliveries.ready": 1}


async def test_a_page_does_not_wait_for_one_that_is_slow_to_come(poller_of, mail, journal, stored):
    is_stored = asyncio.Event()

    async def slow():
        await is_stored.wait()
        return page(mail_at(1), delta_link="D")

    async def look():
        is_stored.set()

    mail.script(None, page(mail_at(0), next_link="L1"))
    mail.script("L1", slow)
    journal.after["commit_page"] = look

    assert (await poller_of().round()).fresh == 2


@pytest.mark.usefixtures("page_by_page")
async def test_at_most_one_page_is_fetched_ahead_and_the_stored_link_is_that_of_a_stored_page(
    poller_of, mail, journal, stored
):
    for number in range(5):
        last = {"delta_link": "D"} if number == 4 else {"next_link": f"L{number + 1}"}
        mail.script(f"L{number}" if number else None, page(mail_at(number), **last))
    ahead = []

    async def look():
        await asyncio.sleep(0)
        fetched = len(mail.requests)
        ahead.append(fetched - journal.calls["commit_page"])

    journal.before["commit_page"] = look

    await poller_of().round()

    assert max(ahead) == 1
    assert ahead[-1] == 0


async def test_an_error_in_mid_round_keeps_what_was_stored(poller_of, mail, stored, journal):
    mail.script(None, page(mail_at(0), next_link="L1"))
    mail.script("L1", Unavailable("Down."), page(mail_at(1), delta_link="D1"))
    poller = poller_of()

    with pytest.raises(Unavailable):
        await poller.round()

    assert (await stored()).link == "L1"
    assert (await stored()).walk == "full"

    await poller.round()
    assert await deliveries(journal) == {"deliveries.ready": 2}
    assert [link for _, link in mail.requests] == [None, "L1", "L1"]


async def test_a_page_the_journal_did_not_take_is_fetched_again(poller_of, mail, stored, journal):
    mail.script(None, page(mail_at(0), next_link="L1"))
    mail.script("L1", page(mail_at(1), delta_link="D1"))
    journal.failures["commit_page"].append(JournalError("The disk is full."))
    poller = poller_of()

    with pytest.raises(JournalError):
        await poller.round()

    assert (await stored()).link is None
    assert poller.folder.link is None

    await poller.round()
    assert await deliveries(journal) == {"deliveries.ready": 2}


async def test_a_failed_page_leaves_no_task_behind(poller_of, mail, journal):
    ended = asyncio.Event()

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fetching():
        await asyncio.sleep(0)

    mail.script(None, page(mail_at(0), next_link="L1"))
    mail.script("L1", hang)
    journal.before["commit_page"] = fetching
    journal.failures["commit_page"].append(JournalError("The disk is full."))

    with pytest.raises(JournalError):
        await poller_of().round()

    assert ended.is_set()
    assert len(asyncio.all_tasks()) == 1


async def test_a_reset_lists_again_and_delivers_nothing_twice(poller_of, mail, stored, journal, notes):
    known, new = mail_at(0), mail_at(1)
    mail.script(None, page(known, delta_link="D1"), page(known, new, delta_link="D9"))
    mail.script("D1", ResyncRequired("Gone.", status=410, code="SyncStateNotFound"))
    poller = poller_of()
    await poller.round()

    result = await poller.round()

    assert (result.fresh, result.known) == (1, 1)
    assert (await stored()).link == "D9"
    assert await deliveries(journal) == {"deliveries.ready": 2}
    assert notes.named("resync")[0]["code"] == "SyncStateNotFound"


async def test_a_reset_does_not_deliver_old_mail_that_was_never_seen(poller_of, mail, folder, journal):
    mail.script(None, page(delta_link="D1"), page(mail_at(-5), mail_at(5), delta_link="D9"))
    mail.script("D1", ResyncRequired("Gone.", status=410, code="SyncStateNotFound"))
    poller = poller_of(at=replace(folder, floor=START))
    await poller.round()
    await poller.round()

    assert await deliveries(journal) == {"deliveries.ready": 1}


async def test_a_reset_in_mid_walk_keeps_what_was_stored(poller_of, mail, journal):
    mail.script(None, page(mail_at(0), next_link="L1"), page(mail_at(1), delta_link="D1"))
    mail.script("L1", ResyncRequired("Gone.", status=410, code="SyncStateNotFound"))

    await poller_of().round()

    assert await deliveries(journal) == {"deliveries.ready": 2}


async def test_a_storm_of_resets_gives_delta_a_rest(poller_of, mail, clock, notes):
    mail.script(None, *[page(delta_link="D1")] * STORM)
    mail.script("D1", ResyncRequired("Gone.", status=410, code="SyncStateNotFound"))
    mail.listing = [mail_at(1)]
    poller = poller_of()
    for _ in range(STORM + 1):
        result = await poller.round()

    assert poller.folder.mode == "listing"
    assert result.fresh == 1
    assert notes.named("fallback")


async def test_resets_that_are_far_apart_are_no_storm(poller_of, mail, clock):
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", ResyncRequired("Gone.", status=410, code="SyncStateNotFound"))
    poller = poller_of()
    for _ in range(STORM + 3):
        await poller.round()
        await clock.advance(3600.0)

    assert poller.folder.mode == "delta"


async def test_a_folder_that_was_made_anew_is_listed_again(poller_of, mail, journal, stored):
    mail.script(None, page(delta_link="D1"), page(mail_at(0), delta_link="D9"))
    mail.script("D1", NotFound("No such folder.", status=404, code="ErrorItemNotFound"))
    poller = poller_of()
    await poller.round()

    await poller.round()

    assert (await stored()).link == "D9"
    assert await deliveries(journal) == {"deliveries.ready": 1}


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_folder_made_anew_under_the_same_name_is_listed_from_its_beginning(
    poller_of, mail, stored, *, journal, notes, folder, restarted
):
    moved, fresh = mail_at(0), mail_at(5)
    mail.script(None, page(moved, delta_link="D1"), page(mail_at(-5), moved, fresh, delta_link="E1"))
    mail.script("D1", page(delta_link="D1"))
    mail.script("E1", page(delta_link="E1"))
    poller = poller_of(at=replace(folder, floor=START))
    await poller.round()
    assert (await stored()).graph_id == "folder-id"
    if restarted:
        poller = poller_of(at=await stored())
    mail.folder_ids = deque(["another-id"])

    await poller.round()
    await poller.round()

    assert await deliveries(journal) == {"deliveries.ready": 2}
    assert [each["code"] for each in notes.named("resync")] == ["FolderChanged"]
    assert ((await stored()).graph_id, (await stored()).link) == ("another-id", "E1")


async def test_a_folder_made_anew_is_listed_from_its_beginning_in_listing_mode_too(poller_of, mail, stored, clock):
    mail.listing = [mail_at(0)]
    poller = poller_of(delta=False)
    await poller.round()
    await clock.advance(86_400)
    await poller.round()
    mail.listing = [mail_at(-5_000)]
    mail.folder_ids = deque(["another-id"])

    assert (await poller.round()).fresh == 1
    assert (await stored()).graph_id == "another-id"


async def test_folders_that_change_again_and_again_are_no_storm_of_resets(poller_of, mail, stored):
    mail.folder_ids = deque([f"id-{number}" for number in range(STORM + 2)])
    mail.script(None, page(delta_link="D1"))
    poller = poller_of()
    for _ in range(STORM + 2):
        await poller.round()

    assert (await stored()).mode == "delta"


async def test_a_folder_that_is_gone_keeps_its_link(poller_of, mail, stored):
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", NotFound("No such folder.", status=404, code="ErrorItemNotFound"))
    poller = poller_of()
    await poller.round()
    mail.folder_ids = deque(["folder-id", NotFound("Inbox/Gone is lost.", status=404)])

    with pytest.raises(NotFound, match="lost"):
        await poller.round()

    assert (await stored()).link == "D1"


async def test_a_mailbox_that_is_not_found_keeps_its_link(poller_of, mail, stored):
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", NotFound("No such user.", status=404, code="ErrorInvalidUser"))
    poller = poller_of()
    await poller.round()

    with pytest.raises(NotFound):
        await poller.round()

    assert (await stored()).link == "D1"


@pytest.mark.parametrize("error", [Forbidden("No.", status=403), AuthError("No.", code="x"), Throttled("Wait.")])
async def test_other_errors_surface_and_change_no_mode(poller_of, mail, error):
    mail.script(None, error)
    poller = poller_of()

    with pytest.raises(type(error)):
        await poller.round()

    assert poller.folder.mode == "delta"


async def test_a_full_mailbox_is_listed_and_returns_to_delta_when_it_can(
    poller_of, *, mail, clock, stored, notes, journal
):
    first, second = mail_at(0), mail_at(1)
    mail.script(None, page(first, delta_link="D1"))
    mail.script("D1", QuotaExceeded("Full.", **GRAPH), page(first, second, delta_link="D9"))
    mail.listing = [first, second]
    poller = poller_of()
    await poller.round()

    listed = await poller.round()

    assert (listed.fresh, listed.known) == (1, 1)
    assert (await stored()).mode == "listing"
    assert notes.named("fallback")[0]["mode"] == "listing"

    await clock.advance(DELTA_RETRY)
    await poller.round()

    assert (await stored()).mode == "delta"
    assert (await stored()).link == "D9"
    assert await deliveries(journal) == {"deliveries.ready": 2}


async def test_a_full_mailbox_is_not_asked_for_delta_at_every_round(poller_of, mail, clock):
    mail.script(None, QuotaExceeded("Full.", **GRAPH))
    poller = poller_of()
    await poller.round()
    mail.requests.clear()
    for _ in range(5):
        await clock.advance(DELTA_RETRY / 6)
        await poller.round()

    assert {kind for kind, *_ in mail.requests} == {"listing"}


async def test_while_it_stays_full_listing_goes_on_from_where_it_stood(poller_of, mail, clock):
    mail.script(None, QuotaExceeded("Full.", **GRAPH))
    mail.listing = [mail_at(minute) for minute in range(0, 100, 10)]
    await clock.advance(100 * 60)
    poller = poller_of()
    await poller.round()
    resting = poller.folder.link
    await clock.advance(DELTA_RETRY)
    mail.requests.clear()

    await poller.round()

    assert mail.requests[0] == ("delta", None)
    assert mail.requests[1] == ("listing", START + timedelta(minutes=90 - 15), None)
    assert poller.folder.link == resting


@pytest.mark.parametrize(
    ("error", "times", "remedy"),
    [
        (QuotaExceeded("Graph says full.", remedy="Do this.", **GRAPH), 1, FULL),
        (ResyncRequired("Graph says gone.", remedy="Do this.", **GRAPH), STORM, WAIT),
        (Unavailable("Graph says down.", remedy="Do this."), DELTA_PATIENCE, WAIT),
    ],
)
async def test_why_a_folder_is_listed_is_said_without_a_remedy_and_what_to_do_fits_the_cause(
    *, poller_of, mail, notes, error, times, remedy
):
    mail.script(None, page(delta_link="D1"), *[page(delta_link="D1")] * times)
    mail.script("D1", *[error] * times)
    poller = poller_of()
    for _ in range(2 * times + 1):
        with contextlib.suppress(Unavailable):
            await poller.round()

    [told] = notes.named("fallback")
    assert told["reason"].endswith(error.message)
    assert told["remedy"] == remedy


async def test_each_change_of_mode_is_said_once_however_often_delta_is_tried_in_between(poller_of, mail, clock, notes):
    mail.script(None, *[QuotaExceeded("Full.", **GRAPH)] * 4, page(delta_link="D1"))
    mail.script("D1", page(delta_link="D1"))
    poller = poller_of()
    for _ in range(6):
        await poller.round()
        await clock.advance(DELTA_RETRY)

    assert [name for name, _ in notes.events] == ["fallback", "restored"]
    assert notes.named("restored")[0]["mode"] == "delta"


@pytest.mark.parametrize("error", [QuotaExceeded("Still full.", **GRAPH), Unavailable("Delta is down.", status=503)])
async def test_a_restart_tries_delta_at_once_and_goes_on_listing_if_it_still_fails(
    *, poller_of, mail, clock, stored, notes, error
):
    mail.script(None, QuotaExceeded("Full.", **GRAPH), error, page(delta_link="D1"))
    mail.listing = [mail_at(-30)]
    await poller_of().round()
    resting = (await stored()).link
    mail.requests.clear()
    poller = poller_of(at=await stored())

    for _ in range(2):
        await poller.round()

    listing = ("listing", START + timedelta(minutes=-45), None)
    assert mail.requests == [("delta", None), listing, listing]
    assert (await stored()).link == resting
    assert [str(error) in told["reason"] for told in notes.named("fallback")] == [False, True]  # a new process says it

    await clock.advance(DELTA_RETRY)
    await poller.round()
    assert (await stored()).mode == "delta"
    assert len(notes.named("restored")) == 1


async def test_a_restart_returns_to_delta_at_once_when_it_works_again(poller_of, mail, stored, notes):
    mail.script(None, QuotaExceeded("Full.", **GRAPH), page(delta_link="D1"))
    mail.listing = [mail_at(-30)]
    await poller_of().round()

    await poller_of(at=await stored()).round()

    assert ((await stored()).mode, (await stored()).link) == ("delta", "D1")
    assert [name for name, _ in notes.events] == ["fallback", "restored"]


async def test_a_folder_that_is_listed_after_a_restart_says_so_also_when_nothing_could_be_tried(
    poller_of, mail, stored, notes
):
    mail.script(None, QuotaExceeded("Full.", **GRAPH), Unavailable("Down.", status=503))
    await poller_of().round()
    poller = poller_of(at=await stored())
    listing_page, mail.listing_page = mail.listing_page, _down
    with pytest.raises(Unavailable):
        await poller.round()
    assert len(notes.named("fallback")) == 1

    mail.listing_page = listing_page
    await poller.round()

    assert len(notes.named("fallback")) == 2


async def _down(*_):
    raise Unavailable("Down.", status=503)


async def test_the_mode_is_stored_also_where_the_listing_brings_nothing_after_delta_was_tried(
    poller_of, mail, clock, stored
):
    full = QuotaExceeded("Full.", **GRAPH)
    mail.script(None, full, page(mail_at(0), next_link="L1"))
    mail.script("L1", full)
    mail.listing = [mail_at(0)]
    poller = poller_of()
    await poller.round()
    before = await stored()
    await clock.advance(DELTA_RETRY)

    await poller.round()

    assert poller.folder == await stored() == before
    assert before.mode == "listing"


async def test_a_delta_that_fails_alone_is_replaced_by_listing_before_the_folder_is_stale(
    poller_of, mail, clock, stored, notes
):
    broken = Unavailable("No answer in time.", status=504)
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", *[broken] * (DELTA_PATIENCE + 1), page(mail_at(2), delta_link="D2"))
    mail.listing = [mail_at(1)]
    poller = poller_of()
    await poller.round()
    for _ in range(DELTA_PATIENCE - 1):
        with pytest.raises(Unavailable):
            await poller.round()

    assert (await poller.round()).fresh == 1
    assert (await stored()).mode == "listing"

    await clock.advance(DELTA_RETRY)
    mail.requests.clear()
    assert (await poller.round()).fresh == 0
    assert [kind for kind, *_ in mail.requests] == ["delta", "listing"]

    mail.script(None, page(mail_at(3), delta_link="D9"))
    mail.delta[None].popleft()
    await clock.advance(DELTA_RETRY)
    assert (await poller.round()).fresh == 1
    assert (await stored()).link == "D9"  # the old link failed once more, and is given up
    assert [name for name, _ in notes.events] == ["fallback", "restored"]


async def test_an_outage_of_everything_changes_no_mode(poller_of, mail, stored, notes, monkeypatch):
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", Unavailable("Down.", status=503))
    poller = poller_of()
    await poller.round()
    original = mail.listing_page

    async def down(*_args):
        raise Unavailable("Down as well.", status=503)

    mail.listing_page = down
    for _ in range(3 * DELTA_PATIENCE):
        with pytest.raises(Unavailable, match=r"^Down\.$"):
            await poller.round()
    mail.listing_page = original

    assert (poller.folder.mode, poller.folder.link) == ("delta", "D1")
    assert await stored() == poller.folder
    assert not notes.named("fallback")


async def test_a_message_that_cannot_be_read_is_no_fault_of_delta(poller_of, mail, journal, clock):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(Unavailable("Busy.", status=503))
    mail.listing = [message]
    poller = poller_of(SPAM)
    for _ in range(PATIENCE - 1):
        with pytest.raises(Unavailable):
            await poller.round()

    assert {kind for kind, *_ in mail.requests} == {"delta", "details"}


async def test_what_a_round_has_missed_is_taken_in_and_the_folder_stays_as_it_is(poller_of, mail, journal, stored):
    missed = mail_at(5)
    mail.script(None, page(mail_at(0), delta_link="D1"))
    mail.messages[missed.id].append(missed)
    poller = poller_of()
    await poller.round()
    before = await stored()

    assert (await poller.take_in([missed.id])).fresh == 1
    assert (await poller.take_in([missed.id])).fresh == 0
    assert await stored() == before == poller.folder
    assert await deliveries(journal) == {"deliveries.ready": 2}


async def test_a_round_and_a_repair_that_bring_the_same_mail_at_once_deliver_it_once(poller_of, mail, journal):
    both = [mail_at(minute) for minute in range(6)]
    mail.script(None, page(delta_link="D1"))
    mail.script("D1", page(*both, delta_link="D2"))
    for each in both:
        mail.messages[each.id].append(each)
    poller = poller_of()
    await poller.round()

    first, second = await asyncio.gather(poller.round(), poller.take_in([each.id for each in both]))

    assert first.fresh + second.fresh == 6
    assert await deliveries(journal) == {"deliveries.ready": 6}


async def test_what_is_gone_by_the_time_it_is_taken_in_leaves_nothing(poller_of, mail, journal, clock):
    mail.script(None, page(delta_link="D1"))
    mail.messages["gone"].append(None)
    poller = poller_of()
    await poller.round()
    work = asyncio.create_task(poller.take_in(["gone"]))
    await clock.wait_for_sleepers()
    await clock.advance(GONE_WAIT)

    assert (await work).fresh == 0


async def test_a_mail_moved_to_a_folder_whose_rule_names_only_handlers_that_had_it_gets_no_then(
    poller_of, mail, journal, clock
):
    message = mail_at(0)
    filed = Rule("filed", ALWAYS, ("erp",), then=(MarkRead(),))
    mail.script(None, page(message, delta_link="D1"))
    await poller_of().round()
    [claimed] = await journal.turn([], {"erp": 5}, clock.now(), lambda _: [])
    done = Settlement(claimed, Verdict(DeliveryState.DONE), clock.now(), clock.now())
    await journal.turn([done], {}, clock.now(), lambda _: [])
    [archive] = await journal.adopt([FolderSpec("default", MAILBOX, "Archive", None)], clock.now())
    mail.folder_ids = deque(["archive-id"])

    result = await poller_of(filed, at=archive).round()

    assert (result.fresh, result.deliveries) == (1, 0)
    assert await journal.claim_actions(5, clock.now()) == []


async def test_a_cloud_without_delta_is_listed_only(poller_of, mail, stored, folder, clock):
    await clock.advance(3600)
    mail.listing = [mail_at(-60), mail_at(1), mail_at(2), mail_at(3), mail_at(40)]
    poller = poller_of(at=replace(folder, floor=START), delta=False)

    result = await poller.round()

    assert result.fresh == 4
    assert {kind for kind, *_ in mail.requests} == {"listing"}
    assert (await stored()).mode == "listing"

    mail.listing.append(mail_at(50))
    assert (await poller.round()).fresh == 1


async def test_mail_that_rules_move_away_while_it_is_listed_pulls_none_past_unseen(poller_of, mail, clock, journal):
    await clock.advance(3600)
    everything = [mail_at(minute) for minute in range(20)]
    mail.listing = list(everything)

    async def handlers_move_what_they_have():
        mail.listing = mail.listing[1:]

    journal.after["commit_page"] = handlers_move_what_they_have

    await poller_of(delta=False).round()

    assert await deliveries(journal) == {"deliveries.ready": 20}


@pytest.mark.usefixtures("page_by_page")
async def test_an_interrupted_listing_goes_on_from_its_last_page(poller_of, mail, clock, journal, stored):
    await clock.advance(3600)
    mail.listing = [mail_at(minute) for minute in range(9)]
    poller = poller_of(delta=False)

    async def stop_after_three():
        if journal.calls["commit_page"] == 3:
            journal.failures["commit_page"].append(JournalError("The disk is full."))

    journal.after["commit_page"] = stop_after_three
    with pytest.raises(JournalError):
        await poller.round()
    mail.requests.clear()

    await poller_of(at=await stored(), delta=False).round()

    assert mail.requests[0][1] > START
    assert await deliveries(journal) == {"deliveries.ready": 9}


async def test_many_mails_of_one_and_the_same_second_are_all_listed(poller_of, mail, clock, journal):
    await clock.advance(3600)
    mail.listing = [mail_at(1) for _ in range(11)]

    await poller_of(delta=False).round()

    assert await deliveries(journal) == {"deliveries.ready": 11}


async def test_an_update_that_lacks_fields_is_read_only_when_it_is_new(poller_of, mail, journal):
    known, new = mail_at(0), mail_at(1)
    mail.script(None, page(known, delta_link="D1"))
    mail.script("D1", page(Entry(known.id), Entry(new.id), Entry("gone"), delta_link="D2"))
    mail.messages[new.id].append(new)
    mail.messages["gone"].append(None)
    poller = poller_of()
    await poller.round()
    poller._walk._examiner._reader._clock = Hasty()

    assert (await poller.round()).fresh == 1
    assert ("message", known.id) not in mail.requests
    assert mail.requests.count(("message", "gone")) == 2


class Hasty:
    """A clock that does not wait."""

    def __init__(self):
        self.slept = []

    def now(self):
        return START

    async def sleep(self, seconds):
        self.slept.append(seconds)


@pytest.fixture
def hasty(poller_of):
    def make(*rules, **fields):
        poller = poller_of(*rules, **fields)
        poller._walk._examiner._reader._clock = Hasty()
        return poller

    return make


async def states(journal, clock):
    """Return the handlers of all deliveries that are due, and how many dead letters there are."""
    claimed = await journal.turn([], {"erp": 99, "quarantine": 99, ROUTING: 99}, clock.now(), lambda _: [])
    return sorted(each.handler for each in claimed), (await journal.counts()).get("deliveries.dead", 0)


async def test_what_rules_need_beyond_the_page_is_read_for_new_mail_alone(hasty, mail, journal, clock):
    spam, ham = mail_at(0), mail_at(1)
    mail.script(None, page(spam, ham, delta_link="D1"), page(spam, delta_link="D2"))
    mail.script("D1", page(spam, ham, delta_link="D2"))
    mail.detail[spam.id].append(Details(headers=(("X-Spam", "yes"),)))
    mail.detail[ham.id].append(Details(headers=()))
    poller = hasty(SPAM)

    await poller.round()
    await poller.round()

    assert [request[1] for request in mail.requests if request[0] == "details"] == [spam.id, ham.id]
    assert await states(journal, clock) == (["quarantine"], 0)


async def test_details_are_read_a_few_at_a_time(hasty, mail):
    many = [mail_at(minute) for minute in range(20)]
    mail.script(None, page(*many, delta_link="D1"))
    for each in many:
        mail.detail[each.id].append(Details(headers=()))

    await hasty(SPAM).round()

    assert mail.most_under_way == LOOKS_AT_ONCE


async def test_a_temporary_failure_of_details_ends_the_round_and_loses_nothing(hasty, mail, stored, journal, clock):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].extend([Unavailable("Down.", status=503), Details(headers=(("X-Spam", "yes"),))])
    poller = hasty(SPAM)

    with pytest.raises(Unavailable):
        await poller.round()
    assert (await stored()).link is None

    await poller.round()
    assert await states(journal, clock) == (["quarantine"], 0)


async def test_details_that_can_never_be_read_make_a_dead_letter(hasty, mail, journal, clock, notes):
    message = mail_at(0)
    mail.script(None, page(message, mail_at(1), delta_link="D1"))
    mail.detail[message.id].append(Refused("Corrupt.", status=500, code="ErrorCorruptData"))
    for each in mail.delta[None][0].entries[1:]:
        mail.detail[each.id].append(Details(headers=(("X-Spam", "yes"),)))

    await hasty(SPAM).round()

    assert await states(journal, clock) == (["quarantine"], 1)
    assert "Corrupt." in notes.named("unreadable")[0]["error"]


@pytest.mark.parametrize("error", [Unavailable("Down.", status=500), Forbidden("No.", status=403)])
async def test_one_message_that_fails_for_rounds_does_not_stop_its_folder_for_ever(hasty, mail, journal, clock, error):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(error)
    poller = hasty(SPAM)
    for _ in range(PATIENCE - 1):
        with pytest.raises(type(error)):
            await poller.round()

    await poller.round()

    assert await states(journal, clock) == ([ROUTING], 0)


async def test_whoever_fails_beside_a_message_that_is_set_aside_is_set_aside_and_what_was_read_goes_on(
    hasty, mail, journal, clock, notes
):
    broken, fine = [mail_at(number) for number in range(4)], mail_at(9, subject="Invoice")
    mail.script(None, page(fine, *broken, delta_link="D1"))
    for each in broken:
        mail.detail[each.id].append(Unavailable("Down.", status=500))
    invoice = Rule("invoice", TextIs("subject", (Pattern.parse("Invoice"),)), ("erp",), stop=True)
    poller = hasty(invoice, SPAM)
    for _ in range(PATIENCE - 1):
        with pytest.raises(Unavailable):
            await poller.round()

    assert (await poller.round()).fresh == 5

    assert await states(journal, clock) == ([*[ROUTING] * 4, "erp"], 0)
    [said] = notes.named("set_aside")
    assert (said["count"], said["messages"], said["error"]) == (4, [each.id for each in broken], "Down.")


@pytest.mark.parametrize("count", [1, 20])
async def test_however_many_mails_of_a_page_cannot_be_read_they_keep_it_back_for_as_many_rounds_as_one(
    hasty, mail, journal, clock, count
):
    broken, later = [mail_at(number) for number in range(count)], mail_at(99, subject="Invoice")
    mail.script(None, page(*broken, delta_link="D1"))
    mail.script("D1", page(later, delta_link="D2"))
    for each in broken:
        mail.detail[each.id].append(Unavailable("Down.", status=500))
    poller = hasty(Rule("invoice", TextIs("subject", (Pattern.parse("Invoice"),)), ("erp",), stop=True), SPAM)
    for _ in range(PATIENCE - 1):
        with pytest.raises(Unavailable):
            await poller.round()
    await poller.round()
    await poller.round()

    assert await states(journal, clock) == ([*[ROUTING] * count, "erp"], 0)


async def test_rounds_count_in_a_row_alone_before_anything_is_set_aside(hasty, mail, journal, clock):
    message, later = mail_at(0), mail_at(1)
    mail.script(None, page(message, delta_link="D1"))
    mail.script("D1", page(later, delta_link="D2"))
    down = [Unavailable("Down.", status=500)] * (PATIENCE - 1)
    mail.detail[message.id].extend([*down, Details(headers=())])
    mail.detail[later.id].extend(down)
    poller = hasty(SPAM)
    for _ in range(PATIENCE - 1):
        with pytest.raises(Unavailable):
            await poller.round()
    await poller.round()
    for _ in range(PATIENCE - 1):
        with pytest.raises(Unavailable):
            await poller.round()

    assert await states(journal, clock) == ([], 0)


async def test_a_mailbox_that_cannot_be_used_as_a_whole_sets_no_mail_aside(hasty, mail, journal):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(Forbidden("No.", status=403, parks="it has no licence"))
    poller = hasty(SPAM)
    for _ in range(PATIENCE * 2):
        with pytest.raises(Forbidden):
            await poller.round()

    assert await deliveries(journal) == {}


async def test_mail_from_before_the_floor_is_not_read_where_the_page_tells_its_time(
    hasty, mail, folder, journal, clock
):
    old = Entry("old", received_at=START - timedelta(days=1))
    mail.script(None, page(old, delta_link="D1"))
    mail.script("D1", page(old, delta_link="D2"))
    poller = hasty(SPAM, at=replace(folder, floor=START))

    first, second = await poller.round(), await poller.round()

    assert [(each.fresh, each.deliveries) for each in (first, second)] == [(1, 0), (0, 0)]
    assert ("message", "old") not in mail.requests


@pytest.mark.parametrize(
    ("entry", "walk", "rule"),
    [
        (Entry("unread"), "full", UNDATED),
        (Entry("unread"), "round", UNROUTED),
        (Entry("unread", received_at=START), "full", UNROUTED),
    ],
)
@pytest.mark.parametrize("error", [Unavailable("Down.", status=503), Refused("Corrupt.", status=500)])
async def test_a_mail_set_aside_carries_that_the_floor_is_still_to_be_asked(
    hasty, mail, folder, *, journal, entry, walk, rule, error
):
    mail.script(None, page(entry, delta_link="D1"))
    mail.script("D1", page(delta_link="D1"))
    mail.messages["unread"].append(error)
    poller = hasty(at=replace(folder, floor=START, walk=walk))
    for _ in range(PATIENCE - 1):
        with contextlib.suppress(Unavailable):
            await poller.round()
    await poller.round()

    assert [(each.handler, each.rule) for each in await JournalViews(journal.real).deliveries()] == [
        (ROUTING, rule.name)
    ]


async def test_a_throttled_mailbox_makes_no_dead_letters(hasty, mail, journal, clock):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(Throttled("Wait.", status=429))
    poller = hasty(SPAM)
    for _ in range(PATIENCE * 3):
        with pytest.raises(Throttled):
            await poller.round()
    mail.detail[message.id].append(Unavailable("Down.", status=503))
    mail.detail[message.id].popleft()
    with pytest.raises(Unavailable):
        await poller.round()

    assert await deliveries(journal) == {}


async def test_a_message_of_which_nothing_can_be_read_becomes_a_dead_letter(hasty, mail, journal, clock):
    mail.script(None, page(Entry("corrupt"), delta_link="D1"))
    mail.messages["corrupt"].append(Refused("Corrupt.", status=500, code="ErrorCorruptData"))

    await hasty(EVERYTHING, SPAM).round()

    assert await states(journal, clock) == ([], 1)


async def test_a_mail_on_which_a_pattern_takes_too_long_is_a_dead_letter_and_said_to_be(
    hasty, mail, journal, clock, notes
):
    mail.script(None, page(mail_at(0, subject="a" * 60 + "!"), mail_at(1), delta_link="D1"))
    unwise = Rule("unwise", TextIs("subject", (Pattern.parse("/^(a|a)+$/"),)), ("erp",))

    await hasty(unwise).round()

    assert await states(journal, clock) == ([], 1)
    [said] = notes.named("unreadable")
    assert "took longer" in said["error"]


async def test_a_rule_that_is_undecided_never_has_its_actions_carried_out(hasty, mail, journal, clock):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(Refused("Corrupt.", status=500, code="ErrorCorruptData"))

    await hasty(Rule("bin", SPAM.when, then=(Delete(),))).round()

    assert await journal.claim_actions(9, clock.now()) == []


async def test_details_that_graph_does_not_tell_are_no_answer(hasty, mail, journal, clock):
    message = make_message(size=None)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(Details(size=None))

    await hasty(Rule("big", SizeIs(least=10), ("erp",))).round()

    assert await states(journal, clock) == ([], 1)


async def test_a_message_that_is_not_found_is_asked_for_again_a_little_later(hasty, mail, journal, clock):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].extend([NotFound("No."), Details(headers=(("X-Spam", "yes"),))])
    poller = hasty(SPAM)

    await poller.round()

    assert poller._walk._examiner._reader._clock.slept == [GONE_WAIT]
    assert await states(journal, clock) == (["quarantine"], 0)


async def test_a_message_that_is_gone_keeps_the_rules_that_matched_without_details(hasty, mail, journal, clock):
    message = mail_at(0, subject="Invoice")
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(NotFound("No."))
    mail.messages[message.id].append(None)
    invoice = Rule("invoice", TextIs("subject", (Pattern.parse("Invoice"),)), ("erp",))

    await hasty(invoice, SPAM).round()

    assert await states(journal, clock) == (["erp"], 0)


async def test_a_message_that_is_there_but_whose_details_are_not_found_is_never_lost(
    hasty, mail, journal, clock, notes
):
    message = mail_at(0, subject="Invoice")
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].append(NotFound("No."))
    mail.messages[message.id].append(message)
    poller = hasty(SPAM)
    for _ in range(PATIENCE - 1):
        with pytest.raises(NotFound):
            await poller.round()
    assert await deliveries(journal) == {}

    await poller.round()

    assert await states(journal, clock) == ([ROUTING], 0)
    assert notes.named("set_aside")


async def test_details_that_are_found_in_a_later_round_are_as_good(hasty, mail, journal, clock):
    message = mail_at(0)
    mail.script(None, page(message, delta_link="D1"))
    mail.detail[message.id].extend([NotFound("No.")] * 2)
    mail.detail[message.id].append(Details(headers=(("X-Spam", "yes"),)))
    mail.messages[message.id].append(message)
    poller = hasty(SPAM)
    with pytest.raises(NotFound):
        await poller.round()

    await poller.round()

    assert await states(journal, clock) == (["quarantine"], 0)


async def test_a_listing_of_mail_that_is_dated_ahead_comes_to_an_end_however_slow_it_is(
    poller_of, *, mail, clock, journal, monkeypatch
):
    mail.listing = [mail_at(60 * 24 * 365 + number) for number in range(9)]
    listing_page = mail.listing_page

    async def slowly(*args):
        clock._seconds += 1
        if len(mail.requests) > 20:
            raise Unavailable("The walk does not end.")
        return await listing_page(*args)

    monkeypatch.setattr(mail, "listing_page", slowly)

    result = await poller_of(delta=False).round()

    assert result.fresh == 9


@pytest.mark.parametrize("circle", [["L1", "L1"], ["L1", "L2", "L1"], ["L1", "L2", "L3", "L1"]])
async def test_links_that_lead_in_a_circle_end_the_round(poller_of, mail, circle):
    mail.script(None, page(next_link="L1"))
    for link, following in pairwise(circle):
        mail.script(link, page(next_link=following))
    poller = poller_of()

    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match="circle"):
            await poller.round()

    assert len(mail.requests) <= len(circle) + SEEN_LINK_LIMIT + 1


async def test_the_same_link_may_come_back_a_few_times(poller_of, mail):
    mail.script(None, page(next_link="L1"))
    mail.script("L1", *[page(next_link="L1")] * (SEEN_LINK_LIMIT - 1), page(mail_at(0), delta_link="D1"))

    assert (await poller_of().round()).fresh == 1


async def test_empty_pages_in_a_row_are_legal(poller_of, mail):
    for number in range(50):
        mail.script(f"L{number}" if number else None, page(next_link=f"L{number + 1}"))
    mail.script("L50", page(mail_at(0), delta_link="D1"))

    assert (await poller_of().round()).fresh == 1


async def test_a_page_without_any_link_does_not_end_the_first_walk(poller_of, mail, stored):
    mail.script(None, page(mail_at(0)))

    with pytest.raises(Unavailable, match="neither"):
        await poller_of().round()

    assert (await stored()).walk == "full"


@pytest.mark.usefixtures("page_by_page")
async def test_a_round_that_is_to_finish_ends_with_the_page_it_is_at(poller_of, mail, stored, journal):
    mail.script(None, page(mail_at(0), next_link="L1"))
    mail.script("L1", page(mail_at(1), next_link="L2"))
    mail.script("L2", page(mail_at(2), delta_link="D1"))
    poller = poller_of()

    async def stop():
        poller.finish()

    journal.before["commit_page"] = stop

    result = await poller.round()

    assert result.pages == 1
    assert (await stored()).link == "L1"
