"""grant_type=…:jwt-bearer: an access token for a person on the signed word of an issuer that the operator trusts (RFC 7523 section 2.1).

The person did not sign in here, so the token has no `acr`, `amr` and `auth_time`, opens no UserInfo and comes without a refresh token
and an ID token. It is of a family of its own, which ends with the token, and at once when the person is disabled or recovers.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from idp import audit, users
from idp.clients import key_sets, profiles
from idp.jws import BadSignature
from idp.oauth import authorization_details, issuing, resources, tokens, trusted_issuers
from idp.oauth.resources import Asked, Audience
from idp.oauth.trusted_issuers import Vouched

_NOBODY = "The sub of the assertion is nobody who has an active account here."


class JwtBearerGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """The client proves itself first: an assertion alone, found somewhere, is worth nothing."""

    GRANT_TYPE = profiles.JWT_BEARER

    def validate_token_request(self) -> None:
        """Authenticate the client and judge what it brings. Raises OAuth2Error."""
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError("The client is not registered for the JWT bearer grant.")
        raw_assertion = self.request.sent.get("assertion")
        if raw_assertion is None:
            raise InvalidRequestError("assertion is missing.")
        authorization_details.refuse(self.request.sent)
        try:
            self.vouched: Vouched = trusted_issuers.read(raw_assertion, client)
        except (BadSignature, key_sets.NoKeys) as wrong:
            raise _refused(wrong) from None

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Find the person, use the assertion up, and issue for one resource.

        The person is held: whoever disables them waits for the family, and ends it; or came first, and there is none (attack 119).
        """
        client, vouched = self.request.client, self.vouched
        audience, person = self._audience(), vouched.find_person()
        if person is None:
            raise InvalidGrantError(_NOBODY)
        try:
            vouched.burn()
        except BadSignature as wrong:
            raise _refused(wrong) from None
        if not users.hold_active(person.sub):
            raise InvalidGrantError(_NOBODY)
        granted = Asked(audience.scopes, (audience.identifier,))
        family = tokens.open_vouched(
            person.sub, client_id=client.client_id, granted=granted, lifetime_s=audience.lifetime_s
        )
        said = issuing.answer(client, family, audience, raw_refresh_token=None)
        self._write_down(person, audience, family.id)
        return 200, said, ()

    def _audience(self) -> Audience:
        """Return what the token is for: what the issuer may give and the client may have. Raises InvalidScopeError, InvalidTarget."""
        client, sent, given = self.request.client, self.request.sent, self.vouched.by.scopes
        offered = tuple(scope for scope in client.scope.split() if scope in given)
        fitting = (scope for scope in offered if not sent.resources or resources.owner(scope) in sent.resources)
        wanted = sent.words("scope") or tuple(fitting)
        if not wanted or not set(wanted) <= set(offered):
            raise InvalidScopeError("The scope is not among those that the client registered and this issuer may give.")
        return resources.allowed_to_machine(client, wanted, sent.resources)

    def _write_down(self, person: users.User, audience: Audience, family_id: str) -> None:
        client = self.request.client
        audit.record(
            audit.Event.ASSERTION_REDEEMED,
            subject=person.sub,
            actor=client.client_id,
            client_id=client.client_id,
            family=family_id,
            issuer=self.vouched.by.issuer,
            jti=self.vouched.jti,
            audience=audience.identifier,
            scope=" ".join(audience.scopes),
        )


def _refused(wrong: Exception) -> InvalidGrantError:
    """RFC 7521 section 4.1.1: a bad assertion is `invalid_grant`; `invalid_client` is about the client's own proof."""
    return InvalidGrantError(f"The assertion is refused: {wrong}.")
