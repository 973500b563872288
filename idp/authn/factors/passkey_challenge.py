"""Challenges of passkey ceremonies. Owns Redis `webauthn:*`.

A challenge has 32 random bytes, belongs to one login flow (and so to one browser), one kind of ceremony and one person, if they are known
yet. It is gone with the first attempt to use it, good or bad (C-17, attack 106).
"""

from __future__ import annotations

import base64
import binascii
import secrets

from idp import crypto, kv

CREATE, FIRST, SECOND = "create", "first", "second"
CEREMONY_S = 600  # as long as a sign-in page lives; the upper end of what WebAuthn section 15.1 recommends
LENGTH = 32


def begin(ceremony: str, flow_id: str, *, sub: str = "") -> bytes:
    """Make a challenge and keep it; an earlier one of the same ceremony in this flow is forgotten."""
    challenge = secrets.token_bytes(LENGTH)
    kept = f"{sub}|{base64.b64encode(challenge).decode()}"
    kv.client().set(_key(ceremony, flow_id), kept, ex=CEREMONY_S)
    return challenge


def take(ceremony: str, flow_id: str, *, sub: str = "") -> bytes | None:
    """Take the challenge out: of many who try, one gets it. None: there is none, or it was made for another person."""
    kept = str(kv.client().getdel(_key(ceremony, flow_id)) or "")
    owner, _, encoded = kept.partition("|")
    if not encoded or owner != sub:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None


def _key(ceremony: str, flow_id: str) -> str:
    return kv.key("webauthn", ceremony, crypto.digest(flow_id))
