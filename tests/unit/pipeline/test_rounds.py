"""Which folder is walked when."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace

import pytest

from postroom.errors import AuthError, JournalError, NotFound, Throttled, Unavailable
from postroom.pipeline.due import Due, Watch
from postroom.pipeline.lanes import Lanes
from postroom.pipeline.rounds import LONG, STUCK, Rounds
from postroom.pipeline.unstored import PAGES
from postroom.pipeline.walk import RoundResult
from postroom.ports import WatchedFolder
from support.pipeline import MAILBOX, until


class Poller:
    """A folder poller whose rounds do as the test says."""

    def __init__(self, name="Inbox", work=None, mailbox=MAILBOX):
        self.folder = WatchedFolder(1, mailbox, name)
        self.subject = f"mailbox {mailbox}/{name}"
        self.work = work
        self.rounds = 0
        self.steps = 0
        self.under_way = 0
        self.finishing = asyncio.Event()
        self.mail = SimpleNamespace(closed_for=0.0)

    def finish(self):
        self.finishing.set()

    async def round(self):
        self.rounds += 1
        self.under_way += 1
        try:
            if self.work is not None:
                await self.work(self)
            return RoundResult(pages=1, fresh=2)
        finally:
            self.under_way -= 1


@pytest.fixture
async def rounds(clock, notes, journal, folder):
    rounds = Rounds(journal=journal, clock=clock, report=notes, lanes=Lanes(brisk=3, slow=2, per_mailbox=9))
    yield rounds
    await rounds.stop(0)


async def tick(rounds, clock, seconds=0.0):
    await clock.advance(seconds)
    rounds.tick()
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_folder_is_walked_at_once_and_then_at_its_interval(rounds, clock, notes):
    poller = Poller()
    rounds.replace([Watch(poller, 30.0)])
    await tick(rounds, clock)
    assert poller.rounds == 1

    for _ in range(40):
        await tick(rounds, clock, 3.0)

    assert poller.rounds in {4, 5}
    assert notes.named("round")[0]["fresh"] == 2
    assert notes.fed["rounds"] >= poller.rounds


async def test_a_round_that_ended_is_remembered_until_the_journal_has_heard_of_it(rounds, clock):
    rounds.replace([Watch(Poller(), 30.0)])
    await tick(rounds, clock)
    assert rounds.walked == {1: clock.now()}


async def test_a_round_that_failed_is_no_walk(rounds, clock):
    async def fail(_):
        raise Unavailable("Down.", status=503)

    rounds.replace([Watch(Poller(work=fail), 30.0)])
    await tick(rounds, clock)
    assert rounds.walked == {}


async def test_a_round_never_overlaps_itself(rounds, clock):
    release = asyncio.Event()
    poller = Poller(work=lambda _: release.wait())
    rounds.replace([Watch(poller, 1.0)])
    for _ in range(10):
        await tick(rounds, clock, 5.0)
    assert (poller.rounds, poller.under_way) == (1, 1)

    release.set()
    await tick(rounds, clock)
    await tick(rounds, clock, 1.0)
    assert poller.rounds == 2


async def test_a_folder_that_is_watched_anew_waits_for_its_round_under_way(rounds, clock):
    release = asyncio.Event()
    old, new = Poller(work=lambda _: release.wait()), Poller()
    rounds.replace([Watch(old, 1.0)])
    await tick(rounds, clock)
    rounds.replace([Watch(new, 1.0)])
    await tick(rounds, clock, 5.0)
    assert new.rounds == 0

    release.set()
    await until(lambda: old.under_way == 0)
    await tick(rounds, clock, 1.0)
    assert (old.rounds, new.rounds) == (1, 1)


async def test_no_more_rounds_run_together_than_may(rounds, clock):
    release = asyncio.Event()
    pollers = [Poller(f"Inbox/{number}", lambda _: release.wait()) for number in range(7)]
    rounds.replace([Watch(poller, 30.0) for poller in pollers])

    await tick(rounds, clock, 1.0)
    assert sum(poller.under_way for poller in pollers) == 3

    release.set()
    await until(lambda: all(poller.rounds == 1 for poller in pollers))


async def test_a_failed_round_is_reported_kept_and_tried_again_later(rounds, clock, notes, journal):
    async def fail(_):
        raise Unavailable("Down.", status=503)

    poller = Poller(work=fail)
    rounds.replace([Watch(poller, 30.0)])
    await tick(rounds, clock)
    await until(lambda: journal.calls["folder_failed"] == 1 and not rounds._running)

    assert notes.problems[0][0] == poller.subject
    await tick(rounds, clock, 29.0)
    assert poller.rounds == 1
    await tick(rounds, clock, 1.5)
    assert poller.rounds == 2


async def test_a_folder_that_works_again_says_so_and_keeps_its_interval(rounds, clock, notes):
    async def fail_twice(poller):
        if poller.rounds <= 2:
            raise Throttled("Wait.", retry_after=5.0)

    poller = Poller(work=fail_twice)
    rounds.replace([Watch(poller, 10.0)])
    for _ in range(60):
        await tick(rounds, clock, 1.0)
        await until(lambda: not rounds._running)

    assert poller.subject in notes.well
    assert 4 <= poller.rounds <= 6


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), asyncio.CancelledError(), JournalError("The disk is full.")]
)
async def test_no_error_ends_the_polling_of_a_folder(rounds, clock, notes, error):
    async def fail(_):
        raise error

    poller = Poller(work=fail)
    rounds.replace([Watch(poller, 1.0)])
    for _ in range(20):
        await tick(rounds, clock, 1.0)
        await until(lambda: not rounds._running)

    assert poller.rounds >= 3
    assert len(notes.problems) == poller.rounds


async def test_pages_that_cannot_be_stored_are_one_problem_of_the_journal_until_all_folders_are_well_again(
    rounds, clock, notes
):
    broken = {"Inbox", "Archive"}

    async def fail(poller):
        if poller.folder.name in broken:
            raise JournalError("The file is damaged.")

    watches = [Watch(Poller(name, fail), 1.0) for name in ("Inbox", "Archive", "Other")]
    rounds.replace(watches)

    async def some_rounds():
        for _ in range(40):
            await tick(rounds, clock, 1.0)
            await until(lambda: not rounds._running)

    await some_rounds()
    assert {subject for subject, _ in notes.problems} == {PAGES}
    broken.remove("Inbox")
    await some_rounds()
    assert PAGES not in notes.well
    rounds.replace(watches[::2])
    assert PAGES in notes.well


async def test_not_even_a_journal_that_fails_to_note_the_failure_does(rounds, clock, notes, journal):
    async def fail(_):
        raise Unavailable("Down.")

    journal.failures["folder_failed"].extend([JournalError("The disk is full."), RuntimeError("a defect")])
    poller = Poller(work=fail)
    rounds.replace([Watch(poller, 1.0)])
    quiet = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: quiet.append(context))
    for _ in range(20):
        await tick(rounds, clock, 1.0)
        await until(lambda: not rounds._running)

    assert poller.rounds >= 3
    assert "journal" in [subject for subject, _ in notes.problems]


async def test_stopping_lets_a_round_finish_its_page(rounds, clock):
    ended = []

    async def page_by_page(poller):
        await poller.finishing.wait()
        ended.append(1)

    rounds.replace([Watch(Poller(work=page_by_page), 30.0)])
    await tick(rounds, clock)
    await rounds.stop(5)

    assert ended


async def test_stopping_cuts_off_what_does_not_finish(rounds, clock):
    poller = Poller(work=lambda _: asyncio.Event().wait())
    rounds.replace([Watch(poller, 30.0)])
    await tick(rounds, clock)

    async with asyncio.timeout(5):
        await rounds.stop(0.01)

    assert poller.under_way == 0
    assert not rounds._running


async def test_rounds_that_wait_for_a_place_do_not_start_after_a_stop(rounds, clock):
    pollers = [Poller(f"Inbox/{number}", lambda poller: poller.finishing.wait()) for number in range(7)]
    rounds.replace([Watch(poller, 30.0) for poller in pollers])
    await tick(rounds, clock, 1.0)

    await rounds.stop(5)

    assert sum(poller.rounds for poller in pollers) == 3


async def test_replaced_folders_are_not_walked_any_more(rounds, clock):
    old, new = Poller("Old"), Poller("New")
    rounds.replace([Watch(old, 1.0)])
    await tick(rounds, clock)
    await rounds.stop(1)
    rounds.replace([Watch(new, 1.0)])
    for _ in range(5):
        await tick(rounds, clock, 1.0)

    assert old.rounds == 1
    assert new.rounds >= 4


async def forever(_):
    await asyncio.Event().wait()


def named(notes, subject):
    return [error for name, error in notes.problems if name == subject]


async def pass_time(rounds, clock, seconds, step=5.0):
    """Let time pass, each round ending before it goes on."""
    for _ in range(round(seconds / step)):
        await tick(rounds, clock, step)
        await until(lambda: not rounds._running)


async def test_rounds_of_one_tenant_never_wait_for_those_of_another(rounds, clock):
    dead = [Watch(Poller(f"{number}", forever, f"{number}@dead"), 30.0, "dead") for number in range(40)]
    alive = [Watch(Poller(f"{number}", None, f"{number}@alive"), 30.0, "alive") for number in range(10)]
    rounds.replace([*dead, *alive])
    for _ in range(10):
        await tick(rounds, clock, 10.0)

    assert sum(each.poller.under_way for each in dead) == 5
    assert all(each.poller.rounds >= 2 for each in alive)


async def test_one_mailbox_with_many_folders_leaves_places_to_the_others(clock, notes, journal, folder):
    rounds = Rounds(journal=journal, clock=clock, report=notes, lanes=Lanes(brisk=4, slow=1, per_mailbox=2))
    many = [Watch(Poller(f"{number}", forever), 30.0) for number in range(40)]
    other = Poller(mailbox="other@contoso.example")
    rounds.replace([*many, Watch(other, 30.0)])
    for _ in range(10):
        await tick(rounds, clock, 10.0)

    assert sum(each.poller.under_way for each in many) == 2
    assert other.rounds >= 3
    await rounds.stop(0)


async def test_slow_and_failing_folders_keep_to_their_own_places(rounds, clock):
    async def slow(_):
        await clock.sleep(LONG * 3)

    async def fail(_):
        raise Unavailable("Down.", status=503)

    bad = [Watch(Poller(f"{n}", slow if n % 2 else fail, f"{n}@bad"), 20.0) for n in range(30)]
    rounds.replace(bad)
    for _ in range(200):
        await tick(rounds, clock, 5.0)
        await until(lambda: len(rounds._running) <= clock.sleeping)
    good = Poller(mailbox="good@contoso.example")
    rounds._agenda.again(Due(0.0, 99, Watch(good, 10.0)), clock.monotonic())
    for _ in range(60):
        await tick(rounds, clock, 5.0)
        await until(lambda: len(rounds._running) <= clock.sleeping)

    assert good.rounds >= 25, "a folder that is well is walked at its interval beside any number that is not"
    assert all(each.poller.rounds >= 2 for each in bad), "and these are not forgotten"


async def test_a_round_that_gets_no_page_is_ended_reported_and_tried_again(rounds, clock, notes):
    poller = Poller(work=forever)
    rounds.replace([Watch(poller, 30.0)])
    for _ in range(round(STUCK / 5) + 5):
        await tick(rounds, clock, 5.0)
    await until(lambda: not rounds._running)

    assert "no page for 10 min" in str(named(notes, poller.subject)[0])
    await tick(rounds, clock, 35.0)
    assert poller.rounds == 2


async def test_a_long_walk_may_go_on_as_long_as_pages_come_and_feeds_the_watchdog(rounds, clock, notes):
    async def pages(poller):
        for _ in range(20):
            await clock.sleep(STUCK / 2)
            poller.steps += 1

    poller = Poller(work=pages)
    rounds.replace([Watch(poller, 30.0)])
    fed = []
    for _ in range(round(10 * STUCK / 5) + 20):
        before = notes.fed["rounds"]
        await tick(rounds, clock, 5.0)
        fed.append(notes.fed["rounds"] > before)

    assert not notes.problems
    assert notes.named("round")
    assert max(len(list(group)) for is_fed, group in itertools.groupby(fed) if not is_fed) * 5 < 900


async def test_the_watchdog_is_fed_while_nothing_is_due_and_not_by_rounds_that_had_to_be_ended(rounds, clock, notes):
    idle, hanging = Poller(), Poller(work=forever)
    rounds.replace([Watch(idle, 36_000.0)])
    for _ in range(100):
        await tick(rounds, clock, 36.0)
    assert notes.fed["rounds"] > 90

    await rounds.stop(0)
    rounds.replace([Watch(hanging, 30.0)])
    await tick(rounds, clock, 1.0)
    before = notes.fed["rounds"]
    for _ in range(1000):
        await tick(rounds, clock, 10.0)
    assert hanging.rounds >= 3
    assert notes.fed["rounds"] == before


async def test_it_says_what_keeps_a_folder_from_being_walked(rounds, clock):
    pollers = [Poller(f"{n}", forever) for n in range(6)]
    rounds.replace([Watch(poller, 30.0) for poller in pollers])
    await tick(rounds, clock, 1.0)
    await clock.advance(400)

    assert rounds.delay(MAILBOX, "0") == "its round has been under way for 6.7 min"
    pollers[0].mail.closed_for = 20.0
    assert rounds.delay(MAILBOX, "0").endswith(", and Graph throttles the mailbox: it may be asked again in 20 s")
    assert "waits for others" in rounds.delay(MAILBOX, "4")
    assert rounds.delay(MAILBOX, "none") == ""


async def gone(_):
    raise NotFound("No licence.", status=404, code="MailboxNotEnabledForRESTAPI", parks="has no licence", remedy="Buy.")


async def test_a_mailbox_that_cannot_be_used_is_parked_with_one_problem_and_one_folder_probes(
    rounds, clock, notes, journal
):
    pollers = [Poller(name, gone) for name in ("Inbox", "Bills", "Orders")]
    rounds.replace([Watch(each, 30.0) for each in pollers])
    await pass_time(rounds, clock, 290)
    parked_after = sum(each.rounds for each in pollers)
    await pass_time(rounds, clock, 3600)

    assert parked_after <= 4, "two make it believed, others were under way"
    probes = sum(each.rounds for each in pollers) - parked_after
    assert 3 <= probes <= 5, "after 5, 15 and 35 minutes, and then each hour"
    problem = named(notes, f"mailbox {MAILBOX}")[0]
    assert "parked, for it has no licence" in str(problem)
    assert problem.remedy.startswith("Buy.")
    assert len({name for name, _ in notes.problems}) <= 2
    assert journal.calls["parked"] == 1

    for each in pollers:
        each.work = None
    walked = [each.rounds for each in pollers]
    while f"mailbox {MAILBOX}" not in notes.well:
        await pass_time(rounds, clock, 5)
    await pass_time(rounds, clock, 5)
    assert all(now > before for now, before in zip([each.rounds for each in pollers], walked, strict=True))
    assert notes.well.count(f"mailbox {MAILBOX}") == 1
    assert journal.calls["parked"] == 2


async def test_a_tenant_that_nobody_signs_in_to_is_one_problem_however_many_folders_it_has(rounds, clock, notes):
    async def hindered(_):
        raise AuthError("The secret has expired.", code="AADSTS7000222", remedy="Renew it.")

    rounds.replace([Watch(Poller(f"{n}", hindered, f"{n}@b.example"), 30.0, "default") for n in range(5)])
    await pass_time(rounds, clock, 60)
    assert named(notes, "token default")
    assert {subject for subject, *_ in notes.problems} == {"token default"}


@pytest.mark.parametrize(
    ("error", "most"),
    [
        (AuthError("The secret has expired.", code="AADSTS7000222", remedy="Renew it."), 70),
        (JournalError("The disk is full.", remedy="Make room."), 70),
        (Throttled("Wait.", status=429, retry_after=900.0, remedy="Nothing."), 6),
        (ZeroDivisionError("a defect"), 70),
    ],
)
async def test_a_probe_that_learns_nothing_of_the_mailbox_says_why_and_is_repeated_slowly(
    *, rounds, clock, notes, journal, error, most
):
    poller = Poller(work=gone)
    rounds.replace([Watch(poller, 30.0)])
    await pass_time(rounds, clock, 150)
    assert MAILBOX in rounds.parking

    async def hindered(_):
        raise error

    poller.work, before, written = hindered, poller.rounds, journal.calls["folder_failed"]
    await pass_time(rounds, clock, 3600)

    problem = named(notes, f"mailbox {MAILBOX}")[-1]
    assert "has no licence" in problem.message
    assert "could not be probed" in problem.message
    assert getattr(error, "message", str(error)) in problem.message
    assert problem.remedy.startswith(getattr(error, "remedy", "Buy."))
    assert 3 <= poller.rounds - before <= most
    assert journal.calls["folder_failed"] - written <= most
    assert MAILBOX in rounds.parking

    poller.work = gone
    await pass_time(rounds, clock, 1200)
    assert "could not be probed" not in named(notes, f"mailbox {MAILBOX}")[-1].message


async def test_what_passes_by_itself_is_probed_sooner(rounds, clock, notes):
    async def moving(_):
        raise Unavailable("Moving.", status=503, code="ErrorMailboxMoveInProgress", parks="is being moved")

    poller = Poller(work=moving)
    rounds.replace([Watch(poller, 30.0)])
    await pass_time(rounds, clock, 3600)
    assert 8 <= poller.rounds <= 12, "after 1, 3, 7 and 15 minutes, and then every ten"


async def test_one_folder_that_fails_alone_parks_no_mailbox(rounds, clock, notes):
    rounds.replace([Watch(Poller(), 30.0), Watch(Poller("Locked", gone), 30.0)])
    await pass_time(rounds, clock, 1000)

    assert not named(notes, f"mailbox {MAILBOX}")
    assert named(notes, f"mailbox {MAILBOX}/Locked")


async def test_a_reload_has_a_parked_mailbox_probed_at_once(rounds, clock, notes):
    rounds.replace([Watch(Poller(work=gone), 30.0)])
    await pass_time(rounds, clock, 150)
    assert MAILBOX in rounds.parking

    rounds.replace([Watch(mended := Poller(), 30.0)])
    await pass_time(rounds, clock, 0.5, step=0.5)
    assert mended.rounds == 1
    assert MAILBOX not in rounds.parking
    assert notes.well.count(f"mailbox {MAILBOX}") == 1


async def test_a_mailbox_that_answers_though_a_folder_of_it_is_missing_is_not_parked_any_more(rounds, clock, notes):
    poller = Poller(work=gone)
    rounds.replace([Watch(poller, 30.0)])
    await pass_time(rounds, clock, 150)

    async def missing(_):
        raise NotFound("No such folder.", code="FolderNotFound")

    poller.work = missing
    await pass_time(rounds, clock, 300)
    assert notes.well.count(f"mailbox {MAILBOX}") == 1
    assert "No such folder" in str(named(notes, poller.subject)[-1])
