"""Who is asking: the request's context, cookies, and the random id of a browser."""

from __future__ import annotations

import re
from typing import Any, cast

from flask import Response, g, has_app_context, has_request_context, request

from idp import crypto, present
from idp.config import settings
from idp.record import Record

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")


class RequestContext(Record):
    """What the log and the audit know of a request; all None outside one."""

    request_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    browser_id: str | None = None


def context() -> RequestContext:
    """Return the present request's context."""
    if not has_app_context():
        return RequestContext()
    kept = present.kept()
    found: RequestContext | None = kept.get("request_context")
    if found is None:
        if not has_request_context():
            return RequestContext()
        found = kept.request_context = context_of(request.environ, browser_id=_browser_id_sent())
    return found


def context_of(environ: dict[str, Any], *, browser_id: str | None = None) -> RequestContext:
    """Return the context of a request that WSGI describes."""
    agent = environ.get("HTTP_USER_AGENT")
    address = environ.get("REMOTE_ADDR")
    return RequestContext(_request_id(environ), address, agent[:512] if agent else None, browser_id)


def _request_id(environ: dict[str, Any]) -> str:
    sent = environ.get("HTTP_X_REQUEST_ID", "") if settings().server.trusted_proxies else ""
    return sent if _REQUEST_ID.fullmatch(sent) else crypto.random_token(12)


def cookie_name(base: str) -> str:
    """Return `__Host-idp_<base>`, or the plain name where the issuer is http on loopback."""
    return f"__Host-idp_{base}" if settings().secure_cookies else f"idp_{base}"


def set_cookie(response: Response, base: str, value: str, *, max_age_s: int | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send with a POST."""
    response.set_cookie(
        cookie_name(base),
        value,
        max_age=max_age_s,
        path="/",
        secure=settings().secure_cookies,
        httponly=True,
        samesite="Lax",
    )


def delete_cookie(response: Response, base: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(cookie_name(base), path="/", secure=settings().secure_cookies, httponly=True, samesite="Lax")


def read_cookie(base: str) -> str | None:
    """Return a cookie's value, or None."""
    return request.cookies.get(cookie_name(base))


def browser_id() -> str:
    """Return this browser's random id, giving it one with the answer if it has none; the new one as soon as it is renewed.

    Flows and parked requests are bound to it, so that a link opened in another browser leads nowhere.
    """
    sent = context().browser_id
    if sent and "new_browser_id" not in g:
        return sent
    if "new_browser_id" not in g:
        g.new_browser_id = crypto.random_token(24)
    return cast(str, g.new_browser_id)


def renew_browser_id() -> None:
    """Give the browser a new id with this answer (after sign-out: forms that are still open become useless)."""
    g.new_browser_id = crypto.random_token(24)


def _browser_id_sent() -> str | None:
    sent = read_cookie("browser") or ""
    return sent if re.fullmatch(r"[A-Za-z0-9_-]{32}", sent) else None
