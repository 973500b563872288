"""proofs — since when what a person proves in a sign-in counts. Owns Redis `flow:since:*`.

A sign-in that is under way holds what was proved in it for up to half an hour, and no session is there that could be ended. So whatever
ends all sessions of a person, or takes an authenticator from them, also names a new beginning here; a flow notes which one it was
begun under, and starts over under another (attacks 96, 104, 119). Names are random, so no two clocks have to agree. It is
written before the commit of what caused it: when that fails, people merely sign in once more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import g, has_request_context

from idp import crypto, kv, sessions
from idp.authn import workstation
from idp.authn.flow import ABSOLUTE_S, LoginFlow

KEPT_S = 2 * ABSOLUTE_S  # longer than any flow lives: without a name, none of them can be older


def since(sub: str) -> str:
    """Return the name of this person's present beginning; "" when nothing ended for longer than a flow lives."""
    return str(kv.call("GET", _key(sub)) or "")


def revoke(sub: str) -> None:
    """Have every flow of this person start over, wherever it is."""
    fresh = crypto.random_token(16)
    before = kv.client().set(_key(sub), fresh, ex=KEPT_S, get=True)
    if has_request_context():
        g.setdefault("proofs_revoked", []).append((sub, str(before or ""), fresh))


def count(found: LoginFlow) -> bool:
    """Say whether what was proved in this flow still counts."""
    return since(found.sub or "") in ("", found.since)


def kept(found: LoginFlow) -> LoginFlow:
    """Let the flow whose own step has just ended everything else go on. Not past an end that somebody else caused meanwhile."""
    name = found.since
    for sub, before, after in g.get("proofs_revoked", []):
        if sub == found.sub and before in ("", name):
            name = after
    return replace(found, since=name)


def on_all_sessions_ended(_sender: Any, *, sub: str, **_more: Any) -> None:
    """Hear from `sessions.all_ended`, also when one session is spared: it is not a flow."""
    revoke(sub)


def on_session_ended(_sender: Any, *, sub: str, sid: str, cause: str, **_more: Any) -> None:
    """Hear from `sessions.ended`: who ends one from their list does not trust that browser; others come to a shared workstation."""
    if cause == "user" or (workstation.is_shared() and sessions.was_here(sid)):
        revoke(sub)


def _key(sub: str) -> str:
    return kv.key("flow", "since", sub)
