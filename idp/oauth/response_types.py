"""Response types and modes: what comes back from the authorization endpoint, and how (OAuth 2.0 Multiple Response Types, OIDC Core 3).

A code, and nothing else: no token travels through the browser (F-4). Clients of the profile `legacy` may have more, where the
settings allow that profile at all: an ID token, an access token beside it, in the fragment or a form, never in the query, which
servers write into their logs.
"""

from __future__ import annotations

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, UnauthorizedClientError

from idp.clients import Client, profiles
from idp.config import settings
from idp.oauth import resources
from idp.oauth.params import Params

CODE, ID_TOKEN, TOKEN = "code", "id_token", "token"


def words(params: Params) -> tuple[str, ...]:
    """Return what the client asks for, in a fixed order: that of the words means nothing."""
    return tuple(sorted(params.words("response_type")))


def by_browser(asked: tuple[str, ...]) -> bool:
    """Say whether a token would travel through the browser."""
    return TOKEN in asked or ID_TOKEN in asked


def mode(params: Params, client: Client, redirect_uri: str) -> tuple[str, bool]:
    """Return how to answer, and whether that is what the client wanted and may have; if not, the answer is an error."""
    asked = words(params)
    is_hybrid = by_browser(asked) and _may_have(client, asked)
    usual = "fragment" if is_hybrid else "query"
    wanted = params.get("response_mode") or usual
    fits = (
        wanted in client.profile.response_modes
        and not (wanted == "query" and is_hybrid)
        and (wanted != "form_post" or redirect_uri.startswith(("https://", "http://")))
    )
    return (wanted if fits else usual), fits


def check(params: Params, client: Client) -> tuple[str, ...]:
    """Return what the client asks for, if it may. Raises OAuth2Error."""
    asked = words(params)
    if not asked:
        raise InvalidRequestError("response_type is missing; it must be code.")
    if not _may_have(client, asked):
        told = "response_type must be code; implicit and hybrid responses are refused."
        raise OAuth2Error(told, error="unsupported_response_type")
    if CODE in asked and not client.check_grant_type("authorization_code"):
        raise UnauthorizedClientError("The client is not registered for the grant type authorization_code.")
    if by_browser(asked) and not client.check_grant_type(profiles.IMPLICIT):
        raise UnauthorizedClientError("The client is not registered for the grant type implicit.")
    if ID_TOKEN in asked and not params.get("nonce"):
        raise InvalidRequestError("nonce is missing; with response_type id_token it must be sent (OIDC Core 3.2.2.1).")
    if ID_TOKEN in asked and resources.OPENID not in params.words("scope"):
        raise InvalidRequestError("scope must include openid; an ID token is asked for (OIDC Core 3.2.2.1).")
    return asked


def supported() -> list[str]:
    """Return what some client may have here, for discovery."""
    offered = profiles.offered(settings().oauth)
    return list(dict.fromkeys(kind for profile in offered for kind in profile.response_types))


def _may_have(client: Client, asked: tuple[str, ...]) -> bool:
    """Registered, and still allowed: taking the profile out of the settings takes its response types from its clients."""
    kind = " ".join(asked)
    if kind not in client.response_types or kind not in client.profile.response_types:
        return False
    return not by_browser(asked) or client.profile.is_offered(settings().oauth)
