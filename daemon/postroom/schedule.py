"""The only file that imports APScheduler: recurring jobs of the daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger


class Schedule:
    """Runs jobs at intervals until it is stopped.

    A job that is late runs once, however late, and never beside itself: APScheduler's default would drop it
    (misfire_grace_time of one second).
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
        """Run `job` every `seconds`; a job of the same name is replaced. The first run is after one interval."""
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(
            job, IntervalTrigger(seconds=seconds, timezone=UTC), id=name, name=name, replace_existing=True, **first
        )

    def start(self) -> None:
        """Start running jobs on the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start no more jobs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
