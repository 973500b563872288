"""The short way: endpoints that programs ask thousands of times a second, answered in front of Flask.

Flask costs more than a token does. So for a few paths the WSGI application is this, and everything else goes on to Flask. There is one
implementation of each endpoint: the same functions are Flask's views for these paths too, and take over when the front is switched off
(`IDP_FRONT=off`, which the tests use to run the protocol's whole suite both ways). What Flask's hooks do to every answer, the edge does
here with the same functions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wsgi import get_input_stream

from idp import logs, metrics, present
from idp.config import Settings
from idp.db import is_begun
from idp.gateway import BODY
from idp.record import Record
from idp.web import answers, edge, failures, who
from idp.web.call import Answer, Call, Environ

_FRONT = "idp.front"

Handler = Callable[[], Answer]
StartResponse = Callable[..., Any]

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Endpoint(Record):
    """What one path does, by method; whether other origins' scripts may read it; whether it may be asked with HEAD."""

    handlers: Mapping[str, Handler]
    open_to_scripts: bool = False
    is_document: bool = False

    @property
    def methods(self) -> list[str]:
        """What Allow says."""
        return sorted({*self.handlers, "OPTIONS", *(["HEAD"] if self.is_document else [])})


def install(app: Flask, settings: Settings) -> None:
    """Hang the edge on the application, and the front before it; must come before the rooms."""
    edge.install(app, settings)
    app.extensions[_FRONT] = app.wsgi_app = Front(app)  # type: ignore[method-assign]
    if settings.server.trusted_proxies:
        hops = settings.server.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]


def shorten(app: Flask, endpoints: Mapping[str, Endpoint]) -> None:
    """Answer these paths in front of Flask. Flask must know them too, with the same functions."""
    app.extensions[_FRONT].endpoints.update(endpoints)


class Front:
    """A WSGI application in front of Flask's."""

    def __init__(self, app: Flask) -> None:
        self.app, self.otherwise = app, app.wsgi_app
        self.endpoints: dict[str, Endpoint] = {}
        self.is_on = os.environ.get("IDP_FRONT", "on") != "off"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        endpoint = self.endpoints.get(environ["PATH_INFO"]) if self.is_on else None
        if endpoint is None:
            return self.otherwise(environ, start_response)
        began_at = time.perf_counter()
        with present.Answering(self.app):
            try:
                answer = self._finished(endpoint, environ)
                start_response(_STATUS.get(answer.status, str(answer.status)), answer.headers)
                path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
                metrics.count_answer(path, method, answer.status, began_at=began_at)
                logs.write_access(
                    method, path, answer.status, route=path, began_at=began_at, address=environ.get("REMOTE_ADDR"),
                    size=len(answer.body), agent=environ.get("HTTP_USER_AGENT", ""),
                )  # fmt: skip
            finally:
                if is_begun():
                    self.app.do_teardown_appcontext()
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _finished(self, endpoint: Endpoint, environ: Environ) -> Answer:
        """Answer, commit, and put on what every answer carries. What goes wrong on the way is told as JSON."""
        answers.answer_json()
        present.kept().request_context = who.context_of(environ)
        try:
            refused = edge.refusal_of_host(environ)
            answer = refused or self._answer(endpoint, environ)
            edge.commit(environ)
        except Exception as error:
            answer = failures.json_of(failures.fault_of(error))
            edge.commit(environ)
        return edge.sealed(self._for_scripts(endpoint, environ, answer))

    def _answer(self, endpoint: Endpoint, environ: Environ) -> Answer:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return Answer(b"", 200, [("Allow", ", ".join(endpoint.methods))])
        handler = endpoint.handlers.get("GET" if method == "HEAD" and endpoint.is_document else method)
        if handler is None:
            raise MethodNotAllowed(valid_methods=endpoint.methods)
        present.kept().call = Call(environ, _body_of(environ))
        return handler()

    def _for_scripts(self, endpoint: Endpoint, environ: Environ, answer: Answer) -> Answer:
        if not endpoint.open_to_scripts or "HTTP_ORIGIN" not in environ:
            return answer
        return answer._replace(headers=[*answer.headers, *edge.cors(environ["REQUEST_METHOD"])])


def _body_of(environ: Environ) -> bytes:
    """Read the body. Raises RequestEntityTooLarge. Our own gateway has it already, unless it is longer than anything that we take."""
    whole: bytes | None = environ.get(BODY)
    if whole is None or len(whole) != int(environ.get("CONTENT_LENGTH") or 0):
        return get_input_stream(environ, max_content_length=edge.MAX_BODY).read()
    if len(whole) > edge.MAX_BODY:
        raise RequestEntityTooLarge
    return whole
