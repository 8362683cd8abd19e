"""`postroom handlers`: list them, show one with its options, or start a new one."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import postroom
from postroom.cli.common import json_option, print_json
from postroom.cli.describe import HandlerInfo, describe
from postroom.cli.tables import show_table
from postroom.registry import HandlerRegistry

TEMPLATES = Path(postroom.__file__).parent / "testing" / "templates"
"""Read, not imported: the command line needs no test kit."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@click.group()
def handlers() -> None:
    """Look at handlers, or start a new one."""


@handlers.command("list", short_help="List the installed handlers.")
@json_option
def list_handlers(as_json: bool) -> None:
    """List the installed handlers; one that cannot be imported is listed with the reason."""
    registry = HandlerRegistry.installed()
    classes, problems = registry.load_all()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "description": describe(name, classes[name]).description if name in classes else "",
            "class": registered.target,
            "package": registered.package,
            "problem": str(problems[name]) if name in problems else None,
        }
        for name, registered in registry.registered.items()
    ]
    if as_json:
        print_json(rows)
        return
    shown = [(row["name"], row["problem"] or row["description"], row["package"]) for row in rows]
    show_table("Handlers", ("name", "what it does", "package"), shown)


@handlers.command("show")
@click.argument("name")
@json_option
def show_handler(name: str, as_json: bool) -> None:
    """Show a handler and its options.

    NAME is a registered name, `package.module:Class` or `./file.py:Class`, as after `use:` in the configuration.
    """
    info = describe(name, HandlerRegistry.installed().load(name, Path.cwd()))
    if as_json:
        print_json(asdict(info))
        return
    click.echo(f"{info.name}: {info.description}\n{info.place}\n")
    if not info.options:
        click.echo("It has no options.")
        return
    rows = [
        (each.name, each.type, "required" if each.required else each.default, each.description) for each in info.options
    ]
    show_table("Options", ("option", "type", "default", "meaning"), rows)
    click.echo(f"\n{yaml_for(_short(name), name, _required(info))}")


def _short(use: str) -> str:
    """Propose a name for the configuration."""
    place = use.rpartition(":")[0] or use
    return Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]


def _required(info: HandlerInfo) -> dict[str, str]:
    return {each.name: "[...]" if each.type.startswith("list of") else "..." for each in info.options if each.required}


@handlers.command("new", short_help="Write a working handler with its test.")
@click.argument("name")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("handlers"),
    show_default=True,
    help="Where the files go; made if missing.",
)
def new_handler(name: str, directory: Path) -> None:
    """Write a working handler NAME with its test, and print the YAML that uses it."""
    _check_name(name)
    files = {directory / f"{name}.py": "handler.py", directory / f"test_{name}.py": "test_handler.py"}
    for path in files:
        if path.exists():
            raise click.ClickException(f"{path} is there already and stays as it is: take another name or --dir.")
    directory.mkdir(parents=True, exist_ok=True)
    for path, template in files.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(filled(template, name))
        click.echo(f"wrote {path}")
    place = directory / f"{name}.py"
    use = f"{place if place.is_absolute() else f'./{place}'}:{class_name(name)}"
    click.echo(
        f"\nTest it:\n\n  pytest {directory / f'test_{name}.py'}\n\nUse it (paths start at the configuration file):\n"
    )
    click.echo(yaml_for(name, use, {"directory": "notes"}))


def _check_name(name: str) -> None:
    """Refuse names that cannot be a module, or would hide one from the handler's own test."""
    why = ""
    if keyword.iskeyword(name):
        why = "it is a keyword of Python, so take another"
    elif name.startswith("test_"):
        why = "it begins as tests do, so take another"
    elif not _NAME.fullmatch(name):
        why = "use small letters, digits and `_`, beginning with a letter"
    if why:
        raise click.BadParameter(f"{name!r} cannot name a handler: {why}.", param_hint="NAME")
    if name in HandlerRegistry.installed().names() or importlib.util.find_spec(name) is not None:
        raise click.BadParameter(f"{name!r} is taken by an installed handler or module.", param_hint="NAME")


def class_name(name: str) -> str:
    """Return the class's name: ``save_invoices`` becomes ``SaveInvoices``."""
    return "".join(part.capitalize() for part in name.split("_"))


def filled(template: str, name: str) -> str:
    """Return a template for the handler `name`; the templates are real modules, so only names are replaced."""
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return text.replace('"handler.py"', f'"{name}.py"').replace("Example", class_name(name))


def yaml_for(name: str, use: str, options: Mapping[str, str]) -> str:
    """Return the lines of the configuration that use a handler."""
    quoted = use if re.fullmatch(r"[\w./:-]+", use) else json.dumps(use)
    lines = ["handlers:", f"  {name}:", f"    use: {quoted}"]
    if options:
        lines += ["    with:", *(f"      {key}: {value}" for key, value in options.items())]
    return "\n".join(lines)
