"""Client metadata about what tokens look like: algorithms, subjects, and what a sign-in must at least be.

OIDC Dynamic Client Registration section 2 (signed and encrypted answers, subject_type, default_acr_values), RFC 9701
section 6, RFC 9396 section 10. metadata.py merges READERS and RULES into its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from idp import jwe
from idp.clients import profiles

PAIRWISE = "pairwise"
SUBJECT_TYPES = ("public", PAIRWISE)
ALGS = ("ES256", "RS256", "PS256", "ES384", "EdDSA")
SIGNED = ("userinfo_signed_response_alg", "introspection_signed_response_alg")

Fields = dict[str, Any]
Found = list[tuple[str, str]]


def default_alg(fields: Fields, offered: tuple[str, ...]) -> str:
    """ES256 for our own clients; RS256 for everybody else, as OIDC Registration section 2 promises them (X-2).

    Where the profile or the settings rule that out, the first algorithm that both allow.
    """
    wanted = "ES256" if fields["first_party"] else "RS256"
    allowed = [alg for alg in profiles.get(fields["security_profile"]).id_token_algs if alg in offered]
    return wanted if wanted in allowed or not allowed else allowed[0]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and 0 < len(v) <= 200 for v in value):
        raise ValueError("must be a list of texts")
    if len(value) > 20 or len(set(value)) != len(value):
        raise ValueError("must be at most 20 texts, each once")
    return tuple(value)


def _subject_type(value: Any) -> str:
    if value not in SUBJECT_TYPES:
        raise ValueError(f"must be one of {', '.join(SUBJECT_TYPES)}")
    return str(value)


READERS: Mapping[str, tuple[Callable[[Any], Any], Any]] = {
    "id_token_signed_response_alg": (_text, ""),
    "userinfo_signed_response_alg": (_text, ""),
    "introspection_signed_response_alg": (_text, ""),
    "id_token_encrypted_response_alg": (_text, ""),
    "id_token_encrypted_response_enc": (_text, ""),
    "userinfo_encrypted_response_alg": (_text, ""),
    "userinfo_encrypted_response_enc": (_text, ""),
    "subject_type": (_subject_type, "public"),
    "sector_identifier_uri": (_text, ""),
    "require_auth_time": (_flag, False),
    "default_acr_values": (_names, ()),
    "authorization_details_types": (_names, ()),
}


def signed_with_offered_algs(fields: Fields, offered: tuple[str, ...]) -> Found:
    """What we sign, we must have a key for, and the profile must allow; `none` is never either (O-27)."""
    profile = profiles.get(fields["security_profile"])
    allowed = [alg for alg in profile.id_token_algs if alg in offered]
    return [
        (name, f"must be one of {', '.join(allowed)}")
        for name in ("id_token_signed_response_alg", *SIGNED)
        if fields[name] and fields[name] not in allowed
    ]


def encrypted(fields: Fields, _offered: tuple[str, ...]) -> Found:
    """OIDC Registration 2: `enc` needs `alg`, and `alg` needs a key of the client's that it fits."""
    found = []
    for kind in ("id_token", "userinfo"):
        alg, enc = fields[f"{kind}_encrypted_response_alg"], fields[f"{kind}_encrypted_response_enc"]
        if alg and alg not in jwe.ALGS:
            found.append((f"{kind}_encrypted_response_alg", f"must be one of {', '.join(jwe.ALGS)}"))
        elif alg and not fields["jwks_uri"] and not jwe.find_key((fields["jwks"] or {}).get("keys", ()), alg):
            found.append(("jwks", f"or jwks_uri is missing, with a key for {alg}"))
        if enc and enc not in jwe.ENCS:
            found.append((f"{kind}_encrypted_response_enc", f"must be one of {', '.join(jwe.ENCS)}"))
        if enc and not alg:
            found.append((f"{kind}_encrypted_response_alg", "is missing: enc says nothing without it"))
    return found


def subjects(fields: Fields, _offered: tuple[str, ...]) -> Found:
    """O-32: who has redirect URIs at several hosts and wants pairwise subjects says which sector they belong to."""
    uri, found = fields["sector_identifier_uri"], []
    if uri and not _is_web(uri):
        found.append(("sector_identifier_uri", "must be an https URL (OIDC Core 8.1)"))
    hosts = {urlsplit(redirect).hostname for redirect in fields["redirect_uris"]}
    if fields["subject_type"] == PAIRWISE and not uri and len(hosts) > 1:
        found.append(("sector_identifier_uri", "is missing: the redirect URIs are at several hosts (OIDC Core 8.1)"))
    if fields["subject_type"] == PAIRWISE and not uri and not all(hosts):
        found.append(("sector_identifier_uri", "is missing: a redirect URI without a host belongs to no sector"))
    return found


def _is_web(uri: str) -> bool:
    """Plain http is refused where the document is fetched (outbound), which knows whether this is a development machine."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.fragment and "@" not in parts.netloc


RULES = (signed_with_offered_algs, encrypted, subjects)
