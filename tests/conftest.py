"""A journal that has its schema already, for whoever has nothing to say about how one is made."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from postroom.journal import open_journal


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal that has its schema, to be copied: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "journal.db"

    async def make() -> None:
        journal = await open_journal(f"sqlite:///{path}")
        await journal.close()

    asyncio.run(make())
    return path


@pytest.fixture
def journal_url(tmp_path: Path, empty_journal: Path) -> str:
    """The URL of an empty journal of the test's own."""
    shutil.copy(empty_journal, tmp_path / "journal.db")
    return f"sqlite:///{tmp_path}/journal.db"
