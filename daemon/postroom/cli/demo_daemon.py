"""The demo's daemon: the real one, in a process of its own, with the example configuration."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path

from postroom.simulator.server import SimulatedTenant

DOMAIN = "contoso.example"

STOP_LIMIT = 60.0
"""Seconds to drain before the daemon is killed."""


@contextlib.asynccontextmanager
async def daemon(directory: Path, environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the real daemon; end it as systemd would, or at once when that is interrupted too."""
    with (directory / "daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "postroom", "run", "-c", str(example())),
            env=environment,
            stdout=log,
            stderr=log,
            process_group=0,  # Ctrl-C is for the demo, which then ends the daemon
        )
        try:
            yield process
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_LIMIT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise


@contextlib.contextmanager
def own_environment(tenant: SimulatedTenant, directory: Path) -> Iterator[dict[str, str]]:
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


def example() -> Path:
    """Return the commented example configuration: from the checkout, or as it was installed."""
    checkout = Path(__file__).parents[3] / "config" / "postroom.yaml"
    return checkout if checkout.is_file() else Path(str(resources.files("postroom") / "postroom.yaml"))


def program() -> Path:
    """Return the command that runs Postroom: beside this interpreter where it was installed there."""
    beside = Path(sys.executable).with_name("postroom")
    return beside if beside.is_file() else Path("postroom")


def shown(path: Path) -> Path:
    """Return the path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
