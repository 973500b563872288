"""grant_type=refresh_token: new tokens for the old one, which ends with that (RFC 6749 section 6, RFC 9700 section 4.14)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant as AuthlibRefreshTokenGrant

from idp import audit
from idp.oauth import authorization_details, client_certificate, issuing, resources, session_bond, tokens
from idp.oauth.resources import Asked
from idp.oauth.tokens import RefreshToken


class RefreshTokenGrant(AuthlibRefreshTokenGrant):  # type: ignore[misc]
    """Authlib authenticates the client, finds the token through us and holds `scope` against it.

    Only then, and after `resource` was judged, is the token rotated: a request that was wrong burns nothing.
    """

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken:
        """Find the token, a rotated one too. Raises InvalidGrantError for one that is unknown, foreign, idle or revoked."""
        found = tokens.find(refresh_token)
        if found is None or not found.check_client(self.request.client) or not found.is_live:
            raise InvalidGrantError("The refresh token is unknown, expired or revoked; the person must sign in again.")
        if not client_certificate.confirms(found.family.cnf):
            raise InvalidGrantError("The refresh token is bound to another client certificate (RFC 8705 section 4).")
        return found

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Rotate, and issue for what is asked now. Raises RefreshTokenReused for everybody but the first."""
        client, token = self.request.client, self.request.refresh_token
        family = authorization_details.narrowed(token.family, self.request.sent)
        narrowed = Asked(self.request.sent.words("scope") or family.granted.scopes, family.resources)
        audience = resources.pick(resources.still_allowed(client, narrowed), self.request.sent.resources)
        raw_refresh_token = tokens.rotate(token)
        session_bond.insist_at_work(family)  # after the rotation: a token that came back is an alarm, and no work
        said = issuing.answer(client, family, audience, raw_refresh_token=raw_refresh_token)
        audit.record(
            audit.Event.TOKEN_REFRESHED,
            subject=family.sub,
            client_id=client.client_id,
            sid=family.sid,
            family=family.id,
            audience=audience.identifier,
            scope=said.get("scope", ""),
        )
        return 200, said, ()
