"""What every application of a test would build anew, and one process needs once: compiled templates and statements, connections.

Nothing of a test's own is kept: not the application, not its engine with pool and listeners, no row.
"""

from __future__ import annotations

import contextlib
from types import CodeType
from typing import Any

import sqlalchemy as sa
from flask import Flask
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from idp.db import db


class Templates(BytecodeCache):
    """The code of each template, by its source and the switches of Jinja that the code depends on."""

    def __init__(self) -> None:
        self.kept: dict[tuple[Any, ...], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Hand out the code that another application compiled."""
        bucket.code = self.kept.get(_marks(bucket))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        if bucket.code is not None:
            self.kept[_marks(bucket)] = bucket.code


def _marks(bucket: Bucket) -> tuple[Any, ...]:
    jinja: Environment = bucket.environment
    switches = (type(jinja), jinja.trim_blocks, jinja.lstrip_blocks, jinja.undefined, *sorted(jinja.extensions))
    return (bucket.key, bucket.checksum, *switches)


class Connections:
    """Connections to PostgreSQL that outlive the engine that opened them: a new one costs the server 10 ms and warm caches."""

    def __init__(self) -> None:
        self.idle: list[tuple[Any, Any]] = []

    def open(self, really: Any, **where: Any) -> Any:
        """Return a connection as good as new to this place, or a new one."""
        place = tuple(sorted((name, value) for name, value in where.items() if name != "context"))
        while found := next((one for one in self.idle if one[0] == place), None):
            self.idle.remove(found)
            with contextlib.suppress(sa.make_url("postgresql+psycopg://").get_dialect().import_dbapi().Error):
                _reset(found[1])
                return found[1]
        opened = really(**where)
        opened.idp_place = place
        return opened

    def close(self, really: Any, connection: Any) -> None:
        """Keep a connection that has nothing open; close any other."""
        is_idle = not connection.closed and connection.info.transaction_status.name == "IDLE"
        if is_idle and len(self.idle) < 8 and hasattr(connection, "idp_place"):
            self.idle.append((connection.idp_place, connection))
        else:
            really(connection)

    def forget(self) -> None:
        """End those that nobody uses, so that their databases can be copied."""
        while self.idle:
            self.idle.pop()[1].close()


def _reset(connection: Any) -> None:
    connection.isolation_level, connection.read_only, connection.deferrable = None, None, None
    connection.autocommit = True
    connection.execute("RESET ALL")  # fails where the server ended it
    connection.autocommit = False


_engines: dict[str, sa.Engine] = {}  # the first one of each system
connections = Connections()


def _make_engine(_bind_key: str | None, options: dict[str, Any], _app: Flask) -> sa.Engine:
    """An engine with a pool and listeners of its own, and the dialect and compiled statements of the first one."""
    engine = sa.engine_from_config({"query_cache_size": 5000, **options}, prefix="")
    first = _engines.setdefault(engine.dialect.name, engine)
    if first is engine:
        _once(engine.dialect)
        if engine.dialect.name == "postgresql":
            _recycling(engine.dialect)
        return engine
    for name in ("connect", "initialize"):  # the pool’s creator asks the dialect that was made with it
        setattr(engine.dialect, name, getattr(first.dialect, name))
    engine.dialect = engine.pool._dialect = first.dialect
    engine._compiled_cache = first._compiled_cache
    return engine


def _once(dialect: Any) -> None:
    asked: list[bool] = []
    really = dialect.initialize

    def initialize(connection: Any) -> None:
        if not asked:
            really(connection)
            asked.append(True)

    dialect.initialize = initialize


def _recycling(dialect: Any) -> None:
    connect, close = dialect.connect, dialect.do_close
    dialect.connect = lambda **where: connections.open(connect, **where)
    dialect.do_close = lambda connection: connections.close(close, connection)


def install() -> None:
    """Let every application of this process share them."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": Templates()}
    db._make_engine = _make_engine  # type: ignore[method-assign]
