"""The authorization response: how an answer travels back to the client (RFC 6749 4.1.2, OAuth 2.0 Form Post Response Mode).

Every answer, good or bad, carries `iss` (RFC 9207). Authlib's IssuerParameter adds it to a Location header only and would miss
the form; so it stands here, in the one place that all answers pass.
"""

from __future__ import annotations

from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from flask import Response

from idp import web
from idp.config import settings
from idp.oauth.authorization_request import ReplyTo


def succeed(reply: ReplyTo, fields: dict[str, str]) -> Response:
    """Send the code (RFC 6749 section 4.1.2), and tokens where a client of the profile legacy asked for them."""
    return _send(reply, dict(fields))


def fail(reply: ReplyTo, error: OAuth2Error) -> Response:
    """Send an error (RFC 6749 section 4.1.2.1, OIDC Core 3.1.2.6)."""
    return _send(reply, {"error": error.error, "error_description": error.get_error_description()})


def _send(reply: ReplyTo, fields: dict[str, str]) -> Response:
    if reply.state is not None:
        fields["state"] = reply.state
    fields["iss"] = settings().server.issuer
    if reply.response_mode == "form_post":
        targets = (web.origin_of(reply.redirect_uri),)
        return web.page("form_post.html", action=reply.redirect_uri, fields=fields, form_targets=targets)
    if reply.response_mode == "fragment":
        return web.see_other(f"{reply.redirect_uri}#{urlencode(fields)}")
    joint = "&" if "?" in reply.redirect_uri else "?"
    return web.see_other(f"{reply.redirect_uri}{joint}{urlencode(fields)}")
