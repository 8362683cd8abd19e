"""Transactions in threads: one hop to a thread for each, whatever it does there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from postroom.errors import JournalError
from postroom.journal.engine import READING
from postroom.journal.faults import translate

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """An engine with its threads. How long they wait for it is bounded by what its connections were told.

    Args:
        where: What errors call it: a path, or a URL without its password.
    """

    def __init__(self, engine: Engine, threads: int, where: str) -> None:
        self.where = where
        self.engine = engine
        self._reading = engine.execution_options(**{READING: True})
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="journal")
        self._closed = False

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(connection, ...)`` in a transaction; raises JournalError when nothing of it was kept."""
        return await self._hop(self.engine, lambda connection: work(connection, *args, **kwargs))

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(connection, ...)``, which writes nothing and so keeps no writer waiting."""
        return await self._hop(self._reading, lambda connection: work(connection, *args, **kwargs))

    async def _hop(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        if self._closed:
            raise JournalError(f"The journal {self.where} is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, engine, work)

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        try:
            with engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise translate(error, self.where) from error

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        self.engine.dispose()
