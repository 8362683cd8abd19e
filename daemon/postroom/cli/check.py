"""`postroom check`: everything that is wrong with a configuration, in one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from postroom.cli.common import config_option, counted, json_option, load, print_json, run_async
from postroom.config import Config
from postroom.config.problems import Id
from postroom.errors import ConfigError, ExitCode, Problem, Unavailable
from postroom.observe.redact import escape

Online = Callable[[Config], Awaitable[list[Problem]]]
"""Tries the configuration against the real thing (sign-in, mailboxes, folders) and returns what is wrong."""

_CODES = {Id.SIGN_IN_REFUSED: ExitCode.SIGN_IN, Id.UNREACHABLE: ExitCode.UNAVAILABLE}
"""Problem found online -> exit code, the first that fits; any other is FAILED."""

_COLORS = {"error": "red", "warning": "yellow"}

ONLINE_LIMIT = 120.0
"""Seconds for all of `--online`."""


def check_command(online: Online | None = None) -> click.Command:
    """Make the command; without `online` there is no option of that name."""

    @click.command("check")
    @config_option
    @json_option
    def command(path: Path, as_json: bool, try_it: bool = False) -> int:
        """Check a configuration and say everything that is wrong with it.

        Problems are explained in docs/reference/problems.md. Warnings alone are no failure. Exit code 78 when the file
        is wrong; with --online 77 when sign-in is refused, 69 when Entra or Graph cannot be reached, and 1 when a
        mailbox or folder cannot be read.
        """
        try:
            config = load(path)
        except ConfigError as error:
            _show(path, error.problems, as_json)
            return ExitCode.CONFIG
        found = run_async(_tried(online, config)) if online is not None and try_it else []
        _show(path, (*config.warnings, *found), as_json, _summary(config))
        if online is not None and try_it and not as_json and not _errors(found):
            click.echo(f"{path}: {_answered(config)}")
        return _code(found)

    if online is not None:
        flag = "Also sign in, and look for the mailboxes and their folders."
        command = click.option("--online", "try_it", is_flag=True, help=flag)(command)
    return command


async def _tried(online: Online, config: Config) -> list[Problem]:
    try:
        async with asyncio.timeout(ONLINE_LIMIT):
            return await online(config)
    except TimeoutError as error:
        raise Unavailable(
            f"Trying it took longer than {ONLINE_LIMIT:.0f} s and was given up.",
            remedy="Look at the network, or at the proxy, between here and Graph.",
        ) from error


def _code(found: Sequence[Problem]) -> ExitCode:
    ids = {problem.id for problem in found}
    fitting = (code for id_, code in _CODES.items() if id_ in ids)
    return next(fitting, ExitCode.FAILED if _errors(found) else ExitCode.OK)


def _errors(problems: Sequence[Problem]) -> int:
    return sum(problem.severity == "error" for problem in problems)


def _summary(config: Config) -> str:
    rules = sum(len(mailbox.rules) for mailbox in config.mailboxes)
    mailboxes, handlers = len(config.mailboxes), len(config.handlers)
    return ", ".join(
        counted(count, noun, nouns)
        for count, noun, nouns in (
            (mailboxes, "mailbox", "mailboxes"),
            (rules, "rule", "rules"),
            (handlers, "handler", "handlers"),
        )
    )


def _answered(config: Config) -> str:
    """Say what an online check without errors has tried."""
    folders = sum(len(mailbox.folders) for mailbox in config.mailboxes)
    return (
        f"signed in to {', '.join(config.tenants)}; {counted(len(config.mailboxes), 'mailbox', 'mailboxes')}, "
        f"{counted(folders, 'folder answers', 'folders answer')}"
    )


def _show(path: Path, problems: Sequence[Problem], as_json: bool, summary: str = "") -> None:
    errors = _errors(problems)
    if as_json:
        print_json({"file": str(path), "ok": not errors, "problems": [asdict(problem) for problem in problems]})
        return
    for problem in problems:
        # The place stands first, where editors and terminals look for it to jump there.
        click.secho(escape(str(problem)), fg=_COLORS[problem.severity])
    found = f"{counted(errors, 'error', 'errors')}, {counted(len(problems) - errors, 'warning', 'warnings')}"
    click.echo(f"{path}: {found}" if errors else f"{path}: ready ({summary}; {found})")


async def _online(config: Config) -> list[Problem]:
    from postroom.cli.online import online  # noqa: PLC0415 - it loads msal and aiohttp, which checking a file needs not

    return await online(config)


check = check_command(_online)
