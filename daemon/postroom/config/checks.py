"""The third pass over the mailboxes: does what is well written fit together?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from postroom.config.handlers import Workshop, make_undeclared
from postroom.config.loop_checks import check_loops
from postroom.config.nodes import Node
from postroom.config.problems import Findings, Id, Place, closest, suggestion
from postroom.config.rule_checks import check_rules, placed_rules
from postroom.config.sections import File, LimitsSection, MailboxSection
from postroom.config.settings import ConfiguredHandler
from postroom.config.shape import Shaped
from postroom.config.tenants import DEFAULT
from postroom.config.units import format_duration
from postroom.config.wording import shown
from postroom.model import canonical_folder

FASTEST_POLL = 1.0
"""Seconds; a faster poll costs budget and brings nothing, for Exchange itself needs longer to deliver."""

WINDOW = 600.0
"""Seconds that `limits.requests` is for (throttling-limits docs)."""

_NO_MAILBOXES = "is missing; add `mailboxes: [{address: ..., rules: [...]}]` with at least one"


@dataclass(frozen=True, slots=True)
class Names:
    """What mailboxes and rules may refer to."""

    declared: Collection[str]
    """Handlers under ``handlers``, the broken ones too."""
    tenants: Collection[str]
    words: frozenset[str]
    """Every text below ``mailboxes``, as written."""


def check_mailboxes(
    shaped: Shaped[File], names: Names, shop: Workshop, present: datetime
) -> dict[str, ConfiguredHandler]:
    """Report what does not fit at `present`; return the handlers that rules use without declaring them."""
    findings, seen = shop.findings, dict[str, Node]()
    if not shaped.model.mailboxes and not findings.touched(("mailboxes",)):
        place = replace(shaped.node("mailboxes").key_place, path=("mailboxes",))
        findings.add(Id.MISSING_SETTING, place, _NO_MAILBOXES)
    for index, mailbox in enumerate(shaped.model.mailboxes):
        node = shaped.node("mailboxes", index)
        _check_address(mailbox, node, seen, findings)
        _check_tenant(mailbox, node, names.tenants, findings)
        _check_folders(mailbox, node, findings)
        _check_start(mailbox, node, findings, present)
        _check_poll(mailbox, node, findings, shaped.model.limits.requests)
        _check_freshness(mailbox, node, findings)
        check_rules(mailbox, node, findings)
    check_loops(shaped, findings)
    _report_unused_tenants(shaped, names, findings)
    return _check_references(shaped, names, shop)


def _check_address(mailbox: MailboxSection, node: Node, seen: dict[str, Node], findings: Findings) -> None:
    path = (*node.path, "address")
    if findings.touched(path):
        return
    if not mailbox.address:
        findings.add(Id.MISSING_SETTING, replace(node.key_place, path=path), "is missing; add `address: ...` here")
        return
    first = seen.setdefault(mailbox.address.casefold(), node)
    if first is not node:
        text = f"this mailbox stands on line {first.line} already; put the folders and rules of both into one"
        findings.add(Id.DUPLICATE_MAILBOX, (node.child("address") or node).place, text)


def _check_tenant(mailbox: MailboxSection, node: Node, tenants: Collection[str], findings: Findings) -> None:
    if findings.touched((*node.path, "tenant")) or not tenants:
        return
    at = node.child("tenant") or node
    if mailbox.tenant is None and len(tenants) > 1 and not findings.touched(("tenant",)):
        text = f"there are several tenants, and this mailbox names none; add `tenant:` with one of {', '.join(tenants)}"
        findings.add(Id.UNKNOWN_TENANT, at.place, text)
    elif mailbox.tenant is not None and mailbox.tenant not in tenants:
        guess = suggestion(mailbox.tenant, tenants)
        findings.add(Id.UNKNOWN_TENANT, at.place, f"there is no tenant {mailbox.tenant}{guess}; name one of `tenants`")


def _report_unused_tenants(shaped: Shaped[File], names: Names, findings: Findings) -> None:
    used = {mailbox.tenant for mailbox in shaped.model.mailboxes}
    meant = {closest(name, names.tenants) for name in used if name is not None}
    if len(names.tenants) < 2 or findings.touched(("mailboxes",)) or findings.touched(("tenant",)):  # noqa: PLR2004 - a single one needs no naming
        return
    for name in set(names.tenants) - used - meant - {DEFAULT}:
        at = shaped.node("tenants", name)
        findings.add(Id.UNUSED_TENANT, at.key_place, "no mailbox is in this tenant; remove it, or name it on a mailbox")


def _check_folders(mailbox: MailboxSection, node: Node, findings: Findings) -> None:
    seen: set[str] = set()
    at = node.child("folders") or node
    for index, folder in enumerate(mailbox.folders):
        name = canonical_folder(folder)
        if name in seen:
            findings.add(Id.DUPLICATE_FOLDER, (at.child(index) or at).place, "this folder is listed twice; remove one")
        seen.add(name)


def _check_start(mailbox: MailboxSection, node: Node, findings: Findings, present: datetime) -> None:
    at = node.child("start")
    if at is not None and isinstance(mailbox.start, datetime) and mailbox.start > present:
        text = f"{shown(at)} is still to come, and mail is not held back until then; write now, or a date in the past"
        findings.add(Id.BAD_START, at.place, text)


def _check_poll(mailbox: MailboxSection, node: Node, findings: Findings, budget: int) -> None:
    at = node.child("poll") or node
    if findings.touched((*node.path, "poll")):
        return
    if mailbox.poll < FASTEST_POLL:
        findings.add(Id.POLL_TOO_FAST, at.place, f"{format_duration(mailbox.poll)} is too fast; write 1s or more")
        return
    requests = round(len(mailbox.folders) * WINDOW / mailbox.poll)
    if requests > budget:
        enough = format_duration(math.ceil(2 * len(mailbox.folders) * WINDOW / budget))
        text = (
            f"{len(mailbox.folders)} folders every {format_duration(mailbox.poll)} are {requests:,} requests in "
            f"10 minutes, and {_whose(budget)} {budget:,} for one mailbox; write {enough} or more"
        )
        findings.add(Id.POLL_OVER_BUDGET, at.place, text)


def _whose(budget: int) -> str:
    return "Graph allows" if budget == LimitsSection().requests else "`limits.requests` allows"


def _check_freshness(mailbox: MailboxSection, node: Node, findings: Findings) -> None:
    at = node.child("freshness") or node
    if mailbox.freshness is None or findings.touched((*node.path, "freshness")) or mailbox.freshness > mailbox.poll:
        return
    text = (
        f"{format_duration(mailbox.freshness)} cannot be kept by looking every {format_duration(mailbox.poll)}; "
        f"write more than that, such as {format_duration(5 * mailbox.poll)}"
    )
    findings.add(Id.FRESHNESS_TOO_SHORT, at.place, text)


def _check_references(shaped: Shaped[File], names: Names, shop: Workshop) -> dict[str, ConfiguredHandler]:
    undeclared: dict[str, ConfiguredHandler] = {}
    used: set[str] = set()
    for name, place in _references(shaped, shop.findings):
        if name in names.declared:
            used.add(name)
        elif name in undeclared:
            continue
        elif name in shop.names:
            handler = make_undeclared(name, place, shop)
            undeclared |= {name: handler} if handler is not None else {}
        else:
            used.add(closest(name, names.declared) or name)
            guess = suggestion(name, {*names.declared, *shop.names})
            shop.findings.add(
                Id.UNKNOWN_HANDLER, place, f"there is no handler {name}{guess}; declare it under `handlers`"
            )
    _report_unused(shaped, names, set(names.declared) - used, shop.findings)
    return undeclared


def _references(shaped: Shaped[File], findings: Findings) -> Iterator[tuple[str, Place]]:
    for number, mailbox in enumerate(shaped.model.mailboxes):
        for rule, node in placed_rules(mailbox, shaped.node("mailboxes", number)):
            at, seen = node.child("handle") or node, set[str]()
            for index, name in enumerate(rule.handle):
                place = (at.child(index) or at).place
                if name in seen:
                    findings.add(Id.HANDLER_TWICE, place, f"{name} is named twice here and runs once; remove one")
                seen.add(name)
                yield name, place


def _report_unused(shaped: Shaped[File], names: Names, unused: set[str], findings: Findings) -> None:
    """Report handlers that no rule names, but for those that a broken part of the mailboxes names."""
    maybe = names.words if findings.touched(("mailboxes",)) else frozenset()
    for name in unused - maybe:
        at = shaped.node("handlers", name)
        if at.path == ("handlers", name) and not findings.touched(at.path):
            text = "no rule names this handler; remove it, or name it in `handle`"
            findings.add(Id.UNUSED_HANDLER, at.key_place, text)
