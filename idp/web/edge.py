"""The edge: one commit per answer, hosts and methods that are refused, headers on everything that leaves."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.middleware.proxy_fix import ProxyFix

from idp import language
from idp.config import Settings, settings
from idp.db import db
from idp.web import reader
from idp.web.answers import asset, content_security_policy
from idp.web.failures import explain
from idp.web.forms import csrf_field
from idp.web.who import context, set_cookie

MAX_BODY = 64 * 1024
ALIASED = "idp.aliased_paths"  # an extension of the application: the paths that mtls.url serves too
_OPEN_TO_ANY_HOST = ("/healthz", "/readyz", "/metrics")


def install(app: Flask, settings: Settings) -> None:
    """Hang the edge on the application; must come before the rooms."""
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY, MAX_FORM_MEMORY_SIZE=MAX_BODY, MAX_FORM_PARTS=200, TRAP_BAD_REQUEST_ERRORS=False
    )
    if settings.server.trusted_proxies:
        hops = settings.server.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.before_request(_refuse_other_hosts)
    app.before_request(reader.speak)
    app.before_request(_refuse_head_of_pages)
    app.after_request(_seal_answer)
    app.after_request(_commit)
    app.register_error_handler(Exception, explain)
    app.add_url_rule("/language", view_func=reader.language_page, methods=["GET", "POST"])
    _prepare_templates(app)


def _prepare_templates(app: Flask) -> None:
    app.jinja_env.add_extension("jinja2.ext.i18n")
    catalogs = (language.plain_gettext, language.plain_ngettext)
    app.jinja_env.install_gettext_callables(*catalogs, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals.update(csrf_field=csrf_field, asset=asset, here=reader.here, language=language)


def _refuse_other_hosts() -> Response | None:
    """Everything we say about ourselves comes from the configuration; a request for another host is not for us (attack 70)."""
    if request.path in _OPEN_TO_ANY_HOST:
        return None
    if not any(map(_is_for, _own_addresses())):
        body = f"This server answers for {settings().server.issuer} only.\n"
        return Response(body, 400, content_type="text/plain; charset=utf-8")
    return None


def _own_addresses() -> list[str]:
    """The issuer; for programs also where the proxy asks for client certificates (RFC 8705 section 5). Pages live at the issuer only."""
    at_alias = settings().mtls.url and request.path in current_app.extensions.get(ALIASED, ())
    return [settings().server.issuer, *([settings().mtls.url] if at_alias else [])]


def _is_for(address: str) -> bool:
    expected = urlsplit(address)
    return request.headers.get("Host", "").lower() in _spellings(expected) and _names_no_other(expected)


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
    reader.keep(response)
    if "new_browser_id" in g:
        set_cookie(response, "browser", g.new_browser_id)
    return response
