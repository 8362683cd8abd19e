"""`postroom health`: ask a running daemon how it is; for people, scripts and a container's HEALTHCHECK."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import BadStatusLine, HTTPException
from pathlib import Path
from typing import Any

import click

from postroom.cli import words
from postroom.cli.common import config_option, counted, echo, json_option, print_json
from postroom.cli.tables import show_table
from postroom.config import Listen, load_console, load_journal
from postroom.errors import ConfigError, ExitCode, PostroomError
from postroom.whereabouts import Console, console_of

LIMIT = 4.0
"""Seconds to wait for the answer: a HEALTHCHECK has five."""

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read from the configuration, not listened on


FOREIGN = (json.JSONDecodeError, UnicodeDecodeError, BadStatusLine)
"""What the answer of another program comes to."""

USUAL = "http://127.0.0.1:8642"
"""Where the console listens unless the configuration says otherwise."""


@click.command()
@config_option
@click.option("--url", metavar="URL", help="Ask this console, whatever the file says: http://127.0.0.1:8642, say.")
@json_option
def health(path: Path, url: str | None, as_json: bool) -> int:
    """Ask the daemon's console whether all is well.

    The running daemon is asked where its console really is, which it notes beside a SQLite journal; without that
    note, or where nobody listens there any more, where the configuration says. Where the configuration cannot be
    read, that is said, and the console is looked for in its usual place: the daemon goes on with the configuration it
    has. Exit code 0 when it is ok or degraded, 1 when it is failing, 69 when nobody answers, 78 when the configuration
    cannot be read and nobody answers. A daemon that lives and does not answer in time is told from one that is not
    there.
    """
    status, snapshot = _ask(url) if url else _ask_configured(path)
    if as_json:
        print_json(snapshot)
    else:
        _show(snapshot)
    return ExitCode.OK if status == 200 else ExitCode.FAILED  # noqa: PLR2004 - HTTP


def _ask_configured(path: Path) -> tuple[int, dict[str, Any]]:
    """Ask the console of the running daemon, or of the configuration; where that is unreadable say so, and guess."""
    if noted := _noted(path):
        try:
            return _ask(noted.url, noted.process)
        except Unanswered as error:
            if not _is_refused(error):
                raise
    try:
        return _ask(_address(load_console(path)))
    except ConfigError as error:
        words.show(error)
        click.echo(f"Asking at {USUAL} instead; `--url` asks elsewhere.", err=True)
        try:
            return _ask(USUAL)
        except Unanswered as nobody:
            nobody.exit_code = ExitCode.CONFIG
            raise


def _noted(path: Path) -> Console | None:
    """Return where the daemon that runs on the configuration's journal has its console, if that can be told."""
    try:
        noted = console_of(load_journal(path))
    except ConfigError:
        return None  # what is wrong is said when the console is looked for
    if noted is None:
        return None
    host, _, port = noted.url.removeprefix("http://").rpartition(":")
    return noted._replace(url=_address(Listen(host.strip("[]"), int(port))))


def _address(listen: Listen | None) -> str:
    if listen is None:
        raise PostroomError(
            "This configuration has no console to ask.", remedy="Add `console: {listen: 127.0.0.1:8642}`."
        )
    if listen.port == 0:
        raise Unanswered(
            "No daemon runs on the journal of this configuration, which leaves the console's port to the system.",
            remedy="Is it running? If its journal is elsewhere: its log names the console, and `--url` asks there.",
        )
    host = EVERYWHERE.get(listen.host, listen.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{listen.port}"


def _ask(address: str, process: int = 0) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the snapshot; raises Unanswered when it is not our console that answers.

    `process`: that of a living daemon whose console this is, as far as that is known.
    """
    url = f"{address.rstrip('/').removesuffix('/healthz')}/healthz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            with opener.open(url, timeout=LIMIT) as answer:
                status, snapshot = answer.status, json.load(answer)
        except urllib.error.HTTPError as answer:
            status, snapshot = answer.code, json.load(answer)
    except (OSError, ValueError, HTTPException) as error:
        if _is_silent(error, process):
            raise _silent(url, process) from error
        if isinstance(error, FOREIGN) and not isinstance(error, OSError):
            raise _stranger(url) from error
        raise Unanswered(
            f"No daemon answers at {url}: {error}.",
            remedy="Is it running? `systemctl status postroom` tells. If its console is elsewhere, `--url` asks there.",
        ) from error
    if not isinstance(snapshot, dict) or not snapshot.keys() >= {"status", "phase", "mailboxes", "problems"}:
        raise _stranger(url)
    return status, snapshot


def _stranger(url: str) -> PostroomError:
    return Unanswered(
        f"What answers at {url} is not Postroom.",
        remedy="Something else listens where `console.listen` says: `ss -ltnp` names it. Stop it, or give one of them "
        "another port.",
    )


def _is_silent(error: Exception, process: int) -> bool:
    """Say whether somebody is there who gave no answer in time: it took the connection, or is known to live."""
    is_known = process != 0 and isinstance(getattr(error, "reason", None), TimeoutError)
    return isinstance(error, TimeoutError) or is_known


def _silent(url: str, process: int) -> PostroomError:
    who = f"The daemon lives (process {process}), but has" if process else "Somebody listens, but has"
    return Unanswered(
        f"{who} not answered at {url} within {LIMIT:.0f} s.",
        remedy="Something keeps it from all its work: a handler that blocks is named in the log (`blocked`), or the "
        "machine is overloaded. If it lasts, restart it, with `kill -9` if need be: nothing is lost.",
    )


class Unanswered(PostroomError):
    """Nobody listens where the console should be."""

    exit_code = ExitCode.UNAVAILABLE


def _is_refused(error: Unanswered) -> bool:
    """Say whether nobody listens there at all: the process that noted it is gone, and its number another's."""
    return isinstance(getattr(error.__cause__, "reason", None), ConnectionRefusedError)


FOLDERS = ("mailbox", "folder", "age_seconds", "limit_seconds", "stale", "parked", "mode", "unaccounted")


def _show(snapshot: dict[str, Any]) -> None:
    click.echo(f"{snapshot['status']} ({snapshot['phase']})")
    show_table("Folders", FOLDERS, [[each.get(column) for column in FOLDERS] for each in snapshot["mailboxes"]])
    for each in snapshot["problems"]:
        click.echo()
        echo(f"{each['where']}: {each['what']}")
        echo(f"    what to do: {each['what_to_do']}")
        echo(f"    since {each['since']}, {counted(each['count'], 'time', 'times')}, id {each['id']}")
    for each in snapshot.get("notices", []):
        click.echo()
        echo(f"{each['what']}: {each['what_to_do']}")
