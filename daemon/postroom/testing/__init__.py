"""The test kit for handler authors: no tenant, no daemon, no mocks.

::

    async def test_it_saves_invoices(tmp_path):
        invoice = make_attachment("invoice.pdf", b"%PDF-")
        outcome = await run_handler(SaveInvoices, {"directory": tmp_path}, attachments=[invoice])
        assert outcome == Done(note="1 saved")

Names in `__all__` keep their meaning within a major version. Nothing here imports a test framework;
`postroom.testing.pytest_plugin` does, and lends a simulated tenant as a fixture.
"""

from postroom.testing.clock import ManualClock
from postroom.testing.context import FakeContext
from postroom.testing.contract import HandlerContract
from postroom.testing.crashes import repeat_at_every_crash
from postroom.testing.loading import load_handler
from postroom.testing.mail import make_attachment, make_message, make_mime
from postroom.testing.running import run_handler

__all__ = [
    "FakeContext",
    "HandlerContract",
    "ManualClock",
    "load_handler",
    "make_attachment",
    "make_message",
    "make_mime",
    "repeat_at_every_crash",
    "run_handler",
]
