"""Forms that did not come from a page of ours (attacks 16, 71): the edge refuses them, this file writes that down."""

from __future__ import annotations

from typing import Any

from idp import audit, limits, sessions, web

A_MINUTE = 10  # events an address may cause in a minute: a stranger must not fill the trail (attack 141)


def write_down(_sender: Any, *, path: str) -> None:
    """Record one refused form, with the person who is signed in there, if somebody is."""
    if not limits.spend("form_refused", web.context().address or "", count=A_MINUTE, window_s=60).allowed:
        return
    session = sessions.current()
    who = {"subject": session.sub, "sid": session.sid} if session else {}
    audit.record(audit.Event.FORM_REFUSED, path=path, **who)
