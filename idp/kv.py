"""kv — Redis: sessions, counters, and everything that lives for minutes.

One client per process and URL. Keys carry the configured prefix; keys that one script touches share a `{tag}`, so that Redis
Cluster keeps them in one slot. When Redis is away every call raises Unavailable: callers fail closed.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from flask import Flask
from redis.backoff import ExponentialBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from idp import kv_pipe, present, waiting
from idp.config import Settings, settings

# Away, or there and unable: full, read-only, loading, not persisting, or not letting us in. Nothing was done in any of them.
Unavailable = (
    redis.ConnectionError,
    TimeoutError,
    ClusterDownError,
    ReadOnlyError,
    OutOfMemoryError,
    NoPermissionError,
    ResponseError,
)


def install(app: Flask, settings: Settings) -> None:
    """Bind the Redis of `settings` to the application. Opens no connection yet."""
    app.extensions["idp.kv"] = connect(settings.redis.url, timeout_s=settings.redis.timeout_s)


def client() -> redis.Redis:
    """Return the process's client; answers are text, not bytes."""
    return cast(redis.Redis, present.extension("idp.kv"))


def call(*command: str | bytes | int | float) -> Any:
    """Send one command and return the bare answer, without what the client does around it (half of what a command costs us).

    Through Sentinel or to a cluster it goes by the client, which knows where to. Raises Unavailable and other RedisErrors.
    """
    to = cast(Any, client())
    if (here := waiting.light()) is not None and kv_pipe.fits(to):
        return _pipes_of(to, os.getpid()).ask(here, command)
    if type(getattr(to, "connection_pool", None)) is not redis.ConnectionPool:
        return to.execute_command(*command)
    idle = _idle_of(to, os.getpid())
    try:
        connection = idle.pop()
    except IndexError:
        connection = to.connection_pool.connection_class(**to.connection_pool.connection_kwargs)
    try:
        connection.send_command(*command)
        answer = connection.read_response()
    except (redis.ConnectionError, TimeoutError):
        connection.disconnect()
        return to.execute_command(*command)  # once more, as the client itself would
    except ResponseError:
        idle.append(connection)
        raise
    except BaseException:
        connection.disconnect()
        raise
    idle.append(connection)
    return answer


def let_go() -> None:
    """Close every connection, as before a fork; the next command makes a new one."""
    to = client()
    idle = _idle_of(to, os.getpid())
    while idle:
        idle.pop().disconnect()
    to.close()


@lru_cache(maxsize=256)
def _idle_of(to: redis.Redis, process: int) -> deque[Any]:
    """Connections of this process that nobody uses just now; the one used last is used next. A fork takes none of them along."""
    return deque()


@lru_cache(maxsize=256)
def _pipes_of(to: redis.Redis, process: int) -> kv_pipe.Pipes:
    return kv_pipe.Pipes(to)


def steps_aside() -> bool:
    """Say whether a request may run in its loop's thread: whether this module would wait for Redis without blocking it (waiting.py)."""
    return kv_pipe.fits(client())


class _Client(redis.Redis):
    """A client whose single commands do not block a loop's thread."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer as redis-py has it."""
        here = waiting.light()
        if here is None or not kv_pipe.fits(self):
            return cast(Any, super()).execute_command(*args, **options)
        answer = _pipes_of(self, os.getpid()).ask(here, args)
        options.pop("keys", None)
        shape = cast(Any, self.response_callbacks).get(args[0])
        return shape(answer, **options) if shape else answer


def key(*parts: str) -> str:
    """Return the name of a key: the configured prefix and the parts, joined with colons."""
    return settings().redis.prefix + ":".join(parts)


class Script:
    """A Lua script that runs as one atomic step; declare it once at module level and call it."""

    def __init__(self, lua: str) -> None:
        self._lua = lua
        self._sha = hashlib.sha1(lua.encode(), usedforsecurity=False).hexdigest()  # its name in EVALSHA

    def __call__(self, keys: Sequence[str], args: Sequence[str | int | float] = ()) -> Any:
        """Run the script (EVALSHA, and EVAL where the server has not seen it)."""
        try:
            return call("EVALSHA", self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return call("EVAL", self._lua, len(keys), *keys, *args)


def connect(url: str, *, timeout_s: float) -> redis.Redis:
    """Make a client for a URL: redis, rediss, unix, redis+sentinel(s), redis+cluster(s). Raises ValueError for any other."""
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(ExponentialBackoff(cap=0.1, base=0.01), 1),
        "health_check_interval": 30,
    }
    scheme = urlsplit(url).scheme
    if scheme.startswith("redis+sentinel"):
        return _through_sentinel(url, options)
    if scheme.startswith("redis+cluster"):
        plain = url.replace("redis+clusters://", "rediss://").replace("redis+cluster://", "redis://")
        options.pop("health_check_interval")
        options.pop("retry")
        return cast(redis.Redis, RedisCluster.from_url(plain, **options))
    if scheme == "unix":
        options.pop("socket_connect_timeout", None)
        options.pop("socket_timeout", None)
        return _Client.from_url(url, decode_responses=True, socket_timeout=timeout_s)
    return _Client.from_url(url, **options)


def _through_sentinel(url: str, options: dict[str, Any]) -> redis.Redis:
    """`redis+sentinel://[user:password@]host:port,host:port/service[/db][?sentinel_password=…]`; `+sentinels` for TLS."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, number = parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise ValueError("a Sentinel URL looks like redis+sentinel://host:26379,host:26379/service/0")
    user, _, password = credentials.partition(":")
    asked = parse_qs(parts.query)
    nodes = [
        (host or "localhost", int(port or 26379)) for host, _, port in (h.partition(":") for h in hosts.split(","))
    ]
    tls = {"ssl": True} if parts.scheme.endswith("s") else {}
    sentinel: Any = cast(Any, Sentinel)(
        nodes,
        sentinel_kwargs={"password": asked.get("sentinel_password", [None])[0], "socket_timeout": 0.5, **tls},
        db=int(number or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
        **tls,
        **options,
    )
    return cast(redis.Redis, sentinel.master_for(service))


__all__ = [
    "RedisError",
    "Script",
    "Unavailable",
    "call",
    "client",
    "connect",
    "install",
    "key",
    "let_go",
    "steps_aside",
]
