"""The end of a session, told before it comes (WCAG 2.2.1, standards W-3): what a page has to know, how long is left, and staying.

The server decides: a page counts down what it was told, asks before it warns and again when it thinks that the end has come.
"""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from idp import clock, sessions, web
from idp.account.frame import pages
from idp.authn import guard, workstation
from idp.record import Record
from idp.sessions import SsoSession

PAGE = "/account/session"
STAFF = frozenset({"administrator", "auditor", "help_desk"})


class Frame(Record):
    """What the frame of a person's own pages shows beside the page itself."""

    idle_left_s: int
    left_s: int
    is_shared: bool  # this browser is a shared workstation
    is_staff: bool


def frame() -> Frame | None:
    """Return what the frame needs, or None when nobody is signed in (an error page may stand in it)."""
    found = guard.signed_in()
    if found is None:
        return None
    session, user = found
    left = _left(session)
    return Frame(left["idle_left_s"], left["left_s"], workstation.is_shared(), bool(STAFF & set(user.roles)))


@pages.get(PAGE)
def session_left() -> Response:
    """Say how long the session lasts, without using it. Whoever has none is told so, and nothing else."""
    session = sessions.peek()
    return jsonify(_left(session) if session else {"ended": True})


@pages.post(PAGE)
@web.csrf_protected
def stay() -> Response:
    """Use the session: the idle limit slides; the absolute one never does."""
    found = guard.signed_in()
    return jsonify(_left(found[0]) if found else {"ended": True})


def _left(session: SsoSession) -> dict[str, Any]:
    now = clock.now()
    return {
        "idle_left_s": max(0, int((session.idle_at - now).total_seconds())),
        "left_s": max(0, int((session.expires_at - now).total_seconds())),
    }
