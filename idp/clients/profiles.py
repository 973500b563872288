"""Security profiles: the one table that says which kind of client owes what (standards X-1 to X-5).

A client carries the name of its profile; every rule that differs between profiles is a column here and is asked for by its
name, so that no `if profile == …` stands anywhere else.
"""

from __future__ import annotations

from idp.config.protocol import Mtls, OAuth
from idp.record import Record


class SecurityProfile(Record):
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
    assertion_audiences: tuple[str, ...]  # ISSUER, TOKEN_ENDPOINT; what `aud` of a client assertion may be
    assertion_audience_in_list: bool  # whether a list with that one value is taken as well as the bare text
    client_algs: tuple[str, ...]  # what the client may sign assertions and request objects with
    demands_pkce: bool = True  # the default of `require_pkce`
    switch: str = ""  # the setting in [oauth] without which nobody may have this profile

    def is_offered(self, oauth: OAuth) -> bool:
        """Say whether a client may live under this profile here."""
        return self.available and (not self.switch or bool(getattr(oauth, self.switch)))


PUBLIC = "none"  # the token_endpoint_auth_method of a client that cannot keep a secret

CLIENT_SECRET_JWT, PRIVATE_KEY_JWT = "client_secret_jwt", "private_key_jwt"
SECRET_METHODS = ("client_secret_basic", "client_secret_post", CLIENT_SECRET_JWT)  # those that rest on a shared secret
TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH = "tls_client_auth", "self_signed_tls_client_auth"  # RFC 8705 section 2
TLS_METHODS = (TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH)
ISSUER, TOKEN_ENDPOINT = "issuer", "token_endpoint"
HMAC_ALG = "HS256"  # of client_secret_jwt, and of nothing else

_AUTH = ("client_secret_basic", "client_secret_post", CLIENT_SECRET_JWT, PRIVATE_KEY_JWT, *TLS_METHODS, PUBLIC)
IMPLICIT = "implicit"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GRANTS = ("authorization_code", "refresh_token", "client_credentials", DEVICE_CODE, TOKEN_EXCHANGE, JWT_BEARER)
_ALGS = ("ES256", "RS256", "PS256", "ES384", "EdDSA")
_STRONG = ("PS256", "ES256", "EdDSA")  # FAPI 2.0 section 5.4
_CLIENT_ALGS = ("ES256", "ES384", "RS256", "RS384", "PS256", "EdDSA")
_HYBRID = ("code id_token", "code token", "code id_token token", "id_token", "id_token token")

# `aud` of a client assertion. The text of the issuer is what RFC 7523bis wants, because an assertion that names a URL
# can be fetched by a false server that gives out ours as its own. OIDC Core section 9 told clients to write the token
# endpoint, though, and RFC 7523 let them write a list: the libraries of ten years do one or the other, so `oidc` takes both
# addresses, alone or as the only entry. A list that names anybody else is never taken. SMART 2.2 demands the token endpoint
# as text; FAPI 2.0 the issuer as text.
PROFILES = (
    SecurityProfile(
        name="oidc",
        available=True,
        may_waive_pkce=True,
        auth_methods=_AUTH,
        grant_types=_GRANTS,
        response_types=("code",),
        response_modes=("query", "form_post"),
        id_token_algs=_ALGS,
        rotates_refresh_tokens=True,
        assertion_audiences=(ISSUER, TOKEN_ENDPOINT),
        assertion_audience_in_list=True,
        client_algs=_CLIENT_ALGS,
    ),
    SecurityProfile(
        name="legacy",
        available=True,
        switch="allow_legacy",
        may_waive_pkce=True,
        demands_pkce=False,
        auth_methods=_AUTH,
        grant_types=(*_GRANTS, IMPLICIT),
        response_types=("code", *_HYBRID),  # never `token` alone: it signs nobody in (F-4)
        response_modes=("query", "fragment", "form_post"),
        id_token_algs=_ALGS,
        rotates_refresh_tokens=True,
        assertion_audiences=(ISSUER, TOKEN_ENDPOINT),
        assertion_audience_in_list=True,
        client_algs=_CLIENT_ALGS,
    ),
    SecurityProfile(
        name="smart",
        available=False,
        may_waive_pkce=False,
        auth_methods=("client_secret_basic", PRIVATE_KEY_JWT, PUBLIC),
        grant_types=_GRANTS,
        response_types=("code",),
        response_modes=("query", "form_post"),
        id_token_algs=("RS256",),
        rotates_refresh_tokens=True,
        assertion_audiences=(ISSUER, TOKEN_ENDPOINT),
        assertion_audience_in_list=False,
        client_algs=("RS384", "ES384"),
    ),
    SecurityProfile(
        name="fapi2",
        available=False,
        may_waive_pkce=False,
        auth_methods=(PRIVATE_KEY_JWT, *TLS_METHODS),
        grant_types=_GRANTS,
        response_types=("code",),
        response_modes=("query", "form_post"),
        id_token_algs=_STRONG,
        rotates_refresh_tokens=False,
        assertion_audiences=(ISSUER,),
        assertion_audience_in_list=False,
        client_algs=_STRONG,
    ),
)

DEFAULT = "oidc"


def find(name: str) -> SecurityProfile | None:
    """Return the profile of this name, or None."""
    return next((profile for profile in PROFILES if profile.name == name), None)


def offered(oauth: OAuth) -> tuple[SecurityProfile, ...]:
    """Return the profiles that clients may have here."""
    return tuple(profile for profile in PROFILES if profile.is_offered(oauth))


def tls_methods(mtls: Mtls) -> tuple[str, ...]:
    """Return the ways of authentication by certificate that these settings make possible (RFC 8705 section 2)."""
    possible = {TLS_CLIENT_AUTH: mtls.header and mtls.trusted_ca, SELF_SIGNED_TLS_CLIENT_AUTH: mtls.header}
    return tuple(method for method in TLS_METHODS if possible[method])


def get(name: str) -> SecurityProfile:
    """Return the profile of this name; KeyError if there is none."""
    profile = find(name)
    if profile is None:
        raise KeyError(name)
    return profile
