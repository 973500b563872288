"""jobs — what must happen without anybody asking: seal the audit, send mail, end idle sessions, tell applications of sessions that
ended, rotate signing keys, forget what has expired.

`idp serve` runs them in its parent process, one thread each, and so once a node. Several nodes may run them side by side: each room
claims its work by a lock or by one conditional statement. A job that fails is logged and tried again with growing waits; when it last
succeeded stands in Redis, where `/metrics` and `idp doctor` read it.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask

from idp import audit, authn, clients, clock, config, joining, keys, kv, mail, metrics, oauth, sessions
from idp.db import committing, db
from idp.niceness import step_back
from idp.record import Record

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 300.0  # between two attempts of a job that keeps failing
_STATUS_LIVES_S = 30 * 86400
_MAX_ERROR = 300
_NICENESS = 5  # on a core that is busy with requests, jobs get a quarter of it


class Job(Record):
    """One recurring piece of work. `work` runs inside an application context and a transaction, and returns how much it did."""

    name: str
    every_s: Callable[[config.Settings], float]
    work: Callable[[], int]


def purge() -> int:
    """Forget what has expired, room by room; returns the number of rows."""
    return (
        oauth.tokens.prune()
        + authn.trusted.prune()
        + authn.recovery_case.expire_overdue()
        + oauth.backchannel.prune()
        + clients.registration_tokens.prune()
        + joining.prune()
        + mail.forget_old()
    )


JOBS = (
    Job("audit-seal", lambda settings: settings.audit.seal_interval_s, lambda: audit.seal()),
    Job("mail", lambda settings: 2.0, lambda: mail.deliver_pending()),
    Job("sessions", lambda settings: 5.0, lambda: sessions.sweep()),
    Job("logout", lambda settings: 1.0, lambda: oauth.backchannel.deliver_pending()),
    Job("keys", lambda settings: 3600.0, lambda: keys.keep_fresh()),
    Job("purge", lambda settings: 600.0, purge),
)


class Status(Record):
    """How a job is doing, on the node where it succeeded last."""

    name: str
    every_s: float
    node: str | None = None
    succeeded_at: int | None = None  # epoch seconds
    failed_at: int | None = None
    error: str | None = None

    @property
    def overdue(self) -> bool:
        """Whether the last success is longer ago than it should be (ten intervals, a minute at least)."""
        patience_s = max(60.0, 10 * self.every_s) if self.every_s < 600 else 2 * self.every_s
        return self.succeeded_at is None or clock.epoch() - self.succeeded_at > patience_s


def run(job: Job) -> int:
    """Run a job once and note the success. Raises whatever the job raised, after noting that."""
    began_at = time.monotonic()
    try:
        with committing():
            done = job.work()
    except Exception as error:
        _note(job, failed_at=clock.epoch(), error=f"{type(error).__name__}: {error}"[:_MAX_ERROR], node=_node())
        raise
    took_ms = round((time.monotonic() - began_at) * 1000)
    _note(job, succeeded_at=clock.epoch(), node=_node(), took_ms=took_ms)
    if done:
        log.debug("job %s did %s", job.name, done, extra={"took_ms": took_ms})
    return done


def statuses() -> list[Status]:
    """Return how each job is doing. Raises kv.Unavailable when Redis is away."""
    settings = config.settings()
    return [_status(job, job.every_s(settings), kv.client().hgetall(_key(job))) for job in JOBS]


class Runner:
    """The threads of one node. `start` returns at once; `stop` waits for the work in hand."""

    def __init__(self, app: Flask, jobs: tuple[Job, ...] = JOBS, *, first_after_s: float = 0.0) -> None:
        self._app, self._first_after_s = app, first_after_s
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(job,), name=f"job-{job.name}", daemon=True) for job in jobs
        ]

    def start(self) -> None:
        """Begin all jobs."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_s: float = 20.0) -> None:
        """Let the jobs finish what they are doing and end."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late:
            log.warning("still running at shutdown: %s", ", ".join(late))

    def _repeat(self, job: Job) -> None:
        step_back(_NICENESS)
        with self._app.app_context():
            every_s = job.every_s(config.settings())
        failures = 0
        self._stopping.wait(self._first_after_s)
        while not self._stopping.is_set():
            failures = self._attempt(job, failures)
            self._stopping.wait(pause_s(every_s, failures))

    def _attempt(self, job: Job, failures: int) -> int:
        """Run once; return how often it has now failed in a row."""
        with self._app.app_context():
            try:
                run(job)
            except Exception:
                failures += 1
                log.exception("job %s failed, %d in a row; it will be tried again", job.name, failures)
                return failures
            finally:
                db.session.remove()
        if failures:
            log.info("job %s works again", job.name)
        return 0


def pause_s(every_s: float, failures: int) -> float:
    """Return how long to wait before the next run: the interval, doubled for every failure in a row, give or take a tenth."""
    longest = max(every_s, LONGEST_WAIT_S)
    first = every_s if not failures else min(max(1.0, every_s), 30.0)
    doubled: float = min(longest, first * 2.0 ** min(failures, 12))
    return doubled * random.uniform(0.9, 1.1)  # noqa: S311 - jitter


# --- what Redis remembers ------------------------------------------------------------------------------------


def _note(job: Job, **facts: str | int) -> None:
    """Write down how it went; Redis being away must neither stop the work nor go unseen."""
    try:
        with kv.client().pipeline() as pipe:
            pipe.hset(_key(job), items=[part for fact in facts.items() for part in fact])
            pipe.expire(_key(job), _STATUS_LIVES_S)
            pipe.execute()
    except kv.Unavailable as error:
        log.warning("cannot note how job %s went: Redis is away: %s", job.name, error)


def _key(job: Job) -> str:
    return kv.key("jobs", job.name)


def _status(job: Job, every_s: float, noted: Any) -> Status:
    def number(name: str) -> int | None:
        return int(noted[name]) if noted.get(name) else None

    succeeded_at, failed_at = number("succeeded_at"), number("failed_at")
    failing = failed_at is not None and (succeeded_at is None or failed_at > succeeded_at)
    return Status(
        job.name, every_s, noted.get("node"), succeeded_at, failed_at, noted.get("error") if failing else None
    )


def series() -> list[Any]:
    """Return the jobs' state for `/metrics`: when each succeeded last. Empty when Redis is away."""
    try:
        found = statuses()
    except kv.Unavailable:
        return []
    return [
        metrics.gauge("idp_job_last_success_timestamp_seconds", "When a background job last succeeded, by job.", "job",
                      {status.name: float(status.succeeded_at or 0) for status in found}),
        metrics.gauge("idp_job_failing", "1 while the last run of a background job failed.", "job",
                      {status.name: float(status.error is not None) for status in found}),
        metrics.gauge("idp_job_overdue", "1 when a background job has not succeeded for too long.", "job",
                      {status.name: float(status.overdue) for status in found}),
    ]  # fmt: skip


def _node() -> str:
    return socket.gethostname()[:100]
