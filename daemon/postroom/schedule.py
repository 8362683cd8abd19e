"""The only file that imports APScheduler: recurring jobs of the daemon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

GUARD = 5.0
"""Seconds between two looks whether the machine's clock was set back: APScheduler would wait until it has caught up."""

LIMIT = 300.0
"""Seconds that one run of a job may take, unless it is given longer."""

_SKIPPED = 'Execution of job "%s" skipped: maximum number of running '
"""How APScheduler 3 begins to say that the last run of a job still goes on."""

_NEVER_BEGUN = "Error running job %s"
"""What it says of a run that was cut off before its first step; of any other it tells its listeners."""


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether a line of APScheduler is one.

    A job that is due while it runs waits, and a stop keeps one from beginning: both are as they should be.
    """
    if record.msg == _NEVER_BEGUN and record.exc_info and record.exc_info[0] is asyncio.CancelledError:
        return False
    return not str(record.msg).startswith(_SKIPPED)


class Schedule:
    """Runs jobs at intervals until it is stopped.

    A job that is late runs once, however late, and never beside itself: APScheduler's default would drop it
    (misfire_grace_time of one second). One that fails runs again the next time.

    Args:
        failed: Told of the job's name and of what it raised.
        well: Told of the name of a job that works again.
    """

    def __init__(
        self,
        failed: Callable[[str, BaseException], None] | None = None,
        well: Callable[[str], None] | None = None,
    ) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._failed = failed
        self._well = well
        self._failing: set[str] = set()
        self._guard: asyncio.TimerHandle | None = None
        self._is_stopped = False
        for name in ("apscheduler.scheduler", "apscheduler.executors.default"):
            logging.getLogger(name).addFilter(_is_news)
        self._scheduler.add_listener(self._tell, EVENT_JOB_ERROR)

    def every(
        self,
        seconds: float,
        name: str,
        job: Callable[[], Awaitable[None]],
        *,
        at_once: bool = False,
        limit: float = LIMIT,
    ) -> None:
        """Run `job` every `seconds`; a job of the same name is replaced. The first run is after one interval.

        One that takes longer than `limit` seconds has failed: otherwise it would never run again, and in silence.
        """
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}

        async def run() -> None:
            try:
                async with asyncio.timeout(limit):
                    await job()
            except asyncio.CancelledError:
                if not self._is_stopped:
                    raise
                return  # what we cut off has not failed
            if name in self._failing:
                self._failing.discard(name)
                if self._well is not None:
                    self._well(name)

        self._scheduler.add_job(
            run, IntervalTrigger(seconds=seconds, timezone=UTC), id=name, name=name, replace_existing=True, **first
        )

    def start(self) -> None:
        """Start running jobs on the running event loop."""
        self._scheduler.start()
        self._look_at_the_clock()

    def stop(self) -> None:
        """Start no more jobs, and cut off those that run."""
        self._is_stopped = True
        if self._guard is not None:
            self._guard.cancel()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _look_at_the_clock(self) -> None:
        """Bring forward jobs that are due later than one interval from now: the clock they were timed by was wrong."""
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            if job.next_run_time is not None and job.next_run_time > now + job.trigger.interval + timedelta(seconds=1):
                job.modify(next_run_time=now)
        self._guard = asyncio.get_running_loop().call_later(GUARD, self._look_at_the_clock)

    def _tell(self, event: JobExecutionEvent) -> None:
        self._failing.add(event.job_id)
        if self._failed is not None:
            self._failed(event.job_id, event.exception)
