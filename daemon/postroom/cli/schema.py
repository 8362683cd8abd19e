"""`postroom schema`: the JSON schema of the configuration, for editors."""

from __future__ import annotations

import click

from postroom.cli.common import print_json
from postroom.config import json_schema
from postroom.registry import HandlerRegistry


@click.command()
def schema() -> None:
    """Print the JSON schema of the configuration, with the options of every installed handler.

    Save it beside your configuration and begin that with `# yaml-language-server: $schema=./postroom.schema.json`.
    """
    print_json(json_schema(HandlerRegistry.installed().classes()))
