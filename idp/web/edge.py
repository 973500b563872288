"""The edge: one commit per answer, hosts and methods that are refused, headers on everything that leaves."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import MethodNotAllowed

from idp import language, present
from idp.config import Settings, settings
from idp.db import commit as commit_work
from idp.gateway import HELD
from idp.waiting import Held
from idp.web import reader
from idp.web.answers import asset, content_security_policy
from idp.web.call import Answer, Environ
from idp.web.failures import explain
from idp.web.forms import csrf_field
from idp.web.who import context, set_cookie

MAX_BODY = 64 * 1024
ALIASED = "idp.aliased_paths"  # an extension of the application: the paths that mtls.url serves too
_OPEN_TO_ANY_HOST = ("/healthz", "/readyz", "/metrics")


def install(app: Flask, settings: Settings) -> None:
    """Hang the edge's hooks on Flask; must come before the rooms."""
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY, MAX_FORM_MEMORY_SIZE=MAX_BODY, MAX_FORM_PARTS=200, TRAP_BAD_REQUEST_ERRORS=False
    )
    app.before_request(_refuse_other_hosts)
    app.before_request(reader.speak)
    app.before_request(_refuse_head_of_pages)
    app.after_request(_seal_answer)
    app.after_request(_commit)
    app.register_error_handler(Exception, explain)
    app.add_url_rule("/language", view_func=reader.language_page, methods=["GET", "POST"])
    _prepare_templates(app)


def hold_answer(work: Held) -> None:
    """Let the answer of the running request leave only when this is done; if it fails the answer is 503 or 500 instead."""
    present.kept().setdefault("answer_held_for", []).append(work)


def _prepare_templates(app: Flask) -> None:
    app.jinja_env.add_extension("jinja2.ext.i18n")
    catalogs = (language.plain_gettext, language.plain_ngettext)
    app.jinja_env.install_gettext_callables(*catalogs, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals.update(csrf_field=csrf_field, asset=asset, here=reader.here, language=language)


def refusal_of_host(environ: Environ) -> Answer | None:
    """Everything we say about ourselves comes from the configuration; a request for another host is not for us (attack 70)."""
    if environ["PATH_INFO"] in _OPEN_TO_ANY_HOST:
        return None
    for address in _own_addresses(environ):
        if _is_for(environ, address):
            return None
    body = f"This server answers for {settings().server.issuer} only.\n"
    return Answer(body.encode(), 400, [("Content-Type", "text/plain; charset=utf-8")])


def _refuse_other_hosts() -> Answer | None:
    return refusal_of_host(request.environ)


def _own_addresses(environ: Environ) -> list[str]:
    """The issuer; for programs also where the proxy asks for client certificates (RFC 8705 section 5). Pages live at the issuer only."""
    at_alias = settings().mtls.url and environ["PATH_INFO"] in present.app().extensions.get(ALIASED, ())
    return [settings().server.issuer, *([settings().mtls.url] if at_alias else [])]


def _is_for(environ: Environ, address: str) -> bool:
    ours = _spellings(address)
    return environ.get("HTTP_HOST", "").lower() in ours and _names_no_other(environ, ours)


@functools.lru_cache(maxsize=16)
def _spellings(url: str) -> tuple[str, ...]:
    """The Host headers that browsers send for our issuer: without the port where it is the scheme's own (RFC 9110 section 7.2)."""
    issuer = urlsplit(url)
    host = issuer.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}[issuer.scheme]
    port = issuer.port or default
    return (host, f"{host}:{port}") if port == default else (f"{host}:{port}",)


def _names_no_other(environ: Environ, ours: tuple[str, ...]) -> bool:
    """A request target may carry a whole URL (RFC 9112 section 3.2.2); it must not name somebody else."""
    target = str(environ.get("REQUEST_URI") or environ.get("RAW_URI") or "/")
    return target.startswith("/") or urlsplit(target).netloc.lower() in ours


def _refuse_head_of_pages() -> None:
    """Flask answers HEAD wherever it answers GET, and a view that asks «is it GET?» then takes HEAD for a POST (attack 85)."""
    if request.method != "HEAD" or request.endpoint in (None, "static"):
        return
    if not getattr(current_app.view_functions[request.endpoint], "is_document", False):
        raise MethodNotAllowed(
            valid_methods=sorted((request.url_rule.methods or set()) - {"HEAD"}) if request.url_rule else []
        )


def _commit(response: Response) -> Response:
    commit(request.environ)
    return response


def commit(environ: Environ) -> None:
    """Commit what the view staged: an answer, good or bad, is a fact (house.md, rule 1). Then wait for what others commit for it,
    unless the server in front does (gateway.py), which has no thread to lose."""
    commit_work()
    held = present.kept().pop("answer_held_for", ())
    if HELD in environ:
        environ[HELD].extend(held)
    else:
        for work in held:
            work.result()


@functools.lru_cache(maxsize=2)
def _on_every_answer(*, secure: bool) -> tuple[tuple[str, str], ...]:
    strict = (("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),) if secure else ()
    return (
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", content_security_policy()),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
        *strict,
    )


def sealed(answer: Answer) -> Answer:
    """Put on a program's answer what every answer carries."""
    headers = [*answer.headers, ("X-Request-Id", context().request_id or "")]
    headers += _on_every_answer(secure=settings().secure_cookies)
    if not any(name == "Cache-Control" for name, _ in answer.headers):
        headers.append(("Cache-Control", "no-store"))
    if answer.status not in (204, 304):
        headers.append(("Content-Length", str(len(answer.body))))
    return Answer(answer.body, answer.status, headers)


def cors(method: str) -> list[tuple[str, str]]:
    """Return what lets scripts of other origins read an answer: no cookies, these endpoints do not read any (F-11)."""
    headers = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "WWW-Authenticate")]
    if method == "OPTIONS":
        headers += [
            ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
            ("Access-Control-Max-Age", "3600"),
        ]
    return headers


def _seal_answer(response: Response) -> Response:
    """Put on what every answer carries."""
    headers = response.headers
    headers.setdefault("X-Request-Id", context().request_id or "")
    may_be_framed = "frame-ancestors 'none'" not in headers.get("Content-Security-Policy", "frame-ancestors 'none'")
    for name, value in _on_every_answer(secure=settings().secure_cookies):
        if not (may_be_framed and name == "X-Frame-Options"):
            headers.setdefault(name, value)
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
