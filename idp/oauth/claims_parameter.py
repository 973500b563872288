"""The `claims` request parameter: single claims, asked for by name (OIDC Core 5.5).

What is kept is small and flat, whatever was sent: two places, the claims that exist here, and of each request `essential`, `value`
and `values` with values that are texts, numbers or truth values. Everything else is ignored, as section 5.5 has it; what cannot
be meant (no JSON, repeated members, too long, too deep) is an error (attack 19).
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError

from idp import strict_json
from idp.oauth import claims

MAX_CHARS = 8192
MAX_DEPTH = 5  # {"userinfo": {"name": {"values": ["…"]}}} has four
PLACES = ("userinfo", "id_token")
_CONDITIONS = ("sub", "acr", "auth_time")  # not claims of a scope, but something can be asked of them

Found = dict[str, Any]


def read(sent: str | None) -> Found:
    """Return what is asked for, by place; empty for nothing. Raises InvalidRequestError."""
    if sent is None:
        return {}
    asked = _parsed(sent)
    found = {place: _requests(asked[place], place) for place in PLACES if asked.get(place) is not None}
    return {place: wanted for place, wanted in found.items() if wanted}


def values_of(asked: Found, name: str) -> tuple[tuple[str, ...], bool]:
    """Return the texts that a claim of the ID token may have, and whether that is essential (section 5.5.1)."""
    wanted = (asked.get("id_token") or {}).get(name) or {}
    values = wanted.get("values") or ([wanted["value"]] if "value" in wanted else [])
    if not all(isinstance(value, str) for value in values):
        raise InvalidRequestError(f"The {name} values in claims must be texts.")
    return tuple(values), bool(values) and wanted.get("essential") is True


def _parsed(sent: str) -> Found:
    if len(sent) > MAX_CHARS:
        raise InvalidRequestError(f"claims is longer than {MAX_CHARS} characters.")
    try:
        asked = strict_json.loads(sent, max_depth=MAX_DEPTH)
    except ValueError:
        told = f"without repeated members, of at most {MAX_DEPTH} levels"
        raise InvalidRequestError(f"claims must be a JSON object {told} (OIDC Core 5.5).") from None
    if not isinstance(asked, dict):
        raise InvalidRequestError("claims must be a JSON object (OIDC Core 5.5).")
    return asked


def _requests(wanted: Any, place: str) -> Found:
    if not isinstance(wanted, dict) or not all(value is None or isinstance(value, dict) for value in wanted.values()):
        raise InvalidRequestError(f"Every claim of {place} in claims must be null or an object (OIDC Core 5.5.1).")
    known = {name for names in claims.SCOPE_CLAIMS.values() for name in names} | set(_CONDITIONS)
    return {name: _request(value) for name, value in wanted.items() if name in known}


def _request(wanted: Found | None) -> Found | None:
    """Keep the three members of section 5.5.1 where they have the type that they must have."""
    if wanted is None:
        return None
    kept: Found = {}
    if isinstance(wanted.get("essential"), bool):
        kept["essential"] = wanted["essential"]
    if _is_plain(wanted.get("value")):
        kept["value"] = wanted["value"]
    if isinstance(wanted.get("values"), list) and all(map(_is_plain, wanted["values"])):
        kept["values"] = wanted["values"]
    return kept or None


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
