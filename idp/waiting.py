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
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

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
