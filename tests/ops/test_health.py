"""Probes: alive, ready, and what is missing (names only)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from idp import keys, kv
from idp.db import db, downgrade


def test_healthz_answers_any_host_and_asks_nobody(make_app: Callable[..., Flask]) -> None:
    app = make_app("postgresql+psycopg://nobody@127.0.0.1:1/none", redis={"url": "redis://127.0.0.1:1/0"})
    answer = app.test_client().get("/healthz", base_url="http://10.0.0.7:8000")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_readyz_is_ready_with_database_redis_and_keys(client: FlaskClient) -> None:
    keys.ensure()
    db.session.commit()
    answer = client.get("/readyz")
    assert answer.json == {"ready": True, "checks": {"database": "ok", "redis": "ok", "keys": "ok"}}
    assert answer.status_code == 200


def test_readyz_names_the_missing_keys(client: FlaskClient) -> None:
    db.session.execute(sa.text("DELETE FROM signing_keys"))
    db.session.commit()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["keys"] == "no active key for ES256, RS256"


def test_readyz_names_what_is_away_and_tells_no_secrets(make_app: Callable[..., Flask]) -> None:
    app = make_app("postgresql+psycopg://idp:s3cret@127.0.0.1:1/none", redis={"url": "redis://:s3cret@127.0.0.1:1/0"})
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"] == {"database": "unreachable", "redis": "unreachable", "keys": "unknown"}
    assert b"s3cret" not in answer.data
    assert b"127.0.0.1" not in answer.data


@pytest.mark.parametrize(
    "setting", [{"maxmemory": "1", "maxmemory-policy": "noeviction"}, {"min-replicas-to-write": "1"}]
)
def test_attack_94_a_redis_that_takes_no_writes_is_not_ready(client: FlaskClient, setting: dict[str, str]) -> None:
    """It is full, or lost its replicas: it answers a PONG and keeps no sign-in."""
    server = kv.client()
    before = {name: str(server.config_get(name)[name]) for name in setting}
    try:
        for name, value in setting.items():
            server.config_set(name, value)
        assert server.ping()
        answer = client.get("/readyz")
    finally:
        for name, value in before.items():
            server.config_set(name, value)
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["redis"] == "takes no writes"
    assert client.get("/readyz").json["checks"]["redis"] == "ok"  # type: ignore[index]
    assert not list(server.scan_iter(kv.key("ready:*")))


def test_readyz_says_that_migrations_are_behind(client: FlaskClient) -> None:
    downgrade("0007")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["database"] == "migrations are behind"


def test_134_the_access_log_has_the_route_and_not_the_query(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="idp.access"):
        client.get("/help?code=top-secret-code", headers={"User-Agent": "probe/1"})
    line = next(record for record in caplog.records if record.name == "idp.access")
    assert line.getMessage() == "GET /help 200"
    assert (line.__dict__["route"], line.__dict__["user_agent"]) == ("/help", "probe/1")
    assert "top-secret-code" not in str(line.__dict__)


def test_probes_that_are_fine_do_not_fill_the_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    db.session.execute(sa.text("DELETE FROM signing_keys"))
    db.session.commit()
    with caplog.at_level(logging.INFO, logger="idp.access"):
        client.get("/healthz")
        client.get("/readyz")
    assert [record.getMessage() for record in caplog.records if record.name == "idp.access"] == ["GET /readyz 503"]
