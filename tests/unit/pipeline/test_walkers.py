"""Folders that were renamed, and folders with two names."""

from __future__ import annotations

from collections import deque
from datetime import timedelta

import pytest

from postroom.errors import PostroomError
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.walkers import Walkers
from postroom.ports import FolderSpec, WatchedFolder
from postroom.rule import Rule
from postroom.testing.clock import START
from support.pipeline import ALWAYS, MAILBOX, ScriptedMail, mail_at, page


@pytest.fixture
def watch(journal, clock, notes):
    """Watch these folders of a mailbox, as a start or a reload does: Graph's id of each, by its name."""

    async def start(mail: ScriptedMail, floor=None, **ids: str) -> list[FolderPoller]:
        async def folder_id(name: str) -> str:
            return ids[name]

        mail.folder_id = folder_id
        walkers = Walkers()
        found = await journal.adopt([FolderSpec("default", MAILBOX, name, floor) for name in ids], clock.now())
        settings = {"mail": mail, "journal": journal, "clock": clock, "report": notes, "page_size": 2}
        return [FolderPoller(each, [Rule("all", ALWAYS, ("erp",))], walkers=walkers, **settings) for each in found]

    return start


async def dispatched(journal) -> int:
    return (await journal.counts())["deliveries.ready"]


async def test_what_came_while_a_folder_was_being_renamed_is_new(watch, mail, journal, notes):
    mail.script(None, page(mail_at(0), delta_link="D1"))
    mail.script("D1", page(mail_at(10), delta_link="D2"))
    [before] = await watch(mail, START, Invoices="id-1")
    await before.round()

    [after] = await watch(mail, START + timedelta(hours=1), Bills="id-1")
    await after.round()

    assert mail.requests == [("delta", None), ("delta", "D1")]
    assert await dispatched(journal) == 2
    assert (after.folder.name, after.folder.link, after.folder.floor) == ("Bills", "D2", START)
    assert notes.named("folder_renamed") == [{"mailbox": MAILBOX, "folder": "Bills", "before": "Invoices"}]
    [restarted] = await watch(mail, START, Bills="id-1")
    assert restarted.folder == after.folder


async def test_a_folder_that_is_listed_goes_on_under_its_new_name(watch, mail, journal):
    mail.listing = [mail_at(0)]
    [before] = await watch(mail, START, Invoices="id-1")
    before._mode._delta = False
    await before.round()
    mail.listing.append(mail_at(10))

    [after] = await watch(mail, START + timedelta(hours=1), Bills="id-1")
    after._mode._delta = False
    await after.round()

    assert (await dispatched(journal), after.folder.mode) == (2, "listing")


async def test_another_folder_beside_a_removed_one_begins_as_new(watch, mail, journal):
    mail.script(None, page(mail_at(0), delta_link="D1"), page(mail_at(0), delta_link="E1"))
    [before] = await watch(mail, START, Invoices="id-1")
    await before.round()

    [other] = await watch(mail, START + timedelta(hours=1), Bills="id-2")
    await other.round()

    assert (other.folder.link, await dispatched(journal)) == ("E1", 1)


@pytest.fixture
def twice() -> tuple[Walkers, WatchedFolder, WatchedFolder]:
    return Walkers(), WatchedFolder(1, MAILBOX, "Inbox"), WatchedFolder(2, MAILBOX, "msgfolderroot/Inbox")


def test_a_folder_of_two_names_is_walked_under_the_first_alone(twice):
    walkers, first, second = twice
    walkers.claim(first, "id-1")
    for _ in range(2):
        with pytest.raises(PostroomError, match="is the same folder as Inbox, and is walked as Inbox alone") as caught:
            walkers.claim(second, "id-1")
    walkers.claim(first, "id-1")
    assert "Keep one of the two" in caught.value.remedy


def test_whoever_has_walked_a_folder_before_goes_on(twice):
    walkers, first, _ = twice
    walkers.enter(first)
    walkers.enter(WatchedFolder(2, MAILBOX, "msgfolderroot/Inbox", "D1", graph_id="id-1"))
    with pytest.raises(PostroomError, match="is the same folder as msgfolderroot/Inbox"):
        walkers.claim(first, "id-1")


def test_two_folders_that_swap_their_names_are_both_walked_again(twice):
    walkers, first, second = twice
    walkers.claim(first, "id-1")
    walkers.claim(second, "id-2")
    with pytest.raises(PostroomError):
        walkers.claim(first, "id-2")
    walkers.claim(second, "id-1")
    walkers.claim(first, "id-2")


async def test_a_new_name_beside_the_old_one_waits_until_the_old_one_is_removed(watch, mail, journal):
    mail.script(None, page(mail_at(0), delta_link="D1"))
    mail.script("D1", page(mail_at(10), delta_link="D2"))
    [before] = await watch(mail, START, Invoices="id-1")
    await before.round()

    _, new = await watch(mail, START + timedelta(hours=1), Invoices="gone", Bills="id-1")
    with pytest.raises(PostroomError, match="is the same folder as Invoices") as caught:
        await new.round()
    assert caught.value.remedy.endswith("if the folder was renamed, keep Bills.")

    [after] = await watch(mail, START + timedelta(hours=1), Bills="id-1")
    await after.round()
    assert await dispatched(journal) == 2


async def test_a_folder_that_took_another_ones_name_leaves_that_one_alone(watch, mail, journal):
    mail.script(None, page(mail_at(0), delta_link="D1"), page(delta_link="E1"))
    [first] = await watch(mail, START, Invoices="id-1")
    await first.round()

    both = await watch(mail, START, Invoices="id-2", Bills="id-1")
    mail.folder_ids = deque(["unused"])
    await both[0].round()
    await both[1].round()

    assert both[0].folder.key == first.folder.key
    assert both[1].folder.key != first.folder.key
