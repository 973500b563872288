"""The JSON in which a browser hands over a PublicKeyCredential (WebAuthn section 5.1.8): read strictly, and judged as far as
signatures are not concerned. Says what is wrong by a word for the audit; None: nothing."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from idp import strict_json
from idp.config import settings

Json = dict[str, Any]

TRANSPORTS = frozenset({"usb", "nfc", "ble", "smart-card", "hybrid", "cable", "internal"})
_MOST_CHARS = 32 * 1024
_UV, _BE = 0x04, 0x08


def parsed(raw: str) -> Json | None:
    """Return the JSON of a PublicKeyCredential if it has the shape that is read below."""
    try:
        sent = strict_json.loads(raw) if len(raw) <= _MOST_CHARS else None
    except ValueError:
        return None
    if not isinstance(sent, dict) or not isinstance(sent.get("rawId"), str):
        return None
    return sent if isinstance(sent.get("response"), dict) and decoded(sent["rawId"]) else None


def decoded(encoded: object) -> bytes:
    """Return the bytes of a base64url text; nothing for whatever is none."""
    if not isinstance(encoded, str) or not encoded.isascii():
        return b""
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""


def objection_to_client(sent: Json, ceremony: str) -> str | None:
    """Say what is wrong with the client's data: the ceremony, the origin, a frame in somebody else's page (C-18)."""
    try:
        client = strict_json.loads(decoded(sent["response"].get("clientDataJSON")))
    except ValueError:
        return "malformed"
    if not isinstance(client, dict) or client.get("type") != ceremony:
        return "wrong_ceremony"
    if client.get("origin") != settings().server.issuer:
        return "wrong_origin"
    return "cross_origin" if client.get("crossOrigin", False) is not False or "topOrigin" in client else None


def objection_to_flags(sent: Json, *, backup_eligible: bool, verify_user: bool) -> str | None:
    """Say what is wrong with the authenticator's flags, for the audit's sake before the library does, or in its place."""
    data = decoded(sent["response"].get("authenticatorData"))
    if len(data) < 37:
        return "malformed"
    if verify_user and not data[32] & _UV:
        return "person_not_verified"
    return "backup_flag_changed" if bool(data[32] & _BE) != backup_eligible else None


def transports(sent: Json) -> list[str]:
    """Return the transports that the browser named and that we know; hints for the next ceremony."""
    named = sent["response"].get("transports")
    return sorted(TRANSPORTS & {one for one in named if isinstance(one, str)}) if isinstance(named, list) else []
