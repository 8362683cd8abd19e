"""The command line: one file a command or group, imported when it is called."""

from postroom.cli.main import cli, main

__all__ = ["cli", "main"]
