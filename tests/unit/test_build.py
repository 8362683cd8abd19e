"""What the journal is asked for when a configuration becomes pollers."""

from __future__ import annotations

import pytest

from postroom.build import build, pollers, put_away
from postroom.config import load
from postroom.errors import JournalError
from postroom.journal import open_journal
from postroom.ports import PageCommit
from postroom.registry import HandlerRegistry
from postroom.testing import ManualClock
from support.pipeline import Notes

SIGN_IN = "client_id: 11111111-2222-3333-4444-555555555555, credential: {client_secret: s}"
MAILBOX = "{address: a@contoso.example, folders: [%s], start: all, rules: [{handle: [log]}]}"
DOMAIN = f"{{tenant_id: contoso.example, {SIGN_IN}}}"
SHOUTED = f"{{tenant_id: Contoso.EXAMPLE, {SIGN_IN}}}"


@pytest.fixture
def watched(tmp_path):
    """Adopt the folders of a configuration as the daemon does, and commit a link to what has none."""

    async def adopt(tenant: str, folder: str = "Inbox"):
        file = tmp_path / "postroom.yaml"
        file.write_text(f"{tenant}\nmailboxes: [{MAILBOX % folder}]\n")
        file.chmod(0o600)
        registry = HandlerRegistry.installed()
        config = load(file, registry.load, registry.names())
        clock, notes = ManualClock(), Notes()
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
        generation = await build(config, {}, clock=clock, report=notes)
        try:
            made = await pollers(generation, journal=journal, clock=clock, report=notes, dispatcher=None)
            [folder] = [each.poller.folder for each in made]
            if folder.link is None:
                await journal.commit_page(PageCommit(folder.key, [], "D1", "round", clock.now()))
            return folder
        finally:
            await put_away(generation, keep={}, report=notes)
            await journal.close()

    return adopt


@pytest.mark.parametrize(
    "renamed", [f"tenants: {{contoso: {DOMAIN}}}", f"tenants: {{other: {SHOUTED}}}", f"tenant: {SHOUTED}"]
)
async def test_a_tenant_may_be_renamed_and_its_mailboxes_stay_the_same(watched, renamed):
    before = await watched(f"tenant: {DOMAIN}")

    after = await watched(renamed)

    assert (after.key, after.link) == (before.key, "D1")


async def test_another_tenant_under_the_same_name_has_mailboxes_of_its_own(watched):
    one, other = (f"{digit * 8}-2222-3333-4444-555555555555" for digit in "9A")
    before = await watched(f"tenant: {{tenant_id: {one}, {SIGN_IN}}}")

    after = await watched(f"tenant: {{tenant_id: {other}, {SIGN_IN}}}")

    assert after.key != before.key


async def test_before_any_sign_in_another_spelling_of_a_tenant_is_refused(watched):
    await watched(f"tenant: {DOMAIN}")

    with pytest.raises(JournalError, match="whether that is the same tenant"):
        await watched(f"tenant: {{tenant_id: contoso.onmicrosoft.com, {SIGN_IN}}}")


async def test_a_folder_may_be_spelled_otherwise_and_stays_the_same(watched):
    before = await watched(f"tenant: {DOMAIN}", "Inbox")

    after = await watched(f"tenant: {DOMAIN}", "inbox")

    assert (after.key, after.link, after.name) == (before.key, "D1", "inbox")
