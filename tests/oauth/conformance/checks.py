"""What the conditions of the suite look at, each named after the thing that it looks at. Everything is an assertion."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from joserfc import jws, jwt
from joserfc.jwk import KeySet

from idp import clock
from tests.oauth.conformance.browser import FORM, Arrival, Shown
from tests.oauth.conftest import header_of

UI_ERRORS = ("login_required", "consent_required", "interaction_required", "account_selection_required")
ERROR_PARAMS = {"error", "error_description", "error_uri", "state", "session_state", "iss"}
TEXT_CLAIMS = [
    "sub",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
]
FLAG_CLAIMS = ("email_verified", "phone_number_verified")
CLAIMS_OF_SCOPE = {
    "openid": ("sub",),
    "profile": [
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
        "zoneinfo",
        "locale",
        "updated_at",
    ],
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
    "offline_access": (),
}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
_VSCHARS = re.compile(r"[\x20-\x7e]+")
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")  # BCP 47, canonical casing


# --- discovery and keys ---------------------------------------------------------------------------------------------


def document(answer: Any) -> dict[str, Any]:
    """A JSON document: 200 and application/json."""
    assert answer.status_code == 200 and answer.mimetype == "application/json", answer.status
    return dict(answer.get_json())


def endpoints_are_https(metadata: dict[str, Any]) -> None:
    """Every *_endpoint, every *_uri that is an address, and the issuer."""
    for name, value in metadata.items():
        if name.endswith(("_endpoint", "_iframe")) or name in ("jwks_uri", "issuer"):
            assert urlsplit(value).scheme == "https" and urlsplit(value).hostname, (name, value)


def lists_hold(metadata: dict[str, Any], **least: set[str]) -> None:
    """These members are arrays of texts and hold at least these."""
    for name, wanted in least.items():
        found = metadata.get(name)
        assert isinstance(found, list) and all(isinstance(value, str) for value in found), (name, found)
        assert wanted <= set(found), (name, wanted - set(found))


def discovery(metadata: dict[str, Any], issuer: str) -> None:
    """oidcc-discovery-endpoint-verification, without what only dynamic providers owe."""
    assert metadata["issuer"] == issuer
    assert not urlsplit(issuer).query and not urlsplit(issuer).fragment and not issuer.endswith("/")
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "registration_endpoint"):
        assert metadata[name].startswith("https://"), name
    endpoints_are_https(metadata)
    lists_hold(
        metadata,
        response_types_supported={"code"},
        subject_types_supported={"public"},
        id_token_signing_alg_values_supported={"RS256"},
        userinfo_signing_alg_values_supported=set(),
        request_object_signing_alg_values_supported={"RS256"},
        scopes_supported={"openid"},
        claims_supported={"sub"},
        grant_types_supported={"authorization_code"},
        code_challenge_methods_supported={"S256"},
        ui_locales_supported=set(),
    )
    assert all(_SCOPE_TOKEN.fullmatch(scope) for scope in metadata["scopes_supported"])
    assert all(_LOCALE.fullmatch(tag) for tag in metadata["ui_locales_supported"])
    for name in ("request_parameter_supported", "request_uri_parameter_supported", "claims_parameter_supported"):
        assert isinstance(metadata[name], bool), name
    assert all(value not in ([], None, "") for value in metadata.values()), "no member is empty (O-5)"


def key_set(published: dict[str, Any]) -> None:
    """Public keys only, each with a kid of its own, unpadded base64url, known to a JOSE library."""
    keys = published["keys"]
    kids = [key["kid"] for key in keys]
    assert keys and len(set(kids)) == len(kids)
    for key in keys:
        assert not PRIVATE_MEMBERS & key.keys() and key["kty"] in ("RSA", "EC", "OKP") and key["use"] == "sig"
        assert all(_BASE64URL.fullmatch(key[name]) for name in ("n", "e", "x", "y") if name in key)
    KeySet.import_key_set(published)


# --- the authorization response -------------------------------------------------------------------------------------


def fields_of(arrival: Arrival | Shown, *, mode: str, redirect_uri: str) -> dict[str, str]:
    """The answer, out of the place where it has to be, and out of no other."""
    assert isinstance(arrival, Arrival), f"no answer came back; the person sees: {_words(arrival)}"
    assert arrival.uri == redirect_uri.split("?")[0], arrival.uri
    registered = _query_of(redirect_uri)
    assert arrival.query.items() >= registered.items()
    own_query = {name: value for name, value in arrival.query.items() if name not in registered}
    if mode == "form_post":
        assert arrival.method == "POST" and arrival.content_type == FORM
        assert not own_query and not arrival.fragment
        return arrival.body
    assert arrival.method == "GET" and not arrival.body
    if mode == "fragment":
        assert not own_query, "nothing of the answer stands in the query"
        return arrival.fragment
    assert not arrival.fragment
    return own_query


def success(fields: dict[str, str], *, words: set[str], state: str, issuer: str) -> None:
    """No error; `state` and `iss` right; exactly what response_type asked for."""
    assert "error" not in fields, fields
    assert fields["state"] == state and fields["iss"] == issuer
    expected = {"code": {"code"}, "id_token": {"id_token"}, "token": {"access_token", "token_type", "expires_in"}}
    due = set().union(*(expected[word] for word in words))
    assert due <= fields.keys() <= due | {"state", "iss", "scope", "session_state"}, fields.keys()
    if "token" in words:
        access_token(fields["access_token"])
        assert fields["token_type"].lower() == "bearer" and int(fields["expires_in"]) > 0
    if "code" in words:
        code(fields["code"])


def refusal(fields: dict[str, str], *errors: str, state: str, issuer: str) -> None:
    """An error response: state, iss, nothing granted, nothing unexpected, texts in RFC 6749's characters."""
    assert fields.get("error") in errors, fields
    assert fields["state"] == state and fields["iss"] == issuer
    assert fields.keys() <= ERROR_PARAMS, fields.keys()
    described(fields)


def described(said: dict[str, Any]) -> None:
    """error_description and error_uri hold what RFC 6749 lets them hold: no CR, LF, TAB, quote or backslash."""
    assert _DESCRIPTION.fullmatch(said.get("error_description", ""))
    assert "error_uri" not in said or urlsplit(said["error_uri"]).scheme == "https"


def error_page(shown: Arrival | Shown, *words: str) -> None:
    """The person is told here, and sent nowhere."""
    assert isinstance(shown, Shown), f"sent to {shown}"
    assert 400 <= shown.status < 500
    assert all(word in _words(shown) for word in words), _words(shown)


def code(raw_code: str) -> None:
    """Long and random enough, in RFC 6749's characters."""
    assert _VSCHARS.fullmatch(raw_code) and len(raw_code) * entropy(raw_code) >= 96


def access_token(raw_token: str) -> None:
    """As a code."""
    assert _VSCHARS.fullmatch(raw_token) and len(raw_token) * entropy(raw_token) >= 96


def entropy(text: str) -> float:
    """Shannon bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


# --- tokens ---------------------------------------------------------------------------------------------------------


def token_response(answer: Any) -> dict[str, Any]:
    """A good answer of the token endpoint."""
    said = document(answer)
    assert "no-store" in answer.headers["Cache-Control"] and answer.headers["Pragma"] == "no-cache"
    assert "error" not in said and said["token_type"].lower() == "bearer"
    assert isinstance(said["expires_in"], int) and said["expires_in"] > 0
    access_token(said["access_token"])
    if "refresh_token" in said:
        assert _VSCHARS.fullmatch(said["refresh_token"])
        assert len(said["refresh_token"]) * entropy(said["refresh_token"]) >= 128
    return said


def token_error(answer: Any, *errors: str) -> None:
    """A refusal of the token endpoint: 400 (401 where the client is not known), JSON, a known code, clean texts."""
    said = answer.get_json()
    assert answer.mimetype == "application/json" and said["error"] in errors, said
    assert answer.status_code == 400 or (answer.status_code == 401 and said["error"] == "invalid_client")
    described(said)


def id_token(
    raw_token: str, *, issuer: str, client_id: str, alg: str, published: dict[str, Any], nonce: str | None
) -> dict[str, Any]:
    """Signature by kid, issuer, audience, times, subject, nonce, and the types of the claims."""
    header = header_of(raw_token)
    assert header["alg"] == alg and header["kid"] in [key["kid"] for key in published["keys"]], header
    known = KeySet.import_key_set({"keys": [key for key in published["keys"] if key["kid"] == header["kid"]]})
    claims = dict(jwt.decode(raw_token, known, algorithms=[alg]).claims)
    assert claims["iss"] == issuer and claims["aud"] in (client_id, [client_id])
    assert claims.get("azp", client_id) == client_id
    now = clock.epoch()
    assert claims["exp"] > now and now - 86400 < claims["iat"] <= now + 1 and claims.get("nbf", 0) <= now
    assert claims["sub"].isascii() and 0 < len(claims["sub"]) <= 255
    assert claims.get("nonce") == nonce, "the nonce that was sent, or none"
    assert isinstance(claims["auth_time"], int) and claims["auth_time"] <= now + 1
    assert isinstance(claims["acr"], str) and all(isinstance(method, str) for method in claims["amr"])
    standard_claims(claims)
    return claims


def hash_of(raw: str, alg: str) -> str:
    """at_hash, c_hash: the left half (OIDC Core 3.3.2.11)."""
    digest = hashlib.new(f"sha{alg[2:]}", raw.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def encoded(body: dict[str, Any]) -> str:
    """A JSON object as a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()


def unsigned(raw_token: str) -> str:
    """The same claims with alg none."""
    return f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{raw_token.split('.')[1]}."


def signed_by(raw_token: str, key: Any) -> str:
    """The same claims, signed by somebody else."""
    header = {"alg": "RS256", "kid": key.kid}
    payload = base64.urlsafe_b64decode(raw_token.split(".")[1] + "==")
    return str(jws.serialize_compact(header, payload, key))


# --- claims ---------------------------------------------------------------------------------------------------------


def standard_claims(claims: dict[str, Any]) -> None:
    """OIDC Core 5.1: each claim of the type that it must have, never empty."""
    assert all(isinstance(claims[name], str) and claims[name] for name in TEXT_CLAIMS if name in claims)
    assert all(isinstance(claims[name], bool) for name in FLAG_CLAIMS if name in claims)
    assert isinstance(claims.get("updated_at", 0), int) and 0 <= claims.get("updated_at", 0) <= clock.epoch()
    assert re.fullmatch(r"[0-9]{4}(-[0-9]{2}-[0-9]{2})?", claims.get("birthdate", "2000"))
    address = claims.get("address", {})
    assert isinstance(address, dict) and all(isinstance(value, str) and value for value in address.values())
    assert "_claim_names" not in claims and "_claim_sources" not in claims


def claims_of_scopes(claims: dict[str, Any], scope: str) -> None:
    """Everything that the scopes stand for."""
    due = {name for word in scope.split() for name in CLAIMS_OF_SCOPE[word]}
    assert due <= claims.keys(), due - claims.keys()


def _query_of(uri: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in urlsplit(uri).query.split("&") if pair)


def _words(shown: Arrival | Shown) -> str:
    if isinstance(shown, Arrival):
        return str(shown)
    return " ".join(re.sub(r"<[^>]*>", " ", shown.html).split())
