"""A simulated tenant with three mailboxes, and the mail that comes to it."""

from __future__ import annotations

from pathlib import Path
from random import Random

from crash.truth import Sent
from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault
from postroom.simulator.profiles import DELTA
from postroom.simulator.server import SimulatedTenant

ORDERS, INVOICES, SUPPORT = "orders@contoso.example", "invoices@contoso.example", "support@contoso.example"

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
handlers:
  ledger: {{use: "{handlers}:Ledger", with: {{file: ledger}}, retry: {{attempts: 100}}}}
  flaky: {{use: "{handlers}:Flaky", with: {{file: ledger}}, retry: {{attempts: 100}}}}
  careful: {{use: "{handlers}:Careful", with: {{file: ledger}}, retry: {{attempts: 100}}}}
mailboxes:
  - {{address: {orders}, folders: [Inbox, Inbox/Urgent], poll: 1s, start: all, rules: [{{handle: [ledger]}}]}}
  - address: {invoices}
    poll: 1s
    start: all
    rules: [{{handle: [ledger, flaky], then: {{move_to: Processed, mark_read: true}}}}]
  - address: {support}
    poll: 1s
    start: all
    rules: [{{when: {{subject: "*careful*"}}, handle: [careful]}}, {{handle: [ledger]}}]
"""


class Feed:
    """A tenant and what was sent to it.

    Args:
        calm: Without the small print of change tracking.

    Attributes:
        sent: Every mail that came.
    """

    def __init__(self, directory: Path, seed: int, *, calm: bool) -> None:
        self.sent: list[Sent] = []
        self.tenant = SimulatedTenant(
            directory / "tenant", mailboxes=[ORDERS, INVOICES, SUPPORT], smtp=None, seed=seed, profile="calm"
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
        config = self._directory / "postroom.yaml"
        handlers = Path(__file__).with_name("handlers.py")
        text = CONFIG.format(tenant=self.tenant, handlers=handlers, orders=ORDERS, invoices=INVOICES, support=SUPPORT)
        config.write_text(text)
        config.chmod(0o600)
        return config

    def deliver(self, life: int, count: int) -> None:
        """Let so many mails come."""
        for _ in range(count):
            self._deliver(life)

    def _deliver(self, life: int) -> None:
        number, draw = len(self.sent), self._chance.random()
        subject, folder, handlers, address = f"mail {number}", "inbox", ("ledger",), ORDERS
        if draw < 0.25:
            folder = self._urgent
        elif draw < 0.35:
            address, handlers = INVOICES, ("ledger", "flaky")
        elif draw < 0.4:
            address, handlers, subject = SUPPORT, ("careful", "ledger"), f"careful with mail {number}"
        elif draw < 0.5:
            address = SUPPORT
        stored = self.tenant.state.deliver_mime(address, _mime(address, subject, number), folder=folder)
        message = self.tenant.state.mailbox(address).immutable_id(stored)
        keys = tuple(f"{address}/{message}/{handler}" for handler in handlers)
        self.sent.append(Sent(life, message, keys, then=address == INVOICES))

    def reset(self) -> None:
        """Let the delta link of a folder die."""
        self.tenant.state.mailbox(SUPPORT).reset_delta("inbox")

    def refuse(self) -> None:
        """Let one round fail."""
        self.tenant.faults.add(Fault(GraphAnswer(400, "ErrorInvalidRequest"), path=DELTA, name="refused"))

    def processed(self) -> set[str]:
        """Return the messages that lie in Processed and are read."""
        mailbox = self.tenant.state.mailbox(INVOICES)
        return {
            mailbox.immutable_id(each)
            for each in mailbox.messages.values()
            if each.folder.display_name == "Processed" and each.is_read
        }


def _mime(address: str, subject: str, number: int) -> bytes:
    return (
        f"From: anna@supplier.example\r\nTo: {address}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@supplier.example>\r\n\r\nGood day.\r\n"
    ).encode()
