"""Security profiles: the one table that says which kind of client owes what (standards X-1 to X-5).

A client carries the name of its profile; every rule that differs between profiles is a column here and is asked for by its
name, so that no `if profile == …` stands anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SecurityProfile:
    """What a client of this profile must and may do."""

    name: str
    available: bool  # False: the name is kept for it, and registration refuses it until its rules are enforced
    may_waive_pkce: bool  # `require_pkce: false` in the metadata is honoured
    auth_methods: tuple[str, ...]
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    response_modes: tuple[str, ...]
    id_token_algs: tuple[str, ...]
    rotates_refresh_tokens: bool


PUBLIC = "none"  # the token_endpoint_auth_method of a client that cannot keep a secret

_AUTH = ("client_secret_basic", "client_secret_post", PUBLIC)
_GRANTS = ("authorization_code", "refresh_token", "client_credentials")
_ALGS = ("ES256", "RS256", "PS256", "ES384", "EdDSA")
_STRONG = ("PS256", "ES256", "EdDSA")  # FAPI 2.0 section 5.4

PROFILES = (
    #               name      available  waive   auth      grants   types      modes                    ID token algorithms   rotates
    SecurityProfile("oidc", True, True, _AUTH, _GRANTS, ("code",), ("query", "form_post"), _ALGS, True),
    SecurityProfile("legacy", False, True, _AUTH, _GRANTS, ("code",), ("query", "form_post"), _ALGS, True),
    SecurityProfile("smart", False, False, _AUTH, _GRANTS, ("code",), ("query", "form_post"), ("RS256",), True),
    SecurityProfile("fapi2", False, False, (), _GRANTS, ("code",), ("query", "form_post"), _STRONG, False),
)

DEFAULT = "oidc"


def find(name: str) -> SecurityProfile | None:
    """Return the profile of this name, or None."""
    return next((profile for profile in PROFILES if profile.name == name), None)


def get(name: str) -> SecurityProfile:
    """Return the profile of this name; KeyError if there is none."""
    profile = find(name)
    if profile is None:
        raise KeyError(name)
    return profile
