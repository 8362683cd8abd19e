"""One budget for a mailbox, whoever asks: polls, folder look-ups, handlers' streams, mail actions and comparisons."""

from __future__ import annotations

import asyncio

import pytest

from postroom.simulator.faults import Fault
from support.daemon import MAILBOX, load_config, mail, run_daemon, write_config

CONFIG = f"""
handlers:
  save: {{use: save_attachments, with: {{directory: saved}}, concurrency: 20}}
  keep: {{use: save_message, with: {{directory: kept}}, concurrency: 20}}
mailboxes:
  - address: {MAILBOX}
    folders: [Inbox, Inbox/Bills, Archive, SentItems]
    poll: 1s
    start: all
    rules:
      - name: all
        when: {{size: "<20MB"}}
        handle: [save, keep]
        then: {{mark_read: true, move_to: Done/Here}}
"""


class Crowd:
    """Counts the requests that are served together."""

    def __init__(self):
        self.now, self.most, self.paths = 0, 0, set()

    async def apply(self, request, handler):
        self.now += 1
        self.most = max(self.most, self.now)
        self.paths.add(request.path.rsplit("/", 1)[-1].partition("(")[0])
        try:
            await asyncio.sleep(0.005)
            return await handler(request)
        finally:
            self.now -= 1


@pytest.mark.parametrize("in_flight", [1, 2, 4])
async def test_no_way_to_graph_goes_around_the_budget(in_flight, tenant, tmp_path):
    mailbox = tenant.state.mailbox(MAILBOX)
    mailbox.create_folder("Bills", mailbox.folder("inbox"))
    crowd = Crowd()
    for number in range(20):
        tenant.state.deliver_mime(MAILBOX, mail(f"bill {number}", bill_pdf=b"%PDF-" + bytes(30_000)))
    tenant.faults.add(Fault(crowd, path="/v1.0/*", count=None))
    path = write_config(tmp_path / "postroom.yaml", tenant, CONFIG)
    path.write_text(path.read_text().replace("limits: {", f"limits: {{in_flight: {in_flight}, "))
    async with run_daemon(load_config(path)) as running:
        running.app.reconciler.every = 0.0
        await running.until_counts(deliveries_done=40, actions_done=20)
        assert crowd.most == in_flight
        assert {"delta", "$value", "attachments", "move", "childFolders", "messages"} <= crowd.paths
        assert b'postroom_graph_retries_total{status="429"}' not in running.app.report.metrics.render()
