"""grant_type=refresh_token: new tokens for the old one, which ends with that (RFC 6749 section 6, RFC 9700 section 4.14)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant as AuthlibRefreshTokenGrant

from idp import audit
from idp.oauth import authorization_details, client_certificate, issuing, resources, session_bond, tokens
from idp.oauth.errors import RefreshTokenReused
from idp.oauth.resources import Asked
from idp.oauth.tokens import RefreshToken


class RefreshTokenGrant(AuthlibRefreshTokenGrant):  # type: ignore[misc]
    """Authlib authenticates the client, finds the token through us and holds `scope` against it.

    The token is rotated last, in one step with its successor and the event: a request that was wrong burns nothing, and one that
    comes too late leaves nothing.
    """

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken:
        """Find the token. Raises InvalidGrantError for one that is unknown, foreign, idle or revoked, RefreshTokenReused for a rotated one."""
        found = tokens.find(refresh_token)
        if found is None or not found.check_client(self.request.client) or not found.is_live:
            raise InvalidGrantError("The refresh token is unknown, expired or revoked; the person must sign in again.")
        if not client_certificate.confirms(found.family.cnf):
            raise InvalidGrantError("The refresh token is bound to another client certificate (RFC 8705 section 4).")
        if found.was_rotated:  # an alarm, whatever else is asked, and no work that would keep the session alive
            raise RefreshTokenReused(found.family.id)
        return found

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Issue for what is asked now, and rotate. Raises RefreshTokenReused for everybody but the first."""
        client, token = self.request.client, self.request.refresh_token
        family = authorization_details.narrowed(token.family, self.request.sent)
        narrowed = Asked(self.request.sent.words("scope") or family.granted.scopes, family.resources)
        audience = resources.pick(resources.still_allowed(client, narrowed), self.request.sent.resources)
        session_bond.insist_at_work(family)
        said = issuing.answer(client, family, audience, raw_refresh_token=None)
        said["refresh_token"] = tokens.issue(token.family)
        audit.record(
            audit.Event.TOKEN_REFRESHED,
            subject=family.sub,
            client_id=client.client_id,
            sid=family.sid,
            family=family.id,
            audience=audience.identifier,
            scope=said.get("scope", ""),
        )
        tokens.spend(token)
        return 200, said, ()
