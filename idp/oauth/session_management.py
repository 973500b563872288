"""OpenID Connect Session Management 1.0 (O-43): an application's page asks a hidden frame of ours whether the person is still signed in.

Off unless `oauth.session_management` is set: browsers that withhold cookies from frames of other sites make it say «changed» for
ever, and it cannot notice a session that ended elsewhere. The back channel is the reliable way.

`session_state` binds a client, the origin of its redirect URI and the SSO session together. Our frame computes it again from the
asker's true origin and a cookie with the browser state; the state is a keyed digest of the `sid`, so no application can make it up, and the
cookie goes to no other page of ours.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Response, abort, after_this_request, has_request_context, make_response, render_template

from idp import crypto, sessions
from idp.clients import Client
from idp.config import settings
from idp.sessions import SsoSession

PATH = "/check_session"

_DEFAULT_PORTS = {"http": 80, "https": 443}


def enabled() -> bool:
    """Say whether the operator switched it on."""
    return settings().oauth.session_management


def metadata() -> dict[str, str]:
    """Return what discovery says of it."""
    return {"check_session_iframe": f"{settings().server.issuer}{PATH}"} if enabled() else {}


def answered_with(client: Client, redirect_uri: str, session: SsoSession) -> dict[str, str]:
    """Return `session_state` for the authorization response, and give the browser its state with it (section 3).

    Nothing for a native app: it has no origin that a browser would name.
    """
    origin = _origin(redirect_uri)
    if not enabled() or origin is None:
        return {}
    state, salt = _browser_state(session.sid), crypto.random_token(16)
    after_this_request(lambda response: _set_cookie(response, state))
    told = crypto.digest(f"{client.client_id} {origin} {state} {salt}")
    return {"session_state": f"{told}.{salt}"}


def frame() -> Response:
    """GET /check_session: the page that is framed. It says nothing about anybody; its script reads the cookie."""
    if not enabled():
        abort(404)
    response = make_response(render_template("check_session.html", cookie=_cookie_name()))
    framed_by = "https: http://localhost:* http://127.0.0.1:*" if settings().development else "https:"
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors {framed_by}"
    )
    return response


def on_session_ended(_sender: object, *, sid: str, **_: Any) -> None:
    """Take the browser state back when the session of this browser has ended."""
    if has_request_context() and enabled() and sessions.was_here(sid):
        after_this_request(lambda response: _set_cookie(response, ""))


def _browser_state(sid: str) -> str:
    return crypto.mac("op-browser-state", sid)


def _origin(uri: str) -> str | None:
    """Return the origin as browsers write it: without the port that the scheme has anyway."""
    parts = urlsplit(uri)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    plain = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" if plain else f"{parts.scheme}://{host}:{parts.port}"


def _cookie_name() -> str:
    return "__Secure-idp_op_state" if settings().secure_cookies else "idp_op_state"


def _set_cookie(response: Response, state: str) -> Response:
    """A script must read it (no HttpOnly) within a page of another site (SameSite=None, for which browsers demand Secure)."""
    response.set_cookie(
        _cookie_name(), state, max_age=None if state else 0, path=PATH, secure=True, httponly=False, samesite="None"
    )
    return response
