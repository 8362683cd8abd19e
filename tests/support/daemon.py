"""Running a whole daemon in a test, against a simulated tenant over real HTTPS."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from postroom.app import App
from postroom.clock import SystemClock
from postroom.config import Config, load
from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.report import Report
from postroom.ports import Clock
from postroom.registry import HandlerRegistry
from postroom.simulator.server import SimulatedTenant

PATIENCE = 20.0
MAILBOX = "invoices@contoso.example"


class Listening(Report):
    """A report that also rings a bell whenever it is told anything."""

    bell: asyncio.Event

    def event(self, name, **fields):
        super().event(name, **fields)
        self.bell.set()

    def done(self, delivery, seconds):
        super().done(delivery, seconds)
        self.bell.set()

    def progress(self, subject):
        super().progress(subject)
        self.bell.set()


class Daemon:
    """A running App and what a test asks of it."""

    def __init__(self, app: App, log: io.StringIO, bell: asyncio.Event) -> None:
        self.app = app
        self.log = log
        self.bell = bell

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until a condition on the journal holds; asked after each thing that happens, never by the clock."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await condition():
                    await self.bell.wait()
                    self.bell.clear()
        except TimeoutError:
            pytest.fail(
                f"{what} did not come about; counts {dict(await self.app.journal.counts())}\n{self.log.getvalue()}"
            )

    async def counts(self) -> dict[str, int]:
        """Return the journal's counts."""
        return dict(await self.app.journal.counts())

    async def until_counts(self, **wanted: int) -> None:
        """Wait for counts such as ``deliveries_done=3``."""
        names = {name.replace("_", ".", 1) if "_" in name else name: count for name, count in wanted.items()}

        async def reached() -> bool:
            counts = await self.counts()
            return all(counts.get(name, 0) == count for name, count in names.items())

        await self.until(reached, str(names))


@asynccontextmanager
async def run_daemon(config: Config, clock: Clock | None = None) -> AsyncIterator[Daemon]:
    """Run an App as `postroom run` would, its log in memory."""
    clock, log = clock or SystemClock(), io.StringIO()
    health = Health(clock)
    report = Listening(configure("debug", "json", log), Metrics(health, clock), health, clock)
    report.bell = asyncio.Event()
    async with App(config, report=report, clock=clock) as app:
        yield Daemon(app, log, report.bell)


def write_config(
    path: Path, tenant: SimulatedTenant, text: str, credential: str | None = None, journal: str = "journal.db"
) -> Path:
    """Write a whole configuration around `text`."""
    path.write_text(
        f"""\
version: 1
tenant:
  cloud: {{login: "{tenant.login}", graph: "{tenant.graph}", ca_file: "{tenant.ca_file}"}}
  tenant_id: {tenant.tenant_id}
  client_id: {tenant.client_id}
  credential: {credential or f'{{client_secret: "{tenant.client_secret}"}}'}
journal: sqlite:///{journal}
limits: {{drain: 5s}}
{text}"""
    )
    return path


def load_config(path: Path) -> Config:
    """Load a configuration with the installed handlers."""
    registry = HandlerRegistry.installed()
    return load(path, registry.load, registry.names())


def mail(subject: str = "hello", sender: str = "anna@supplier.example", **attachments: bytes) -> bytes:
    """Write a mail; each keyword is an attachment: ``bill_pdf=b"..."`` becomes ``bill.pdf``."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, MAILBOX, subject
    message["Message-ID"] = f"<{abs(hash((subject, sender)))}@supplier.example>"
    message.set_content("Good day.")
    for name, content in attachments.items():
        filename = name.replace("_", ".")
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=filename)
    return message.as_bytes()
