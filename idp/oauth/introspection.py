"""Token introspection (RFC 7662): a protected resource asks whether a token is alive.

Answers to its own tokens, and to those made for the resources that it `serves`; anything else is `active: false` without a reason,
so that nobody learns what a stolen token is good for (F-21, attacks 57, 58). A resource that wants to prove later what it was told
asks for a signed answer with its Accept header (RFC 9701).
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, UnauthorizedClientError
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from idp import clock, keys, web
from idp.clients import Client
from idp.config import settings
from idp.oauth import access_tokens, client_auth, params, server, subjects, tokens
from idp.oauth.params import Params
from idp.web import Answer

INACTIVE = {"active": False}
SIGNED = "application/token-introspection+jwt"
TYPE = "token-introspection+jwt"


def respond() -> Answer:
    """POST /introspect."""
    sent = Params({})
    try:
        sent = params.of_form()
        client = client_auth.authenticate(sent, web.call().header("AUTHORIZATION"))
        if client.is_public:
            raise UnauthorizedClientError("A public client cannot prove that it may ask.")
        raw_token = sent.get("token")
        if raw_token is None:
            raise InvalidRequestError("token is missing.")
        told = _describe(raw_token, client)
        return _signed(told, client) if _wants_signed() else server.answer(told)
    except OAuth2Error as error:
        return server.refuse(error, sent)


def _describe(raw_token: str, client: Client) -> dict[str, Any]:
    """token_type_hint is only a hint (section 2.1): what a token is, we see."""
    claims = access_tokens.find(raw_token)
    if claims is None:
        return _refresh_token(raw_token, client)
    if client.client_id != claims["client_id"] and claims["aud"] not in client.serves:
        return INACTIVE
    return {"active": True, "token_type": "Bearer"} | claims


def _refresh_token(raw_token: str, client: Client) -> dict[str, Any]:
    found = tokens.find(raw_token)
    if found is None or not found.check_client(client) or not found.is_live or found.was_rotated:
        return INACTIVE
    return {
        "active": True,
        "iss": settings().server.issuer,
        "client_id": found.family.client_id,
        "sub": subjects.of(client, found.family.sub),
        "scope": found.family.scope,
        "exp": int(found.expires_at.timestamp()),
    }


def _wants_signed() -> bool:
    """RFC 9701 section 4: the caller names the media type; a wildcard gets JSON as ever."""
    accepted = web.call().header("ACCEPT") or ""
    kinds = parse_accept_header(accepted, MIMEAccept) if SIGNED in accepted.lower() else ()
    return any(kind == SIGNED and quality > 0 for kind, quality in kinds)


def _signed(told: dict[str, Any], client: Client) -> Answer:
    """RFC 9701 section 5: the answer stands in one claim, addressed to who asked; its own `typ` keeps it from passing for a token."""
    body = {
        "iss": settings().server.issuer,
        "aud": client.client_id,
        "iat": clock.epoch(),
        "token_introspection": told,
    }
    alg = client.introspection_signed_response_alg or client.id_token_signed_response_alg
    return server.jwt_answer(keys.sign(body, typ=TYPE, alg=alg), SIGNED)
