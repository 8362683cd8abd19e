"""Whatever happens in whatever order, the daemon keeps its promise: over real HTTPS, with a journal on disk.

POSTROOM_STATE_MACHINE is how many sequences are tried, for a run that is to last.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from postroom.errors import PostroomError
from postroom.model import DeliveryState
from support.world import HANDLERS, Service, World

SEQUENCES = int(os.environ.get("POSTROOM_STATE_MACHINE", "10"))
STEPS = 40

WATCHED = st.sampled_from(["Inbox", "Archive"])
FOLDERS = st.sampled_from(["Inbox", "Archive", "Other"])
PLANS = st.dictionaries(
    st.sampled_from(HANDLERS),
    st.lists(st.sampled_from(["done", "retry", "raise", "reject", "die"]), min_size=1, max_size=3),
)
METHODS = ("commit_page", "turn", "claim_actions", "settle_actions", "restart_walk", "prune", "forget", "claim_effect")
POINTS = st.builds("{} {}".format, st.sampled_from(["before", "after"]), st.sampled_from(METHODS))


class Machine(RuleBasedStateMachine):
    """People who use a mailbox, a Graph that forgets, and a daemon that dies."""

    def __init__(self, service: Service, runner: asyncio.Runner, directory: Path) -> None:
        super().__init__()
        self.service = service
        self.run = runner.run
        self.directory = directory

    @initialize(old=st.integers(0, 3))
    def begin(self, old: int) -> None:
        self.world = World(self.service, self.directory)
        self.run(self.world.begin())
        for _ in range(old):
            self.world.arrive("Archive", -60, {})

    @rule(folder=FOLDERS, minutes=st.sampled_from([-60, 1, 5]), plans=PLANS)
    def a_mail_comes(self, folder: str, minutes: int, plans: dict[str, list[str]]) -> None:
        self.world.arrive(folder, minutes, plans)

    @rule(plans=st.lists(PLANS, min_size=3, max_size=7), folder=WATCHED)
    def many_mails_come(self, plans: list[dict[str, list[str]]], folder: str) -> None:
        for plan in plans:
            self.world.arrive(folder, 1, plan)

    @precondition(lambda self: self.world.mails())
    @rule(which=st.integers(0, 50), read=st.booleans())
    def a_mail_is_edited(self, which: int, read: bool) -> None:  # noqa: FBT001 - drawn
        self.world.box.update(self._mail(which), is_read=read)

    @precondition(lambda self: self.world.mails())
    @rule(which=st.integers(0, 50), folder=FOLDERS)
    def a_mail_is_moved(self, which: int, folder: str) -> None:
        self.world.move(self._mail(which), folder)

    @precondition(lambda self: self.world.mails())
    @rule(which=st.integers(0, 50), folder=WATCHED)
    def an_old_mail_is_moved(self, which: int, folder: str) -> None:
        self.run(self.world.prune())
        self.world.move(self._mail(which), folder)
        self.run(self.world.round(folder))

    @precondition(lambda self: self.world.mails())
    @rule(which=st.integers(0, 50))
    def a_mail_is_deleted(self, which: int) -> None:
        self.world.box.delete(self._mail(which))

    def _mail(self, which: int) -> Any:
        mails = self.world.mails()
        return mails[which % len(mails)]

    @rule(folder=WATCHED)
    def a_folder_is_walked(self, folder: str) -> None:
        self.run(self.world.round(folder))

    @rule()
    def every_folder_is_walked(self) -> None:
        for folder in ("Inbox", "Archive"):
            self.run(self.world.round(folder))

    @rule(folder=WATCHED)
    def graph_forgets_a_folders_link(self, folder: str) -> None:
        self.run(self.world.pass_time(3_601.0))  # apart from each other: a storm would make the daemon list instead
        self.world.box.reset_delta(folder.lower())

    @rule(seconds=st.sampled_from([5.0, 15.0, 120.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(self.world.pass_time(seconds))

    @rule()
    def the_journal_is_pruned(self) -> None:
        self.run(self.world.prune())

    @rule()
    def the_daemon_is_killed(self) -> None:
        self.run(self.world.kill())

    @rule(point=POINTS)
    def the_daemon_will_die_at(self, point: str) -> None:
        self.world.arm(point)

    @rule()
    def the_daemon_is_restarted(self) -> None:
        self.run(self.world.restart())

    @rule()
    def an_operator_retries_what_is_dead(self) -> None:
        self.run(self.world.views.retry_dead(self.world.clock.now()))
        self.run(self.world.quiet())

    @rule()
    def an_operator_discards_a_dead_letter(self) -> None:
        for row in self.run(self.world.views.deliveries(state=DeliveryState.DEAD, limit=1)):
            with suppress(PostroomError):
                self.run(self.world.views.discard([row.id], "enough", self.world.clock.now()))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.arm("")
            self.run(self.world.check())
        finally:
            self.run(self.world.life.end())


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def service(runner: asyncio.Runner) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "tenant")
        runner.run(service.open())
        yield service
        runner.run(service.close())


@pytest.mark.timeout(60 + 3 * SEQUENCES)
def test_whatever_happens_nothing_is_lost_and_nothing_repeated_in_silence(service, runner, tmp_path):
    run_state_machine_as_test(
        lambda: Machine(service, runner, tmp_path),
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
