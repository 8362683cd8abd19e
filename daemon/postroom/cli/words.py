"""Errors in plain words on standard error, and the exit code each ends the process with."""

from __future__ import annotations

from postroom.errors import AuthError, ConfigError, ExitCode, PostroomError
from postroom.observe.log import compact
from postroom.observe.redact import escape


def exit_code(error: PostroomError) -> ExitCode:
    """Return the code that an error ends the process with: a login host that cannot be reached has refused nothing."""
    if isinstance(error, AuthError) and (error.code == "unreachable" or error.temporary):
        return ExitCode.UNAVAILABLE
    return error.exit_code


def show(error: PostroomError) -> None:
    """Print what happened, what to do, and the ids worth quoting."""
    if isinstance(error, ConfigError):
        for problem in error.problems:
            _say("", str(problem))
    _say("error: ", error.message, "bold red")
    if error.remedy:
        _say("what to do: ", error.remedy, "bold")
    for key, value in error.fields.items():
        _say("", f"  {key}: {value}", style="dim")


def show_defect(error: Exception) -> None:
    """Print what was raised and where: nobody expected it."""
    words = compact(error)
    _say("error: ", f"This is a defect in Postroom: {words['error']}", "bold red")
    _say("what to do: ", "Report it together with the next line.", "bold")
    _say("", f"  at: {words['at']}", style="dim")


def _say(label: str, text: str, label_style: str = "", *, style: str = "") -> None:
    """Print a line; what a stranger wrote neither steers the terminal nor is read as markup."""
    from rich.console import Console  # noqa: PLC0415 - a daemon that never speaks to a terminal does without it
    from rich.text import Text  # noqa: PLC0415 - same

    line = Text(label, style=label_style) + Text(escape(text), style=style)
    Console(stderr=True, highlight=False, soft_wrap=True).print(line)
