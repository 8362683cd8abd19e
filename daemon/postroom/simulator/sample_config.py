"""A configuration for the daemon that fits a simulated tenant: written as text, read by `postroom run`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

_CONFIG = """\
version: 1
tenant:
  cloud: {{{cloud}}}
  tenant_id: {tenant_id}
  client_id: {client_id}
  credential: {{{credential}}}
journal: {journal}
console: {{listen: "127.0.0.1:0"}}
handlers:
  log: {{use: log}}
  save: {{use: save_attachments, with: {{directory: {attachments}}}}}
mailboxes:
"""
_MAILBOX = """\
  - address: {address}
    poll: {poll}
    start: {start}
    rules:
      - name: everything
        handle: [log, save]
"""


def config_text(
    *,
    cloud: Mapping[str, str],
    tenant_id: str,
    client_id: str,
    credential: Mapping[str, str],
    mailboxes: Sequence[str],
    journal: str,
    attachments: str,
    poll: str,
    start: str,
) -> str:
    """Return a configuration, YAML, whose every mail is logged and has its attachments saved."""
    head = _CONFIG.format(
        cloud=_flow(cloud),
        tenant_id=_quoted(tenant_id),
        client_id=_quoted(client_id),
        credential=_flow(credential),
        journal=_quoted(journal),
        attachments=_quoted(attachments),
    )
    return head + "".join(_MAILBOX.format(address=_quoted(address), poll=poll, start=start) for address in mailboxes)


def _flow(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {_quoted(value)}" for name, value in values.items() if value)


def _quoted(value: str) -> str:
    """Quote for YAML, of which JSON strings are a part."""
    return json.dumps(value, ensure_ascii=False)
