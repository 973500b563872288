"""Who we are to authenticators, and what the browser of a person who is signed in may tell them (WebAuthn section 5.1.10, C-25)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from idp import crypto, kv
from idp.authn.factors import passkey_store as store
from idp.config import settings
from idp.users import User

REMOVED_S = 86400  # how long browsers are told that a passkey is gone


def rp_id() -> str:
    """Return the RP ID: the issuer's host, never a parent of it that others share (C-26)."""
    return urlsplit(settings().server.issuer).hostname or ""


def note_removed(user: User, webauthn_id: bytes) -> None:
    """Remember a passkey that was removed, so that browsers can tell its authenticator."""
    kept = kv.client()
    kept.sadd(_removed_key(user), crypto.base64url(webauthn_id))
    kept.expire(_removed_key(user), REMOVED_S)


def signals(user: User) -> dict[str, Any] | None:
    """Return what the browser of a person who is signed in may tell their authenticators (C-25); None: no authenticator knows them.

    It lists their passkeys, so it is for nobody else.
    """
    handle = store.find_handle(user)
    if handle is None:
        return None
    return {
        "rpId": rp_id(),
        "userId": crypto.base64url(handle),
        "name": user.username,
        "displayName": user.display_name,
        "accepted": [crypto.base64url(one.webauthn_id) for one in store.of(user)],
        "removed": sorted(str(one) for one in kv.client().smembers(_removed_key(user))),
    }


def _removed_key(user: User) -> str:
    return kv.key("webauthn", "removed", user.sub)
