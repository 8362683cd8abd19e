"""The group of all commands, and how errors become words and exit codes."""

from __future__ import annotations

import gc
import importlib
import io
import sys
import threading
from collections.abc import Mapping
from typing import Any

import click

from postroom import __version__
from postroom.errors import ExitCode, PostroomError

COMMANDS: Mapping[str, str] = {
    "run": "Run the daemon in the foreground.",
    "check": "Check a configuration and say everything that is wrong with it.",
    "demo": "Watch the whole thing work against a simulated tenant.",
    "simulate": "Run a simulated Microsoft 365 tenant on this machine.",
    "token": "Sign in and show what the token allows.",
    "mailboxes": "Look at the watched mailboxes.",
    "messages": "Look at messages and at what became of them.",
    "deliveries": "Look at deliveries; retry or discard dead letters.",
    "journal": "Look at the journal's size; prune it now.",
    "handlers": "Look at handlers, or start a new one.",
    "schema": "Print the JSON schema of the configuration.",
    "audit": "Prove that no mail is missing.",
    "health": "Ask a running daemon how it is.",
}


INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


class LazyGroup(click.Group):
    """A group that imports a command's module when it is needed: `postroom --help` need not load msal."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        gc.disable()  # nothing of a module is garbage, and looking for it takes a tenth of the time that importing does
        try:
            module = importlib.import_module(f"postroom.cli.{cmd_name}")
        finally:
            gc.enable()
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 the answer is no, 2 wrong usage, 69 Graph unreachable, 70 a defect, "
    "74 journal unusable, 75 journal held by another daemon, 77 sign-in refused, 78 configuration wrong.",
)
@click.version_option(__version__, prog_name="postroom")
def cli() -> None:
    """Postroom, the mailroom for Microsoft 365.

    Watches mailboxes through Microsoft Graph and hands each new message to your handlers. Try `postroom demo`.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit as the reference of exit codes says."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A subject in Greek must not end a command on a terminal that knows Latin alone.
            stream.reconfigure(errors="backslashreplace")
    code = run(arguments)
    if threading.active_count() > 1:
        from postroom.cli import ending  # noqa: PLC0415 - only who had threads needs it

        ending.leave_threads(code)
    sys.exit(code)


def run(arguments: list[str] | None = None, **extra: Any) -> int:
    """Run a command and return its exit code; every error is shown in plain words on standard error."""
    try:
        result = cli.main(arguments, prog_name="postroom", standalone_mode=False, **extra)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last place where it can be said in words
        return _failed(error)
    return result if isinstance(result, int) else ExitCode.OK


def _failed(error: Exception) -> ExitCode:
    from postroom.cli import words  # noqa: PLC0415 - it loads what a command that works may not need: 0.2 s

    if isinstance(error, PostroomError):
        words.show(error)
        return words.exit_code(error)
    words.show_defect(error)
    return ExitCode.INTERNAL
