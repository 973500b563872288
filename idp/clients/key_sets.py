"""key_sets — the public keys of a client: registered by value, or fetched from its `jwks_uri` and kept (RFC 7517 section 5).

A set is kept for as long as its owner says, within limits. A signature that names an unknown `kid` asks again, so that a client may
change its keys at any time, but at most once in REFETCH_S: whoever sends nonsense cannot make us hammer the client. A failure
is remembered too, for longer each time, and the old set is used meanwhile. One thread fetches; the others have the old set, or wait.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import current_app

from idp import clock, jws, outbound, waiting
from idp.clients import key_metadata
from idp.clients.client import Client

KEPT_S, KEPT_AT_LEAST_S, KEPT_AT_MOST_S = 600, 60, 3600
REFETCH_S = 20  # between two fetches because of an unknown key
BACKOFF_S, BACKOFF_AT_MOST_S = 5, 300
PATIENCE_S = 1.0
_SETS_AT_MOST = 10_000

Keys = tuple[dict[str, Any], ...]


class NoKeys(Exception):
    """The client's keys cannot be had now; the text says why, for the client's developer."""


@dataclass
class _Set:
    """What is known of one `jwks_uri`. Times are epoch seconds."""

    keys: Keys = ()
    problem: str = "it was not fetched yet"
    fetched_at: int = 0  # the last attempt, good or bad
    fresh_until: int = 0
    failures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wants_fetch(self, *, unknown_key: bool) -> bool:
        """Decide whether it is time to ask; after a failure not before the back-off has passed."""
        now = clock.epoch()
        if self.failures:
            return now >= self.fetched_at + min(BACKOFF_S << (self.failures - 1), BACKOFF_AT_MOST_S)
        return now >= self.fresh_until or (unknown_key and now >= self.fetched_at + REFETCH_S)

    def fetch(self, url: str) -> None:
        """Ask once and remember what came of it."""
        self.fetched_at = clock.epoch()
        try:
            document = outbound.fetch_json(url)
            keys = _usable(document.value)
        except (outbound.Unreachable, ValueError) as error:
            self.failures, self.problem = min(self.failures + 1, 16), str(error)
            return
        wanted_s = KEPT_S if document.max_age_s is None else document.max_age_s
        self.keys, self.failures, self.problem = keys, 0, ""
        self.fresh_until = clock.epoch() + min(max(wanted_s, KEPT_AT_LEAST_S), KEPT_AT_MOST_S)


def find(client: Client, *, suits: Callable[[Keys], bool]) -> Keys:
    """Return the client's keys. `suits` says whether a set holds the key that is wanted; if not, it may be too old.

    Raises NoKeys for a client without keys, and for a `jwks_uri` that gives none.
    """
    if client.jwks is not None:
        return tuple(client.jwks["keys"])
    if not client.jwks_uri:
        raise NoKeys("the client has not registered any keys")
    return find_at(client.jwks_uri, suits=suits)


def find_at(url: str, *, suits: Callable[[Keys], bool]) -> Keys:
    """Return the keys that somebody publishes at this address. Raises NoKeys."""
    kept = _kept(url)
    if kept.wants_fetch(unknown_key=not suits(kept.keys)):
        waiting.away(_fetch_alone, kept, url, suits)  # under a lock, so not aside
    if not kept.keys:
        raise NoKeys(f"the keys at jwks_uri cannot be had: {kept.problem}")
    return kept.keys


def in_file(name: str) -> Keys:
    """Return the keys of a JWK Set in a file, read again when it has changed. Raises NoKeys."""
    try:
        return _read(name, Path(name).stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise NoKeys(f"the file with the keys cannot be used: {type(error).__name__}") from None


@lru_cache(maxsize=64)
def _read(name: str, _changed_at: int) -> Keys:
    return _usable(json.loads(Path(name).read_bytes()))


def _fetch_alone(kept: _Set, url: str, suits: Callable[[Keys], bool]) -> None:
    """One thread asks. Who has an old set that suits does not wait for it; who has none waits a little, and not so long that
    a slow address could hold all our threads (attack 63)."""
    patience_s = 0.0 if kept.keys and suits(kept.keys) else PATIENCE_S
    if not kept.lock.acquire(timeout=patience_s):
        return
    try:
        if kept.wants_fetch(unknown_key=not suits(kept.keys)):
            kept.fetch(url)
    finally:
        kept.lock.release()


def _usable(value: Any) -> Keys:
    """Leave out keys that nobody may sign with: one strange key must not lock a client out. Raises ValueError for none."""
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or len(keys) > key_metadata.MAX_KEYS:
        raise ValueError(f"it is not a JWK Set with up to {key_metadata.MAX_KEYS} keys")
    usable = tuple(key for key in keys if not jws.key_problem(key))
    if not usable:
        raise ValueError("it holds no public key that is strong enough")
    return usable


def _kept(url: str) -> _Set:
    known: dict[str, _Set] = current_app.extensions.setdefault("idp.key_sets", {})
    if len(known) >= _SETS_AT_MOST:
        known.clear()
    return known.setdefault(url, _Set())
