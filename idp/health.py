"""health — is this process alive, is it ready to sign people in, and how is it doing: /healthz, /readyz, /metrics.

Probes learn the names of what is missing and nothing else: no versions, hosts or messages. `/metrics` exists only where the settings
have a token for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Blueprint, Flask, Response, jsonify, request
from redis.exceptions import ConnectionError, TimeoutError
from sqlalchemy.exc import SQLAlchemyError

from idp import crypto, jobs, keys, kv, metrics, web
from idp.config import settings
from idp.db import current, db, head
from idp.errors import NotFound

log = logging.getLogger(__name__)
views = Blueprint("health", __name__)

PROBE_S = 10


def install(app: Flask) -> None:
    """Register the three routes."""
    app.register_blueprint(views)


@views.get("/healthz")
@web.document
def healthz() -> Response:
    """Answer while the process can answer at all; asks nobody."""
    return jsonify(status="ok")


@views.get("/readyz")
@web.document
def readyz() -> tuple[Response, int]:
    """Answer 200 when a sign-in could succeed here now, else 503 and which part is missing."""
    checks = {name: _state(name, check) for name, check in CHECKS.items()}
    ready = all(state == "ok" for state in checks.values())
    return jsonify(ready=ready, checks=checks), 200 if ready else 503


@views.get("/metrics")
def numbers() -> Response:
    """Answer Prometheus, if it shows the token (`Authorization: Bearer …`)."""
    token = settings().metrics.token
    if not token:
        raise NotFound
    sent = request.headers.get("Authorization", "")
    if not crypto.same(sent, f"Bearer {token}"):
        return Response("The metrics token is missing or wrong.\n", 401, {"WWW-Authenticate": 'Bearer realm="metrics"'})
    return Response(metrics.exposition(jobs.series()), content_type=metrics.CONTENT_TYPE)


def database_answers() -> str:
    """Ask the database for its revision; "ok", or what is wrong with it."""
    try:
        at = current()
    except SQLAlchemyError as error:
        db.session.rollback()
        log.error("the database is not ready", exc_info=error)
        return "unreachable"
    return "ok" if at == head() else "migrations are behind"


def redis_answers() -> str:
    """Write and delete a key: a Redis that is full or read-only answers a PONG, and cannot keep a sign-in."""
    probe = kv.key("ready", crypto.random_token(8))
    try:
        kv.client().set(probe, "1", ex=PROBE_S)
        kv.client().delete(probe)
    except (ConnectionError, TimeoutError) as error:
        log.error("Redis is not ready: %s", error)
        return "unreachable"
    except kv.RedisError as error:
        log.error("Redis takes no writes: %s", error)
        return "takes no writes"
    return "ok"


def keys_are_there() -> str:
    """Look for an active signing key for each algorithm of the settings."""
    try:
        active = {key.alg for key in keys.search() if key.status == "active"}
    except SQLAlchemyError:
        db.session.rollback()
        return "unknown"
    missing = [alg for alg in settings().oauth.signing_algs if alg not in active]
    return f"no active key for {', '.join(missing)}" if missing else "ok"


CHECKS: dict[str, Callable[[], str]] = {
    "database": database_answers,
    "redis": redis_answers,
    "keys": keys_are_there,
}


def _state(name: str, check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception:
        log.exception("the check of %s broke", name)
        return "broken"
