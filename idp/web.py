"""web — the edge: one commit per answer, request context, CSRF, cookies, security headers, error pages.

A view translates and returns an answer; this file commits what the rooms staged, or rolls back when the view broke.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, cast
from urllib.parse import SplitResult, urlsplit

from blinker import Signal
from flask import (
    Flask,
    Response,
    current_app,
    g,
    has_request_context,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
)
from jinja2.exceptions import TemplateNotFound
from markupsafe import Markup
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.middleware.proxy_fix import ProxyFix

from idp import crypto, kv
from idp.config import Settings, settings
from idp.db import db, is_unreachable
from idp.errors import BadInput, Forbidden, IdpError, Unavailable

log = logging.getLogger(__name__)

CSRF_FIELD = "csrf"
MAX_BODY = 64 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_OPEN_TO_ANY_HOST = ("/healthz", "/readyz", "/metrics")

form_refused = Signal(
    "A form came without our token or from another site: sent with path. A room above writes it down."
)

P = ParamSpec("P")


# --- who is asking -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RequestContext:
    """What the log and the audit know of a request; all None outside one."""

    request_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    browser_id: str | None = None


def context() -> RequestContext:
    """Return the present request's context."""
    if not has_request_context():
        return RequestContext()
    found = g.get("request_context")
    if found is None:
        agent = request.headers.get("User-Agent")
        found = RequestContext(_request_id(), request.remote_addr, agent[:512] if agent else None, _browser_id_sent())
        g.request_context = found
    return cast(RequestContext, found)


def _request_id() -> str:
    sent = request.headers.get("X-Request-Id", "") if settings().server.trusted_proxies else ""
    return sent if _REQUEST_ID.fullmatch(sent) else crypto.random_token(12)


# --- cookies and CSRF ----------------------------------------------------------------------------------------


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
    """Return this browser's random id, giving it one with the answer if it has none.

    Flows and parked requests are bound to it, so that a link opened in another browser leads nowhere.
    """
    sent = context().browser_id
    if sent:
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


def csrf_token() -> str:
    """Return the token that a form of this browser must send back."""
    return crypto.mac("csrf", browser_id())


def csrf_field() -> Markup:
    """Return the hidden input for a form."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, csrf_token())


def check_csrf() -> None:
    """Refuse a POST that did not come from a form of ours in this browser. Raises Forbidden."""
    sent = request.form.get(CSRF_FIELD, "")
    browser = context().browser_id
    ours = browser is not None and any(crypto.same(sent, good) for good in crypto.macs("csrf", browser))
    if not ours or _from_elsewhere():
        form_refused.send("web", path=request.path)
        raise Forbidden(
            "This form was open too long or came from another browser. Go back, reload the page and try again."
        )


def _from_elsewhere() -> bool:
    """Say whether the browser names another site as the origin of this POST.

    Our pages send no referrer, and browsers then call our own forms' origin "null"; Sec-Fetch-Site tells them from a stranger's.
    """
    stranger = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
    return stranger or request.headers.get("Origin") not in (None, "null", settings().server.issuer)


def csrf_protected(view: Callable[P, Any]) -> Callable[P, Any]:
    """Decorate a browser view: its POST must carry our token."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        if request.method != "GET":
            check_csrf()
        return view(*args, **kwargs)

    return guarded


# --- input ---------------------------------------------------------------------------------------------------


def single(name: str, default: str = "") -> str:
    """Return one parameter: of the form on POST, of the query otherwise. Raises BadInput when it came twice or holds NUL."""
    values = (request.form if request.method == "POST" and name in request.form else request.args).getlist(name)
    if len(values) > 1:
        raise BadInput({name: [f"“{name}” was sent more than once."]})
    value = values[0] if values else default
    if "\x00" in value:
        raise BadInput({name: [f"“{name}” holds a character that cannot be used."]})
    return value


def duplicates(*, allowed: tuple[str, ...] = ()) -> list[str]:
    """Return the parameters that were sent more than once, across query and form (RFC 6749 section 3.1)."""
    counted: dict[str, int] = {}
    for source in (request.args, request.form):
        for name in source:
            counted[name] = counted.get(name, 0) + len(source.getlist(name))
    return sorted(name for name, times in counted.items() if times > 1 and name not in allowed)


def local_path(value: str) -> str:
    """Return `value` if it is a path on this server. Raises BadInput for anything that a browser could take elsewhere."""
    parts = urlsplit(value)
    bad = any(ord(character) < 0x21 or character == "\\" for character in value)
    if bad or parts.scheme or parts.netloc or not value.startswith("/") or value.startswith("//"):
        raise BadInput(public="That address does not belong to this server.")
    return value


# --- answers -------------------------------------------------------------------------------------------------


def page(template: str, status: int = 200, **values: Any) -> Response:
    """Render a page for a person: never stored, with the support details on it.

    `form_targets` (origins) widens the page's `form-action`: browsers apply it to the redirects after a POST too, so
    a sign-in page that ends at a relying app must name that app's origin. `frame_sources` (origins) may be framed by it.
    """
    targets: tuple[str, ...] = tuple(values.pop("form_targets", ()))
    framed: tuple[str, ...] = tuple(values.pop("frame_sources", ()))
    body = render_template(template, support=settings().support, request_id=context().request_id, **values)
    response = make_response(body, status)
    if targets or framed:
        policy = content_security_policy(form_targets=targets, frame_sources=framed)
        response.headers["Content-Security-Policy"] = policy
    return response


def see_other(location: str) -> Response:
    """Answer 303: a POST became a page to GET (F-10: never 307)."""
    return cast(Response, redirect(location, code=303))


def answer_json() -> None:
    """Note that this request is for programs: whatever goes wrong with it is told in JSON."""
    g.answers_json = True


def wants_json() -> bool:
    """Say whether the caller is a program rather than a browser."""
    if g.get("answers_json", False):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return best == "application/json" or not request.accept_mimetypes.accept_html


def content_security_policy(*, form_targets: tuple[str, ...] = (), frame_sources: tuple[str, ...] = ()) -> str:
    """Return the policy of our pages: nothing inline, nothing from elsewhere, never framed."""
    frames = f"frame-src {' '.join(frame_sources)}; " if frame_sources else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"{frames}form-action {' '.join((chr(39) + 'self' + chr(39), *form_targets))}; frame-ancestors 'none'; base-uri 'none'"
    )


def origin_of(url: str) -> str:
    """Return scheme://host[:port] of a URL (a scheme alone for native apps), as `form_targets` wants it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


# --- the edge ------------------------------------------------------------------------------------------------


def install(app: Flask, settings: Settings) -> None:
    """Hang the edge on the application; must come before the rooms."""
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY, MAX_FORM_MEMORY_SIZE=MAX_BODY, MAX_FORM_PARTS=200, TRAP_BAD_REQUEST_ERRORS=False
    )
    if settings.server.trusted_proxies:
        hops = settings.server.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.before_request(_refuse_other_hosts)
    app.before_request(_refuse_head_of_pages)
    app.after_request(_seal_answer)
    app.after_request(_commit)
    app.register_error_handler(Exception, _explain)
    _prepare_templates(app)


def _prepare_templates(app: Flask) -> None:
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals.update(csrf_field=csrf_field, asset=asset, lang="en")


@functools.lru_cache(maxsize=64)
def _asset_version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """Return the URL of a static file with its version, so that it can be cached for a year."""
    return f"/static/{name}?v={_asset_version(Path(__file__).parent / 'static' / name)}"


def _refuse_other_hosts() -> Response | None:
    """Everything we say about ourselves comes from the configuration; a request for another host is not for us (attack 70)."""
    if request.path in _OPEN_TO_ANY_HOST:
        return None
    expected = urlsplit(settings().server.issuer)
    if request.headers.get("Host", "").lower() not in _spellings(expected) or not _names_no_other(expected):
        body = f"This server answers for {settings().server.issuer} only.\n"
        return Response(body, 400, content_type="text/plain; charset=utf-8")
    return None


def _spellings(issuer: SplitResult) -> tuple[str, ...]:
    """The Host headers that browsers send for our issuer: without the port where it is the scheme's own (RFC 9110 section 7.2)."""
    host = issuer.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}[issuer.scheme]
    port = issuer.port or default
    return (host, f"{host}:{port}") if port == default else (f"{host}:{port}",)


def _names_no_other(issuer: SplitResult) -> bool:
    """A request target may carry a whole URL (RFC 9112 section 3.2.2); it must not name somebody else."""
    target = str(request.environ.get("REQUEST_URI") or request.environ.get("RAW_URI") or "/")
    return target.startswith("/") or urlsplit(target).netloc.lower() in _spellings(issuer)


def document(view: Callable[P, Any]) -> Callable[P, Any]:
    """Decorate a view that only ever reads: it may be asked with HEAD too."""
    view.is_document = True  # type: ignore[attr-defined]
    return view


def _refuse_head_of_pages() -> None:
    """Flask answers HEAD wherever it answers GET, and a view that asks «is it GET?» then takes HEAD for a POST (attack 85)."""
    if request.method != "HEAD" or request.endpoint in (None, "static"):
        return
    if not getattr(current_app.view_functions[request.endpoint], "is_document", False):
        raise MethodNotAllowed(
            valid_methods=sorted((request.url_rule.methods or set()) - {"HEAD"}) if request.url_rule else []
        )


def _commit(response: Response) -> Response:
    """Commit what the view staged: an answer, good or bad, is a fact (house.md, rule 1)."""
    if db.session.registry.has():
        db.session.commit()
    return response


def _seal_answer(response: Response) -> Response:
    """Put on what every answer carries."""
    headers = response.headers
    headers.setdefault("X-Request-Id", context().request_id or "")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", content_security_policy())
    if "frame-ancestors 'none'" in headers["Content-Security-Policy"]:
        headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
    if settings().secure_cookies:
        headers.setdefault("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
    if request.endpoint == "static" and response.status_code in (200, 304):
        headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if "v" in request.args else "public, max-age=300"
        )
    elif "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"
    if "new_browser_id" in g:
        set_cookie(response, "browser", g.new_browser_id)
    return response


# --- errors --------------------------------------------------------------------------------------------------

_HEADLINES = {
    400: "That did not work",
    403: "This is not open to you",
    404: "There is nothing here",
    405: "That did not work",
    413: "That was too much at once",
    415: "That did not work",
    429: "Please wait a moment",
    500: "Something broke on our side",
    503: "Please try again in a minute",
}
_REMEDIES = {
    403: "If you came from a form, go back, reload the page and try again. Otherwise contact the service desk.",
    404: "Check the address, or start again from the service that you wanted to use.",
    429: "Wait for the time given, then try again.",
    500: "It is not your fault, and we have been told. Try again; if it happens twice, contact the service desk and name the number below.",
    503: "Your account is fine. Try again in a minute; if it stays like this, contact the service desk.",
}


def _explain(error: Exception) -> Any:
    """Turn any exception into an answer for its reader; what we did not foresee rolls back and is logged."""
    if isinstance(error, IdpError):
        return error_answer(error.status, error.code, error.public, retry_after_s=getattr(error, "retry_after_s", None))
    if isinstance(error, HTTPException):
        if error.response is not None:
            return error.response
        return error_answer(error.code or 500, _slug(error), error.description or "", headers=_headers_of(error))
    db.session.rollback()
    if isinstance(error, kv.Unavailable) or (isinstance(error, DBAPIError) and is_unreachable(error)):
        log.error("a part that we need is away", exc_info=error)
        away = Unavailable()
        return error_answer(away.status, away.code, away.public, retry_after_s=away.retry_after_s)
    log.exception("unforeseen error", exc_info=error)
    return error_answer(500, "server_error", "We could not finish this.")


def error_answer(
    status: int, code: str, message: str, *, retry_after_s: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Build an error for a person (a page) or a program (JSON with `error` and `error_description`)."""
    if wants_json():
        body = {"error": code, "error_description": message, "request_id": context().request_id}
        response = jsonify(body)
        response.status_code = status
    else:
        response = _error_page(status, message)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, retry_after_s))
    return response


def _error_page(status: int, message: str) -> Response:
    headline = _HEADLINES.get(status, _HEADLINES[400])
    remedy = _REMEDIES.get(status, "Go back and try again, or start again from the service that you wanted to use.")
    try:
        return page("error.html", status, headline=headline, message=message, remedy=remedy)
    except TemplateNotFound:
        return Response(f"{headline}\n{message}\n{remedy}\n", status, content_type="text/plain; charset=utf-8")


def _slug(error: HTTPException) -> str:
    return re.sub(r"[^a-z]+", "_", (error.name or "error").lower())


def _headers_of(error: HTTPException) -> dict[str, str]:
    kept = ("Allow", "WWW-Authenticate", "Retry-After")
    return {name: value for name, value in error.get_headers() if name in kept}
