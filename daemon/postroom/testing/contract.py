"""What must hold for every handler, as tests to inherit."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from postroom.plugin import Attachment, Handler, Message
from postroom.testing.context import FakeContext
from postroom.testing.crashes import repeat_at_every_crash
from postroom.testing.mail import make_attachment, make_message
from postroom.testing.running import call, legal

PROMPT = 2.0
"""Seconds within which a cancelled handler must be gone."""


class HandlerContract:
    """Inherit in a class whose name starts with ``Test``, name the `handler`, and give it `options`.

    ::

        class TestSaveInvoicesContract(HandlerContract):
            handler = SaveInvoices

            def options(self, directory):
                return {"directory": directory}

    Any test runner that collects ``test_`` methods and knows pytest's `tmp_path` will do.
    """

    handler: ClassVar[type[Handler[Any]]]

    def options(self, directory: Path) -> Mapping[str, Any]:  # noqa: ARG002 - for those who override it
        """Return valid options; `directory` is empty and belongs to the test."""
        return {}

    def message(self) -> Message:
        """Return a mail that the handler has work with."""
        return make_message(id="AAMkAG-contract", has_attachments=True)

    def attachments(self) -> Sequence[Attachment]:
        """Return the mail's files."""
        return [make_attachment("invoice.pdf", b"%PDF-1.7 contract")]

    def effects(self, directory: Path) -> object:
        """Return what the handler has brought about, to be compared: by default every file in `directory`.

        But for drafts, which some file systems make `save_once` leave behind when it is killed.
        """
        files = (path for path in directory.rglob("*") if path.is_file() and not path.match(".postroom-*.part"))
        return {path.relative_to(directory): path.read_bytes() for path in files}

    def test_its_docstring_says_in_one_line_what_it_does(self) -> None:
        """`postroom handlers list` shows that line."""
        words = inspect.cleandoc(vars(self.handler).get("__doc__") or "").splitlines()
        assert words, f"{self.handler.__name__} has no docstring"
        assert words[0].strip(), f"the docstring of {self.handler.__name__} starts with an empty line"

    def test_every_option_is_explained(self) -> None:
        """Write a docstring under each option, or `Field(description=...)`."""
        settings = self.handler.options_type.model_json_schema().get("properties", {})
        silent = [name for name, schema in settings.items() if not schema.get("description", "").strip()]
        assert not silent, f"options without a description: {', '.join(silent)}"

    def test_its_options_make_a_schema(self) -> None:
        """Editors complete and check the configuration with it."""
        schema = self.handler.options_type.model_json_schema()
        assert schema["type"] == "object"
        assert schema.get("additionalProperties") is False, "unknown options must be errors: keep extra='forbid'"

    def test_it_opens_and_closes(self, tmp_path: Path) -> None:
        """`close` is also called when `open` never ran, and may be called twice."""

        async def scenario() -> None:
            await self._make(tmp_path).close()
            handler = self._make(tmp_path)
            await handler.open()
            await handler.close()
            await handler.close()

        asyncio.run(scenario())

    def test_its_outcome_is_legal(self, tmp_path: Path) -> None:
        """It returns `Done`, `Skip`, `Retry`, `Reject` or nothing."""

        async def scenario() -> None:
            async with self._context() as context:
                await self._run(tmp_path, context)

        asyncio.run(scenario())

    def test_a_second_run_does_no_harm(self, tmp_path: Path) -> None:
        """A crash may come between the work and its record; then the same mail comes again."""

        async def scenario() -> None:
            async with self._context() as context:
                await self._run(tmp_path, context)
                before = self.effects(tmp_path)
                context.attempt = 2
                await self._run(tmp_path, context)
                assert self.effects(tmp_path) == before, "the second run left more, or other, effects than the first"

        asyncio.run(scenario())

    def test_it_may_be_cut_off_anywhere(self, tmp_path: Path) -> None:
        """A repeat after a crash leaves the same effects behind as a run without one."""
        directories = (tmp_path / str(number) for number in itertools.count())
        current = tmp_path

        def begin() -> Mapping[str, Any]:
            nonlocal current
            current = next(directories)
            current.mkdir()
            return self.options(current)

        asyncio.run(
            repeat_at_every_crash(
                self.handler,
                begin,
                lambda: self.effects(current),
                message=self.message(),
                attachments=self.attachments(),
            )
        )

    def test_it_can_be_cancelled(self, tmp_path: Path) -> None:
        """It ends promptly when the daemon stops while it waits for the mail's content."""
        asyncio.run(self._cancel(tmp_path))

    def _make(self, directory: Path) -> Handler[Any]:
        return self.handler(self.handler.options_type.model_validate(dict(self.options(directory))))

    def _context(self, **fields: Any) -> FakeContext:
        return FakeContext(message=self.message(), files=self.attachments(), **fields)

    async def _run(self, directory: Path, context: FakeContext) -> None:
        """Run it in a handler of its own, as after a crash."""
        handler = self._make(directory)
        try:
            await handler.open()
            legal(await call(handler, context), self.handler.__name__)
        finally:
            await handler.close()

    async def _cancel(self, directory: Path) -> None:
        handler = self._make(directory)
        async with self._context(stalls=True) as context:
            await handler.open()
            running = asyncio.ensure_future(call(handler, context))
            stalled = asyncio.ensure_future(context.stalled.wait())
            await asyncio.wait({running, stalled}, timeout=PROMPT, return_when=asyncio.FIRST_COMPLETED)
            stalled.cancel()
            running.cancel()
            ended, _ = await asyncio.wait({running}, timeout=PROMPT)
            await handler.close()
        assert ended, f"{self.handler.__name__}.handle went on for {PROMPT:g} s after it was cancelled"
