"""Shared workstations: browsers on a ward, a counter, a trolley, that many people use one after another.

An administrator marks the browser itself, once, at /admin/workstation; a signed cookie says so from then on. (Why not a range of network
addresses: docs/decisions.md.) The cookie only takes away: it opens nothing, and whoever forges or loses it gains an ordinary browser.

In such a browser a session idles out sooner, nobody is remembered (no known device, no trusted device, no name in the field, no language),
and when a person locks it, leaves, or is replaced by another, the answer tells the browser to forget what it has seen of ours
(`Clear-Site-Data`). The browser's own password manager is the organisation's business.
"""

from __future__ import annotations

import re
from typing import Any

from blinker import Signal
from flask import Flask, Response, after_this_request, g, has_request_context

from idp import audit, clock, crypto, sessions, web
from idp.config import settings

COOKIE = "workstation"
LIFETIME_S = 365 * 86400
TRACES = ("device", "trusted", "language", "ui_language")  # cookies that say something of whoever was here

forgotten = Signal("A shared workstation forgets whoever was here: sent inside the request that makes it.")
_OVERTAKEN = ("replaced", "idle", "absolute")  # the next person is at it already: what they have begun stays theirs

_MARK = re.compile(r"([A-Za-z0-9_-]{16})\.(\d{10})\.([A-Za-z0-9_-]{43})")


def install(app: Flask) -> None:
    """Leave no trace whenever a session of a shared workstation ends, whatever ended it."""
    sessions.ended.connect(_on_session_ended)


def identifier() -> str | None:
    """Return the id of the shared workstation that this request comes from; None for an ordinary browser, and outside a request."""
    if not has_request_context():
        return None
    if "workstation" not in g:
        g.workstation = _read()
    found: str | None = g.workstation
    return found


def is_shared() -> bool:
    """Say whether this request comes from a shared workstation."""
    return identifier() is not None


def idle_s(usual: int) -> int:
    """Return after how long a session that begins here idles out: never later than the person's policy says."""
    return min(usual, settings().workstations.idle_s) if is_shared() else usual


def mark(*, actor: str) -> str:
    """Make this browser a shared workstation, or renew its mark; returns its id. Written down."""
    public_id, issued_at = identifier() or crypto.random_token(12), str(clock.epoch())
    sealed = f"{public_id}.{issued_at}.{crypto.mac('workstation', f'{public_id}|{issued_at}')}"
    g.workstation = public_id
    audit.record(audit.Event.WORKSTATION_MARKED, subject=actor, actor=actor, workstation=public_id)
    forget_people()

    @after_this_request
    def keep(response: Response) -> Response:
        web.set_cookie(response, COOKIE, sealed, max_age_s=LIFETIME_S)
        return response

    return public_id


def unmark(*, actor: str) -> bool:
    """Make this browser an ordinary one again. False if it was one. Written down."""
    public_id = identifier()
    if public_id is None:
        return False
    g.workstation = None
    audit.record(audit.Event.WORKSTATION_UNMARKED, subject=actor, actor=actor, workstation=public_id)

    @after_this_request
    def drop(response: Response) -> Response:
        web.delete_cookie(response, COOKIE)
        return response

    return True


def forget_people(*, overtaken: bool = False) -> None:
    """Have the answer of this request take away every trace of whoever was here.

    What they had begun and left open is out of reach, for it hangs on the browser's id, which is a new one from here on; unless the
    next person is `overtaken` by it in the middle of their own sign-in.
    """
    if not overtaken:
        web.renew_browser_id()
    if g.get("forgets_people"):
        return
    g.forgets_people = True
    forgotten.send("workstation")

    @after_this_request
    def forget(response: Response) -> Response:
        for base in TRACES:
            web.delete_cookie(response, base)
        response.headers["Clear-Site-Data"] = '"cache", "storage"'  # not "cookies": the mark of the workstation stays
        return response


def _on_session_ended(sender: Any, *, sid: str, cause: str, **_: Any) -> None:
    if is_shared() and sessions.was_here(sid):
        forget_people(overtaken=cause in _OVERTAKEN)


def _read() -> str | None:
    found = _MARK.fullmatch((web.read_cookie(COOKIE) or "")[:128])
    if found is None:
        return None
    public_id, issued_at, seal = found.groups()
    fresh = 0 <= clock.epoch() - int(issued_at) <= LIFETIME_S
    ours = any(crypto.same(seal, good) for good in crypto.macs("workstation", f"{public_id}|{issued_at}"))
    return public_id if fresh and ours else None
