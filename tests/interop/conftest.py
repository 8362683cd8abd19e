"""Graph clients that others wrote, each a program of its own in an environment of its own, and a tenant for each."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
from email.message import EmailMessage
from pathlib import Path

import pytest
import pytest_asyncio

from postroom.simulator.server import SimulatedTenant
from support.exchanges import keep

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent.parent / ".venv-interop" / "bin"
PATIENCE = 40.0
COLLEAGUE = "colleague@contoso.example"
CLIENTS = {
    "msgraph-sdk": (ENVIRONMENT / "python", HERE / "clients" / "kiota_client.py"),
    "O365": (ENVIRONMENT / "python", HERE / "clients" / "o365_client.py"),
    "microsoft-graph-client": (shutil.which("node"), HERE / "clients" / "javascript_client.mjs"),
}
_numbers = itertools.count(1)


def missing(name):
    """Why a client cannot run here; empty when it can."""
    runs, _ = CLIENTS[name]
    if runs is None:
        return "There is no node on this machine."
    installed = HERE / "node_modules" if runs == shutil.which("node") else runs
    return "" if installed.exists() else "The clients are not installed: make interop"


def answered(exchange):
    """Return an exchange for a judge of answers: what a client of others asks is its own affair, and Graph takes it.

    O365 writes body types in capitals, and msgraph-core puts a property of its own into the parts of a batch.
    """
    rest = {name: value for name, value in exchange.items() if name != "req_body"}
    if not exchange["url"].endswith("/$batch"):
        return rest
    parts = json.loads(exchange["req_body"])["requests"]
    return rest | {"req_body": {"requests": [{n: v for n, v in part.items() if n != "depends_on"} for part in parts]}}


class Refused(Exception):
    """Graph refused, and the client said so."""

    def __init__(self, status, code):
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


class Program:
    """A running client program; one line each way at a time."""

    def __init__(self, process, errors):
        self.process, self.errors = process, errors

    async def ask(self, verb, **arguments):
        """Have a verb done; raises Refused when Graph refused it."""
        self.process.stdin.write(json.dumps({"do": verb, **arguments}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        assert line, f"The client ended in {verb}:\n{self.errors.read_text()[-2000:]}"
        answer = json.loads(line)
        if "status" in answer:
            raise Refused(answer["status"], answer["code"])
        return answer["answer"]


@contextlib.asynccontextmanager
async def running(name, ca_file, place):
    """Run a client program until the block ends."""
    errors = place / "stderr"
    trusted = dict.fromkeys(["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"], str(ca_file))
    others = {name: value for name, value in os.environ.items() if not name.lower().endswith(("_proxy", "_ca_bundle"))}
    with errors.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *map(str, CLIENTS[name]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            env=others | trusted,
            limit=16 * 1024 * 1024,
        )
    try:
        yield Program(process, errors)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


class Desk:
    """A mailbox of its own for one test, and the client that works in it."""

    def __init__(self, tenant, program, name, address):
        self.tenant, self.program, self.name, self.address = tenant, program, name, address
        self.colleague = tenant.state.mailbox(COLLEAGUE)
        self.mailbox = tenant.state.mailbox(address)

    async def ask(self, verb, **arguments):
        """Have the client do something."""
        return await self.program.ask(verb, **arguments)

    def deliver(self, subject, **attachments):
        """Put a mail into the inbox; each keyword is a text file: ``bill_txt="..."`` becomes ``bill.txt``."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "Anna <anna@supplier.example>", self.address, subject
        mail["Message-ID"] = f"<{next(_numbers)}@supplier.example>"
        mail.set_content(f"Good day, this is {subject}.")
        for name, content in attachments.items():
            mail.add_attachment(content, filename=name.replace("_", "."))
        return self.tenant.deliver(self.address, mail.as_bytes())

    def id_of(self, message):
        """Return the immutable id of a mail, which all clients here ask for."""
        return self.mailbox.immutable_id(message)

    def messages(self, folder):
        """Return the mails in a folder, by what the tenant knows."""
        return self.mailbox.by_time(self.mailbox.folder(folder))

    def subjects(self, folder):
        """Return their subjects."""
        return sorted(self.envelope(each).subject for each in self.messages(folder))

    def sender(self, message):
        """Return the address that a mail is from."""
        return self.envelope(message).sender.address

    def envelope(self, message):
        """Return what the tenant knows of a mail."""
        return self.mailbox.contents.envelope(message)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CLIENTS)
async def client(request, tmp_path_factory):
    """A tenant and a client signed in to it: name, tenant, program."""
    name = request.param
    if why := missing(name):
        pytest.skip(why)
    place = tmp_path_factory.mktemp("client")
    exchanges = []
    async with (
        SimulatedTenant(place, mailboxes=[COLLEAGUE], record=exchanges.append) as tenant,
        running(name, tenant.ca_file, place) as program,
    ):
        yield name, tenant, program
    keep([answered(each) for each in exchanges], f"{name}-{os.getpid()}-{next(_numbers)}")


@pytest_asyncio.fixture(loop_scope="module")
async def desk(client):
    """The client in an empty mailbox."""
    name, tenant, program = client
    address = f"clerk{next(_numbers)}@contoso.example"
    tenant.state.add_mailbox(address)
    await program.ask("connect", facts=tenant.describe(), mailbox=address)
    return Desk(tenant, program, name, address)


@pytest.fixture
def refusal():
    """What `Desk.ask` raises when Graph refuses."""
    return Refused
