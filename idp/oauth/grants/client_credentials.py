"""grant_type=client_credentials: a client in its own name (RFC 6749 section 4.4). No person, no refresh token, no ID token."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant as AuthlibClientCredentialsGrant

from idp import audit
from idp.oauth import authorization_details, issuing, resources


class ClientCredentialsGrant(AuthlibClientCredentialsGrant):  # type: ignore[misc]
    """Authlib authenticates the client and checks the grant type; public clients cannot register for it (attack 43)."""

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Issue an access token for one resource."""
        client, sent = self.request.client, self.request.sent
        authorization_details.refuse(sent)
        audience = resources.allowed_to_machine(client, sent.words("scope"), sent.resources)
        said = issuing.answer_to_machine(client, audience)
        audit.record_apart(
            audit.Event.TOKEN_ISSUED,
            client_id=client.client_id,
            actor=client.client_id,
            audience=audience.identifier,
            scope=said.get("scope", ""),
        )
        return 200, said, ()
