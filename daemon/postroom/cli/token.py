"""`postroom token`: sign in as the daemon would and show what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from postroom.cli.common import config_option, json_option, load, print_json, run_async
from postroom.cli.tables import show_table
from postroom.cli.words import exit_code, show
from postroom.clock import SystemClock
from postroom.errors import AuthError, ExitCode
from postroom.graph.token import TokenSource
from postroom.tenant import Tenant

USES = {
    "read mail": {"Mail.Read", "Mail.ReadWrite"},
    "mark, move, categorise, flag, delete": {"Mail.ReadWrite"},
    "send": {"Mail.Send"},
}
"""What can be done with a mailbox -> the roles of which one is enough (Graph permissions reference)."""


@click.command()
@config_option
@click.option("--tenant", "only", metavar="NAME", help="Only this tenant of the configuration.")
@json_option
def token(path: Path, only: str | None, as_json: bool) -> int:
    """Sign in and show the token's claims, roles and expiry.

    The token itself is shown truncated: enough to compare, too little to use. A refusal names the AADSTS code and
    what to do about it, exit code 77; 69 when the login host cannot be reached.
    """
    tenants = [each for each in load(path).tenants.values() if only in (None, each.name)]
    if not tenants:
        raise click.BadParameter(f"no tenant named {only!r} in {path}", param_hint="--tenant")
    answers = run_async(_inspect_all(tenants))
    shown = [each for each in answers if not isinstance(each, AuthError)]
    refused = [each for each in answers if isinstance(each, AuthError)]
    if as_json and shown:
        print_json(shown if len(tenants) > 1 else shown[0])
    for each in () if as_json else shown:
        _show(each)
    for error in refused:
        show(error)
    return max(map(exit_code, refused), default=ExitCode.OK)


async def _inspect_all(tenants: list[Tenant]) -> list[dict[str, Any] | AuthError]:
    return await asyncio.gather(*map(_inspect, tenants))


async def _inspect(tenant: Tenant) -> dict[str, Any] | AuthError:
    source = TokenSource(tenant, clock=SystemClock())
    try:
        header = await source.header()
        claims = await source.claims()
    except AuthError as error:
        return error
    finally:
        await source.close()
    return {
        "tenant": tenant.name,
        "cloud": tenant.cloud.name,
        "token": f"{header.removeprefix('Bearer ')[:12]}...",
        "roles": sorted(claims.get("roles", [])),
        "expires_at": _time(claims, "exp"),
        "issued_at": _time(claims, "iat"),
        "audience": claims.get("aud"),
        "app_id": claims.get("appid", claims.get("azp")),
        "tenant_id": claims.get("tid"),
    }


def _time(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return datetime.fromtimestamp(value, UTC).isoformat() if isinstance(value, int) else None


def _show(info: dict[str, Any]) -> None:
    rows = [(key, ", ".join(value) if isinstance(value, list) else value) for key, value in info.items()]
    show_table(f"Token for {info['tenant']}", ("claim", "value"), rows)
    if not info["roles"]:
        click.echo(
            "The token carries no roles. That is right when access is granted by RBAC for Applications in Exchange;\n"
            "otherwise grant Mail.Read or Mail.ReadWrite to the app registration and give admin consent."
        )
        return
    for use, roles in USES.items():
        click.echo(f"  {'yes' if roles & set(info['roles']) else 'no':3}  {use} ({' or '.join(sorted(roles))})")
