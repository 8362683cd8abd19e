"""`postroom demo`: a temporary tenant, a week of mail, the real daemon, and an account of every single mail."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import resources
from pathlib import Path

import click
from rich.console import Console

from postroom.cli.common import run_async
from postroom.cli.demo_account import Account, take_account
from postroom.cli.demo_mail import arrive_by_smtp, arrive_by_state
from postroom.cli.demo_picture import picture_console, save_picture
from postroom.cli.demo_view import Progress, closing_table
from postroom.errors import ExitCode, PostroomError
from postroom.simulator.server import SimulatedTenant

DOMAIN = "contoso.example"
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
    return run_async(_demo(keep=keep, picture=picture))


async def _demo(*, keep: bool, picture: Path | None) -> int:
    console = Console(highlight=False) if picture is None else picture_console()
    directory = Path(tempfile.mkdtemp(prefix="postroom-demo-"))
    for part in ("tenant", "state"):
        (directory / part).mkdir(mode=0o700)
    async with SimulatedTenant(directory / "tenant", mailboxes=MAILBOXES) as tenant:
        with _own_environment(tenant, directory) as environment:
            account = await _handle_everything(tenant, directory, environment, console, keep=keep)
    console.print(closing_table(account, directory))
    if picture is not None:
        save_picture(console, picture)
    return ExitCode.OK if account.settled else ExitCode.FAILED


async def _handle_everything(
    tenant: SimulatedTenant, directory: Path, environment: dict[str, str], console: Console, *, keep: bool
) -> Account:
    delivered, later = arrive_by_state(tenant)
    console.print(
        f"A simulated tenant answers at {tenant.graph}; {len(delivered)} mails are waiting in it.\n"
        f"The daemon runs with {_shown(_example())}; its log is {directory / 'daemon.log'}.",
        soft_wrap=True,
    )
    async with _daemon(directory, environment) as process:
        post = asyncio.create_task(arrive_by_smtp(tenant, later, delivered))
        with Progress(console) as progress:
            look = functools.partial(take_account, directory / "state" / "journal.db", delivered)
            account = await _until_settled(process, look, post, progress)
        await post
        if keep:
            await _keep(tenant, directory, console, process)
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
            raise PostroomError(
                f"The daemon ended with exit code {process.returncode}.", remedy="Its log, named above, says why."
            )
        if (post.done() and account.settled) or time.monotonic() > deadline:
            return account
        await asyncio.sleep(LOOK_EVERY)


@contextlib.asynccontextmanager
async def _daemon(directory: Path, environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the real daemon in its own process; end it as systemd would."""
    with (directory / "daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "postroom", "run", "-c", str(_example()), env=environment, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(60.0):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _keep(
    tenant: SimulatedTenant, directory: Path, console: Console, process: asyncio.subprocess.Process
) -> None:
    """Say how to go on by hand, and wait for Ctrl-C."""
    host, _, port = tenant.smtp.rpartition(":")
    console.print(
        f"\nTenant and daemon keep running. Send a mail of your own:\n\n"
        f"  printf 'From: you@example.org\\nTo: {MAILBOXES[1]}\\nSubject: hello\\n\\nhi\\n' |\n"
        f"    curl -s smtp://{host}:{port} --mail-from you@example.org --mail-rcpt {MAILBOXES[1]} -T -\n\n"
        f"and see what became of it:\n\n"
        f"  . {directory / 'environment'}\n"
        f"  postroom messages list -c {_example()}\n\n"
        f"Ctrl-C ends it.",
        soft_wrap=True,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    waiting = {asyncio.create_task(stop.wait()), asyncio.create_task(process.wait())}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


@contextlib.contextmanager
def _own_environment(tenant: SimulatedTenant, directory: Path) -> Iterator[dict[str, str]]:
    """Yield the environment in which the example configuration means the simulated tenant; also kept as a file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        console_port = probe.getsockname()[1]
    settings = {
        "POSTROOM_LOGIN": tenant.login,
        "POSTROOM_GRAPH": tenant.graph,
        "POSTROOM_CA_FILE": str(tenant.ca_file or ""),
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": tenant.client_id,
        "AZURE_CLIENT_SECRET": tenant.client_secret,
        "POSTROOM_DOMAIN": DOMAIN,
        "POSTROOM_STATE": str(directory / "state"),
        "POSTROOM_POLL": "1s",
        "POSTROOM_START": "all",
        "POSTROOM_LISTEN": f"127.0.0.1:{console_port}",
    }
    file = directory / "environment"
    file.touch(mode=0o600)
    file.write_text("".join(f"export {name}='{value}'\n" for name, value in settings.items()), encoding="utf-8")
    yield {**os.environ, **settings}


def _example() -> Path:
    """Return the commented example configuration: from the checkout, or as it was installed."""
    checkout = Path(__file__).parents[3] / "config" / "postroom.yaml"
    return checkout if checkout.is_file() else Path(str(resources.files("postroom") / "postroom.yaml"))


def _shown(path: Path) -> Path:
    """Return the path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
