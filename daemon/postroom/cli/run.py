"""`postroom run`: reads the configuration, begins to sign in, and loads the daemon meanwhile."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import click

from postroom.cli.common import config_option, load
from postroom.cli.loop import run_to_its_end
from postroom.cli.signals import Signals
from postroom.clock import SystemClock
from postroom.config import Config
from postroom.errors import ConfigError
from postroom.graph.token import TokenSource


@click.command()
@config_option
def run(path: Path) -> int:
    """Run the daemon in the foreground until SIGTERM or Ctrl-C.

    SIGHUP reloads the configuration; a wrong one is reported and the old one stays. SIGTERM lets running deliveries
    finish (limits.drain), a second one leaves at once: nothing is lost, what was cut off is run again.
    """
    gc.disable()  # as for the imports of a command; `serve` turns it on again when all is there
    try:
        config = load(path)
    except ConfigError as error:
        from postroom.cli.serve import refused  # noqa: PLC0415 - see below

        return refused(error)
    return run_to_its_end(_run(path, config))


async def _run(path: Path, config: Config) -> int:
    signals = Signals()
    signals.listen()
    clock = SystemClock()
    tokens = {tenant.name: TokenSource(tenant, clock=clock) for tenant in config.tenants.values()}
    for token in tokens.values():
        token.begin()
    await asyncio.sleep(0)  # each does begin, before the loop stands still
    from postroom.cli.serve import serve  # noqa: PLC0415 - half a second of modules, while Entra is asked for a token

    return await serve(path, config, signals, tokens)
