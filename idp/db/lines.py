"""db.lines — bare driver connections in autocommit: a statement that is a transaction of its own costs one trip to the database.

An engine's connection costs a trip each for a ping, BEGIN and COMMIT, and more for SQLAlchemy than the statement itself. The busy path
has no need of them: what it reads is one statement, and so is what it writes. A line that has idled is looked at before it is used;
one that breaks takes all idle ones with it, so that a database that was restarted costs at most one answer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from idp import waiting
from idp.db.straight import Straight

_IDLE_S = 5.0  # after which a line is looked at before it is used
_KEPT_S = 60.0  # a rush leaves lines behind, and a database has only so many


class Lines:
    """The idle lines of one engine; the one used last is used next."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._idle: deque[tuple[Any, float]] = deque()
        event.listen(engine, "engine_disposed", lambda _engine: self.close())

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """Lend a cursor (PEP 249) whose every statement is committed at once. Raises DBAPIError for what the driver raises."""
        line = None
        try:
            line = self._take()
            yield getattr(line, "straight", None) or line.cursor()
        except BaseException as error:
            lost = line is None or bool(getattr(line, "broken", False))
            self._drop(line, broke=lost)
            if isinstance(error, self.engine.dialect.loaded_dbapi.Error):
                raise self._translated(error, lost=lost) from error
            raise
        now = time.monotonic()
        self._idle.append((line, now))
        with suppress(IndexError):
            if now - self._idle[0][1] > _KEPT_S:
                _close(self._idle.popleft()[0])

    def close(self) -> None:
        """Close the idle ones."""
        while self._idle:
            with suppress(IndexError):
                _close(self._idle.pop()[0])

    def _take(self) -> Any:
        while self._idle:
            with suppress(IndexError):
                line, used_at = self._idle.pop()
                if time.monotonic() - used_at < _IDLE_S or self._is_well(line):
                    return line
                _close(line)
        return waiting.away(self._made)

    def _made(self) -> Any:
        """Take one from the engine, which knows how to connect and what to say first, and keep it."""
        borrowed = self.engine.raw_connection()
        line: Any = borrowed.driver_connection
        borrowed.detach()
        if self.engine.dialect.name == "postgresql":
            line.autocommit = True
            line.prepare_threshold = 0  # each statement comes back thousands of times
            line.straight = Straight(line)
            step_aside(line)
        return line

    def _is_well(self, line: Any) -> bool:
        try:
            line.cursor().execute("SELECT 1")
        except self.engine.dialect.loaded_dbapi.Error:
            return False
        return True

    def _drop(self, line: Any, *, broke: bool) -> None:
        """Nobody knows in what state it is; if it broke, the others have probably lost their server too."""
        if line is not None:
            _close(line)
        if broke:
            self.close()

    def _translated(self, error: Exception, *, lost: bool) -> DBAPIError:
        """What the engine would raise; never with the parameters, which may be secrets' digests."""
        base: Any = self.engine.dialect.loaded_dbapi.Error
        made: Any = DBAPIError.instance(None, None, error, base, hide_parameters=True, connection_invalidated=lost)
        return made if isinstance(made, DBAPIError) else DBAPIError(None, None, error, connection_invalidated=lost)


def step_aside(connection: Any) -> None:
    """Let a connection of psycopg wait as waiting.py says, where a request runs in the loop's thread."""
    blocks = connection.wait

    def wait(steps: Any, *args: Any, **options: Any) -> Any:
        here = waiting.light()
        if here is None or options.get("timeout") is not None:
            return blocks(steps, *args, **options)
        descriptor = connection.pgconn.socket
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(waiting.until_ready(here, descriptor, wanted))
        except StopIteration as end:
            return end.value

    connection.wait = wait


def _close(line: Any) -> None:
    with suppress(Exception):
        line.rollback()  # SQLite keeps a lock for as long as anybody holds a cursor of a closed connection
    with suppress(Exception):
        line.close()
