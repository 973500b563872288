"""service — what the claims service and the patient service have in common: pages, sign-in, experiments, start.

A service is a relying party (people sign in) and a protected resource (its JSON API takes access tokens).
Its pages call its own API over HTTP with the person's access token, like anybody else would.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from flask import Flask, Response, abort, jsonify, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server

from idp.demo.bearer import ProtectedResource
from idp.demo.local_sessions import LocalSession, LocalSessions
from idp.demo.relying_app import Registration, RelyingParty, SignedOut, bearer
from idp.demo.wire import Provider, ProviderAway

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How this service was started: who it is, and where its neighbours live."""

    issuer: str
    base_url: str
    resource: str
    client_id: str
    client_secret: str
    peer_url: str
    partner_id: str = ""
    partner_secret: str = ""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What distinguishes one service from the other."""

    slug: str  # "claims": cookie, colours, templates
    name: str
    tagline: str
    scopes: Mapping[str, str]
    sign_in_scope: str
    api_path: str  # what an experiment calls on this service
    peer_name: str
    peer_api_path: str
    details: Mapping[str, str] = field(default_factory=dict)  # types of RFC 9396 and what they let a token do


class Service:
    """One running service: its Flask app and the parts that views need."""

    def __init__(self, kind: Kind, options: Options) -> None:
        self.kind = kind
        self.options = options
        self.provider = Provider(options.issuer)
        self.sessions = LocalSessions(f"{kind.slug}_session", secure=options.base_url.startswith("https://"))
        self.resource = ProtectedResource(
            self.provider, identifier=options.resource, name=kind.name, scopes=kind.scopes
        )
        self.rp = RelyingParty(
            self.provider,
            Registration(
                client_id=options.client_id,
                client_secret=options.client_secret,
                redirect_uri=f"{options.base_url}/callback",
                post_logout_redirect_uri=f"{options.base_url}/signed-out",
                scope=kind.sign_in_scope,
                resource=options.resource,
            ),
        )
        self.app = self._build()

    def signed_in(self) -> LocalSession:
        """The session of a person whom the provider still vouches for. Raises SignedOut."""
        session = self.sessions.current()
        self.rp.confirm(session)
        return session

    def call(self, path: str, *, method: str = "GET") -> httpx.Response:
        """Our own API with the person's access token; refreshed once if the API finds it stale."""
        session = self.sessions.current()
        answer = self.fetch(self.options.base_url + path, self.rp.access_token(session), method=method)
        if answer.status_code == 401 and answer.json().get("error") == "invalid_token":
            fresh = self.rp.access_token(session, even_if_fresh=True)
            answer = self.fetch(self.options.base_url + path, fresh, method=method)
        return answer

    def data(self, path: str) -> Any:
        """The JSON of our own API, or the page that its refusal deserves."""
        answer = self.call(path)
        if answer.status_code != 200:
            abort(answer.status_code, answer.json().get("error_description"))
        return answer.json()

    def fetch(self, url: str, raw_token: str | None, *, method: str = "GET") -> httpx.Response:
        """A request to a JSON API, with or without a token."""
        try:
            return self.provider.http.request(method, url, headers=bearer(raw_token) if raw_token else {})
        except httpx.HTTPError as trouble:
            raise ProviderAway(f"{urlsplit(url).netloc} does not answer.") from trouble

    def check_csrf(self) -> None:
        """A POST that changes something must come from a form of ours."""
        if not self.sessions.csrf_ok():
            abort(400, "This form is too old. Go back, reload the page and try again.")

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        return make_response(render_template(template, **values), status)

    def _build(self) -> Flask:
        app = Flask("idp.demo", static_url_path="/static")
        app.extensions["demo.service"] = self
        app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
        app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
        app.jinja_env.filters["dollars"] = dollars
        app.jinja_env.filters["moment"] = moment
        app.after_request(self.sessions.send_cookie)
        app.after_request(self._secure)
        app.context_processor(self._context)
        app.register_blueprint(self.resource.blueprint())
        app.register_error_handler(HTTPException, self._show_http_error)
        app.register_error_handler(ProviderAway, self._show_provider_away)
        app.register_error_handler(SignedOut, self._send_to_sign_in)
        return app

    def _context(self) -> dict[str, Any]:
        session = self.sessions.current() if not request.path.startswith(("/api/", "/static/")) else None
        return {
            "kind": self.kind,
            "options": self.options,
            "person": session.tokens if session else None,
            "csrf_field": self.sessions.csrf_field,
        }

    def _secure(self, answer: Response) -> Response:
        """No script at all; forms may lead to the provider, because signing out does."""
        origin = "://".join(urlsplit(self.options.issuer)[:2])
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action 'self' {origin}"
        )
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["X-Frame-Options"] = "DENY"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if not request.path.startswith("/static/"):
            answer.headers["Cache-Control"] = "no-store"
        return answer

    def _show_http_error(self, error: HTTPException) -> Response:
        status = error.code or 500
        if request.path.startswith("/api/"):
            answer = jsonify(error="not_found" if status == 404 else "error", error_description=error.description)
            answer.status_code = status
            return answer
        return self.page("error.html", status, headline=error.name, message=error.description)

    def _show_provider_away(self, trouble: ProviderAway) -> Response:
        return self.page("error.html", 503, headline="Not reachable", message=str(trouble))

    def _send_to_sign_in(self, _: SignedOut) -> Response:
        """No session, or one that ended at the provider: off to sign in, and back to this page afterwards."""
        session = self.sessions.current()
        session.tokens = None
        back = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return see_other(url_for("sign_in.begin", return_to=back))


def see_other(target: str) -> Response:
    answer = redirect(target, 303)
    return make_response(answer)


def local_path(value: str) -> str:
    """A path on this service; anything that could lead elsewhere becomes the start page."""
    plain = value.startswith("/") and not value.startswith("//") and "\\" not in value
    return value if plain and all(character > " " for character in value) else "/"


def dollars(cents: int) -> str:
    return f"${cents / 100:,.2f}"


def moment(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def find(rows: tuple[V, ...], **wanted: object) -> V:
    """The row with these attributes; 404 when there is none."""
    matching = [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
    if not matching:
        abort(404, "There is no such record.")
    return matching[0]


class _Handler(WSGIRequestHandler):
    """HTTP/1.1 and no line per request: the service's log is for trouble."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return None


def options_from(argv: list[str] | None, *, description: str) -> tuple[Options, int]:
    """Command line for what may be seen in a process list, environment for the secrets."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("issuer", "base-url", "resource", "client-id", "peer-url"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--partner-id", default="")
    parser.add_argument("--port", type=int, required=True)
    given = vars(parser.parse_args(argv))
    port: int = given.pop("port")
    secrets = {
        "client_secret": os.environ.get("DEMO_CLIENT_SECRET", ""),
        "partner_secret": os.environ.get("DEMO_PARTNER_SECRET", ""),
    }
    return Options(**given, **secrets), port


def serve(app: Flask, *, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C. One process with threads, because the sessions live in its memory."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return
