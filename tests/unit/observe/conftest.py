import asyncio
import io
import json
import logging
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import structlog

from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.report import Report


@dataclass
class DrivenClock:
    """Time that stands still until a test moves it."""

    seconds: float = 0.0
    start: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))

    def now(self):
        return self.start + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        self.seconds += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return DrivenClock()


@pytest.fixture
def health(clock):
    return Health(clock)


@pytest.fixture(autouse=True)
def _logging_as_before():
    root, show = logging.getLogger(), warnings.showwarning
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    warnings.showwarning = show
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def output():
    return io.StringIO()


@pytest.fixture
def lines(output):
    return lambda: [json.loads(line) for line in output.getvalue().splitlines()]


@pytest.fixture
def desk(clock, health, output):
    """A report with everything behind it."""
    metrics = Metrics(health, clock)
    report = Report(configure("debug", "json", output), metrics, health, clock)
    return SimpleNamespace(report=report, metrics=metrics, health=health, clock=clock)
