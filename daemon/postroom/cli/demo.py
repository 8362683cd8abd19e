"""`postroom demo`: a temporary tenant, a week of mail, the real daemon, and an account of every single mail."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import click
from rich.console import Console

from postroom.cli.common import run_async
from postroom.cli.demo_account import Account, take_account
from postroom.cli.demo_daemon import DOMAIN, daemon, example, own_environment, program, shown
from postroom.cli.demo_mail import arrive_by_smtp, arrive_by_state
from postroom.cli.demo_picture import picture_console, save_picture
from postroom.cli.demo_view import Progress, closing_table
from postroom.errors import ExitCode, PostroomError
from postroom.simulator.server import SimulatedTenant

MAILBOXES = tuple(f"{name}@{DOMAIN}" for name in ("invoices", "support", "dmarc", "orders"))

PATIENCE = 120.0
"""Seconds for the whole to settle before the demo says what is missing."""

LOOK_EVERY = 0.3
"""Seconds between two looks at the journal."""


@click.command()
@click.option("--keep", is_flag=True, help="Leave tenant and daemon running at the end, until Ctrl-C.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Save the last screen as an SVG.")
def demo(keep: bool, picture: Path | None) -> int:
    """Watch the whole thing work: no tenant, no network, no configuration needed.

    Starts a simulated Microsoft 365 tenant with about 230 mails, runs the real daemon against it over HTTPS with the
    commented example configuration, shows the progress, and accounts for every mail.
    Exit code 0 when each one is settled, 1 when one is unaccounted for.
    """
    try:
        return run_async(_demo(keep=keep, picture=picture))
    except asyncio.CancelledError:
        raise click.Abort from None


async def _demo(*, keep: bool, picture: Path | None) -> int:
    console = Console(highlight=False) if picture is None else picture_console()
    directory = Path(tempfile.mkdtemp(prefix="postroom-demo-"))
    for part in ("tenant", "state"):
        (directory / part).mkdir(mode=0o700)
    with _cut_short_by_signals():
        control = "127.0.0.1:0" if keep else None
        async with SimulatedTenant(directory / "tenant", mailboxes=MAILBOXES, control=control) as tenant:
            with own_environment(tenant, directory) as environment:
                account = await _handle_everything(tenant, directory, environment, console, keep=keep)
    if picture is not None:
        save_picture(console, picture)
    return ExitCode.OK if account.settled else ExitCode.FAILED


@contextlib.contextmanager
def _cut_short_by_signals() -> Iterator[None]:
    """Let SIGTERM and a terminal that is closed do as Ctrl-C does: what was started is ended first."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _handle_everything(
    tenant: SimulatedTenant, directory: Path, environment: dict[str, str], console: Console, *, keep: bool
) -> Account:
    delivered, later = arrive_by_state(tenant)
    console.print(
        f"A simulated tenant answers at {tenant.graph}; {len(delivered)} mails are waiting in it.\n"
        f"The daemon runs with {shown(example())}; its log is {directory / 'daemon.log'}.",
        soft_wrap=True,
        markup=False,
    )
    async with daemon(directory, environment) as process:
        post = asyncio.create_task(arrive_by_smtp(tenant, later, delivered))
        try:
            with Progress(console) as progress:
                look = functools.partial(take_account, directory / "state" / "journal.db", delivered)
                account = await _until_settled(process, look, post, progress)
            await post
        finally:
            post.cancel()
        console.print(closing_table(account, directory))
        if keep:
            console.print(_how_to_go_on(tenant, directory, environment), soft_wrap=True, markup=False)
            await _keep(process)
    return account


async def _until_settled(
    process: asyncio.subprocess.Process,
    look: Callable[[], Awaitable[Account]],
    post: asyncio.Task[None],
    progress: Progress,
) -> Account:
    """Look at the journal until every mail is settled, patience ends, or the daemon does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        account = await look()
        progress.show(account)
        if process.returncode is not None:
            raise _ended(process)
        if (post.done() and account.settled) or time.monotonic() > deadline:
            return account
        await asyncio.sleep(LOOK_EVERY)


def _ended(process: asyncio.subprocess.Process) -> PostroomError:
    return PostroomError(
        f"The daemon ended with exit code {process.returncode}.", remedy="Its log, named above, says why."
    )


def _how_to_go_on(tenant: SimulatedTenant, directory: Path, environment: dict[str, str]) -> str:
    """Say what can be done by hand now."""
    return (
        f"\nTenant and daemon keep running. Look at them in a browser:\n\n"
        f"  http://{environment['POSTROOM_LISTEN']}/  the daemon: problems, mailboxes, deliveries\n"
        f"  {tenant.control}/  the tenant: its mail, and what shall go wrong\n\n"
        f"Send a mail of your own:\n\n"
        f"  printf 'From: you@example.org\\nTo: {MAILBOXES[1]}\\nSubject: hello\\n\\nhi\\n' |\n"
        f"    curl -s smtp://{tenant.smtp} --mail-from you@example.org --mail-rcpt {MAILBOXES[1]} -T -\n\n"
        f"and see what became of it:\n\n"
        f"  . {directory / 'environment'}\n"
        f"  {shown(program())} messages list -c {shown(example())}\n\n"
        f"Ctrl-C ends it."
    )


async def _keep(process: asyncio.subprocess.Process) -> None:
    """Wait for a signal."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await process.wait()
    except asyncio.CancelledError:
        task.uncancel()  # a signal is how this is meant to end
    else:
        raise _ended(process)
