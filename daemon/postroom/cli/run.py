"""`postroom run`: the process around the daemon: signals, event loop, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import uvloop

from postroom.app import App
from postroom.cli.common import config_option, load
from postroom.cli.main import show
from postroom.clock import SystemClock
from postroom.config import Config
from postroom.errors import ExitCode, PostroomError
from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.notify import Notifier
from postroom.observe.report import Report


@click.command()
@config_option
def run(path: Path) -> int:
    """Run the daemon in the foreground until SIGTERM or Ctrl-C.

    SIGHUP reloads the configuration; a wrong one is reported and the old one stays. SIGTERM lets running deliveries
    finish (limits.drain), a second one leaves at once: nothing is lost, what was cut off is run again.
    """
    config = load(path)
    for warning in config.warnings:
        click.echo(str(warning), err=True)
    return uvloop.run(serve(path, config))


def make_report(config: Config) -> Report:
    """Set up log, metrics and health for a process that runs `config`."""
    clock = SystemClock()
    health = Health(clock)
    log = configure(config.log.level, config.log.format)
    return Report(log, Metrics(health, clock), health, clock)


async def serve(path: Path, config: Config) -> int:
    """Run an App until it is told to stop."""
    report = make_report(config)
    stop, hang_up = asyncio.Event(), asyncio.Event()
    _listen(stop, hang_up)
    try:
        async with App(config, report=report, clock=SystemClock(), notifier=Notifier()) as app:
            await _until(stop, hang_up, lambda: _reload(app, path))
    except PostroomError as error:
        report.problem("start", error)
        show(error)
        return int(error.exit_code)
    return ExitCode.OK


def _listen(stop: asyncio.Event, hang_up: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def told_to_stop() -> None:
        if stop.is_set():
            # The second signal: leave now. What was running is found as such at the next start.
            os._exit(ExitCode.FAILED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop)
    loop.add_signal_handler(signal.SIGHUP, hang_up.set)


async def _until(stop: asyncio.Event, hang_up: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> None:
    """Wait for the stop signal; reload at each hang-up before it."""
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set():
        hanging = asyncio.create_task(hang_up.wait())
        await asyncio.wait({stopping, hanging}, return_when=asyncio.FIRST_COMPLETED)
        if hang_up.is_set() and not stop.is_set():
            hang_up.clear()
            await reload()
        hanging.cancel()


async def _reload(app: App, path: Path) -> None:
    def fresh() -> Config:
        config = load(path)
        app.report.log = configure(config.log.level, config.log.format)
        return config

    try:
        await app.reload(fresh)
    except PostroomError as error:
        show(error)
        sys.stderr.flush()
