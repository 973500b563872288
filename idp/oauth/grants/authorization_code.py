"""grant_type=authorization_code: a code becomes tokens, once (RFC 6749 section 4.1.3, RFC 7636, OIDC Core 3.1.3)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant as AuthlibCodeGrant

from idp import audit
from idp.clients import Client
from idp.oauth import authorization_details, codes, resources, tokens
from idp.oauth.codes import CodeGrant
from idp.oauth.grants import first_tokens


class AuthorizationCodeGrant(AuthlibCodeGrant):  # type: ignore[misc]
    """Authlib authenticates the client and checks the grant type, then asks for the code; the rest is ours."""

    def query_authorization_code(self, code: str, client: Client) -> CodeGrant:
        """Take the code out of circulation, with all that it is bound to checked. Raises InvalidGrantError."""
        form = self.request.form
        return codes.redeem(
            code,
            client_id=client.client_id,
            redirect_uri=form.get("redirect_uri"),
            verifier=form.get("code_verifier"),
        )

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Issue the tokens of the family that began with this code."""
        client, redeemed = self.request.client, self.request.authorization_code
        family = tokens.find_family(redeemed.family_id)
        if family is None or not family.may_begin:
            raise InvalidGrantError("The authorization has been withdrawn, or the person has signed out.")
        family = authorization_details.narrowed(family, self.request.sent)
        audience = resources.pick(resources.still_allowed(client, family.granted), self.request.sent.resources)
        return first_tokens.issue(client, family, audience, event=audit.Event.CODE_REDEEMED, nonce=redeemed.nonce)
