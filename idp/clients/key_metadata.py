"""Client metadata about keys and what they sign (RFC 7591 section 2, OIDC Registration 2, RFC 9101, RFC 9126)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from idp.clients import profiles, redirects
from idp.jws import key_problem

MAX_KEYS = 20
MAX_REQUEST_URIS, MAX_REQUEST_URI = 20, 512  # RFC 9101 section 5.2: ASCII characters of a request_uri
MAX_JWKS = 32_768  # characters of a key set that is registered by value

_FRAGMENT = re.compile(r"[A-Za-z0-9_-]*")  # base64url

Fields = dict[str, Any]
Problems = list[tuple[str, str]]


def key_set(value: Any) -> dict[str, Any]:
    """Check a JWK Set of public keys. Raises ValueError for weak, private, symmetric or broken keys (attack 52)."""
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, (list, tuple)) or not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"must be a JWK Set with 1 to {MAX_KEYS} keys (RFC 7517 section 5)")
    for number, key in enumerate(keys, 1):
        if problem := key_problem(key):
            raise ValueError(f"key {number} {problem}")
    if len(json.dumps(value)) > MAX_JWKS:
        raise ValueError(f"must not be longer than {MAX_JWKS} characters")
    return {"keys": list(keys)}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _request_uris(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(uri, str) for uri in value):
        raise ValueError("must be a list of texts")
    if len(value) > MAX_REQUEST_URIS or any(len(uri) > MAX_REQUEST_URI for uri in value):
        raise ValueError(
            f"must not have more than {MAX_REQUEST_URIS} entries of {MAX_REQUEST_URI} characters (RFC 9101)"
        )
    return tuple(value)


READERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "jwks": (key_set, None),
    "jwks_uri": (_text, ""),
    "token_endpoint_auth_signing_alg": (_text, ""),
    "request_object_signing_alg": (_text, ""),
    "require_signed_request_object": (_flag, False),
    "require_pushed_authorization_requests": (_flag, False),
    "request_uris": (_request_uris, ()),
}


def _where_keys_are(fields: Fields, loopback_names: bool) -> Problems:
    if fields["jwks"] and fields["jwks_uri"]:
        return [("jwks_uri", "cannot stand beside jwks; register one of them (RFC 7591 section 2)")]
    uri = fields["jwks_uri"]
    wrong = redirects.problem(uri, native=False, loopback_names=loopback_names) if uri else None
    return [("jwks_uri", wrong)] if wrong else []


def _assertions(fields: Fields, _loopback_names: bool) -> Problems:
    """private_key_jwt needs keys, and both kinds of assertion an algorithm of their own kind (attack 36)."""
    method, alg = fields["token_endpoint_auth_method"], fields["token_endpoint_auth_signing_alg"]
    found = []
    if method == profiles.PRIVATE_KEY_JWT and not fields["jwks"] and not fields["jwks_uri"]:
        found.append(("jwks", "or jwks_uri is missing: private_key_jwt is proven with the client's public key"))
    by_method = {
        profiles.PRIVATE_KEY_JWT: profiles.get(fields["security_profile"]).client_algs,
        profiles.CLIENT_SECRET_JWT: (profiles.HMAC_ALG,),
    }
    allowed = by_method.get(method)
    if alg and allowed is None:
        found.append(("token_endpoint_auth_signing_alg", f"has no meaning with {method}"))
    elif alg and allowed is not None and alg not in allowed:
        found.append(("token_endpoint_auth_signing_alg", f"must be among {', '.join(allowed)} for {method}"))
    return found


def _request_objects(fields: Fields, _loopback_names: bool) -> Problems:
    alg, allowed = fields["request_object_signing_alg"], profiles.get(fields["security_profile"]).client_algs
    found = []
    if alg and alg not in allowed:
        found.append(("request_object_signing_alg", f"must be among {', '.join(allowed)}"))
    if (alg or fields["require_signed_request_object"]) and not fields["jwks"] and not fields["jwks_uri"]:
        found.append(("jwks", "or jwks_uri is missing: request objects are proven with the client's public key"))
    return found


def _where_requests_are(fields: Fields, loopback_names: bool) -> Problems:
    """OIDC Registration 2: https; a fragment may stand there, it is the hash of what is fetched."""
    found = []
    for uri in fields["request_uris"]:
        address, _, fragment = uri.partition("#")
        if problem := redirects.problem(address, native=False, loopback_names=loopback_names):
            found.append(("request_uris", f"{problem}: {uri[:80]!a}"))
        elif not _FRAGMENT.fullmatch(fragment):
            found.append(("request_uris", f"must have a base64url hash as its fragment, or none: {uri[:80]!a}"))
    return found


RULES = (_where_keys_are, _assertions, _request_objects, _where_requests_are)
