"""Transactions in threads: one hop to a thread for each, whatever it does there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from postroom.errors import JournalError, JournalGone
from postroom.journal.engine import READING, database_file, sync
from postroom.journal.faults import not_synced, translate
from postroom.journal.presence import Presence
from postroom.threads import in_thread

CLOSE_SECONDS = 30.0
"""How long a stop waits for transactions under way; each waits for a lock for 10 seconds at most."""
SYNC_SECONDS = 60.0
"""How long the disk is waited for, the transactions that come first among that."""

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """An engine with its threads, each with a connection of its own.

    How long a thread waits for the database is bounded by what the connections were told.

    Args:
        where: What errors call it: a path, or a URL without its password.
        presence: Asked before each transaction whether the file is still where it was opened.

    Attributes:
        gone: Set once a transaction was refused because it is not.
        loss: What that transaction raised.
    """

    def __init__(self, engine: Engine, threads: int, where: str, presence: Presence | None = None) -> None:
        self.where = where
        self.engine = engine
        self.gone = asyncio.Event()
        self.loss: JournalGone | None = None
        self._presence = presence
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="journal")
        self._mine = threading.local()
        self._connections: list[Connection] = []
        self._closed = False
        self._syncing: tuple[Future[None], asyncio.Future[None]] | None = None

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(connection, ...)`` in a transaction; raises JournalError when nothing of it was kept."""
        return await self._hop(False, lambda connection: work(connection, *args, **kwargs))

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(connection, ...)``, which writes nothing and so keeps no writer waiting."""
        return await self._hop(True, lambda connection: work(connection, *args, **kwargs))

    async def sync(self) -> None:
        """Put all that was committed on the disk, so that not even a power cut takes it back.

        Who comes before it has begun shares it; raises JournalError to all of them when the disk may not have it. A
        server's disk has it by then.
        """
        self._refuse_if_closed()
        if database_file(self.engine.url) is None:
            return
        if self._syncing is None or self._syncing[0].running() or self._syncing[0].done():
            begun = self._threads.submit(self._sync)
            self._syncing = begun, asyncio.wrap_future(begun)
        _, synced = self._syncing
        await asyncio.wait({synced}, timeout=SYNC_SECONDS)  # who is cancelled in here cancels nobody else's
        if not synced.done():
            raise not_synced(f"its disk has not answered for {SYNC_SECONDS:.0f} s", self.where)
        synced.result()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JournalError(f"The journal {self.where} is closed.")

    async def _hop(self, reading: bool, work: Callable[[Connection], T]) -> T:  # noqa: FBT001 - run_in_executor takes no keywords
        self._refuse_if_closed()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, reading, work)
        except JournalGone as error:
            self.loss = error
            self.gone.set()
            raise

    def _run(self, reading: bool, work: Callable[[Connection], T]) -> T:  # noqa: FBT001 - same
        if self._presence is not None:
            self._presence.check()
        with self._translating():
            connection = self._connection()
            connection.info[READING] = reading
            with connection.begin():
                return work(connection)

    def _sync(self) -> None:
        with self._translating():
            try:
                sync(self._connection())
            except OSError as error:
                raise not_synced(f"the disk reports an error: {error.strerror}", self.where) from error

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Turn what the driver raises into ours."""
        try:
            yield
        except (DBAPIError, self.engine.dialect.loaded_dbapi.Error) as error:
            if (connection := getattr(self._mine, "connection", None)) is not None:
                connection.invalidate()  # whatever it was, the next transaction starts from a fresh connection
            raise translate(error, self.where) from error

    def _connection(self) -> Connection:
        """Return this thread's connection, which stays open: taking one from a pool costs as much as a statement."""
        connection: Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = self.engine.connect()
            self._connections.append(connection)
        return connection

    async def close(self) -> None:
        """Finish what is under way and let go of the database; raises JournalError when that takes too long."""
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await in_thread(self._close)  # of its own: handlers may have all others
        except TimeoutError as error:
            raise JournalError(
                f"The journal {self.where} could not be closed within {CLOSE_SECONDS:.0f} s: its disk does not answer.",
                remedy="Nothing that was committed is lost; look at the disk before you start Postroom again.",
            ) from error

    def _close(self) -> None:
        self._threads.shutdown()
        while self._connections:
            self._connections.pop().close()
        self.engine.dispose()
