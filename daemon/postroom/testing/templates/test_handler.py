"""Tests of the handler beside this file: run `pytest`; pytest and pytest-asyncio are all they need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from postroom.plugin import Address, Done, Skip
from postroom.testing import HandlerContract, load_handler, make_attachment, make_message, run_handler

Example = load_handler(Path(__file__).with_name("handler.py"), "Example")


@pytest.mark.asyncio
async def test_a_note_names_the_files(tmp_path: Path) -> None:
    """The mail's subject becomes a safe file name."""
    mail = make_message(subject="Invoice 4711/2026")
    files = [make_attachment("invoice.pdf", b"%PDF-")]
    outcome = await run_handler(Example, {"directory": tmp_path}, message=mail, attachments=files)
    assert outcome == Done(note="Invoice 4711_2026.txt")
    assert "- invoice.pdf (5 bytes)" in (tmp_path / "Invoice 4711_2026.txt").read_text()


@pytest.mark.asyncio
async def test_mail_from_elsewhere_is_skipped(tmp_path: Path) -> None:
    """Nothing is written then."""
    mail = make_message(sender=Address("Mallory", "mallory@elsewhere.example"))
    notes = tmp_path / "notes"
    options = {"directory": notes, "sender_domain": "supplier.example"}
    assert await run_handler(Example, options, message=mail) == Skip("another sender")
    assert not notes.exists()


class TestContract(HandlerContract):
    """What must hold for every handler."""

    handler = Example

    def options(self, directory: Path) -> Mapping[str, Any]:
        """Write into the test's own directory."""
        return {"directory": directory}
