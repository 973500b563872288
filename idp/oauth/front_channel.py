"""Tokens from the authorization endpoint, for clients of the profile `legacy` (OIDC Core 3.2.2.5, 3.3.2.5).

They pass through the browser, so they are few and short: never a refresh token, an access token for one audience as always but
for FRONT_CHANNEL_S at most, and an ID token that holds a person's details only where nothing else could fetch them.
"""

from __future__ import annotations

import dataclasses

from authlib.oauth2.rfc6749 import AccessDeniedError

from idp import audit
from idp.clients import Client
from idp.oauth import claims, issuing, resources, response_types
from idp.oauth.authorization_request import AuthorizationRequest
from idp.oauth.tokens import Family

FRONT_CHANNEL_S = 300


def tokens_for(
    request: AuthorizationRequest, client: Client, family: Family, *, raw_code: str | None
) -> dict[str, str]:
    """Return what stands in the answer beside the code. Raises AccessDeniedError when the person is gone or disabled."""
    wants_id_token = response_types.ID_TOKEN in request.answered_with
    alone = request.answered_with == (response_types.ID_TOKEN,)
    names = claims.wanted(family.granted.scopes if alone else (), family.claims, "id_token", client)
    person = claims.of_person(family.sub, names if wants_id_token else frozenset())
    if person is None:
        raise AccessDeniedError("The person has no active account any more.")
    said = _access_token(client, family) if response_types.TOKEN in request.answered_with else {}
    if wants_id_token:
        said["id_token"] = issuing.id_token(
            client, family, person, access_token=said.get("access_token"), nonce=request.nonce, raw_code=raw_code
        )
    _write_down(client, family, sorted(said))
    return said


def _access_token(client: Client, family: Family) -> dict[str, str]:
    audience = resources.pick(family.granted, ())
    audience = dataclasses.replace(audience, lifetime_s=min(audience.lifetime_s, FRONT_CHANNEL_S))
    return {
        "access_token": issuing.access_token_of_person(client, family, audience),
        "token_type": "Bearer",
        "expires_in": str(audience.lifetime_s),
        "scope": " ".join(audience.scopes),
    }


def _write_down(client: Client, family: Family, what: list[str]) -> None:
    audit.record(
        audit.Event.TOKEN_ISSUED,
        subject=family.sub,
        client_id=client.client_id,
        sid=family.sid,
        acr=family.acr,
        amr=family.amr,
        family=family.id,
        channel="browser",
        issued=what,
    )
