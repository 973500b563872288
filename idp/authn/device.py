"""Known devices: a cookie that says «this person has signed in from this browser before».

It opens nothing and replaces no factor (N-29). It only moves a person's attempts into a window of their own, so that a
stranger who fails on their account all day does not shut them out (standards 7.90). The cookie names nobody: each entry is
a random value, a time, and a keyed digest over both and the person; only the right person's digest matches.
"""

from __future__ import annotations

import re

from flask import Response, after_this_request

from idp import clock, crypto, web
from idp.authn import workstation

COOKIE = "device"
LIFETIME_S = 365 * 86400
REMEMBERED = 8  # people who share a workstation; the oldest is forgotten

_ENTRY = re.compile(r"[A-Za-z0-9_-]{16}\.\d{10}\.[A-Za-z0-9_-]{43}")


def is_known(sub: str) -> bool:
    """Say whether this person has completed a sign-in in this browser within a year; never on a shared workstation."""
    return not workstation.is_shared() and any(_belongs(entry, sub) for entry in _entries())


def remember(sub: str) -> None:
    """Note with the answer that this person has signed in here; a shared workstation remembers nobody."""
    if workstation.is_shared():
        return
    others = [entry for entry in _entries() if not _belongs(entry, sub)]
    nonce, issued_at = crypto.random_token(12), str(clock.epoch())
    ours = f"{nonce}.{issued_at}.{crypto.mac('known-device', f'{sub}|{nonce}|{issued_at}')}"
    kept = "~".join([ours, *others][:REMEMBERED])

    @after_this_request
    def keep(response: Response) -> Response:
        web.set_cookie(response, COOKIE, kept, max_age_s=LIFETIME_S)
        return response


def _entries() -> list[str]:
    sent = (web.read_cookie(COOKIE) or "")[:2048]
    return [entry for entry in sent.split("~") if _ENTRY.fullmatch(entry)]


def _belongs(entry: str, sub: str) -> bool:
    nonce, issued_at, seal = entry.split(".")
    fresh = 0 <= clock.epoch() - int(issued_at) <= LIFETIME_S
    return fresh and any(crypto.same(seal, good) for good in crypto.macs("known-device", f"{sub}|{nonce}|{issued_at}"))
