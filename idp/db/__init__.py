"""db — the SQL database: engine, session, column types, migrations. Rooms add and flush; the edge commits (house.md, rule 1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, FromClause, MetaData, String, Table, Text, Update, event, insert
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from idp import paths, present, waiting
from idp.config import Settings
from idp.db.lines import step_aside
from idp.db.prepared import Prepared as Prepared
from idp.db.prepared import Row, write, write_if
from idp.db.session import Session, has_staged, lines_of, staged, take_staged

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Model(DeclarativeBase):
    """Base of every table; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMING)


db = SQLAlchemy(model_class=Model, session_options={"class_": Session, "scopefunc": present.number})


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """SQLite keeps ISO text, so that microseconds and order survive."""
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive times; write UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone must not reach the database")
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds") if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read UTC."""
        if value is None:
            return None
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
        return parsed.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """JSON kept as compact text with sorted keys: the same bytes on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write compact JSON."""
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read it back."""
        return None if value is None else json.loads(value)


def install(app: Flask, settings: Settings) -> None:
    """Bind the database of `settings` to the application. Opens no connection yet."""
    url = make_url(settings.database.url)
    options: dict[str, Any] = {"pool_pre_ping": url.get_backend_name() != "sqlite"}
    if url.get_backend_name() == "sqlite":
        if url.database and url.database != ":memory:":
            path = Path(url.database).resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            url = url.set(database=str(path))
            options["max_overflow"] = -1  # whoever holds the write lock must never wait for a second connection
        options["connect_args"] = {"timeout": settings.database.busy_timeout_s}
    else:
        options |= {"pool_size": settings.database.pool_size, "max_overflow": 2 * settings.server.threads + 2}
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        (_speak_sqlite if url.get_backend_name() == "sqlite" else _step_aside)(db.engine)


def _step_aside(engine: Any) -> None:
    """Where a request runs in the loop's thread, connections are made in another, and waited for aside (waiting.py)."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        return waiting.away(dialect.connect, *args, **options)

    @event.listens_for(engine, "checkout")  # not at the connect: what the engine asks then, it asks under a lock
    def lend(connection: Any, record: Any, _proxy: Any) -> None:
        if not record.info.get("steps_aside"):
            step_aside(connection)
            record.info["steps_aside"] = True


def _speak_sqlite(engine: Any) -> None:
    """WAL, foreign keys, and READ COMMITTED as on PostgreSQL: reads take no lock, the first write says BEGIN IMMEDIATE.

    So a transaction never fails half-way because another began to write, and nobody waits while a password is hashed.
    """

    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "before_cursor_execute")
    def begin(_conn: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if not cursor.connection.in_transaction and not statement.lstrip().upper().startswith(_READS):
            cursor.connection.execute("BEGIN IMMEDIATE")


_READS = ("SELECT", "PRAGMA", "EXPLAIN")


def stage(table: FromClause, row: Row) -> None:
    """Insert a row when the running unit of work commits, in one trip with all others (db/session.py).

    All rows of a table must name the same columns.
    """
    session, whole = _begun(), cast(Table, table)
    if session is not None and session.in_nested_transaction():  # it may be rolled back alone
        session.connection().execute(insert(whole), dict(row))
    else:
        staged().append((whole, row))


def ask(statement: Prepared, values: Row) -> list[dict[str, Any]]:
    """Run a prepared SELECT; rows are dicts by the columns' names. One trip where no transaction is open, else a part of it."""
    session = _begun()
    if has_staged():
        session = cast(Session, db.session())
        session.settle()
    if session is not None and session.in_transaction():
        return [dict(row) for row in session.connection().execute(statement.statement, dict(values)).mappings()]
    return statement.rows(lines_of(db.engine), values)


def commit() -> None:
    """Commit the running unit of work."""
    session = _begun()
    if session is not None:
        session.commit()
    elif rows := take_staged():
        write(lines_of(db.engine), rows)


def commit_if(guard: Update, values: Row) -> bool:
    """Commit everything if this UPDATE changes one row, in one atomic step; else drop what is staged, and say so.

    For what may happen once: of any number of callers with the same guard one hears True, and only that one's rows are written.
    """
    session, rows = _begun(), take_staged()
    if session is None or not session.in_transaction():
        return write_if(lines_of(db.engine), guard, values, rows)
    if session.connection().execute(guard, dict(values)).rowcount != 1:
        return False
    staged().extend(rows)
    session.commit()
    return True


def is_begun() -> bool:
    """Say whether anybody has asked for a session in this unit of work."""
    return db.session.registry.has()


def _begun() -> Session | None:
    return cast(Session, db.session()) if is_begun() else None


@contextmanager
def committing() -> Iterator[None]:
    """The edge of a command or a job: commit once at the end, roll back on any exception."""
    try:
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


def is_unreachable(error: DBAPIError) -> bool:
    """Say whether a database error means «away or busy», so that the answer is 503 and not 500."""
    text = str(error.orig).lower()
    return error.connection_invalidated or any(
        sign in text for sign in ("database is locked", "connection", "could not connect", "shutting down")
    )


# --- migrations (Alembic is loaded only for them: a worker that serves does without) ---------------------------


def upgrade(revision: str = "head") -> None:
    """Bring the schema to a revision, the newest by default."""
    from alembic import command

    with _migrating() as config:
        command.upgrade(config, revision)


def downgrade(revision: str) -> None:
    """Take the schema back to a revision ("base" for nothing)."""
    from alembic import command

    with _migrating() as config:
        command.downgrade(config, revision)


def current() -> str | None:
    """Return the revision that the database is at, or None for an empty one."""
    with db.engine.connect() as connection:
        if not connection.dialect.has_table(connection, "alembic_version"):
            return None
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


@lru_cache(maxsize=1)
def head() -> str | None:
    """Return the newest revision that this installation knows: the one that no other follows.

    Read from the first lines of the migrations, without Alembic, which takes longer to load than everything else at a start.
    Raises ValueError when there are two.
    """
    follows = dict(_step(file) for file in sorted((paths.find("migrations") / "versions").glob("*.py")))
    newest = follows.keys() - follows.values()
    if len(newest) > 1:
        raise ValueError(f"two migrations claim to be the newest: {', '.join(sorted(map(str, newest)))}")
    return next(iter(newest), None)


_STEP = re.compile(r'^(revision|down_revision) = (?:"(\w+)"|None)$', re.MULTILINE)


def _step(file: Path) -> tuple[str | None, str | None]:
    said = {name: value or None for name, value in _STEP.findall(file.read_text(encoding="utf-8"))}
    return said["revision"], said["down_revision"]


def alembic_config() -> AlembicConfig:
    """Return Alembic's configuration for the migrations of this installation."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(paths.find("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _migrating() -> Iterator[AlembicConfig]:
    config = alembic_config()
    with db.engine.connect() as connection:
        config.attributes["connection"] = connection
        yield config
