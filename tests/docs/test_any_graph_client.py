"""What the guide for other people's clients shows works as it stands there, in every language that is at hand."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys

import pytest

from postroom.simulator.server import SimulatedTenant

ADDRESS = "invoices@contoso.example"


@pytest.fixture(scope="module")
def blocks(root):
    text = (root / "docs" / "how-to" / "test-any-graph-client.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
async def tenant(tmp_path):
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=[ADDRESS], control="127.0.0.1:0", smtp=None) as running:
        running.deliver(ADDRESS, b"Subject: Already there\r\n\r\nHello\r\n")
        (tmp_path / "tenant.json").write_text(json.dumps(running.describe()))
        yield running


@pytest.fixture
def run(tmp_path, tenant):
    async def go(*command, text):
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(tenant.ca_file), "NO_PROXY": "*"}
        environment.pop("REQUESTS_CA_BUNDLE", None)
        process = await asyncio.create_subprocess_exec(
            *command,
            text,
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return out.decode()

    return go


def block(blocks, language, word):
    (found,) = (text for name, text in blocks if name == language and word in text)
    return found


async def test_curl_reads_a_delta_page(run, blocks):
    said = await run("bash", "-euc", text=block(blocks, "bash", "token=$("))
    assert "Already there" in said
    assert "deltaLink" in said


async def test_python_reads_the_inbox(run, blocks):
    assert "Already there" in await run(sys.executable, "-c", text=block(blocks, "python", "import msal"))


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
async def test_node_reads_the_inbox(run, blocks):
    assert "Already there" in await run("node", "-e", text=block(blocks, "javascript", "fetch"))


async def test_the_control_endpoint_is_driven_from_a_shell(run, blocks, tenant):
    functions = block(blocks, "bash", "token=$(").splitlines()[0]
    said = await run("bash", "-euc", text=functions + "\n" + block(blocks, "bash", "control()"))
    assert '"error"' not in said
    assert tenant.weather.profile.name == "bad-tuesday"
    assert tenant.clock.ahead == pytest.approx(3600, abs=5)
    assert len(tenant.state.mailbox(ADDRESS).messages) == 2
