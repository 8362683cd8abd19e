"""What a reload may take over, and in which words it is refused."""

from __future__ import annotations

from collections.abc import Callable

from postroom.config import Config
from postroom.errors import ConfigError, PostroomError
from postroom.observe.log import compact
from postroom.pipeline.limits import at_most
from postroom.threads import in_thread

LOAD_LIMIT = 60.0
"""Seconds that reading the configuration may take at a reload."""


async def read_config(load: Callable[[], Config]) -> Config:
    """Read a configuration in a thread of its own; raises PostroomError when that takes too long."""
    try:
        return await at_most(LOAD_LIMIT, in_thread(load))
    except TimeoutError as error:
        raise PostroomError(
            f"The configuration could not be read within {LOAD_LIMIT:.0f} s.",
            remedy="Look at the disk it is on, and at what the modules of your own handlers do when they are imported.",
        ) from error


def check_reloadable(old: Config, new: Config) -> None:
    """Raise PostroomError when the new configuration changes what a running daemon cannot."""
    changed = [name for name in ("journal", "console") if getattr(old, name) != getattr(new, name)]
    if changed:
        raise PostroomError(
            f"A reload cannot change `{'` and `'.join(changed)}`.",
            remedy="Restart the daemon for that, or change it back and reload.",
        )


def why_refused(error: Exception) -> str:
    """Say why a configuration was refused: how many problems it has, each on a line of its own; of a defect, where."""
    return str(error) if isinstance(error, PostroomError) else " at ".join(compact(error).values())


def problems_of(error: Exception) -> str:
    """Say why a configuration was refused: its problems one by one."""
    if isinstance(error, ConfigError):
        return "; ".join(str(problem) for problem in error.problems if problem.severity == "error")
    return why_refused(error)
