"""A contract that nobody can break is none: each rule is broken here once."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ConfigDict

from postroom.plugin import Done, Handler, Options
from postroom.testing import HandlerContract


class Where(Options):
    """Options."""

    directory: str = ""
    """Where."""


class Silent(Options):
    """Options."""

    directory: str = ""


class Loose(Options):
    """Options."""

    model_config = ConfigDict(extra="allow")


class Sound(Handler[Where]):
    """Do nothing wrong."""

    async def handle(self, message, context):
        await context.body()


class Undescribed(Handler[Silent]):
    async def handle(self, message, context):
        return Done()


class Growing(Handler[Where]):
    """Leave more behind each time."""

    async def handle(self, message, context):
        await asyncio.to_thread(self._grow)

    def _grow(self):
        with open(f"{self.options.directory}/log", "a") as file:  # noqa: PTH123 - the option is text here
            file.write("x")


class Hasty(Handler[Where]):
    """Record an effect before it is made, and so lose it."""

    async def handle(self, message, context):
        if await context.once("noted"):
            await asyncio.to_thread((Path(self.options.directory) / "note").write_text, "x")


class Stubborn(Handler[Where]):
    """Go on after being cancelled."""

    async def handle(self, message, context):
        while True:
            try:
                await context.body()
            except asyncio.CancelledError:
                if self.options.directory == "enough":
                    raise
                object.__setattr__(self, "options", Where(directory="enough"))


class Lying(Handler[Where]):
    """Return a word."""

    async def handle(self, message, context):
        return "done"


class Fragile(Handler[Where]):
    """Close only what was opened."""

    async def open(self):
        self.thing = object()

    async def close(self):
        del self.thing

    async def handle(self, message, context):
        return Done()


class Untyped(Handler[Loose]):
    """Take any option."""

    async def handle(self, message, context):
        return Done()


def contract(cls):
    class Held(HandlerContract):
        handler = cls

        def options(self, directory):
            return {"directory": str(directory)} if "directory" in cls.options_type.model_fields else {}

    return Held()


RULES = {
    "test_its_docstring_says_in_one_line_what_it_does": Undescribed,
    "test_every_option_is_explained": Undescribed,
    "test_its_options_make_a_schema": Untyped,
    "test_its_outcome_is_legal": Lying,
    "test_a_second_run_does_no_harm": Growing,
    "test_it_may_be_cut_off_anywhere": Hasty,
    "test_it_can_be_cancelled": Stubborn,
    "test_it_opens_and_closes": Fragile,
}


def check(cls, rule, directory):
    test = getattr(contract(cls), rule)
    test(directory) if "tmp_path" in test.__code__.co_varnames else test()


def test_every_rule_is_broken_here():
    assert set(RULES) == {name for name in vars(HandlerContract) if name.startswith("test_")}


@pytest.mark.parametrize("rule", RULES)
def test_a_sound_handler_keeps_the_rule(rule, tmp_path):
    check(Sound, rule, tmp_path)


@pytest.mark.parametrize("rule", RULES)
def test_a_handler_that_breaks_the_rule_is_found_out(rule, tmp_path, monkeypatch):
    monkeypatch.setattr("postroom.testing.contract.PROMPT", 0.05)
    with pytest.raises((AssertionError, TypeError, AttributeError)):
        check(RULES[rule], rule, tmp_path)
