"""Scopes → claims: what UserInfo and the ID token say about a person (OIDC Core 5.1, 5.4, 5.5). Empty claims are left out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from idp import users
from idp.clients import Client

SCOPE_CLAIMS = {
    "openid": ("sub",),
    "profile": (
        "name",
        "given_name",
        "family_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "locale",
        "zoneinfo",
        "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
    "provider": ("npi", "roles"),
}

Requested = dict[str, Any] | None  # the `claims` parameter, as authorization_request read it


def claims_supported() -> list[str]:
    """Return every claim that an ID token or UserInfo may hold, for discovery."""
    of_token = (
        "iss",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "acr",
        "amr",
        "azp",
        "at_hash",
        "sid",
        "session_expiry",
    )
    return [*of_token, *(claim for claims in SCOPE_CLAIMS.values() for claim in claims)]


def scopes_behind(requested: Requested) -> tuple[str, ...]:
    """Return the scopes that own the claims asked for one by one, so that the consent page can name them."""
    wanted = {claim for place in (requested or {}).values() for claim in place}
    return tuple(scope for scope, claims in SCOPE_CLAIMS.items() if scope != "openid" and wanted & set(claims))


def wanted(scopes: Iterable[str], requested: Requested, place: str, client: Client) -> frozenset[str]:
    """Decide which claims go to `place` ("userinfo" or "id_token"): those of the scopes, and those asked for one by one.

    A claim asked for by name is given only to a client that registered the scope which owns it.
    """
    of_scopes = _of_scopes(tuple(scopes), client.scope)
    by_name = (requested or {}).get(place)
    if not by_name:
        return of_scopes
    open_to_client = _of_scopes(tuple(client.scopes), client.scope)
    return of_scopes | (open_to_client & set(by_name))


@lru_cache(maxsize=1024)
def _of_scopes(scopes: tuple[str, ...], open_to_client: str) -> frozenset[str]:
    """Return the claims of those scopes that the client may ask for."""
    allowed = set(open_to_client.split()).intersection(scopes)
    return frozenset(claim for scope in allowed for claim in SCOPE_CLAIMS.get(scope, ()) if claim != "sub")


def of_person(sub: str, names: frozenset[str], *, is_active: bool | None = None) -> dict[str, Any] | None:
    """Return the named claims of an active person; None for a person who is gone or disabled.

    `is_active` is for who has just read that with something else, and asks for no claims.
    """
    if not names:
        return {} if (users.is_active(sub) if is_active is None else is_active) else None
    known = users.facts.of_active(sub)
    return None if known is None else told(known, names)


def told(known: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Return those of the named claims that there are, out of what is known of a person (users/facts.py)."""
    everything = _everything(known) if names else {}
    return {name: value for name, value in everything.items() if name in names and value not in (None, "", [])}


def _everything(known: dict[str, Any]) -> dict[str, Any]:
    """Claims by their names; only verified addresses are ever told."""
    same = ("given_name", "family_name", "locale", "zoneinfo", "email", "npi", "roles")
    return (
        (known["traits"] or {})
        | {name: known[name] for name in same}
        | {
            "name": known["display_name"],
            "preferred_username": known["username"],
            "updated_at": int(known["updated_at"].timestamp()),
            "email_verified": True if known["email"] else None,
        }
        | (known["contact"] or {})
    )
