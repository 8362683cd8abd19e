"""What is said, and what is put away again, when handlers do not open."""

from __future__ import annotations

import pytest

from postroom.config import load
from postroom.errors import ConfigError, ExitCode, HandlerError
from postroom.openings import open_handlers
from postroom.registry import HandlerRegistry
from support.pipeline import Notes

PLUG = '''
from pathlib import Path

from postroom.plugin import Context, Done, Handler, HandlerError, Message, Options, TemporaryError


class PlugOptions(Options):
    """What becomes of it."""

    how: str = "well"
    """How it opens."""


class Plug(Handler[PlugOptions]):
    """Open as told."""

    async def open(self):
        if self.options.how == "not":
            raise HandlerError("There is no lp0.", remedy="Buy one.")
        if self.options.how == "later":
            raise TemporaryError("lp0 is on fire.", remedy="Wait.")
        if self.options.how == "odd":
            raise OSError("lp0 is odd")

    async def handle(self, message: Message, context: Context):
        return Done()

    async def close(self):
        with Path(__file__).with_name("closed").open("a") as file:
            file.write(self.options.how + "\\n")
'''

TENANT = (
    "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {client_secret: s}}\n"
)


@pytest.fixture
def opening(tmp_path):
    """Open handlers as they are configured."""
    (tmp_path / "plug.py").write_text(PLUG)
    file = tmp_path / "postroom.yaml"

    async def opening(*handlers: str):
        names = ", ".join(f"h{number}" for number in range(len(handlers)))
        lines = [f"  h{number}: {{use: './plug.py:Plug', {each}}}" for number, each in enumerate(handlers)]
        rules = f"mailboxes: [{{address: a@b.example, rules: [{{handle: [{names}]}}]}}]\n"
        file.write_text(TENANT + "\n".join(["handlers:", *lines, rules]))
        file.chmod(0o600)
        registry = HandlerRegistry.installed()
        return await open_handlers(load(file, registry.load, registry.names()), Notes())

    return opening


async def test_all_handlers_that_do_not_open_are_told_of_at_once_with_their_places(opening, tmp_path):
    with pytest.raises(ConfigError) as refused:
        await opening("with: {how: not}", "with: {how: well}", "with: {how: not}", "with: {how: later}")
    assert refused.value.exit_code == ExitCode.CONFIG
    assert [(each.line, each.column, each.path) for each in refused.value.problems] == [
        (3, 37, "handlers.h0.with"),
        (5, 37, "handlers.h2.with"),
        (6, 37, "handlers.h3.with"),
    ]
    assert str(refused.value.problems[0]) == (
        f"{tmp_path}/postroom.yaml:3:37: handlers.h0.with: "
        "the handler h0 (./plug.py:Plug) does not open: There is no lp0. Buy one. [PR048]"
    )
    assert "`postroom check` opens no handler" in refused.value.remedy


async def test_what_did_open_is_closed_again_when_another_does_not(opening, tmp_path):
    with pytest.raises(ConfigError):
        await opening("with: {how: well}", "with: {how: not}")
    assert sorted((tmp_path / "closed").read_text().split()) == ["not", "well"]


@pytest.mark.parametrize("how", ["later", "odd"])
async def test_what_may_open_later_is_no_mistake_in_the_configuration(opening, how):
    with pytest.raises(
        HandlerError, match=r"postroom.yaml:3:37: handlers.h0.with: the handler h0 .* lp0 is o"
    ) as refused:
        await opening(f"with: {{how: {how}}}", "with: {how: well}")
    assert refused.value.exit_code == ExitCode.FAILED


async def test_handlers_that_open_are_all_there(opening):
    assert list(await opening("with: {how: well}", "")) == ["h0", "h1"]
