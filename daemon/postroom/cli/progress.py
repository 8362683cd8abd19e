"""How far a command is that goes through folders, for whoever waits in a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console


@contextlib.contextmanager
def folders_done(folders: int, first: str, done_with: str) -> Iterator[Callable[[], None]]:
    """Show in a terminal how many of the folders are done; yields what to call after each.

    Args:
        folders: How many there are.
        first: What is said until the first is done, such as ``Signing in ...``.
        done_with: What has been done with those that are, such as ``looked up``.
    """
    console, done = Console(stderr=True), 0
    with console.status(first) if console.is_terminal else contextlib.nullcontext() as status:

        def one_more() -> None:
            nonlocal done
            done += 1
            if status is not None:
                status.update(f"{done} of {folders} folders {done_with}")

        yield one_more
