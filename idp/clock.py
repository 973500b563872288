"""clock — the only place that reads the time; tests move it, nothing else does."""

from __future__ import annotations

import time as _time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

_offset_s = 0.0
_frozen_at: float | None = None


def now() -> datetime:
    """Return the present moment, UTC and aware."""
    return datetime.fromtimestamp(_seconds(), tz=UTC)


def epoch() -> int:
    """Return whole seconds since 1970, as JWTs carry them (RFC 7519 NumericDate)."""
    return int(_seconds())


def milliseconds() -> int:
    """Return milliseconds since 1970, for counters in Redis and UUIDv7."""
    return int(_seconds() * 1000)


@contextmanager
def travel(seconds: float) -> Iterator[None]:
    """Move the clock by `seconds` for a test."""
    global _offset_s
    _offset_s += seconds
    try:
        yield
    finally:
        _offset_s -= seconds


@contextmanager
def freeze(at: datetime) -> Iterator[None]:
    """Stop the clock at a moment for a test; `travel` still moves it."""
    global _frozen_at
    before, _frozen_at = _frozen_at, at.timestamp()
    try:
        yield
    finally:
        _frozen_at = before


def _seconds() -> float:
    return (_time.time() if _frozen_at is None else _frozen_at) + _offset_s
