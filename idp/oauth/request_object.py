"""Request objects: an authorization request that the client signed (RFC 9101, OIDC Core 6), by value or as request_uri.py fetched it.

What is inside counts and nothing else: parameters beside the object could have been changed on the way, which is what the
signature is against. It is the client's own key that signs; `none` is refused, and so is a request object that could pass for a
client assertion (RFC 9101 section 10.8).

What was fetched from the client's own registered address needs no `exp`: it was there a moment ago. It may even be unsigned, if the
operator says so (`request_uri_by_reference = "any"`): TLS proves whose address it is.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from idp import clock, jws
from idp.clients import Client, key_sets, profiles
from idp.config import settings
from idp.jws import BadSignature, Unverified
from idp.oauth import params as parameters
from idp.oauth.errors import InvalidRequestObject
from idp.oauth.params import Params

MAX_AHEAD_S = 3600  # how far `exp` may lie ahead (attack 22)
CLOCKS_S = 10

_TYPES = ("jwt", "oauth-authz-req+jwt")
_OF_THE_JWT = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "sub"})
_FORBIDDEN = ("request", "request_uri")


def algorithms() -> tuple[str, ...]:
    """Return every algorithm that some client may sign request objects with here, for discovery."""
    offered = profiles.offered(settings().oauth)
    return tuple(dict.fromkeys(alg for profile in offered for alg in profile.client_algs))


def unfold(sent: Params, client: Client) -> Params:
    """Return the parameters inside `request`, or the parameters themselves if there is none. Raises InvalidRequestObject."""
    raw_object = sent.get("request")
    if raw_object is None:
        return sent
    if sent.get("request_uri"):
        raise InvalidRequestObject("Send request or request_uri, not both.")
    return opened(raw_object, sent, client)


def opened(raw_object: str, sent: Params, client: Client, *, fetched: bool = False) -> Params:
    """Return the parameters inside an object that came with the request, or was fetched for it. Raises InvalidRequestObject."""
    unsigned = fetched and raw_object.endswith(".") and _may_be_unsigned(client)
    try:
        found = jws.read_unsigned(raw_object) if unsigned else jws.read(raw_object)
        if not unsigned:
            _check_signature(found, client)
        _check_claims(found.claims, client, unsigned=unsigned)
        _check_times(found.claims, endless=fetched)
        inside = _parameters(found.claims)
    except (BadSignature, key_sets.NoKeys) as wrong:
        raise InvalidRequestObject(f"The request object is refused: {wrong}.") from None
    for name in ("client_id", "response_type"):
        if sent.get(name) and sent.get(name) != inside.get(name):
            raise InvalidRequestObject(f"{name} beside the request object is not the one inside it (OIDC Core 6.1).")
    jti = found.claims.get("jti")
    once = f"request object {client.client_id} {jti}" if jti else ""
    return dataclasses.replace(inside, signed=not unsigned, once=once)


def _may_be_unsigned(client: Client) -> bool:
    """Whoever registered an algorithm, or promised to sign, is held to it."""
    promised = client.request_object_signing_alg or client.require_signed_request_object
    return settings().oauth.request_uri_by_reference == "any" and not promised


def _check_signature(found: Unverified, client: Client) -> None:
    typ = found.header.get("typ", "jwt").lower().removeprefix("application/")
    if typ not in _TYPES:
        raise BadSignature("typ must be oauth-authz-req+jwt or JWT, or be absent")
    only = client.request_object_signing_alg
    algs = (only,) if only else client.profile.client_algs
    if found.header["alg"] not in algs:
        raise BadSignature(f"alg must be {' or '.join(algs)}")
    keys = key_sets.find(client, suits=lambda known: jws.has_key_for(found, known))
    jws.verify(found, keys, algs=algs)


def _check_claims(claims: dict[str, Any], client: Client, *, unsigned: bool) -> None:
    """An unsigned object may leave out who made it for whom (OIDC Core 6.1); what it says of that must be right all the same."""
    assumed = {"iss": client.client_id, "aud": settings().server.issuer} if unsigned else {}
    said = assumed | claims
    audience = said.get("aud")
    if said.get("iss") != client.client_id or claims.get("client_id") != client.client_id:
        raise BadSignature("iss and client_id must both be the client_id")
    if settings().server.issuer not in (audience if isinstance(audience, list) else [audience]):
        raise BadSignature("aud must be the issuer of this server")
    if claims.get("sub") == client.client_id or any(name in claims for name in _FORBIDDEN):
        raise BadSignature("it must not hold request, request_uri, or the client_id as sub (RFC 9101)")
    if "jti" in claims and (not isinstance(claims["jti"], str) or not 1 <= len(claims["jti"]) <= 512):
        raise BadSignature("jti must be text of 1 to 512 characters")


def _check_times(claims: dict[str, Any], *, endless: bool) -> None:
    now, expires_at = clock.epoch(), jws.whole_seconds(claims, "exp")
    if expires_at is None and endless:
        expires_at = now + CLOCKS_S
    if expires_at is None or expires_at <= now:
        raise BadSignature("exp is missing or past")
    if expires_at > now + MAX_AHEAD_S + CLOCKS_S:
        raise BadSignature(f"exp must not be more than {MAX_AHEAD_S} seconds ahead")
    for name in ("iat", "nbf"):
        if (jws.whole_seconds(claims, name) or 0) > now + CLOCKS_S:
            raise BadSignature(f"{name} is in the future; look at the client's clock")


def _parameters(claims: dict[str, Any]) -> Params:
    """Write the claims as the form would have been, so that the same checks read them."""
    form: list[tuple[str, str]] = []
    for name, value in claims.items():
        if name in _OF_THE_JWT:
            continue
        many = name in parameters.REPEATABLE and isinstance(value, list)
        for one in value if many else [value]:
            form.append((name, _text(name, one)))
    return parameters.read(form)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, dict, list)):
        raise BadSignature(f"{name[:40]!a} must be text, a whole number or a JSON value")
    return str(value) if isinstance(value, int) else json.dumps(value)
