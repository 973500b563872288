"""What we keep things in: database, Redis, their clocks, the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from sqlalchemy import text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from idp import clock, kv
from idp.authn import hash_pool
from idp.config import Settings
from idp.db import current, db, head
from idp.doctor.finding import Finding, State

RESERVED = 10  # connections that are not for workers: jobs, commands, the superuser's
_SKEW_WARN_S, _SKEW_FAIL_S = 1.0, 10.0
_DISK_WARN, _DISK_FAIL = 2 * 2**30, 256 * 2**20


def database(settings: Settings) -> Iterator[Finding]:
    """Reachable, writable, and fit for the mode."""
    url = make_url(settings.database.url)
    try:
        with db.engine.connect() as connection:
            version, writable = _asked(connection)
            connection.rollback()
    except SQLAlchemyError as error:
        told = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:200]
        yield Finding("database", "fail", f"cannot be used: {told}", "start the database, or mend database.url")
        return
    if not writable:
        yield Finding("database", "fail", f"{version} is read-only", "point database.url to the primary server")
    elif url.get_backend_name() == "sqlite" and not settings.development:
        yield Finding("database", "warn", f"{version} answers and can be written",
                      "SQLite serves one machine; use PostgreSQL to have several or to fail over")  # fmt: skip
    else:
        yield Finding("database", "ok", f"{version} answers and can be written")
    if url.get_backend_name() == "postgresql":
        yield from _connections(settings)


def _connections(settings: Settings) -> Iterator[Finding]:
    """PostgreSQL lets all workers of this node in, at their busiest: else some answers are 503."""
    with db.engine.connect() as connection:
        most = int(connection.execute(text("SHOW max_connections")).scalar_one())
    workers = settings.server.workers or hash_pool.cores()
    wanted = workers * connections_of_worker(settings)
    if wanted > most - RESERVED:
        told = f"it lets {most} connections in, and {workers} workers may take {wanted} at their busiest; so may every other node"
        remedy = (
            f"set max_connections of PostgreSQL to {wanted + RESERVED} or more for each node, or lower server.threads"
        )
        yield Finding("database", "warn", told, remedy)


def connections_of_worker(settings: Settings) -> int:
    """Return how many connections to PostgreSQL a worker holds at most: one for each of its threads, and those that it keeps."""
    return 2 * settings.server.threads + settings.database.pool_size


def _asked(connection: Connection) -> tuple[str, bool]:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("SAVEPOINT probe")  # takes the write lock, which a read-only file refuses
        return f"SQLite {connection.execute(text('SELECT sqlite_version()')).scalar_one()}", True
    version = connection.execute(text("SHOW server_version")).scalar_one()
    read_only = connection.execute(text("SHOW transaction_read_only")).scalar_one()
    return f"PostgreSQL {str(version).split()[0]}", read_only == "off"


def migrations(settings: Settings) -> Iterator[Finding]:
    """The schema is the one that this version knows."""
    at, newest = current(), head()
    if at == newest:
        yield Finding("migrations", "ok", f"the schema is at {at}, the newest")
    else:
        yield Finding(
            "migrations",
            "fail",
            f"the schema is at {at or 'nothing'}, this version needs {newest}",
            "run `idp db upgrade`",
        )


def redis(settings: Settings) -> Iterator[Finding]:
    """Reachable, a primary, keeps its data, and throws nothing away."""
    try:
        info = kv.client().info()
        kv.client().set(kv.key("doctor"), "1", ex=10)
    except kv.RedisError as error:
        yield Finding("redis", "fail", f"cannot be used: {error}", "start Redis or Valkey, or mend redis.url")
        return
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "")
    yield Finding("redis", "ok", f"{name} {version} answers and can be written".replace("  ", " "))
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Finding("redis", "warn", f"it drops keys when memory is short ({policy}): sessions and limits would vanish",
                      "set maxmemory-policy to noeviction")  # fmt: skip
    keeps = info.get("aof_enabled") == 1 or info.get("rdb_last_save_time", 0) > info.get("process_start_time", 2**62)
    if not (keeps or _saves_snapshots()):
        yield Finding("redis", "warn", "it keeps nothing on disk: a restart signs everybody out and forgets lockouts",
                      "set appendonly to yes")  # fmt: skip
    if info.get("aof_last_write_status", "ok") != "ok" or info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield Finding("redis", "fail", "its last write to disk failed", "look into its log; the disk may be full")


def _saves_snapshots() -> bool:
    try:
        found = cast(dict[str, str], kv.client().config_get("save"))
    except kv.RedisError:  # managed services forbid CONFIG, and save
        return True
    return bool(found.get("save"))


def clocks(settings: Settings) -> Iterator[Finding]:
    """Codes and tokens live for seconds: all clocks must agree."""
    told = []
    for name, ahead_s in _skews():
        state: State = "fail" if abs(ahead_s) > _SKEW_FAIL_S else "warn" if abs(ahead_s) > _SKEW_WARN_S else "ok"
        if state != "ok":
            yield Finding("clock", state, f"{name}'s clock is {abs(ahead_s):.1f} s {'ahead' if ahead_s > 0 else 'behind'}",
                          "let NTP set the clock on both machines")  # fmt: skip
        told.append(name)
    yield Finding(
        "clock",
        "ok",
        f"{clock.now():%Y-%m-%d %H:%M:%S}Z here" + (f"; compared with {' and '.join(told)}" if told else ""),
    )


def _skews() -> Iterator[tuple[str, float]]:
    """Yield how far another clock is ahead of ours, with half of the round trip taken off."""
    began_at = clock.now().timestamp()
    try:
        seconds, microseconds = kv.client().time()
        yield "Redis", seconds + microseconds / 1e6 - (began_at + clock.now().timestamp()) / 2
    except kv.RedisError:
        pass  # reported by its own check
    if db.engine.dialect.name == "sqlite":
        return
    with db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        began_at = clock.now().timestamp()
        theirs = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        yield "PostgreSQL", theirs.timestamp() - (began_at + clock.now().timestamp()) / 2


def disk(settings: Settings) -> Iterator[Finding]:
    """Room for the database file and the checkpoints."""
    for name, folder in _folders(settings):
        free = shutil.disk_usage(folder).free
        state: State = "fail" if free < _DISK_FAIL else "warn" if free < _DISK_WARN else "ok"
        remedy = "" if state == "ok" else "make room: without it nothing can be written down, and sign-in stops"
        yield Finding("disk", state, f"{free / 2**30:.1f} GiB free for {name} ({folder})", remedy)


def _folders(settings: Settings) -> Iterator[tuple[str, Path]]:
    url = make_url(settings.database.url)
    seen = set()
    wanted = [("the audit checkpoints", Path(settings.audit.checkpoint_file))] if settings.audit.checkpoint_file else []
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        wanted.insert(0, ("the database", Path(url.database)))
    for name, path in wanted:
        folder = next(parent for parent in path.resolve().parents if parent.is_dir())
        if folder not in seen:
            seen.add(folder)
            yield name, folder
