"""Reload, start and stop of the daemon where something fails half-way: nothing stands still, nothing is left open."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from postroom.errors import JournalError, PostroomError
from support.daemon import MAILBOX, load_config, mail, run_daemon
from support.pipeline import until

STUBBORN = '''
from postroom.plugin import Done, Handler, Options


class Stubborn(Handler[Options]):
    """Cannot be closed."""

    async def handle(self, message, context):
        return Done()

    async def close(self):
        raise OSError("the drawer is stuck")
'''


def rules(poll="1s", handler="log", in_flight=3):
    return (
        f"limits: {{drain: 1s, in_flight: {in_flight}}}\n"
        f"mailboxes: [{{address: {MAILBOX}, poll: {poll}, start: all, rules: [{{handle: [{handler}]}}]}}]\n"
    )


@pytest.fixture
def config(configure):
    def make(text, **more):
        path = configure(text, **more)
        path.write_text(path.read_text().replace("limits: {drain: 5s}\n", ""))
        return path

    return make


def events(running, name):
    lines = map(json.loads, running.log.getvalue().splitlines())
    return [line for line in lines if line["event"] == name]


async def test_a_journal_that_fails_in_the_middle_of_a_reload_leaves_the_old_folders_watched(config, tenant):
    path = config(rules())
    async with run_daemon(load_config(path)) as running:
        app, adopt = running.app, running.app.journal.adopt
        failures = iter([JournalError("disk full"), JournalError("disk full")])

        async def failing(*args):
            for failure in failures:
                raise failure
            return await adopt(*args)

        async def at_once(_):
            await asyncio.sleep(0)

        app.journal.adopt, app._clock.sleep = failing, at_once
        with pytest.raises(JournalError):
            await app.reload(lambda: load_config(path))
        del app._clock.sleep
        tenant.state.deliver_mime(MAILBOX, mail("after"))
        await running.until_counts(deliveries_done=1)
        assert [line["reason"] for line in events(running, "reload_failed")] == ["disk full"]


async def test_a_stop_in_the_middle_of_a_reload_does_not_wait_for_a_journal_that_fails(config):
    path = config(rules())
    async with run_daemon(load_config(path)) as running:
        app, failed = running.app, asyncio.Event()
        adopt = app.journal.adopt

        async def failing(*_):
            failed.set()
            raise JournalError("disk full")

        app.journal.adopt = failing
        reload = asyncio.create_task(app.reload(lambda: load_config(path)))
        await failed.wait()
        reload.cancel()  # as the stop signal does
        async with asyncio.timeout(10):
            await asyncio.wait({reload})
        app.journal.adopt = adopt


async def test_a_stop_while_rounds_end_for_a_reload_does_not_watch_again(config, tenant):
    path = config(rules())
    async with run_daemon(load_config(path)) as running:
        app, draining, adopted = running.app, asyncio.Event(), []

        async def hang(_):
            draining.set()
            await asyncio.Event().wait()

        async def failing(*_):
            adopted.append(1)
            raise JournalError("disk full")

        stop, app.rounds.stop, app.journal.adopt = app.rounds.stop, hang, failing
        reload = asyncio.create_task(app.reload(lambda: load_config(path)))
        await draining.wait()
        reload.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({reload})
        app.rounds.stop = stop
        assert not adopted


async def test_a_configuration_that_cannot_be_read_in_time_is_refused(config, monkeypatch):
    monkeypatch.setattr("postroom.reload.LOAD_LIMIT", 0.05)
    release = threading.Event()
    async with run_daemon(load_config(config(rules()))) as running:
        with pytest.raises(PostroomError, match="could not be read within"):
            await running.app.reload(release.wait)
        release.set()


async def test_a_defect_in_a_reload_is_told_and_the_old_configuration_stays(config, tenant):
    def defective():
        raise ZeroDivisionError("division by zero")

    async with run_daemon(load_config(config(rules()))) as running:
        with pytest.raises(ZeroDivisionError):
            await running.app.reload(defective)
        (failed,) = events(running, "reload_failed")
        assert "ZeroDivisionError: division by zero at " in failed["reason"]
        tenant.state.deliver_mime(MAILBOX, mail("after"))
        await running.until_counts(deliveries_done=1)


async def test_an_unchanged_tenant_keeps_its_connection_and_goes_by_changed_limits(config):
    async with run_daemon(load_config(config(rules()))) as running:
        first = running.app._generation.connections["default"]
        await running.app.reload(lambda: load_config(config(rules(poll="2s"))))
        assert running.app._generation.connections["default"] is first
        await running.app.reload(lambda: load_config(config(rules(in_flight=1))))
        assert running.app._generation.connections["default"] is first
        assert first.client.budgets.of(MAILBOX)._in_flight == 1


async def test_a_new_client_of_the_same_app_goes_on_with_the_budgets_of_the_old(config, tenant, tmp_path):
    async with run_daemon(load_config(config(rules()))) as running:
        first = running.app._generation.connections["default"]
        (tmp_path / "secret").write_text(tenant.client_secret)
        path = config(rules(), credential=f"{{client_secret_file: {tmp_path / 'secret'}}}")
        await running.app.reload(lambda: load_config(path))
        second = running.app._generation.connections["default"]
        assert second is not first
        assert second.client.budgets is first.client.budgets


async def test_a_changed_poll_interval_is_taken_over(config, tenant):
    async with run_daemon(load_config(config(rules(poll="1h")))) as running:
        await until(lambda: bool(events(running, "round")), limit=20.0)
        await running.app.reload(lambda: load_config(config(rules(poll="1s"))))
        walked = len(events(running, "round"))
        await until(lambda: len(events(running, "round")) >= walked + 2, limit=20.0)
        tenant.state.deliver_mime(MAILBOX, mail("after"))
        await running.until_counts(deliveries_done=1)


async def test_the_troubles_of_what_is_not_configured_any_more_are_over(config, tenant):
    tenant.app.mailboxes = frozenset({"support@contoso.example"})
    path = config(rules())
    async with run_daemon(load_config(path)) as running:
        health = running.app.report.health
        await until(lambda: f"mailbox {MAILBOX}/Inbox" in health.troubles, limit=20.0)
        path.write_text(path.read_text().replace(MAILBOX, "support@contoso.example"))
        await running.app.reload(lambda: load_config(path))
        assert health.troubles == {}
        assert list(health.folders) == [("support@contoso.example", "Inbox")]


async def test_a_handler_that_cannot_be_closed_is_told_and_holds_nothing_up(config, tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    text = f'handlers: {{stubborn: {{use: "./stubborn.py:Stubborn"}}}}\n{rules(handler="stubborn")}'
    async with run_daemon(load_config(config(text))) as running:
        pass
    (told,) = events(running, "close_failed")
    assert (told["level"], told["handler"], told["error"]) == ("warning", "stubborn", "OSError: the drawer is stuck")
    assert events(running, "stopped")


async def test_a_start_that_fails_leaves_nothing_running_and_the_journal_free(config):
    good = load_config(config(rules()))
    wrong = load_config(config(rules(), credential='{client_secret: "wrong"}'))
    before = asyncio.all_tasks()
    with pytest.raises(PostroomError, match="AADSTS7000215"):
        async with run_daemon(wrong):
            pass
    assert asyncio.all_tasks() == before
    async with run_daemon(good):
        pass


async def test_a_handler_that_was_changed_on_disk_is_the_new_one_after_a_reload(config, gate, tenant):
    path = config(f"handlers: {{gate: {gate.handler}}}\n{rules(handler='gate')}")
    async with run_daemon(load_config(path)) as running:
        gate.file.write_text(gate.file.read_text().replace("self.options.mark or", "'changed' or"))
        await running.app.reload(lambda: load_config(path))
        tenant.state.deliver_mime(MAILBOX, mail("after"))
        attempt = await gate.attempt()
        assert attempt.mark == "changed"
        attempt.answer("done")
        await running.until_counts(deliveries_done=1)
