"""A daemon's pipeline over the real journal and a simulated tenant, whose every step and death a test decides."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from postroom.clock import SystemClock
from postroom.graph.client import GraphClient
from postroom.graph.mail import MailboxMail
from postroom.graph.token import TokenSource
from postroom.journal import JournalViews, SqlJournal, open_journal
from postroom.model import Categorise, MarkRead, RetentionPolicy, RetryPolicy
from postroom.pipeline.act import Actor
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.retention import Retention
from postroom.plugin import Context, Handler, Message, Options, Outcome, Reject, Retry
from postroom.ports import FolderSpec
from postroom.rule import AllOf, Rule
from postroom.simulator.server import SimulatedTenant
from postroom.simulator.state.limits import Limits
from postroom.tenant import ClientSecret, Cloud, Secret, Tenant
from postroom.testing import ManualClock
from support.pipeline import Notes

HANDLERS = ("a", "b")
RULES = (
    Rule("all", AllOf(()), handle=HANDLERS, then=(MarkRead(),)),
    Rule("idle", AllOf(()), then=(Categorise(("seen",)),)),
)
SETTLED = {"done", "dead", "discarded"}
PATIENCE = 20.0


class Service:
    """A simulated tenant with a client signed in to it, which many worlds share: each has a mailbox of its own."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self._tenant = SimulatedTenant(directory, mailboxes=["first@contoso.example"], smtp=None)
        self._count = 0

    async def open(self) -> None:
        """Start the tenant and sign in."""
        tenant = await self._tenant.__aenter__()
        tenant.state.limits = Limits(in_flight=100, requests=10**9, upload=10**12, app_requests=10**9, service_time=0)
        cloud = Cloud("custom", tenant.login, tenant.graph, ca_file=tenant.ca_file, known=False)
        secret = ClientSecret(Secret(tenant.client_secret))
        facts = Tenant("default", cloud, tenant.tenant_id, tenant.client_id, secret)
        self._token = TokenSource(facts, clock=SystemClock())
        self._client = GraphClient(facts, self._token, clock=SystemClock(), in_flight=4)
        await self._client.open()

    async def close(self) -> None:
        """Put everything away."""
        await self._client.close()
        await self._token.close()
        await self._tenant.__aexit__()

    def mailbox(self) -> tuple[Any, MailboxMail]:
        """Return a new mailbox as the tenant has it, and as the daemon sees it."""
        self._count += 1
        address = f"box{self._count}@contoso.example"
        return self._tenant.state.add_mailbox(address), MailboxMail(self._client, address)


@dataclass(slots=True)
class Run:
    """One run of a handler: `crashes` is how often the daemon had died by then."""

    attempt: int
    key: str
    crashes: int
    ended: str = ""


class MortalJournal:
    """The real journal, until the process dies: then nothing comes back from it any more."""

    def __init__(self, journal: SqlJournal, armed: str) -> None:
        self.real = journal
        self.armed = armed
        self.died = asyncio.Event()
        self.buried = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.real, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self.reach(f"before {name}")
            answer = await method(*args, **kwargs)
            await self.reach(f"after {name}")
            return answer

        return call

    async def reach(self, point: str) -> None:
        """Come to a point; where the process is dead, nobody gets beyond it."""
        if point == self.armed:
            self.died.set()
        if self.died.is_set():
            await self.buried.wait()
            raise asyncio.CancelledError


@dataclass
class Life:
    """One process: from its start to its end."""

    journal: MortalJournal
    dispatcher: Dispatcher
    actor: Actor
    retention: Retention
    pollers: dict[str, FolderPoller]
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def is_dead(self) -> bool:
        """Whether it was killed."""
        return self.journal.died.is_set()

    async def do(self, work: Awaitable[Any]) -> bool:
        """Do something; False when the process died of it."""
        task = asyncio.ensure_future(work)
        self.tasks.append(task)
        died = asyncio.ensure_future(self.journal.died.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({task, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if self.is_dead:
            return False
        task.result()
        return True

    async def end(self) -> None:
        """Take everything that still runs away, then the journal."""
        self.journal.died.set()
        attempts = self.dispatcher._attempts
        left = {*self.tasks, *attempts._running, *self.actor._running}
        if attempts._worker is not None:
            left.add(attempts._worker)
        for task in left:
            task.cancel()
        self.journal.buried.set()
        await asyncio.gather(*left, return_exceptions=True)
        await self.journal.real.close()


class World:
    """A mailbox, a journal file, and a daemon that comes and goes. Times are the clock's.

    Attributes:
        runs: (Graph's id, handler) -> what it saw.
        plans: (subject, handler) -> what its next runs do: ``retry``, ``reject``, ``raise``, ``die``; then all is done.
        seen: Ids that a whole round has met in a watched folder, above its floor.
        floored: Ids that were below a folder's floor before its first walk, and have been nowhere else.
    """

    def __init__(self, service: Service, directory: Path) -> None:
        self.box, self.mail = service.mailbox()
        self.clock = ManualClock()
        self.start = self.clock.now()
        self.crashes = 0
        self.armed = ""
        self.runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self.plans: dict[tuple[str, str], list[str]] = {}
        self.made: Counter[tuple[str, str]] = Counter()
        self.violations: list[str] = []
        self.seen: set[str] = set()
        self.floored: set[str] = set()
        self.life: Life
        self._other = self.box.create_folder("Other")
        self._url = f"sqlite:///{directory}/{self.box.address}.db"
        self._subjects = 0

    # What the tenant's people do.

    def arrive(self, folder: str, minutes: int, plans: dict[str, list[str]]) -> None:
        """Put a mail into a folder, received so many minutes before or after the start."""
        self._subjects += 1
        subject = f"mail {self._subjects}"
        received = int((self.start + timedelta(minutes=minutes)).timestamp())
        raw = f"From: ada@supplier.example\r\nSubject: {subject}\r\n\r\nGood day.\r\n".encode()
        message = self.box.add(raw, self._folder(folder), received=received)
        self.plans |= {(subject, handler): list(plan) for handler, plan in plans.items()}
        if folder == "Archive" and minutes < 0 and self.life.pollers["Archive"].folder.link is None:
            self.floored.add(self.box.immutable_id(message))

    def mails(self) -> list[Any]:
        """Return every mail that is not deleted, in the order in which they came."""
        return sorted(self.box.by_time(), key=lambda message: message.item)

    def move(self, message: Any, folder: str) -> None:
        """Move a mail."""
        self.floored.discard(self.box.immutable_id(message))
        self.box.move(message, self._folder(folder))

    def _folder(self, name: str) -> Any:
        return self._other if name == "Other" else self.box.folder(name.lower())

    def _above_floor(self, folder: str) -> set[str]:
        floor = None if folder == "Inbox" else int(self.start.timestamp())
        there = self.box.by_time(self._folder(folder))
        return {self.box.immutable_id(each) for each in there if floor is None or each.received >= floor}

    # What the daemon does.

    async def begin(self) -> None:
        """Start the daemon on the journal as it is."""
        self.life = await self._make(MortalJournal(await open_journal(self._url), ""))
        self.life.journal.armed = self.armed
        for room in (self.life.dispatcher, self.life.actor):
            self.life.tasks.append(asyncio.create_task(room.run()))

    async def _make(self, journal: MortalJournal) -> Life:
        await journal.recover()
        address = self.box.address
        specs = [FolderSpec("t", address, "Inbox", None), FolderSpec("t", address, "Archive", self.start)]
        folders = await journal.adopt(specs, self.clock.now())
        handlers = {
            name: OpenHandler(name, Scripted(self, name), RetryPolicy(4, 10.0, 100.0), 60.0, 3) for name in HANDLERS
        }
        desk = Desk(handlers, {address: self.mail}, {address: {rule.name: rule for rule in RULES}}, None)
        shared: dict[str, Any] = {"journal": journal, "clock": self.clock, "report": Notes()}
        actor = Actor(desk, **shared)
        dispatcher = Dispatcher(desk, **shared, bind_log=lambda _: None, acted=actor.wake.set)
        retention = Retention(**shared)
        retention.policy, retention.mails = RetentionPolicy(3_600.0, 7_200.0), {address: self.mail}
        common = {**shared, "mail": self.mail, "page_size": 2, "dispatcher": dispatcher}
        pollers = {each.name: FolderPoller(each, RULES, **common) for each in folders}
        return Life(journal, dispatcher, actor, retention, pollers)

    async def kill(self) -> None:
        """End the process as it is, and start another one."""
        self.crashes += 1
        self.armed = ""
        await self.life.end()
        await self.begin()

    def arm(self, point: str) -> None:
        """Have the process die at a point of the journal, such as ``after turn``; empty for none."""
        self.armed = self.life.journal.armed = point

    async def restart(self) -> None:
        """Stop the daemon as SIGTERM does, and start it again."""
        life = self.life
        for room in (life.dispatcher, life.actor):
            await life.do(room.stop(5.0))
        await life.do(asyncio.wait(life.tasks[:2], timeout=PATIENCE))
        if life.is_dead:
            await self.kill()
            return
        await life.end()
        await self.begin()

    async def round(self, folder: str) -> None:
        """Walk a folder; what it met when it came to its end has been seen."""
        there = self._above_floor(folder)
        if await self.life.do(self.life.pollers[folder].round()):
            self.seen |= there
        await self.quiet()

    async def prune(self) -> None:
        """Let an hour and a bit pass, and the journal be pruned."""
        await self.pass_time(3_700.0)
        self.life.retention._pruned_to = self.life.retention._forgetting._asked_to = 0
        await self.life.do(self.life.retention.run())
        await self.quiet()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is due then be done."""
        await self.clock.advance(seconds)
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until nothing is under way and nothing due; a process that died meanwhile is started again."""
        async with asyncio.timeout(PATIENCE):
            while not (self.life.is_dead or await self._is_idle()):
                self.life.dispatcher.wake.set()
                self.life.actor.wake.set()
                await asyncio.sleep(0.002)
        if self.life.is_dead:
            await self.kill()
            await self.quiet()
            return
        await self._note_settled()
        assert not self.violations

    async def _is_idle(self) -> bool:
        life = self.life
        if life.dispatcher._attempts or life.actor._running or life.actor._finished:
            return False
        due = await life.journal.real.next_due()
        if due is not None and due <= self.clock.now():
            return False
        counts = await life.journal.real.counts()
        return not (counts["deliveries.running"] or counts["actions.running"])

    async def _note_settled(self) -> None:
        """Remember what is settled while all is quiet: it must never run again, whatever becomes of its record."""
        ids = {row.id: row.graph_id for row in await self.views.messages(limit=10_000)}
        for row in await self.views.deliveries(limit=10_000):
            if row.state in {"done", "discarded"}:
                for run in self.runs[ids[row.message_id], row.handler]:
                    run.ended = "settled"

    @property
    def views(self) -> JournalViews:
        """The operator's side of the journal."""
        return JournalViews(self.life.journal.real)

    async def settle_all(self) -> None:
        """Let every round that is due be walked, and every delivery and mail action come to its end."""
        self.plans.clear()
        for _ in range(12):
            for folder in ("Inbox", "Archive"):
                await self.round(folder)
            await self.pass_time(200.0)
            if await self.life.journal.real.next_due() is None:
                return
        raise AssertionError("it does not come to rest")

    async def check(self) -> None:
        """Hold the journal to the promise: who was seen, or is there, was handled to the end."""
        await self.settle_all()
        await self.prune()
        for folder in ("Inbox", "Archive"):
            self.box.reset_delta(folder.lower())
        await self.settle_all()
        for key in self.seen | self._above_floor("Inbox") | self._above_floor("Archive"):
            found = await self.views.find(key)
            if not found and key not in {self.box.immutable_id(each) for each in self.box.by_time()}:
                ends = {name: [run.ended for run in self.runs[key, name]] for name in HANDLERS}
                assert {runs[-1] for runs in ends.values() if runs} == {"settled"}, ends
                continue
            [detail] = found
            assert "dead" not in dict(detail.record.settled or {}).values(), "a dead letter stays to be seen"
            states = dict(detail.record.settled or {}) | {each.handler: each.state for each in detail.deliveries}
            assert {states.get(name) for name in HANDLERS} <= SETTLED, (key, states)
            for name in HANDLERS:
                assert states[name] != "done" or self.runs[key, name], "what is done was run"

    def note(self, message: Message, context: Context) -> None:
        """Note a run, and hold it to the promise."""
        runs = self.runs[message.id, context.handler]
        for wrong, what in (
            (message.id in self.floored, "was below the floor"),
            (any(run.ended == "settled" for run in runs), "was settled before"),
            (any(run.attempt >= context.attempt for run in runs), "is repeated in silence"),
            (any(run.key != context.idempotency_key for run in runs), "has two keys"),
        ):
            if wrong:  # not raised here: what a handler raises is an outcome
                self.violations.append(f"{message.subject} for {context.handler} {what}: {runs}")
        runs.append(Run(context.attempt, context.idempotency_key, self.crashes))


class Scripted(Handler[Options]):
    """Does what the world's plan for the mail says."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(Options())
        self._world = world
        self._name = name

    async def handle(self, message: Message, context: Context) -> Outcome | None:
        """Note the run, then do it."""
        world = self._world
        world.note(message, context)
        plan = world.plans.get((message.subject, self._name))
        step = plan.pop(0) if plan else "done"
        if step == "die":
            world.life.journal.died.set()
            await asyncio.Event().wait()
        if step == "raise":
            raise ZeroDivisionError
        async with context.once("made") as first:
            world.made[message.id, self._name] += first
        return {"retry": Retry("later"), "reject": Reject("never")}.get(step)
