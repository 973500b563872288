"""Discovery and JWKS: what this server says about itself, and nothing that it does not do (OIDC Discovery 3, RFC 8414).

Every list is taken from the tuple or table that the code itself works with; where a capability is missing that a reader would
assume, its absence is said (X-13). Both documents are served with an ETag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from flask import current_app
from werkzeug.http import parse_etags

from idp import authn, jwe, keys, language, web
from idp.clients import SUBJECT_TYPES, profiles
from idp.config import settings
from idp.oauth import (
    authorization_details,
    claims,
    client_assertion,
    client_auth,
    client_certificate,
    openapi,
    pkce,
    request_object,
    request_uri,
    resources,
    response_types,
    session_management,
)
from idp.oauth.authorization_request import prompts
from idp.oauth.grants import GRANTS
from idp.web import Answer

DISCOVERY_MAX_AGE_S = 3600
JWKS_MAX_AGE_S = 300  # a new key is published long before it signs; see keys


def document() -> dict[str, Any]:
    """Return the provider metadata."""
    issuer = settings().server.issuer
    methods = list(client_auth.methods())
    secret_methods = [method for method in methods if method != "none"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "registration_endpoint": f"{issuer}/register",
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "end_session_endpoint": f"{issuer}/end_session",
        "scopes_supported": resources.scopes_supported(),
        "claims_supported": claims.claims_supported(),
        "response_types_supported": response_types.supported(),
        "response_modes_supported": _offered("response_modes"),
        "grant_types_supported": [grant.GRANT_TYPE for grant in GRANTS] + _implicit(),
        "subject_types_supported": list(SUBJECT_TYPES),
        "id_token_signing_alg_values_supported": _signing_algs(),
        "userinfo_signing_alg_values_supported": _signing_algs(),
        "introspection_signing_alg_values_supported": _signing_algs(),
        "id_token_encryption_alg_values_supported": list(jwe.ALGS),
        "id_token_encryption_enc_values_supported": list(jwe.ENCS),
        "userinfo_encryption_alg_values_supported": list(jwe.ALGS),
        "userinfo_encryption_enc_values_supported": list(jwe.ENCS),
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": secret_methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": list(client_assertion.algorithms()),
        "introspection_endpoint_auth_signing_alg_values_supported": list(client_assertion.algorithms()),
        "revocation_endpoint_auth_signing_alg_values_supported": list(client_assertion.algorithms()),
        "code_challenge_methods_supported": [pkce.METHOD],
        "acr_values_supported": list(authn.SUPPORTED),
        "prompt_values_supported": list(prompts()),
        "display_values_supported": ["page"],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": True,
        **_authorization_details(),
        "request_parameter_supported": True,
        "request_uri_parameter_supported": request_uri.is_on(),  # of the client's own; what was pushed has its endpoint
        "require_request_uri_registration": True,
        "request_object_signing_alg_values_supported": list(request_object.algorithms()),
        "require_signed_request_object": False,
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "require_pushed_authorization_requests": False,
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
        "ui_locales_supported": list(language.SUPPORTED),
        **client_certificate.metadata(),
    } | session_management.metadata()


def discovery() -> Answer:
    """Answer both well-known addresses with the same document (O-6)."""
    body, etag = _bytes("idp.discovery", document)
    return _cached(body, etag, DISCOVERY_MAX_AGE_S)


def described() -> Answer:
    """Answer the OpenAPI description (openapi.py)."""
    body, etag = _bytes("idp.openapi", openapi.document)
    return _cached(body, etag, DISCOVERY_MAX_AGE_S)


def jwks() -> Answer:
    """Answer the public keys: those that sign, those that will, and those whose tokens are still about (O-7, O-8)."""
    published = keys.jwks_document()
    return _cached(published.body, published.etag, JWKS_MAX_AGE_S)


def _offered(column: str) -> list[str]:
    """Return what any profile that clients may have here offers in a column of the table, each once."""
    rows = (getattr(profile, column) for profile in profiles.offered(settings().oauth))
    return list(dict.fromkeys(value for row in rows for value in row))


def _signing_algs() -> list[str]:
    """Return what a profile allows and this installation keeps keys for."""
    return [alg for alg in _offered("id_token_algs") if alg in settings().oauth.signing_algs]


def _authorization_details() -> dict[str, list[str]]:
    """RFC 9396 section 10; absent where no resource has a type, because no member is ever empty (O-5)."""
    types = authorization_details.types_supported()
    return {"authorization_details_types_supported": types} if types else {}


def _implicit() -> list[str]:
    """No grant of the token endpoint: OIDC's name for tokens from the authorization endpoint."""
    return [kind for kind in (profiles.IMPLICIT,) if kind in _offered("grant_types")]


def _bytes(name: str, build: Callable[[], dict[str, Any]]) -> tuple[bytes, str]:
    """The settings do not change while the process lives, and so neither does a document."""
    known: tuple[bytes, str] | None = current_app.extensions.get(name)
    if known is None:
        body = orjson.dumps(build())
        known = current_app.extensions[name] = (body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return known


def _cached(body: bytes, etag: str, max_age_s: int) -> Answer:
    """RFC 9110 section 13.1.2: who has this version already is told so, without the document."""
    kept = [("ETag", etag), ("Cache-Control", f"public, max-age={max_age_s}")]
    asked = web.call().header("IF_NONE_MATCH")
    if asked and parse_etags(asked).contains_weak(etag.strip('"')):
        return Answer(b"", 304, kept)
    return Answer(body, 200, [("Content-Type", "application/json"), *kept])
