"""What a handler posts to is down for a while: nothing is lost, an operator sees why, and it goes on by itself."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

from aiohttp import web

from postroom.journal import JournalViews
from support.daemon import MAILBOX, load_config, mail, run_daemon, write_config

MAILS = 40


@asynccontextmanager
async def receiver(port=0):
    """An HTTP server that takes everything, and the subjects it took."""
    took = []

    async def take(request):
        took.append((await request.json())["data"]["subject"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield runner.addresses[0][1], took
    await runner.cleanup()


async def test_a_webhook_that_is_down_holds_its_mail_and_all_of_it_follows(tmp_path, tenant):
    async with receiver() as (port, _):
        pass  # a port where nobody listens any more
    text = f"""
handlers:
  erp:
    use: webhook
    with: {{url: "http://127.0.0.1:{port}/hook"}}
    retry: {{attempts: 3, first: 100ms, longest: 1s}}
    breaker: {{after: 3, probe: 200ms, longest: 400ms}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [erp, log]}}]}}]
"""
    for number in range(MAILS):
        tenant.state.deliver_mime(MAILBOX, mail(f"mail {number}"))
    config = load_config(write_config(tmp_path / "postroom.yaml", tenant, text))
    async with run_daemon(config) as daemon:
        health, metrics = daemon.app.report.health, daemon.app.report.metrics

        async def handled_but_for_the_webhook():
            return (await daemon.counts())["deliveries.done"] == MAILS and "handler erp" in health.troubles

        await daemon.until(handled_but_for_the_webhook, "a hold")
        assert "could not be reached" in health.troubles["handler erp"].what
        assert b'postroom_breaker_open{handler="erp"} 1.0' in metrics.render()

        async def shown():
            rows = await JournalViews(daemon.app.journal).deliveries(handler="erp", limit=100)
            return len(rows) == MAILS and all(
                "could not be reached" in row.held for row in rows if row.state == "ready"
            )

        await daemon.until(shown, "the reason in the list")
        async with receiver(port) as (_, took):
            await daemon.until_counts(deliveries_done=2 * MAILS)
        assert sorted(took) == sorted(f"mail {number}" for number in range(MAILS))
        assert "handler erp" not in health.troubles
        assert b'postroom_breaker_open{handler="erp"} 0.0' in metrics.render()
        assert (await daemon.counts())["deliveries.dead"] == 0
    lines = [json.loads(line) for line in daemon.log.getvalue().splitlines()]
    said = [line["event"] for line in lines if line.get("subject") == "handler erp"]
    assert said == ["problem", "recovered"]
