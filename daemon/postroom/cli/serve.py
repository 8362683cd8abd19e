"""The process around the daemon: signals, last words, exit code."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Mapping
from pathlib import Path

from postroom.app import App
from postroom.cli.common import load
from postroom.cli.ending import leave, own_threads
from postroom.cli.signals import Signals
from postroom.cli.words import exit_code, show
from postroom.clock import SystemClock
from postroom.config import Config, LogSettings
from postroom.errors import ConfigError, ExitCode, PostroomError, Problem
from postroom.failpoints import ARMED, VARIABLE
from postroom.graph.token import TokenSource
from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.notify import Notifier
from postroom.observe.report import Report

COLLECT_AFTER = 10_000
"""Objects made and not freed before the garbage collector looks: a page of mail alone is more than the usual 700."""


def make_report(settings: LogSettings) -> Report:
    """Set up log, metrics and health for a process."""
    clock = SystemClock()
    health = Health(clock)
    return Report(configure(settings.level, settings.format), Metrics(health, clock), health, clock)


def refused(error: ConfigError) -> ExitCode:
    """Say why there is nothing to run; returns the exit code."""
    return _last_words(make_report(LogSettings()), LogSettings(), error)


async def serve(path: Path, config: Config, signals: Signals, tokens: Mapping[str, TokenSource]) -> int:
    """Run an App until it is told to stop; returns the exit code. See `App` for `tokens`."""
    report, notifier, threads = make_report(config.log), Notifier(), own_threads()
    _tell_problems(report, config.warnings)
    if ARMED.point:
        report.event("failure_point", point=ARMED.point, left=ARMED.left, variable=VARIABLE)
    app = App(config, report=report, clock=SystemClock(), notifier=notifier, tokens=tokens)
    try:
        if await signals.unless_stopped(app.__aenter__()):
            _spare_the_collector()
            try:
                await _until_stopped(app, path, signals)
            finally:
                await _stop(app)
        else:
            report.event("stopped")
        code = ExitCode.OK
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where it can be said
        code = _last_words(report, config.log, error)
    finally:
        notifier.close()
    return await leave(threads, code)


def _spare_the_collector() -> None:
    """Keep the garbage collector from walking all modules again and again: what is there now stays.

    Mail is freed by its reference count; only cycles are left to it, such as errors with their tracebacks.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(COLLECT_AFTER, 10, 10)


async def _until_stopped(app: App, path: Path, signals: Signals) -> None:
    """Reload at each hang-up until the stop signal, which also ends a reload under way, or the loss of the journal."""
    losing = asyncio.create_task(_stop_when_lost(app, signals))
    while await signals.hung_up():
        await signals.unless_stopped(_reload(app, path))
    losing.cancel()


async def _stop(app: App) -> None:
    """Stop the daemon; raises JournalGone when that is why, or when it was found on the way.

    Also raises JournalError where the journal did not take what had ended.
    """
    await app.stop()
    if app.journal.is_lost:
        raise await app.journal.lost()
    if app.left_behind is not None:
        raise app.left_behind


async def _stop_when_lost(app: App, signals: Signals) -> None:
    """Stop as soon as the journal's file is gone: whatever were done from then on would be forgotten."""
    app.report.problem("journal", await app.journal.lost())
    signals.stop()


async def _reload(app: App, path: Path) -> None:
    """Take over the configuration; what kept it from being taken over is in the log, and the old one stays."""
    try:
        await app.reload(lambda: load(path))
    except ConfigError as error:
        _tell_problems(app.report, error.problems)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - it must not end what runs
        if not isinstance(error, PostroomError):
            app.report.problem("reload", error)
    else:
        app.report.recovered("reload")
        app.report.log = configure(app.config.log.level, app.config.log.format)
        _tell_problems(app.report, app.config.warnings)


def _last_words(report: Report, settings: LogSettings, error: BaseException) -> ExitCode:
    """Say why the daemon ends: in plain words to a person at a terminal, as log lines to everything else."""
    code = exit_code(error) if isinstance(error, PostroomError) else ExitCode.INTERNAL
    if isinstance(error, PostroomError) and settings.format != "json" and sys.stderr.isatty():
        show(error)
        return code
    if isinstance(error, ConfigError):
        _tell_problems(report, error.problems)
    report.problem("daemon", error)
    return code


def _tell_problems(report: Report, problems: tuple[Problem, ...]) -> None:
    """Log what is wrong or odd in a configuration."""
    for each in problems:
        place = f"{each.file}:{each.line}:{each.column}" if each.line else each.file
        report.event(
            "configuration", severity=each.severity, problem=each.id, place=place, path=each.path, what=each.text
        )
