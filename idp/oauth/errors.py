"""What OAuth refuses, beside Authlib's own errors; and the two ways of saying no.

`Unproven` is shown to the person as a page, because nobody may be sent to a client or URI that is not registered (F-3). Everything
else is an OAuth2Error: it travels to the client, in JSON or by redirect, with an error code and one sentence for its developer.
"""

from __future__ import annotations

import re

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidGrantError

from idp.audit import Event
from idp.errors import IdpError
from idp.language import gettext


class Unproven(IdpError):
    """The request names no registered client or redirect URI: it is answered here and goes nowhere (RFC 6749 4.1.2.1)."""

    code = "invalid_request"

    def __init__(self, message: str | None = None, **values: str) -> None:
        """`message` is a sentence that was `marked`: people read it in their language, programs and the audit as it stands."""
        known = message or type(self).public
        self.reason = known % values if values else known
        super().__init__(gettext(known, **values))


class InvalidTarget(OAuth2Error):  # type: ignore[misc]
    """The resource is unknown or not for this client (RFC 8707 section 2)."""

    error = "invalid_target"


class InvalidRequestObject(OAuth2Error):  # type: ignore[misc]
    """A request object that is not signed by the client, or not for us, or not fresh (RFC 9101 section 7)."""

    error = "invalid_request_object"


class UnusableRequestUri(OAuth2Error):  # type: ignore[misc]
    """A request_uri that the client did not register, or where no request can be had (OIDC Core 3.1.2.6, RFC 9101 section 7)."""

    error = "invalid_request_uri"


class Overloaded(OAuth2Error):  # type: ignore[misc]
    """Not now (RFC 6749 section 4.1.2.1)."""

    error = "temporarily_unavailable"


class UnmetAuthenticationRequirements(OAuth2Error):  # type: ignore[misc]
    """An essential `acr` that cannot be reached here (OIDC Core 5.5.1.1; the error code of its companion document)."""

    error = "unmet_authentication_requirements"


class TooManyFailures(OAuth2Error):  # type: ignore[misc]
    """One client at one address failed to authenticate too often (attack 41). No RFC has a code for it."""

    error = "temporarily_unavailable"
    status_code = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many failed client authentications; wait before the next.")
        self.retry_after_s = retry_after_s


class CodeReplayed(InvalidGrantError):  # type: ignore[misc]
    """A spent code came back with everything that belongs to it: its family is revoked (RFC 6749 section 4.1.2, X-8)."""

    event = Event.CODE_REPLAYED

    def __init__(self, family_id: str) -> None:
        super().__init__("The code was used before; the tokens issued from it are revoked.")
        self.family_id = family_id


class RefreshTokenReused(InvalidGrantError):  # type: ignore[misc]
    """A rotated token came back: theft or a race; its family is revoked (RFC 9700 section 4.14.2)."""

    event = Event.REFRESH_TOKEN_REUSED

    def __init__(self, family_id: str) -> None:
        super().__init__("The refresh token is no longer valid.")  # all that the client may learn
        self.family_id = family_id


def quotable(text: str, limit: int = 60) -> str:
    """Make a piece of the request fit for an error_description: RFC 6749's characters only, and short (O-21)."""
    return re.sub(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]", "?", text[:limit])
