"""The first tokens of a family: what ends the authorization code and the device grant alike."""

from __future__ import annotations

from typing import Any

from idp import audit
from idp.clients import Client
from idp.oauth import client_certificate, issuing, session_bond, tokens
from idp.oauth.resources import Audience
from idp.oauth.tokens import Family


def issue(
    client: Client, family: Family, audience: Audience, *, event: audit.Event, nonce: str | None = None
) -> tuple[int, dict[str, Any], Any]:
    """Issue, with a refresh token for who registered the grant, and write it down. Raises InvalidGrantError (person gone, or signed out)."""
    session_bond.insist(family)
    said = issuing.answer(client, family, audience, raw_refresh_token=_refresh_token(client, family), nonce=nonce)
    audit.record(
        event,
        subject=family.sub,
        client_id=client.client_id,
        sid=family.sid,
        acr=family.acr,
        amr=family.amr,
        family=family.id,
        audience=audience.identifier,
        scope=said.get("scope", ""),
    )
    return 200, said, ()


def _refresh_token(client: Client, family: Family) -> str | None:
    """A public client proves nothing at a refresh, so its refresh tokens are bound like its access tokens (RFC 8705 section 4).

    Those of other clients are bound to the client, which may renew its certificate.
    """
    if not client.check_grant_type("refresh_token"):
        return None
    cnf = client_certificate.confirmation(client)
    if cnf is not None and client.is_public:
        tokens.bind(family, cnf)
    return tokens.issue(family)
