"""hash_pool — slow work off the request threads: few at once, few waiting, everybody in turn.

A sign-in flood must not eat the machine (standards 7.143, C-3). At most `concurrency` jobs run; they are hashes, which release the
GIL, in threads of lower priority, so that token traffic keeps its share. At most `queue` wait. Waiting is fair by *lane* (where a
request comes from): lanes take turns, and when the queue is full, the newest job of the longest lane gives way to a job of a
shorter one. Who must give way or waits too long gets Unavailable with a time to come back (503, Retry-After).

Whoever waits here holds a request thread. `sizes` keeps two threads of a worker free of them, so that tokens are issued and probes
are answered while everybody signs in (attack 143).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from idp import metrics
from idp.errors import Unavailable
from idp.niceness import step_back

T = TypeVar("T")

BUSY = "Many people are signing in at this moment. Please try again in a few seconds."
_NICENESS = 10


class _Job(Generic[T]):
    """One piece of work and what became of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: T
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error
        self.done.set()

    def give_up(self, error: BaseException) -> None:
        self.error = error
        self.done.set()


def sizes(*, threads: int, concurrency: int, queue: int) -> tuple[int, int]:
    """Return how many jobs may run and how many may wait in a worker: together at most `threads` - 2, and at least one."""
    callers = max(1, threads - 2)
    running = min(max(1, concurrency), callers)
    return running, min(queue, callers - running)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class HashPool:
    """A bounded pool. Threads start when there is work and end when there is none: nothing to shut down, nothing lost in a fork."""

    def __init__(self, *, concurrency: int, queue: int, patience_s: float = 20.0) -> None:
        self.concurrency, self.queue, self.patience_s = max(1, concurrency), max(0, queue), patience_s
        self._lanes: dict[str, deque[_Job[Any]]] = {}  # in the order of their turns
        self._lock = threading.Lock()
        self._waiting = 0
        self._running = 0

    def run(self, work: Callable[[], T], *, lane: str = "") -> T:
        """Do `work` in the pool and return its result, or raise its exception.

        `work` must not touch the database or Flask: it runs in a thread of its own. Raises Unavailable when too many wait.
        """
        with metrics.HASH_WAITING.track_inprogress(), metrics.HASH_SECONDS.time():
            return self._run(work, lane)

    def _run(self, work: Callable[[], T], lane: str) -> T:
        job = _Job(work)
        self._admit(job, lane)
        if not job.done.wait(self.patience_s) and self._withdraw(job, lane):
            raise self._busy()
        job.done.wait()
        if job.error is not None:
            raise job.error
        return job.result

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread (for metrics and the doctor)."""
        return self._waiting

    def _admit(self, job: _Job[Any], lane: str) -> None:
        with self._lock:
            if self._running < self.concurrency:  # then nobody waits: threads go on until the lanes are empty
                self._running += 1
                threading.Thread(target=self._work, args=(job,), name="hash", daemon=True).start()
                return
            if self._waiting >= self.queue:
                self._make_room(lane)
            self._lanes.setdefault(lane, deque()).append(job)
            self._waiting += 1

    def insist_on_room(self, lane: str = "") -> None:
        """Raise Unavailable if a job of this lane would be sent away now. Promises nothing for later: `run` asks again."""
        with self._lock:
            if self._running >= self.concurrency and self._waiting >= self.queue:
                self._longest(lane)

    def _make_room(self, lane: str) -> None:
        """Send away the newest job of the longest lane, unless the newcomer's is as long."""
        self._lanes[self._longest(lane)].pop().give_up(self._busy())
        self._waiting -= 1

    def _longest(self, lane: str) -> str:
        """Return the lane whose newest job has to give way to one of this lane. Raises Unavailable where none has."""
        longest = max(self._lanes, key=lambda name: len(self._lanes[name]), default="")
        if len(self._lanes.get(longest, ())) <= len(self._lanes.get(lane, ())) + 1:
            raise self._busy()
        return longest

    def _withdraw(self, job: _Job[Any], lane: str) -> bool:
        """Take a job that waited too long out of its lane; False when it is being done by now."""
        with self._lock:
            jobs = self._lanes.get(lane, ())
            if job not in jobs:
                return False
            self._lanes[lane].remove(job)
            self._forget_if_empty(lane)
            self._waiting -= 1
            return True

    def _work(self, first: _Job[Any]) -> None:
        step_back(_NICENESS)
        job: _Job[Any] | None = first
        while job is not None:
            job.run()
            job = self._next()

    def _next(self) -> _Job[Any] | None:
        """Take the oldest job of the lane whose turn it is; that lane goes to the end. None ends the thread."""
        with self._lock:
            if not self._lanes:
                self._running -= 1
                return None
            lane = next(iter(self._lanes))
            jobs = self._lanes.pop(lane)
            job = jobs.popleft()
            if jobs:
                self._lanes[lane] = jobs
            self._waiting -= 1
            return job

    def _forget_if_empty(self, lane: str) -> None:
        if not self._lanes[lane]:
            del self._lanes[lane]

    def _busy(self) -> Unavailable:
        return Unavailable(BUSY, retry_after_s=5, detail=f"{self._waiting} password checks are waiting")
