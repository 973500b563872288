"""Clients that fail to prove themselves too often, at one address: how many failures, and who is over it (attack 41).

Each failure is counted in Redis, in one atomic step, before it is answered: no guess beyond the limit ever is. Whoever is over
comes on a list in the same step, and a process reads that list at most once a second: what it is asked for every request it
knows then, however many clients there are. A limit that this process saw reached counts at once; one that another saw, a second later at
the latest.
"""

from __future__ import annotations

import threading
import time

from idp import limits, present, web
from idp.clients import Client
from idp.limits import Verdict
from idp.oauth.errors import TooManyFailures

FAILURES, WINDOW_S = 30, 60  # per client and address, before the answer is 429
LISTED = 5000  # more are not read in one go: each is asked for by itself
_ASK_EVERY_S = 1.0
_NAME = "client_authentication"


def insist(client: Client) -> None:
    """Refuse before anything is judged while this client fails too often at the address of this request; a right secret is no exception,
    else the answer would tell it from a wrong one. Elsewhere the client is served as ever. Raises TooManyFailures, or kv.Unavailable."""
    if _is_over(client):
        verdict = _spend(client)  # writes it down, once per window
        if not verdict.allowed:
            raise TooManyFailures(verdict.retry_after_s)


def count(client: Client) -> Verdict:
    """Count a failure; says whether it is among those that may be answered as such. Raises kv.Unavailable."""
    verdict = _spend(client)
    if verdict.is_last or not verdict.allowed:
        _known().forget()
    return verdict


def _spend(client: Client) -> Verdict:
    return limits.spend(_NAME, _key(client), count=FAILURES, window_s=WINDOW_S, listed=True)


def _is_over(client: Client) -> bool:
    full, key = _known().look(), _key(client)
    if full is None:
        return limits.is_exhausted(_NAME, key)
    return bool(full) and limits.listed_as(key) in full


def _key(client: Client) -> str:
    return f"{client.client_id} {limits.address_bucket(web.context().address or '')}"


class _Known:
    """The list as this process read it last."""

    def __init__(self) -> None:
        self._full: frozenset[str] | None = frozenset()
        self._asked_at = float("-inf")
        self._generation = 0  # rises with `forget`, so that a slow reader cannot put an old list back
        self._lock = threading.Lock()

    def look(self) -> frozenset[str] | None:
        """Return who is over; None when they are too many to know them all."""
        now, generation = time.monotonic(), self._generation
        if now - self._asked_at < _ASK_EVERY_S:
            return self._full
        full = limits.exhausted(_NAME, most=LISTED)
        with self._lock:
            if generation == self._generation:
                self._full, self._asked_at = full, now
        return full

    def forget(self) -> None:
        """Read the list anew at the next use."""
        with self._lock:
            self._generation += 1
            self._asked_at = float("-inf")


def _known() -> _Known:
    there = present.app().extensions
    kept: _Known = there.get("idp.patience") or there.setdefault("idp.patience", _Known())
    return kept
