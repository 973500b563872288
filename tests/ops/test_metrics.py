"""Numbers for Prometheus: labels from short lists, all workers in one answer, nothing without the token."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from idp import audit, jobs, metrics, tally
from idp.db import db

TOKEN = "scrape-me-0123456789-abcdef"


@pytest.fixture
def setup() -> dict[str, Any]:
    return {"metrics": {"token": TOKEN}}


def value(text: str, series: str) -> float:
    """The value of one series in the exposition, 0 where there is none."""
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(series + " ")), 0.0)


def scrape(client: FlaskClient) -> str:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type == metrics.CONTENT_TYPE
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN])
def test_metrics_are_closed_without_their_token(client: FlaskClient, authorization: str | None) -> None:
    answer = client.get("/metrics", headers={"Authorization": authorization} if authorization else {})
    assert answer.status_code == 401
    assert b"idp_" not in answer.data


def test_metrics_do_not_exist_where_no_token_is_set(make_app: Callable[..., Flask], sqlite_url: str) -> None:
    client = make_app(sqlite_url).test_client()
    for authorization in ("", "Bearer ", "Bearer None"):
        assert client.get("/metrics", headers={"Authorization": authorization}).status_code == 404


def test_requests_are_counted_by_route_template_and_never_by_what_was_sent(client: FlaskClient) -> None:
    before = scrape(client)
    client.get("/healthz?code=never-a-label")
    client.get("/somewhere-that-is-not-there")
    client.open("/healthz", method="BREW")
    after = scrape(client)
    counted = 'idp_http_requests_total{method="GET",route="/healthz",status="200"}'
    assert value(after, counted) == value(before, counted) + 1
    assert value(after, 'idp_http_request_seconds_count{route="/healthz"}') > value(
        before, 'idp_http_request_seconds_count{route="/healthz"}'
    )
    assert 'route="unmatched"' in after
    assert 'method="other"' in after
    assert not any(sent in after for sent in ("somewhere-that", "never-a-label", "BREW"))


def test_sign_ins_tokens_and_refusals_are_counted_where_they_are_written_down(client: FlaskClient) -> None:
    before = scrape(client)
    audit.record(audit.Event.LOGIN_SUCCEEDED)
    audit.record(audit.Event.LOGIN_FAILED)
    audit.record(audit.Event.CODE_REDEEMED)
    audit.record(audit.Event.LIMIT_EXCEEDED, scope="login")
    db.session.commit()
    after = scrape(client)
    for series in (
        'idp_sign_ins_total{outcome="succeeded"}',
        'idp_sign_ins_total{outcome="failed"}',
        'idp_tokens_issued_total{grant="authorization_code"}',
        'idp_limit_refusals_total{scope="login"}',
        'idp_audit_events_total{event="login.failed",outcome="failure"}',
    ):
        assert value(after, series) == value(before, series) + 1, series


def test_the_jobs_last_success_is_visible(client: FlaskClient) -> None:
    series = 'idp_job_last_success_timestamp_seconds{job="audit-seal"}'
    assert value(scrape(client), series) == 0
    jobs.run(next(job for job in jobs.JOBS if job.name == "audit-seal"))
    assert value(scrape(client), series) > 1_700_000_000


_WORKER = """
import sys, time
from idp import metrics
metrics.SIGN_INS.labels("succeeded").inc(int(sys.argv[1]))
metrics.HASH_WAITING.inc(3)
print("ready", flush=True)
sys.stdin.read()
"""


def test_several_workers_are_added_up_and_a_dead_ones_gauge_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    with tally.shared() as directory:
        workers = [_worker(number) for number in ("2", "5")]
        try:
            both = metrics.exposition().decode()
            assert value(both, 'idp_sign_ins_total{outcome="succeeded"}') == 7
            assert value(both, "idp_password_hash_waiting") == 6
            workers[0].kill()
            workers[0].wait()
            one = metrics.exposition().decode()
            assert value(one, 'idp_sign_ins_total{outcome="succeeded"}') == 7
            assert value(one, "idp_password_hash_waiting") == 3
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
    assert not directory.exists()


def _worker(number: str) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, number], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    return worker
