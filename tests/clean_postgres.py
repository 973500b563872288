"""An empty, migrated PostgreSQL database for each test of a process."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Any

import psycopg
import sqlalchemy as sa

_numbers = itertools.count()


class CleanPostgres:
    """One database of this process, emptied before each test; made anew from the template when a test changed its schema.

    Emptying is many times faster than copying, and one call over one connection. Triggers that forbid it (the audit is append-only) are
    off for this connection.
    """

    PREPARE = """
        CREATE SCHEMA seed;
        DO $$ DECLARE name text; filled boolean; work text := ''; BEGIN
          FOR name IN SELECT relname FROM pg_class
              WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' LOOP
            work := work || format('DELETE FROM public.%I;', name);
            EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO filled;
            IF filled THEN
              EXECUTE format('CREATE TABLE seed.%I AS TABLE public.%I', name, name);
              work := work || format('INSERT INTO public.%I SELECT * FROM seed.%I;', name, name);
            END IF;
          END LOOP;
          FOR name IN SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace LOOP
            work := work || format('PERFORM setval(%L, 1, false);', 'public.' || quote_ident(name));
          END LOOP;
          EXECUTE format('CREATE FUNCTION seed.empty() RETURNS void LANGUAGE plpgsql AS %L', 'BEGIN ' || work || ' END');
        END $$;
        CREATE FUNCTION seed.fingerprint() RETURNS text LANGUAGE sql AS $$
          SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
            SELECT concat(tgname, tgenabled, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL SELECT concat(relname, relkind, relnatts) FROM pg_class WHERE relnamespace = 'public'::regnamespace
            UNION ALL SELECT version_num FROM public.alembic_version) AS parts(part) $$;
        CREATE FUNCTION seed.emptied(expected text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
          IF seed.fingerprint() <> expected THEN RETURN false; END IF;
          PERFORM seed.empty();
          RETURN true; END $$"""
    OPTIONS = "-c lock_timeout=3s -c session_replication_role=replica"

    def __init__(self, maintenance_url: str) -> None:
        self.maintenance_url = maintenance_url
        self.url = ""
        self.fingerprint = ""
        self.connection: psycopg.Connection | None = None

    def take(self) -> str:
        """Return the URL of a database as the migrations leave it."""
        if not self.url or not self._emptied():
            self._make()
        return self.url

    def _make(self) -> None:
        if self.connection:
            self.connection.close()
        if self.url:
            drop_database(self.maintenance_url, sa.make_url(self.url).database or "")
        self.url = create_database(self.maintenance_url, f"t{os.getpid()}_{next(_numbers)}", template="template_idp")
        plain = sa.make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.connection = psycopg.connect(plain, autocommit=True, options=self.OPTIONS)
        self.connection.execute(self.PREPARE)
        self.fingerprint = self._asked("SELECT seed.fingerprint()")

    def _emptied(self) -> bool:
        with contextlib.suppress(psycopg.Error):  # the schema is not ours any more, or somebody still holds a lock
            return bool(self._asked("SELECT seed.emptied(%s)", self.fingerprint))
        return False

    def _asked(self, question: str, *values: str) -> Any:
        assert self.connection is not None
        row = self.connection.execute(question, values).fetchone()
        assert row is not None
        return row[0]


def create_database(maintenance_url: str, name: str, *, template: str = "template1") -> str:
    engine = sa.create_engine(maintenance_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    engine.dispose()
    return sa.make_url(maintenance_url).set(database=name).render_as_string(hide_password=False)


def drop_database(maintenance_url: str, name: str) -> None:
    engine = sa.create_engine(maintenance_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    engine.dispose()
