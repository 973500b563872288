"""Token introspection (RFC 7662): a protected resource asks whether a token is alive.

Answers to its own tokens, and to those made for the resources that it `serves`; anything else is `active: false` without a reason,
so that nobody learns what a stolen token is good for (F-21, attacks 57, 58).
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, UnauthorizedClientError
from flask import Response, request

from idp.clients import Client
from idp.config import settings
from idp.oauth import access_tokens, client_auth, params, server, tokens
from idp.oauth.params import Params

INACTIVE = {"active": False}


def respond() -> Response:
    """POST /introspect."""
    sent = Params({})
    try:
        sent = params.of_form()
        client = client_auth.authenticate(sent, request.headers.get("Authorization"))
        if client.is_public:
            raise UnauthorizedClientError("A public client cannot prove that it may ask.")
        raw_token = sent.get("token")
        if raw_token is None:
            raise InvalidRequestError("token is missing.")
        return server.answer(_describe(raw_token, client))
    except OAuth2Error as error:
        return server.refuse(error, sent)


def _describe(raw_token: str, client: Client) -> dict[str, Any]:
    """token_type_hint is only a hint: the two kinds cannot be mistaken for each other."""
    return _access_token(raw_token, client) if "." in raw_token else _refresh_token(raw_token, client)


def _access_token(raw_token: str, client: Client) -> dict[str, Any]:
    found = access_tokens.read(raw_token)
    if found is None or (client.client_id != found[0]["client_id"] and found[0]["aud"] not in client.serves):
        return INACTIVE
    return {"active": True, "token_type": "Bearer"} | found[0]


def _refresh_token(raw_token: str, client: Client) -> dict[str, Any]:
    found = tokens.find(raw_token)
    if found is None or not found.check_client(client) or not found.is_live or found.was_rotated:
        return INACTIVE
    return {
        "active": True,
        "iss": settings().server.issuer,
        "client_id": found.family.client_id,
        "sub": found.family.sub,
        "scope": found.family.scope,
        "exp": int(found.expires_at.timestamp()),
    }
