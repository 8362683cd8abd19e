"""The desk the demo's mails are written at: dates, ids and boundaries that come out the same every time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

OWN_DOMAIN = "contoso.example"
SUPPLIERS = (
    ("Nordwind Werkzeuge", "billing@nordwind.example"),
    ("Fabrikam Ltd", "accounts@fabrikam.example"),
    ("Café Lumière", "factures@lumiere.example"),
    ("Tailspin Toys", "ar@tailspin.example"),
    ("Proseware", "invoices@supplier.example"),
)
PEOPLE = (
    ("Ada Okafor", "ada@adatum.example"),
    ("Jürgen Groß", "juergen.gross@litware.example"),
    ("Marta Nowak", "marta@wingtip.example"),
    ("Priya Raman", "priya.raman@northwind.example"),
    ("Tom O'Neil", "tom@woodgrove.example"),
)


@dataclass(frozen=True, slots=True)
class DemoMail:
    """A mail for the demo.

    Attributes:
        mailbox: The part before the @ of the mailbox it goes to.
        raw: The mail, RFC 5322 with CRLF unless it is broken on purpose.
        age: How long before `now` it arrived.
        expected: What kind it is, such as ``invoice``: a tag to count by.
    """

    mailbox: str
    raw: bytes
    age: timedelta
    expected: str


class Desk:
    """Writes mails; owns the randomness and the clock of one kind.

    Args:
        chance: Seeded generator.
        now: Aware; ages count back from here.
    """

    def __init__(self, chance: random.Random, now: datetime) -> None:
        self.chance = chance
        self.now = now
        self.age = timedelta()

    def letter(self, mailbox: str, sender: tuple[str, str], subject: str, text: str = "") -> EmailMessage:
        """Begin a mail to one of our mailboxes, received at a new point of the last week; `text` is its body."""
        name, address = sender
        message = EmailMessage(policy=policy.SMTP)
        message["From"] = f'"{name}" <{address}>'
        message["To"] = f"{mailbox}@{OWN_DOMAIN}"
        message["Subject"] = subject
        message["Date"] = format_datetime(self.next_date())
        message["Message-ID"] = f"<{self.word()}@{address.partition('@')[2]}>"
        if text:
            message.set_content(text)
        return message

    def next_date(self) -> datetime:
        """Draw the point in the last week at which the next mail arrives."""
        self.age = timedelta(seconds=self.chance.randrange(60, 7 * 86_400))
        return self.now - self.age

    def word(self) -> str:
        """Return sixteen hexadecimal digits, new each time."""
        return f"{self.chance.getrandbits(64):016x}"

    def mixed(self, message: EmailMessage) -> EmailMessage:
        """Make a mail multipart/mixed, with a boundary that is the same in each run."""
        message.make_mixed(boundary=f"=_{self.word()}")
        return message

    def attach(self, message: EmailMessage, data: bytes, content_type: str, name: str) -> EmailMessage:
        """Attach a file; the mail becomes multipart/mixed at the first."""
        if message.get_content_type() != "multipart/mixed":
            self.mixed(message)
        main, _, sub = content_type.partition("/")
        message.add_attachment(data, maintype=main, subtype=sub, filename=name)
        return message

    def post(self, mailbox: str, message: EmailMessage | bytes, expected: str) -> DemoMail:
        """Put the mail begun last into the post."""
        raw = message if isinstance(message, bytes) else message.as_bytes(policy=policy.SMTP)
        return DemoMail(mailbox, raw, self.age, expected)
