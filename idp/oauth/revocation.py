"""Token revocation (RFC 7009): a client gives tokens back.

A refresh token takes its whole family with it; an access token dies alone. Unknown tokens and those of other clients are
answered like all others and nothing happens to them (F-21, attack 59).
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError

from idp import audit, web
from idp.clients import Client
from idp.oauth import access_tokens, client_auth, issuing, params, server, tokens
from idp.oauth.params import Params
from idp.web import Answer


def respond() -> Answer:
    """POST /revoke."""
    sent = Params({})
    try:
        sent = params.of_form()
        client = client_auth.authenticate(sent, web.call().header("AUTHORIZATION"))
        raw_token = sent.get("token")
        if raw_token is None:
            raise InvalidRequestError("token is missing.")
        _revoke(raw_token, client)
        return server.answer({})
    except OAuth2Error as error:
        return server.refuse(error, sent)


def _revoke(raw_token: str, client: Client) -> None:
    """token_type_hint is only a hint (section 2.1): what a token is, we see."""
    claims = access_tokens.verify(raw_token)
    if claims is not None:
        _revoke_access_token(raw_token, claims, client)
    else:
        _revoke_refresh_token(raw_token, client)


def _revoke_access_token(raw_token: str, claims: dict[str, Any], client: Client) -> None:
    if claims["client_id"] != client.client_id:
        return
    access_tokens.revoke(raw_token, claims)
    family = tokens.find_family(issuing.family_of(claims["jti"]) or "")
    audit.record(
        audit.Event.TOKEN_REVOKED,
        subject=family.sub if family else claims["sub"],  # never a pairwise one: the trail speaks of people
        client_id=client.client_id,
        reason="asked",
        jti=claims["jti"],
    )


def _revoke_refresh_token(raw_token: str, client: Client) -> None:
    found = tokens.find(raw_token)
    if found is None or not found.check_client(client) or not tokens.revoke_family(found.family.id, because="asked"):
        return
    audit.record(
        audit.Event.TOKEN_REVOKED,
        subject=found.family.sub,
        client_id=client.client_id,
        sid=found.family.sid,
        reason="asked",
        family=found.family.id,
    )
