"""Background jobs: they run, they are tried again, and somebody can see how they are doing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, clock, jobs, kv, mail
from idp.db import committing, db


def job(work: Callable[[], int], *, every_s: float = 0.02) -> jobs.Job:
    return jobs.Job("test", lambda settings: every_s, work)


def until(condition: Callable[[], Any], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_the_sealer_runs_by_itself_and_its_success_is_noted(app: Flask) -> None:
    with committing():
        audit.record(audit.Event.SERVER_STARTED)
    sealer = next(job for job in jobs.JOBS if job.name == "audit-seal")
    runner = jobs.Runner(app, (sealer,))
    runner.start()

    def sealed() -> bool:
        count = db.session.scalar(sa.text("SELECT count(*) FROM audit_events WHERE seq IS NULL"))
        db.session.rollback()
        return count == 0

    try:
        until(sealed)
        until(lambda: jobs.statuses()[0].succeeded_at is not None)
    finally:
        runner.stop()
    assert audit.verify().ok


def test_jobs_leave_the_core_to_requests(app: Flask) -> None:
    seen: list[int] = []

    def work() -> int:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id() if sys.platform == "linux" else 0))
        return 0

    usual = os.getpriority(os.PRIO_PROCESS, 0)
    runner = jobs.Runner(app, (job(work),))
    runner.start()
    try:
        until(lambda: seen)
    finally:
        runner.stop()
    assert seen[0] == (max(usual, 5) if sys.platform == "linux" else usual)
    assert os.getpriority(os.PRIO_PROCESS, 0) == usual


def test_all_jobs_can_run_on_a_fresh_installation(app: Flask) -> None:
    for one in jobs.JOBS:
        jobs.run(one)
    statuses = jobs.statuses()
    assert {status.name for status in statuses} == {"audit-seal", "mail", "sessions", "logout", "keys", "purge"}
    assert all(status.succeeded_at and not status.error and not status.overdue for status in statuses)


def test_a_failing_job_is_logged_noted_and_tried_again(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[float] = []

    def work() -> int:
        attempts.append(time.monotonic())
        if len(attempts) == 1:
            raise RuntimeError("the mail server is on fire")
        return 1

    failing = job(work)
    runner = jobs.Runner(app, (failing,))
    runner.start()
    try:
        until(lambda: len(attempts) >= 2)
        until(lambda: "works again" in caplog.text or len(attempts) >= 3)
    finally:
        runner.stop()
    assert "the mail server is on fire" in caplog.text
    assert attempts[1] - attempts[0] > 0.8  # a second at least, though it would run every 20 ms


def test_a_failure_rolls_back_and_shows_in_the_status_until_a_success(app: Flask) -> None:
    def work() -> int:
        audit.record(audit.Event.SERVER_STOPPED)
        raise RuntimeError("no")

    broken = job(work)
    with pytest.raises(RuntimeError):
        jobs.run(broken)
    assert db.session.scalar(sa.text("SELECT count(*) FROM audit_events WHERE event = 'server.stopped'")) == 0
    noted = jobs._status(broken, 1.0, kv.client().hgetall(jobs._key(broken)))
    assert noted.error == "RuntimeError: no"
    with clock.travel(5):
        jobs.run(job(lambda: 0))
        assert jobs._status(broken, 1.0, kv.client().hgetall(jobs._key(broken))).error is None


def test_a_job_without_redis_still_does_its_work_and_says_so(
    make_app: Callable[..., Flask], sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(sqlite_url, redis={"url": "redis://127.0.0.1:1/0"})
    done: list[int] = []
    with app.app_context():
        jobs.run(job(lambda: done.append(1) or 1))
        assert jobs.series() == []
    assert done == [1]
    assert "Redis is away" in caplog.text


def test_stopping_waits_for_the_work_in_hand(app: Flask) -> None:
    begun, finished = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        time.sleep(0.3)
        finished.set()
        return 1

    runner = jobs.Runner(app, (job(work),))
    runner.start()
    assert begun.wait(60)
    runner.stop()
    assert finished.is_set()


def test_an_overdue_job_is_seen(app: Flask) -> None:
    jobs.run(jobs.JOBS[0])
    assert not jobs.statuses()[0].overdue
    with clock.travel(3600):
        assert jobs.statuses()[0].overdue


@pytest.mark.parametrize(
    ("every_s", "failures", "at_least", "at_most"),
    [
        (2, 0, 1.8, 2.2),
        (2, 1, 3.6, 4.4),
        (2, 20, 270, 330),
        (0.1, 1, 1.8, 2.2),
        (3600, 1, 54, 66),
        (3600, 20, 3240, 3960),
    ],
)
def test_waits_grow_with_every_failure_and_end_somewhere(
    every_s: float, failures: int, at_least: float, at_most: float
) -> None:
    assert at_least <= jobs.pause_s(every_s, failures) <= at_most


def test_old_mails_are_forgotten_and_young_ones_are_not(app: Flask) -> None:
    def ago(**age: int) -> dict[str, Any]:
        return {"created_at": clock.now() - timedelta(**age), "next_attempt_at": clock.now()}

    def sent(**age: int) -> dict[str, Any]:
        return ago(**age) | {"sent_at": clock.now() - timedelta(**age)}

    rows = {
        "sent-old": sent(days=8),
        "sent-young": sent(days=6),
        "waiting-old": ago(days=31),
        "waiting-young": ago(days=8),
    }
    with committing():
        for subject, times in rows.items():
            row = mail.stage("ada@example.org", mail.Letter(subject, "x"))
            for name, value in times.items():
                setattr(row, name, value)
    jobs.run(next(job for job in jobs.JOBS if job.name == "purge"))
    left = set(db.session.scalars(sa.select(mail.OutgoingMail.subject)))
    assert left == {"sent-young", "waiting-young"}
