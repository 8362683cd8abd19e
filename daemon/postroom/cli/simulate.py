"""`postroom simulate`: a simulated Microsoft 365 tenant in the foreground."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from postroom.cli.demo_daemon import program, shown
from postroom.errors import ExitCode
from postroom.simulator.listen import Place, parse_place
from postroom.simulator.profiles import PROFILES
from postroom.simulator.seed import seed
from postroom.simulator.server import SimulatedTenant
from postroom.simulator.tls import write_private

DEFAULT_MAILBOXES = (
    "invoices@contoso.example",
    "support@contoso.example",
    "dmarc@contoso.example",
    "orders@contoso.example",
)


TENANT = "tenant"
"""The simulator's own directory beside the configuration: keys, certificates, mail."""
CONFIG = "postroom.yaml"


class PlaceType(click.ParamType[Place]):
    """``host:port`` on the command line."""

    name = "HOST:PORT"

    def convert(self, value: str | Place, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Read it, or say what it should look like."""
        try:
            return value if isinstance(value, Place) else parse_place(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _seeds(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[list[Path], int]:
    """Read the number that chance begins with; a directory means mail, as it did before there was --mails."""
    directory = click.Path(exists=True, file_okay=False, path_type=Path)
    paths = [directory.convert(value, param, ctx) for value in values if not _is_number(value)]
    return paths, next((int(value) for value in values if _is_number(value)), 0)


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 18  # noqa: PLR2004 - what a seed may have


def _addresses(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        local, at, domain = value.rpartition("@")
        if not (local and at and domain) or any(character.isspace() for character in value):
            raise click.BadParameter(f"{value!r} is not a mail address, such as invoices@contoso.example")
    return tuple({value.lower(): value for value in values}.values()) or DEFAULT_MAILBOXES


@click.command(
    epilog="Examples:  postroom simulate   |   postroom simulate --mails mails/ --mailbox invoices@contoso.example   "
    "|   postroom simulate --listen 127.0.0.1:8443 --smtp 127.0.0.1:2525 --json"
)
@click.option(
    "--listen",
    type=PlaceType(),
    default="127.0.0.1:0",
    show_default=True,
    help="Where sign-in and Graph are served over HTTPS; port 0 takes a free one.",
)
@click.option(
    "--smtp",
    type=PlaceType(),
    default="127.0.0.1:0",
    show_default=True,
    help="Where mail is taken in.",
)
@click.option(
    "--mailbox",
    "mailboxes",
    multiple=True,
    callback=_addresses,
    metavar="ADDRESS",
    help="A mailbox of the tenant; give the option several times for several. [default: invoices@, support@, dmarc@ "
    "and orders@contoso.example]",
)
@click.option(
    "--mails",
    "directories",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Deliver the .eml files in this directory first: those in a subfolder named after a mailbox go there, others "
    "to the first mailbox.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    callback=_seeds,
    metavar="NUMBER",
    help="Make faults that strike by chance strike the same way again: the same number, the same strikes. (A directory "
    "means what it means with --mails.)",
)
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="calm",
    show_default=True,
    help="What goes wrong by itself; it can be changed while the tenant runs.",
)
@click.option(
    "--control",
    type=PlaceType(),
    default="127.0.0.1:0",
    show_default=True,
    help="Where the start page and the control endpoint are served.",
)
@click.option(
    "--managed-identity",
    type=PlaceType(),
    help="Where tokens are handed out as on a machine in Azure; nowhere without this option.",
)
@click.option("--http", is_flag=True, help="Serve plain HTTP, for clients that cannot be told whom to trust.")
@click.option("--json", "as_json", is_flag=True, help="Print everything a client needs as one line of JSON.")
@click.option("--allow-remote", is_flag=True, help="Allow addresses that other machines can reach.")
def simulate(
    *,
    listen: Place,
    smtp: Place,
    mailboxes: tuple[str, ...],
    directories: tuple[Path, ...],
    seeds: tuple[list[Path], int],
    profile: str,
    control: Place,
    managed_identity: Place | None,
    http: bool,
    as_json: bool,
    allow_remote: bool,
) -> int:
    """Run a simulated Microsoft 365 tenant on this machine until SIGTERM or Ctrl-C.

    It has a sign-in that really checks secrets, certificates and federated tokens, mailboxes behind Microsoft Graph,
    an SMTP listener that mail comes in by, and a start page in the browser. Certificates, ids and secrets are new at
    every start; nothing of the tenant is kept. What a daemon has put beside the configuration that is printed, its
    journal and the attachments it saved, is never deleted.
    """
    places = {"--listen": listen, "--smtp": smtp, "--control": control, "--managed-identity": managed_identity}
    for name, place in places.items():
        if not (allow_remote or place is None or place.is_loopback):
            raise click.UsageError(
                f"{name} {place} can be reached by other machines, and everybody could send mail to this tenant. Use "
                "127.0.0.1, or say --allow-remote if that is what you want."
            )
    with _room() as directory:
        tenant = SimulatedTenant(
            directory / TENANT,
            mailboxes=mailboxes,
            listen=str(listen),
            smtp=str(smtp),
            control=str(control),
            managed_identity=None if managed_identity is None else str(managed_identity),
            tls=not http,
            profile=profile,
            seed=seeds[1],
        )
        return asyncio.run(_serve(tenant, [*directories, *seeds[0]], as_json))


@contextmanager
def _room() -> Iterator[Path]:
    """Make a directory for the tenant and a configuration; at the end only what is ours goes, and what stays is named.

    A daemon that runs with that configuration has its journal there.
    """
    room = Path(tempfile.mkdtemp(prefix="postroom-simulate-"))
    try:
        yield room
    finally:
        shutil.rmtree(room / TENANT, ignore_errors=True)
        left = sorted(each.name for each in room.iterdir()) if room.is_dir() else []
        if left == [CONFIG]:
            (room / CONFIG).unlink()
        elif left:
            click.echo(f"Left in {room}: {', '.join(left)}", err=True)
        with suppress(OSError):  # what came this moment stays too
            room.rmdir()


async def _serve(tenant: SimulatedTenant, mail_directories: list[Path], as_json: bool) -> int:
    """Run the tenant until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with tenant:
        for directory in mail_directories:
            await _fill(tenant, directory)
        file = write_private(tenant.directory.parent / CONFIG, tenant.config_text().encode())
        if as_json:
            click.echo(json.dumps({**tenant.describe(), "config_file": str(file)}))
        else:
            _show(tenant, file)
        await stop.wait()
    return ExitCode.OK


async def _fill(tenant: SimulatedTenant, directory: Path) -> None:
    report = await seed(directory, tenant.mailboxes, tenant.deliver)
    for problem in report.problems:
        click.echo(f"warning: not delivered: {problem}", err=True)
    click.echo(f"{report.delivered} mails delivered from {directory}", err=True)


def _show(tenant: SimulatedTenant, file: Path) -> None:
    """Tell a person what is there and what to type next; what is meant for copying is not wrapped."""
    console = Console(highlight=False, soft_wrap=True)
    rows = Table.grid(padding=(0, 2))
    for name, value in (
        ("sign-in, Graph", tenant.graph),
        ("SMTP", tenant.smtp),
        ("mailboxes", ", ".join(tenant.mailboxes)),
        ("trust", str(tenant.ca_file or "")),
        ("start page", tenant.control),
        ("managed identity", tenant.metadata),
        ("weather", tenant.weather.profile.name),
    ):
        if value:
            rows.add_row(Text(name, style="bold"), Text(value))
    console.print(Panel(rows, title="Simulated tenant", title_align="left", expand=False))
    console.print("\nA configuration for it:\n", style="bold")
    console.print(Text(tenant.config_text()))
    console.print("It is also in a file, so in another terminal:\n", style="bold")
    console.print(Text(f"  {shown(program())} run -c {file}"))
    console.print("\nSend it a mail:\n", style="bold")
    console.print(Text(f"  {_send_command(tenant)}"))
    console.print(
        "\nCtrl-C stops it; nothing of the tenant is kept. The daemon's journal and attachments are beside its "
        "configuration, and stay there.",
        style="dim",
    )


def _send_command(tenant: SimulatedTenant) -> str:
    sender, recipient = "you@home.example", tenant.mailboxes[0]
    return (
        f"printf 'From: {sender}\\r\\nTo: {recipient}\\r\\nSubject: Hello\\r\\n\\r\\nHello.\\r\\n' | "
        f"curl smtp://{tenant.smtp} --mail-from {sender} --mail-rcpt {recipient} -T -"
    )
