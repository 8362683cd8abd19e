"""From a file to a `Config`, in three passes that each report all they find: YAML, shape, and what fits together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from postroom.config.checks import Names, check_mailboxes
from postroom.config.environment import expanded
from postroom.config.handlers import Lookup, Workshop, make_handlers
from postroom.config.nodes import Node
from postroom.config.place_checks import check_places
from postroom.config.problems import Findings, Id, Place
from postroom.config.rules import make_rules
from postroom.config.sections import File, MailboxSection
from postroom.config.settings import (
    Config,
    ConfiguredHandler,
    Limits,
    Listen,
    LogSettings,
    ReconcileSettings,
    WatchedMailbox,
)
from postroom.config.shape import shape
from postroom.config.tenants import DEFAULT, make_tenants
from postroom.config.yaml_text import LARGEST, read
from postroom.errors import ConfigError
from postroom.model import RetentionPolicy
from postroom.outgoing import SendingLimits
from postroom.tenant import Tenant

LEAST_FRESHNESS = 60.0
"""Seconds that a folder may go unwalked where nothing else is asked for: a busy mailbox skips a beat now and then."""


def load(path: Path, lookup: Lookup, names: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration file.

    Args:
        path: The file; what it names relatively is taken from its directory.
        lookup: Finds handler classes.
        names: Of installed handlers, which rules may use undeclared and suggestions are made of.
        environ: For ``${NAME}``.

    Raises:
        ConfigError: With all the problems, in the order of the file.
    """
    findings = Findings(str(path))
    text = read_text(path, findings)
    return _config(text, findings, Workshop(lookup, tuple(names), path.absolute().parent, findings), environ, path)


def parse(  # noqa: PLR0917 - the text with all that a file has around it
    text: str, file: str, lookup: Lookup, names: Iterable[str], environ: Mapping[str, str], directory: Path
) -> Config:
    """Read a configuration from a text; `file` is what problems call it. See `load`."""
    findings = Findings(file)
    return _config(text, findings, Workshop(lookup, tuple(names), directory.absolute(), findings), environ, None)


def read_text(path: Path, findings: Findings) -> str | None:
    """Return the file's text; None when it cannot be read, which is reported."""
    try:
        with path.open("rb") as file:
            return file.read(4 * LARGEST + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = f"the file is not UTF-8 text (byte {error.start}); save it as UTF-8"
        findings.add(Id.FILE_UNREADABLE, Place(), text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not valid"
        findings.add(Id.FILE_UNREADABLE, Place(), f"the file cannot be read: {reason}; correct the path or its mode")
    return None


def _config(
    text: str | None, findings: Findings, shop: Workshop, environ: Mapping[str, str], path: Path | None
) -> Config:
    tree = read(text, findings) if text is not None else None
    shaped = shape(File, expanded(tree, environ, findings), findings) if tree is not None else None
    if tree is None or shaped is None:
        raise ConfigError(findings.listed())
    tenants = make_tenants(shaped, environ, shop.directory, findings, path)
    handlers = make_handlers(shaped, shop)
    check_places(shaped, shop.directory, findings)
    undeclared = check_mailboxes(shaped, _names(tree, tenants), shop, _present(path))
    if findings.failed:
        raise ConfigError(findings.listed())
    config = _built(shaped.model, shop.directory, tenants, {**handlers, **undeclared})
    return replace(config, path=path, warnings=findings.listed())


def _present(path: Path | None) -> datetime:
    """Return what time it is at the least: where the clock is behind, a file that was right stays so."""
    now = datetime.now(UTC)
    try:
        return now if path is None else max(now, datetime.fromtimestamp(path.stat().st_mtime, UTC))
    except (OSError, ValueError, OverflowError):
        return now


def _names(tree: Node, tenants: Mapping[str, Tenant]) -> Names:
    """Take the names from the tree as written: a broken handler or tenant is still one that may be named."""

    def keys(section: str) -> list[str]:
        node = tree.child(section)
        return list(node.content) if node is not None and isinstance(node.content, Mapping) else []

    return Names(keys("handlers"), tuple(dict.fromkeys([*tenants, *keys("tenants")])), _words(tree.child("mailboxes")))


def _words(node: Node | None) -> frozenset[str]:
    """Return every text at or below a node."""
    if node is None or not node.content:
        return frozenset()
    if isinstance(node.content, Mapping):
        return frozenset().union(*map(_words, node.content.values()))
    if isinstance(node.content, tuple):
        return frozenset().union(*map(_words, node.content))
    return frozenset({str(node.content)})


def _built(
    file: File, directory: Path, tenants: Mapping[str, Tenant], handlers: Mapping[str, ConfiguredHandler]
) -> Config:
    limits = file.limits
    return Config(
        path=None,
        warnings=(),
        tenants=MappingProxyType(dict(tenants)),
        journal=journal_url(file.journal, directory),
        console=listen(file.console.listen) if file.console is not None else None,
        limits=Limits(limits.in_flight, limits.concurrency, limits.page_size, limits.drain, limits.requests),
        retention=RetentionPolicy(file.retention.snapshots, file.retention.ids),
        log=LogSettings(file.log.level, file.log.format),
        handlers=MappingProxyType(dict(handlers)),
        mailboxes=tuple(_mailbox(mailbox, next(iter(tenants), DEFAULT)) for mailbox in file.mailboxes),
        reconcile=ReconcileSettings(file.reconcile.every, file.reconcile.window),
        sending=SendingLimits(
            file.sending.per_correspondent,
            file.sending.per_conversation,
            file.sending.per_mailbox,
            file.sending.patience,
        ),
    )


def _mailbox(section: MailboxSection, only_tenant: str) -> WatchedMailbox:
    return WatchedMailbox(
        tenant=section.tenant or only_tenant,
        address=section.address.lower(),  # Exchange does not tell case apart, and the journal must not
        folders=section.folders,
        poll=section.poll,
        start=section.start,
        rules=make_rules(section.rules),
        freshness=max(5 * section.poll, LEAST_FRESHNESS) if section.freshness is None else section.freshness,
    )


def journal_url(url: str, directory: Path) -> str:
    """Return the URL with a SQLite file made absolute."""
    scheme, slashes, file = url.partition(":///")
    return f"{scheme}{slashes}{directory / file}" if scheme.startswith("sqlite") else url


def listen(text: str) -> Listen:
    """Read ``host:port``."""
    host, _, port = text.rpartition(":")
    return Listen(host.strip("[]"), int(port))
