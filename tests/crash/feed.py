"""A simulated tenant with three watched mailboxes, the mail that comes to it, and what is sent from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from email import message_from_bytes
from itertools import islice
from pathlib import Path
from random import Random

from crash.truth import Key, Sent
from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault
from postroom.simulator.profiles import DELTA
from postroom.simulator.server import SimulatedTenant

ORDERS, INVOICES, SUPPORT = "orders@contoso.example", "invoices@contoso.example", "support@contoso.example"
ARCHIVE = "archive@contoso.example"
"""Nobody watches it: mail is sent there."""

VANISHING = 50

OUTAGE_MAILS = 8
"""More than the five that open a breaker."""

FILED_MAILS = 3
"""That are moved, and the power fails."""

SMALL_PRINT = {"replay": 0.03, "duplicate": 0.05, "empty_page": 0.05, "partial": 0.1, "noise": 0.05}
"""What change tracking does by the way in a tenant that is not calm."""

CONFIG = """\
version: 1
tenant:
  cloud: {{login: "{tenant.login}", graph: "{tenant.graph}", ca_file: "{tenant.ca_file}"}}
  tenant_id: {tenant.tenant_id}
  client_id: {tenant.client_id}
  credential: {{client_secret: "{tenant.client_secret}"}}
journal: sqlite:///journal.db
limits: {{drain: 5s}}
log: {{format: json}}
reconcile: {{every: 7d}}
retention: {{snapshots: 40s, ids: {ids}}}
sending: {{per_conversation: 100000/d, per_mailbox: 100000/d, patience: 1s}}
handlers:
  ledger: {{use: "{handlers}:Ledger", with: {{file: ledger}}, retry: {{attempts: 100}}}}
  flaky:
    use: "{handlers}:Flaky"
    with: {{file: ledger}}
    retry: {{attempts: 100, first: 200ms, longest: 1s}}
    breaker: {{probe: 1s}}
  late: {{use: "{handlers}:Late", with: {{file: ledger}}, retry: {{attempts: 100}}}}
  careful: {{use: "{handlers}:Careful", with: {{file: ledger}}, retry: {{attempts: 100}}}}
mailboxes:
  - {{address: {orders}, folders: [Inbox, Inbox/Urgent], poll: 1s, start: all, rules: [{{handle: [ledger]}}]}}
  - address: {invoices}
    poll: 1s
    start: all
    rules:
      - {{when: {{subject: "filed*"}}, handle: [ledger], then: {{move_to: Processed, mark_read: true}}}}
      - {{when: {{subject: "filed*"}}, handle: [late], stop: true}}
      - {{handle: [ledger, flaky], then: {{move_to: Processed, mark_read: true}}}}
  - address: {support}
    poll: 1s
    start: all
    rules:
      - when: {{subject: "*careful*"}}
        handle: [careful]
        then: {{send: {{to: {archive}, subject: "{{subject}}", text: "It was handled."}}}}
      - handle: [ledger]
"""


class Feed:
    """A tenant and what was sent to it.

    Args:
        calm: Without the small print of change tracking.

    Attributes:
        sent: Every mail that came.
        gone: Messages that their owner deleted when they had been handled.
    """

    def __init__(self, directory: Path, seed: int, *, calm: bool) -> None:
        self.sent: list[Sent] = []
        self.gone: set[str] = set()
        self.tenant = SimulatedTenant(
            directory / "tenant", mailboxes=[ORDERS, INVOICES, SUPPORT, ARCHIVE], smtp=None, seed=seed, profile="calm"
        )
        self._directory = directory
        self._chance = Random(seed)
        self._calm = calm
        self._urgent = ""

    def prepare(self) -> Path:
        """Make folders and weather, write the configuration and return its path; the tenant runs by now."""
        orders = self.tenant.state.mailbox(ORDERS)
        self._urgent = orders.create_folder("Urgent", orders.folder("inbox")).id
        if not self._calm:
            self.tenant.weather.disturb(SMALL_PRINT)
        self._write("forgetful.yaml", ids="40s")
        return self._write("postroom.yaml", ids="1h")

    def _write(self, name: str, *, ids: str) -> Path:
        config = self._directory / name
        handlers = Path(__file__).with_name("handlers.py")
        addresses = {"orders": ORDERS, "invoices": INVOICES, "support": SUPPORT, "archive": ARCHIVE}
        config.write_text(CONFIG.format(tenant=self.tenant, handlers=handlers, ids=ids, **addresses))
        config.chmod(0o600)
        return config

    def deliver(self, life: int, count: int) -> None:
        """Let so many mails come."""
        for _ in range(count):
            self._deliver(life)

    def deliver_for_flaky(self, life: int) -> None:
        """Let as many mails come for the handler that can fail as make an outage of it."""
        for _ in range(OUTAGE_MAILS):
            self._deliver(life, 0.3)

    def deliver_for_late(self, life: int) -> set[str]:
        """Let mails come that one rule moves while another's handler is not done; returns their ids."""
        for _ in range(FILED_MAILS):
            self._deliver(life, 0.0)
        return {mail.message for mail in self.sent[-FILED_MAILS:]}

    def _deliver(self, life: int, draw: float | None = None) -> None:
        number, draw = len(self.sent), self._chance.random() if draw is None else draw
        subject, folder, handlers, address = f"mail {number}", "inbox", ("ledger",), ORDERS
        if draw < 0.025:
            address, handlers, subject = INVOICES, ("ledger", "late"), f"filed mail {number}"
        elif draw < 0.25:
            folder = self._urgent
        elif draw < 0.31:
            address, handlers = INVOICES, ("ledger", "flaky")
        elif draw < 0.335:
            address, handlers, subject = SUPPORT, ("careful", "ledger"), f"careful with mail {number}"
        elif draw < 0.45:
            address = SUPPORT
        stored = self.tenant.state.deliver_mime(address, _mime(address, subject, number), folder=folder)
        message = self.tenant.state.mailbox(address).immutable_id(stored)
        keys = tuple(f"{address}/{message}/{handler}" for handler in handlers)
        then = "moved" if address == INVOICES else subject if "careful" in subject else ""
        self.sent.append(Sent(life, message, keys, then))

    def reset(self) -> None:
        """Let the delta link of a folder die."""
        self.tenant.state.mailbox(SUPPORT).reset_delta("inbox")

    def refuse(self) -> None:
        """Let one round fail."""
        self.tenant.faults.add(Fault(GraphAnswer(400, "ErrorInvalidRequest"), path=DELTA, name="refused"))

    def park(self) -> None:
        """Let all rounds of a mailbox be refused until `mend`; mail actions would wait too long afterwards."""
        refusal = GraphAnswer(404, "ErrorInvalidUser")
        self.tenant.faults.add(
            Fault(refusal, path=f"/v1.0/users*{SUPPORT}*/mailFolders*", count=None, name="unknown mailbox")
        )

    def mend(self) -> None:
        """End what was wrong."""
        self.tenant.faults.clear()

    def vanish(self, handled: Collection[Key], before: int) -> None:
        """Delete the oldest mails of those that came in lives before this one and have been handled."""
        orders = self.tenant.state.mailbox(ORDERS)
        stored = {orders.immutable_id(each): each for each in orders.messages.values()}
        old = (mail for mail in self.sent if mail.life < before and handled.issuperset(mail.keys))
        for mail in list(islice((mail for mail in old if mail.message in stored), VANISHING)):
            orders.purge(stored[mail.message])
            self.gone.add(mail.message)

    def concluded(self) -> Counter[str]:
        """Return how often `then` was carried out: messages that lie in Processed and are read, subjects sent."""
        invoices, archive = self.tenant.state.mailbox(INVOICES), self.tenant.state.mailbox(ARCHIVE)
        moved = [
            invoices.immutable_id(each)
            for each in invoices.messages.values()
            if each.folder.display_name == "Processed" and each.is_read
        ]
        raws = (archive.contents.raw(each) for each in archive.folder("inbox").messages)
        return Counter([*moved, *(message_from_bytes(raw)["Subject"] for raw in raws)])


def _mime(address: str, subject: str, number: int) -> bytes:
    return (
        f"From: anna@supplier.example\r\nTo: {address}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@supplier.example>\r\n\r\nGood day.\r\n"
    ).encode()
