"""Whatever a published contract of Graph allows to be asked, and much that it does not, gets a well-formed answer."""

import asyncio
import json
import os
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import pytest

from postroom.simulator.server import SimulatedTenant
from postroom.simulator.state import Limits

CONTRACT = os.environ.get("POSTROOM_CONTRACT", "")
SCHEMATHESIS = Path(__file__).parent.parent.parent / ".venv-interop" / "bin" / "schemathesis"
ADDRESS = "ann@contoso.example"
SECONDS = 75
SEED = 20260301
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
DESTROYING = ("/permanentDelete", "/move", "/send")
SENSIBLE = {
    "$select": [
        ["id"],
        ["subject", "from", "receivedDateTime"],
        ["displayName"],
        ["internetMessageHeaders", "uniqueBody"],
    ],
    "$orderby": [["receivedDateTime desc"], ["subject"], ["displayName"]],
    "$expand": [["attachments"], ["childFolders"], ["singleValueExtendedProperties($filter=id eq 'String 0x1000')"]],
    "$filter": [
        "isRead eq false",
        "receivedDateTime ge 2026-01-01T00:00:00Z",
        "contains(subject,'mail')",
        "displayName eq 'A 1'",
    ],
    "$search": ['"mail"', '"subject:mail"', '"from:anna"'],
    "changeType": ["created", "updated", "deleted"],
    "includeHiddenFolders": ["true"],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CONTRACT, reason="POSTROOM_CONTRACT names no contract of Graph to ask by."),
    pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="Schemathesis is not installed: make interop"),
]


def mail(number, files):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Anna <anna@supplier.example>", ADDRESS, f"mail {number}"
    message["Message-ID"] = f"<{number}@supplier.example>"
    message.set_content(f"Good day, this is mail {number}.")
    for file in range(files):
        message.add_attachment(f"file {file}", filename=f"{file}.txt")
    return message.as_bytes()


def fill(tenant):
    """Put folders and mails into the mailbox; returns the ids of those that stay and those that may be destroyed."""
    mailbox = tenant.state.mailbox(ADDRESS)
    inbox = mailbox.folder("inbox")
    below, lost_below = ([mailbox.create_folder(f"{name} {n}", inbox).id for n in range(20)] for name in "AB")
    lost_folders = [mailbox.create_folder(f"C {number}").id for number in range(40)]
    received = mailbox.immutable_id(tenant.deliver(ADDRESS, mail(0, 30)))
    lost_messages = [mailbox.immutable_id(tenant.deliver(ADDRESS, mail(number, 0))) for number in range(1, 300)]
    return {
        "stays": {"mailFolder-id": ["inbox"], "mailFolder-id1": below[:1], "message-id": [received]},
        "lost": {"mailFolder-id": lost_folders, "mailFolder-id1": lost_below, "message-id": lost_messages},
    }


def aimed(text, known):
    """Read a contract and return one whose operations ask for what is there, so that they get past the first look-up.

    Queries may besides be what makes sense. Nothing that is said about answers changes.
    """
    contract = json.loads(text)
    for path, item in contract["paths"].items():
        innermost = path.rpartition("{")[2].partition("}")[0]
        for method, operation in item.items():
            ids = {"user-id": [ADDRESS], **known["stays"]}
            if (method == "delete" or path.endswith(DESTROYING)) and innermost in known["lost"]:
                ids[innermost] = known["lost"][innermost]
            for parameter in operation.get("parameters", []):
                aim(parameter, ids.get(parameter["name"]))
            if path.endswith(("/move", "/copy")):
                body = operation["requestBody"]["content"]["application/json"]["schema"]
                body["patternProperties"] = {
                    "^destinationId$": {"enum": ["archive", "inbox", *known["stays"]["mailFolder-id1"]]}
                }
    return json.dumps(contract)


def aim(parameter, ids):
    """Narrow one parameter: to ids, or to what makes sense in a query or else anything."""
    if ids:
        parameter["schema"] = {"type": "string", "enum": ids}
    elif parameter["name"] in SENSIBLE:
        parameter["schema"] = {"anyOf": [{"enum": SENSIBLE[parameter["name"]]}, parameter["schema"]]}


async def token(tenant):
    """Sign in."""
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "scope": f"{tenant.graph}/.default",
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{tenant.login}/{tenant.tenant_id}/oauth2/v2.0/token", data=form) as response,
    ):
        return (await response.json())["access_token"]


async def attachments(tenant, bearer, message):
    """Ask for the ids of a mail's attachments."""
    url = f"{tenant.graph}/v1.0/users/{ADDRESS}/messages/{message}/attachments?$select=id"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Authorization": f"Bearer {bearer}"}) as response,
    ):
        return [each["id"] for each in (await response.json())["value"]]


@pytest.fixture
def published():
    return Path(CONTRACT).read_text(encoding="utf-8")


@pytest.mark.timeout(SECONDS + 120)
async def test_no_request_a_contract_allows_or_forbids_gets_a_failure_or_a_malformed_answer(tmp_path, published):
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=[ADDRESS], tls=False) as tenant:
        tenant.state.limits = Limits(in_flight=100, requests=10**9, upload=10**12, app_requests=10**9)
        bearer = await token(tenant)
        known = fill(tenant)
        known["stays"]["attachment-id"] = await attachments(tenant, bearer, known["stays"]["message-id"][0])
        contract = tmp_path / "contract.json"
        contract.write_text(aimed(published, known))
        process = await asyncio.create_subprocess_exec(
            SCHEMATHESIS,
            *("run", contract, "--url", f"{tenant.graph}/v1.0"),
            *("--header", f"Authorization: Bearer {bearer}", "--checks", ",".join(CHECKS)),
            *("--phases", "coverage,fuzzing", "--max-time", str(SECONDS), "--seed", str(SEED), "--workers", "1"),
            *("--no-shrink", "--continue-on-failure", "--generation-database", "none", "--warnings", "off"),
            *("--request-timeout", "20", "--suppress-health-check", "all", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), SECONDS + 100)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0, said.decode()[-12000:]
