"""grant_type=…:device_code: a device polls until the person has decided somewhere else (RFC 8628 sections 3.4 and 3.5)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidGrantError, InvalidRequestError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin
from authlib.oauth2.rfc8628 import AuthorizationPendingError, ExpiredTokenError, SlowDownError

from idp import audit, crypto
from idp.oauth import authorization_details, device_codes, resources, tokens
from idp.oauth.device_codes import DeviceGrant
from idp.oauth.grants import first_tokens
from idp.oauth.tokens import Family

_LONGER = f"Polled too early; wait {device_codes.INTERVAL_S} seconds longer from now on."
_TOLD: dict[str, tuple[type[OAuth2Error], str]] = {
    "unknown": (InvalidGrantError, "The device code is unknown, or expired long ago."),
    "foreign": (InvalidGrantError, "The device code was issued to another client."),
    "spent": (InvalidGrantError, "The device code was used before."),
    "denied": (AccessDeniedError, "The person did not allow this."),
    "expired": (ExpiredTokenError, "The device code has expired; begin a new device authorization request."),
    "slow_down": (SlowDownError, _LONGER),
    "pending": (AuthorizationPendingError, "The person has not decided yet."),
}


class DeviceCodeGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """Authlib's own grant polls in several steps that do not exclude each other; ours asks one script."""

    GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"

    def validate_token_request(self) -> None:
        """Authenticate the client and count the poll. Raises OAuth2Error for everything but an approved code."""
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError("The client is not registered for the device code grant.")
        self.raw_code = self.request.sent.get("device_code")
        if self.raw_code is None:
            raise InvalidRequestError("device_code is missing.")
        outcome = device_codes.poll(self.raw_code, client_id=client.client_id)
        if outcome != "approved":
            raise _error(outcome)

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Issue the tokens of the family that began with the person's yes, to the first who comes for them."""
        client = self.request.client
        grant, family = self._approved()
        family = authorization_details.narrowed(family, self.request.sent)
        audience = resources.pick(family.granted, self.request.sent.resources)
        if not device_codes.take(grant):
            raise _error("spent")
        if not family.is_live:
            raise InvalidGrantError("The authorization has been withdrawn, or the person has signed out.")
        return first_tokens.issue(client, family, audience, event=audit.Event.DEVICE_REDEEMED)

    def _approved(self) -> tuple[DeviceGrant, Family]:
        """The yes reaches Redis a moment before its family is committed: a poll in between is told to come again."""
        grant = device_codes.find(crypto.digest(self.raw_code))
        if grant is None or not grant.family_id:
            raise _error("spent")
        family = tokens.find_family(grant.family_id)
        if family is None:
            raise _error("pending")
        return grant, family


def _error(outcome: str) -> OAuth2Error:
    kind, sentence = _TOLD[outcome]
    return kind(sentence)
