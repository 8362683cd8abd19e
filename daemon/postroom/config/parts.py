"""Single parts of a file, for commands that look beside a daemon: what they do not need may be missing or wrong.

The environment of who looks is another than the daemon's: a credential that systemd hands over is not there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from postroom.config.environment import expanded
from postroom.config.load import journal_url, listen, read_text
from postroom.config.nodes import Node
from postroom.config.problems import Findings
from postroom.config.rules import make_rules
from postroom.config.sections import File
from postroom.config.settings import Listen
from postroom.config.shape import shape
from postroom.config.yaml_text import read
from postroom.errors import ConfigError
from postroom.rule import Rule


def load_journal(path: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Return the journal's URL as in `Config`; raises ConfigError with what is wrong about it alone."""
    return journal_url(_file(path, "journal", environ).journal, path.absolute().parent)


def load_console(path: Path, environ: Mapping[str, str] = os.environ) -> Listen | None:
    """Return where the console listens, or None without one; raises ConfigError with what is wrong about it alone."""
    console = _file(path, "console", environ).console
    return listen(console.listen) if console is not None else None


@dataclass(frozen=True, slots=True)
class Names:
    """What a file calls its handlers, used in rules or not, and its mailboxes with their folders."""

    handlers: frozenset[str]
    folders: Mapping[str, tuple[str, ...]]


def load_names(path: Path, environ: Mapping[str, str] = os.environ) -> Names:
    """Return the names; raises ConfigError with what is wrong about mailboxes and their rules."""
    section = _read(path, Findings(str(path))).child("handlers")
    declared = section.content if section is not None and isinstance(section.content, Mapping) else {}
    mailboxes = _file(path, "mailboxes", environ).mailboxes
    used = {name for mailbox in mailboxes for rule in mailbox.rules for name in rule.handle}
    return Names(frozenset({*declared, *used}), {each.address: each.folders for each in mailboxes})


def load_rules(path: Path, address: str, environ: Mapping[str, str] = os.environ) -> tuple[Rule, ...] | None:
    """Return the rules of one mailbox, or None when it is not in the file.

    Raises:
        ConfigError: With what is wrong about these rules, or about the addresses when none is this one.
    """
    findings = Findings(str(path))
    tree = _read(path, findings)
    section = tree.child("mailboxes")
    listed = section.content if section is not None and isinstance(section.content, tuple) else ()
    unclear = Findings(str(path))
    found = [each for each in listed if _address(each, environ, unclear) == address.casefold()]
    if not found:
        _raise_if(unclear, wrong=unclear.failed)
        return None
    rules = found[0].child("rules")
    _raise_if(findings, wrong=findings.touched(found[0].path))
    mailbox = replace(found[0], content={"rules": rules} if rules is not None else {})
    wanted = replace(tree, content={"mailboxes": replace(section or tree, content=(mailbox,))})
    return make_rules(_shaped(wanted, path, environ).mailboxes[0].rules)


def _address(mailbox: Node, environ: Mapping[str, str], unclear: Findings) -> str | None:
    """Return the address as it is compared; what keeps it from being known goes to `unclear`."""
    node = mailbox.child("address")
    content = expanded(node, environ, unclear).content if node is not None else None
    return content.casefold() if isinstance(content, str) else None


def _file(path: Path, section: str, environ: Mapping[str, str]) -> File:
    """Return the file with one section of it, and the defaults for everything else."""
    findings = Findings(str(path))
    tree = _read(path, findings)
    _raise_if(findings, wrong=findings.touched((section,)))
    node = tree.child(section)
    return _shaped(replace(tree, content={section: node} if node is not None else {}), path, environ)


def _read(path: Path, findings: Findings) -> Node:
    text = read_text(path, findings)
    tree = read(text, findings) if text is not None else None
    if tree is None:
        raise ConfigError(findings.listed())
    return tree


def _shaped(tree: Node, path: Path, environ: Mapping[str, str]) -> File:
    findings = Findings(str(path))
    shaped = shape(File, expanded(tree, environ, findings), findings)
    _raise_if(findings, wrong=findings.failed or shaped is None)
    assert shaped is not None, "raised above"
    return shaped.model


def _raise_if(findings: Findings, *, wrong: bool) -> None:
    if wrong:
        raise ConfigError(findings.listed())
