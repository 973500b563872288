"""audit.together — events that change nothing else, committed in groups: many requests, one transaction, one wait for the disk.

A token that is issued without a row of its own is such an event. Its answer leaves when the event is durable and not before, but it
does not pay for the disk alone: while one group is being committed, the next one gathers. One thread does the writing; it starts when
there is something to write and ends when there has been nothing for a moment, so nothing must be shut down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

_LINGER_S = 2.0
_LARGEST = 64  # events in one transaction; each number of them is a statement of its own, which the database knows after the first time

Row = dict[str, Any]


class Committer:
    """Writes rows in groups. `add` returns at once; its future is done when the row is on the disk, or holds what went wrong."""

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write  # all of them, or it raises
        self._waiting: list[tuple[Row, Future[None]]] = []
        self._news = threading.Condition()
        self._running = False

    def add(self, row: Row) -> Future[None]:
        """Hand over one row."""
        done: Future[None] = Future()
        with self._news:
            self._waiting.append((row, done))
            if self._running:
                self._news.notify()
            else:
                threading.Thread(target=self._work, name="audit", daemon=True).start()
                self._running = True  # not before: where no thread can be had, the next one tries again
        return done

    def _work(self) -> None:
        while group := self._next():
            try:
                self._write([row for row, _ in group])
            except Exception as error:
                _settle(group, error)
            else:
                _settle(group, None)

    def _next(self) -> list[tuple[Row, Future[None]]]:
        """Wait for rows and take them; nothing ends the thread."""
        with self._news:
            if not self._waiting and not self._news.wait(_LINGER_S) and not self._waiting:
                self._running = False
            group, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
            return group


def _settle(group: Sequence[tuple[Row, Future[None]]], error: Exception | None) -> None:
    for _, done in group:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
