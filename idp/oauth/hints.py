"""id_token_hint: an ID token of ours that comes back, expired or not (OIDC Core 3.1.2.1, RP-Initiated Logout 2).

It says whom a client expects and never who somebody is. Its `sub` is the client's own word for the person (subjects.py).
"""

from __future__ import annotations

from idp import keys
from idp.record import Record

_ALWAYS_THERE = {
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
}  # a signed UserInfo answer has no `exp` and passes for nothing


class Hint(Record):
    """What a genuine ID token says."""

    client_id: str
    sub: str
    sid: str | None
    expires_at: int  # epoch seconds


def read(raw_hint: str, *, unexpired: bool = False) -> Hint | None:
    """Return what an ID token of ours says; None for anything else."""
    try:
        claims = keys.verify(raw_hint, typ="JWT", unexpired=unexpired)
    except keys.InvalidToken:
        return None
    if not claims.keys() >= _ALWAYS_THERE or not isinstance(claims["aud"], str):
        return None
    sid = claims.get("sid")
    return Hint(claims["aud"], str(claims["sub"]), sid if isinstance(sid, str) else None, claims["exp"])
