"""audit.together — events that change nothing else, committed in groups: many requests, one transaction, one wait for the disk.

A token that is issued without a row of its own is such an event. Its answer leaves when the event is durable and not before, but it
does not pay for the disk alone: while one group is being committed, the next one gathers. Requests that run in their loop's thread
are written for by a greenlet of that loop (waiting.py), which ends when nothing is left. For all others one thread writes; it starts when
there is something and ends when there has been nothing for a moment. So nothing must be shut down.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from idp import waiting

_LINGER_S = 2.0
_LARGEST = 64  # events in one transaction; each number of them is a statement of its own, which the database knows after the first time

Row = dict[str, Any]
Write = Callable[[Sequence[Row]], None]  # all of them, or it raises
_Waiting = list[tuple[Row, waiting.Held]]


class Committer:
    """Writes rows in groups. `add` returns at once; its future is done when the row is on the disk, or holds what went wrong."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: _Waiting = []
        self._news = threading.Condition()
        self._running = False
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Gathering] = WeakKeyDictionary()

    def add(self, row: Row) -> waiting.Held:
        """Hand over one row."""
        if (here := waiting.light()) is not None:
            outcome = waiting.Outcome()
            self._gathering(here.loop).add(row, outcome, here)
            return outcome
        done: Future[None] = Future()
        with self._news:
            self._waiting.append((row, done))
            if self._running:
                self._news.notify()
            else:
                threading.Thread(target=self._work, name="audit", daemon=True).start()
                self._running = True  # not before: where no thread can be had, the next one tries again
        return done

    def _gathering(self, loop: asyncio.AbstractEventLoop) -> _Gathering:
        return self._of_loops.get(loop) or self._of_loops.setdefault(loop, _Gathering(self._write, loop))

    def _work(self) -> None:
        while group := self._next():
            _settle(group, _error_of(self._write, group))

    def _next(self) -> _Waiting:
        """Wait for rows and take them; nothing ends the thread."""
        with self._news:
            if not self._waiting and not self._news.wait(_LINGER_S) and not self._waiting:
                self._running = False
            group, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
            return group


class _Gathering:
    """The rows of one loop's requests. What came in one turn of the loop, or while a group is being committed, is the next group."""

    def __init__(self, write: Write, loop: asyncio.AbstractEventLoop) -> None:
        self._write, self._loop = write, loop
        self._waiting: _Waiting = []
        self._running = False

    def add(self, row: Row, done: waiting.Outcome, here: waiting.Light) -> None:
        """Take one row from the request that runs here."""
        self._waiting.append((row, done))
        if not self._running:
            self._running = True
            here.pause(lambda: self._begin(here))

    def _begin(self, here: waiting.Light) -> None:
        self._loop.call_soon(waiting.Light(self._work, self._loop).resume)
        here.resume()

    def _work(self, _begun: object) -> None:
        here = cast(waiting.Light, waiting.light())
        while self._waiting:
            group, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
            here.pause(partial(self._tell, here, group, _error_of(self._write, group)))
        self._running = False

    def _tell(self, here: waiting.Light, group: _Waiting, error: Exception | None) -> None:
        _settle(group, error)
        here.resume()


def _error_of(write: Write, group: _Waiting) -> Exception | None:
    try:
        write([row for row, _ in group])
    except Exception as error:
        return error
    return None


def _settle(group: _Waiting, error: Exception | None) -> None:
    for _, done in group:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
