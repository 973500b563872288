"""logs — one event per line, one request id through all of it, nothing secret in it.

JSON for machines (production), text for people (development, demo). What a stranger sent (paths, user agents, exception texts) is
shortened and its control characters are spelled out, so that nobody can write lines of ours or steer a terminal.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import logging.config
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson
from flask import Flask, Response, g, request

from idp import clock
from idp.config.schema import Log
from idp.spelling import HIDDEN, SECRET_FIELD, clean

MAX_TRACE = 16000
ACCESS = logging.getLogger("idp.access")
_ROOT = logging.getLogger()

_Source = Callable[[], str | None]


def _no_request() -> str | None:
    return None


_request_id: _Source = _no_request


def configure(log: Log, *, request_id: _Source | None = None) -> None:
    """Send every logger of this process through our formatter to standard error."""
    global _request_id
    if request_id is not None:
        _request_id = request_id
    logging.config.dictConfig(dict_config(log))
    logging.captureWarnings(True)


def dict_config(log: Log) -> dict[str, Any]:
    """Return the `logging.config` description."""
    level = log.level.upper()
    formatter = "idp.logs.JsonFormatter" if log.format == "json" else "idp.logs.TextFormatter"
    quiet = {"handlers": ["out"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": formatter}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "ours", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["out"], "level": level},
        "loggers": {
            "httpx": quiet,
            "alembic": quiet,
        },
    }


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request_id, then the extra fields by name."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, Any] = {
            "time": _when(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
            "pid": record.process,
        }
        if found := _request_id():
            line["request_id"] = clean(found)
        line |= _extra(record)
        if record.exc_info and record.exc_info[0]:
            line["exception"] = clean(_trace(record), longest=MAX_TRACE, keep_lines=True)
        return orjson.dumps(line, default=_as_text, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """A short line for people; a traceback follows it, each line behind a bar that no sender can forge."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        extra = {name: value for name, value in _extra(record).items() if value not in (None, "")}
        if found := _request_id():
            extra["request_id"] = clean(found)
        parts = [f"{_when(record):%H:%M:%S}", f"{record.levelname.lower():<7}", clean(record.getMessage())]
        parts += [f"{name}={value}" for name, value in extra.items() if name != "user_agent"]
        line = " ".join(parts)
        if record.exc_info and record.exc_info[0]:
            trace = clean(_trace(record), longest=MAX_TRACE, keep_lines=True)
            line += "".join(f"\n         | {part}" for part in trace.split("\n"))
        return line


# --- what may be seen ----------------------------------------------------------------------------------------

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: _shown(name, value) for name, value in vars(record).items() if name not in _STANDARD}


def _shown(name: str, value: Any) -> Any:
    if SECRET_FIELD.match(name):
        return HIDDEN
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown("", inner) for inner in value]
    return value if isinstance(value, int | float | bool | None) else clean(str(value))


def _as_text(value: Any) -> str:
    return clean(str(value))


def _trace(record: logging.LogRecord) -> str:
    exc_info = record.exc_info
    return "".join(traceback.format_exception(*exc_info)).rstrip() if isinstance(exc_info, tuple) else ""


def _when(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, tz=UTC)


# --- the access log ------------------------------------------------------------------------------------------


_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds: their answers only matter when bad


@functools.lru_cache(maxsize=1024)
def _path(path: str) -> str:
    """The path as one word: a blank in it must not look like the end of it and the begin of our own facts (attack 132)."""
    return quote(clean(path, longest=200), safe="/:@!$&'()*+,;-._~…")


def install(app: Flask) -> None:
    """Write one line per answer: method, path without its query, route, status, time taken, address."""

    @app.before_request
    def begin() -> None:
        g.idp_began_at = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        write_access(
            request.method, request.path, response.status_code,
            route=request.url_rule.rule if request.url_rule else None, began_at=g.get("idp_began_at"),
            address=request.remote_addr, size=response.calculate_content_length(), agent=request.user_agent.string,
        )  # fmt: skip
        return response


def write_access(
    method: str, path: str, status: int, *, route: str | None, began_at: float | None, address: str | None,
    size: int | None, agent: str,
) -> None:  # fmt: skip
    """Write the line of one answer; `began_at` is of time.perf_counter."""
    level = logging.DEBUG if path in _PROBES and status < 400 else logging.INFO
    if not ACCESS.isEnabledFor(level):
        return
    facts = {
        "route": route,
        "duration_ms": round((time.perf_counter() - began_at) * 1000, 1) if began_at else None,
        "address": address,
        "size": size,
        "user_agent": agent[:200],
    }
    if _goes_straight():
        _write_straight(level, f"{method[:16]} {_path(path[:500])} {status}", facts)
    else:
        ACCESS.log(level, "%s %s %d", method[:16], _path(path[:500]), status, extra=facts)


def _goes_straight() -> bool:
    """Whether the lines are JSON and go to standard error and nowhere else: then logging's way there is no use, and half of the cost."""
    if ACCESS.handlers or len(_ROOT.handlers) != 1 or ACCESS.filters:
        return False
    out = _ROOT.handlers[0]
    return type(out) is logging.StreamHandler and type(out.formatter) is JsonFormatter and out.stream is sys.__stderr__


def _write_straight(level: int, message: str, facts: Mapping[str, Any]) -> None:
    """Write the line that JsonFormatter would, in one system call."""
    milliseconds = clock.milliseconds()
    line: dict[str, Any] = {
        "time": f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z",
        "level": "info" if level == logging.INFO else logging.getLevelName(level).lower(),
        "logger": ACCESS.name,
        "message": _clean_text(message),
        "pid": os.getpid(),
    }
    if found := _request_id():
        line["request_id"] = clean(found)  # never comes back: nothing to remember
    for name, value in facts.items():
        line[name] = _clean_text(value) if isinstance(value, str) else value
    with contextlib.suppress(OSError):  # as logging does where nobody reads
        os.write(2, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


@functools.lru_cache(maxsize=2)
def _second(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")


@functools.lru_cache(maxsize=1024)
def _clean_text(text: str) -> str:
    return clean(text)


def flush() -> None:
    """Push out what is buffered, before a process ends."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
