"""waiting — how a request waits on the event loop without a thread, though its code reads as if it blocked.

A thread for each request that waits costs more than what most requests of programs do: switching, and the wait for the interpreter's
lock. So a worker runs them in its loop's thread, each in a greenlet. Where such a request would block, it steps aside until the answer
of the database or of Redis is there, and another goes on. Outside of a greenlet (commands, jobs, threads, tests) everything here blocks.

Two rules. Whoever steps aside holds no lock that another request could want: both run in one thread, which would wait for itself. And
whatever touches the loop is done by the loop's own greenlet: its lists may begin on a stack that is put away while a request runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[], Callable[[], None]]  # what is to be done afterwards, by the loop itself

_READ, _WRITE = 1, 2


class Light(greenlet):  # type: ignore[misc]
    """A request that runs in the thread of its loop."""

    def __init__(self, work: Callable[..., None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(work)
        self.loop = loop

    def resume(self, value: Any = None) -> None:
        """Let it go on, until it steps aside or ends; then do what it asks of the loop. Only the loop's own greenlet may call this."""
        task = self.switch(value)
        if task is not None:
            task()

    def pause(self, task: Callable[[], None]) -> Any:
        """Step aside until somebody resumes us, with what they give; meanwhile the loop does `task`, which sees to that."""
        return self.parent.switch(task)

    def wait_for(self, begin: Callable[[], asyncio.Future[T]]) -> T:
        """Step aside until what the loop begins for us is done. Returns its result, or raises what it raised."""
        ended: asyncio.Future[T] = self.pause(lambda: begin().add_done_callback(self.resume))
        return ended.result()


def light() -> Light | None:
    """Return the greenlet that runs, if this is one of ours."""
    here = getcurrent()
    return here if type(here) is Light else None


def away(work: Callable[..., T], *args: Any, **options: Any) -> T:
    """Call something that blocks: here, or in a thread where this thread must not wait. It sees the same context."""
    here = light()
    if here is None:
        return work(*args, **options)
    loop, seen = here.loop, contextvars.copy_context()
    return here.wait_for(lambda: loop.run_in_executor(None, lambda: seen.run(work, *args, **options)))


def until_ready(here: Light, descriptor: int, wanted: int) -> int:
    """Step aside until a file can be read (1), written (2), or either (3); return what it can be."""
    loop = here.loop

    def watch() -> None:
        if wanted & _READ:
            loop.add_reader(descriptor, ready, _READ)
        if wanted & _WRITE:
            loop.add_writer(descriptor, ready, _WRITE)

    def ready(what: int) -> None:
        if wanted & _READ:
            loop.remove_reader(descriptor)
        if wanted & _WRITE:
            loop.remove_writer(descriptor)
        here.resume(what)

    return cast(int, here.pause(watch))


class Outcome:
    """Whether something was done: a future without a lock, for work that one loop's thread begins, ends and waits for. No other may touch it."""

    __slots__ = ("__weakref__", "_error", "_is_known", "_then")

    def __init__(self) -> None:
        self._is_known, self._error = False, cast(Exception | None, None)
        self._then: list[Callable[[Outcome], Any]] = []

    def set_result(self, _nothing: None) -> None:
        """It was done."""
        self._settle(None)

    def set_exception(self, error: Exception) -> None:
        """It failed."""
        self._settle(error)

    def exception(self) -> Exception | None:
        """Return what went wrong, if anything did. Raises RuntimeError while nobody knows."""
        if not self._is_known:
            raise RuntimeError("This is still going on, and nothing here waits for it.")
        return self._error

    def result(self) -> None:
        """Raise what went wrong, if anything did."""
        if (error := self.exception()) is not None:
            raise error

    def add_done_callback(self, then: Callable[[Outcome], Any]) -> None:
        """Call this when it is known, at once if it is already. What it raises goes to the log: others wait too."""
        self._then.append(then)
        if self._is_known:
            self._tell()

    def _settle(self, error: Exception | None) -> None:
        self._is_known, self._error = True, error
        self._tell()

    def _tell(self) -> None:
        waiting, self._then = self._then, []
        for then in waiting:
            try:
                then(self)
            except Exception:
                log.exception("who waited for an outcome broke")


Held = Outcome | Future[None]  # what an answer may have to wait for


class Lights:
    """Runs requests in the loop's thread, so many at once; the others wait their turn. A greenlet is used again: making one costs more."""

    def __init__(self, most: int) -> None:
        self._left, self._idle, self._waiting = most, list[Light](), deque[Work]()

    def run(self, work: Work) -> None:
        """Run it now, or when there is room; then what it returns. Neither may raise."""
        if self._idle:
            self._idle.pop().resume(work)
        elif self._left:
            self._left -= 1
            Light(self._serve, asyncio.get_running_loop()).resume(work)
        else:
            self._waiting.append(work)

    def _serve(self, work: Work) -> None:
        here = cast(Light, getcurrent())
        while True:
            work = here.pause(self._ended(here, work()))

    def _ended(self, here: Light, after: Callable[[], None]) -> Callable[[], None]:
        def go_on() -> None:
            if self._waiting:
                here.loop.call_soon(here.resume, self._waiting.popleft())
            else:
                self._idle.append(here)
            after()

        return go_on
