"""A browser window on the pages of the samples, under our own CSP, without the application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment
from playwright.sync_api import Browser, BrowserContext, Page, Route

from idp import language
from tests.pages.conftest import STATIC
from tests.pages.samples import CASES, COMMON

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-src https://rounds.example.org"
)
HOST = "http://localhost"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
QUIET = [case for case in sorted(CASES) if case[0] != "form_post.html"]  # that one leaves at once
Answer = tuple[bytes, dict[str, str]]  # a body and its headers


class Visitor:
    """Somebody at a page; `complaints` are what the browser says against it. Pages come from the samples, files from static."""

    host = HOST

    def __init__(self, context: BrowserContext, pages: Environment, *, lang: str = "en") -> None:
        self.context, self.pages, self.lang = context, pages, lang
        self.window = context.new_page()
        self.complaints: list[str] = []
        self.posts: list[str] = []
        self.window.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.window.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.connect()

    def connect(self) -> None:
        """Answer every request of this window here, whatever its host; forms are kept in `posts` and answered by a note."""
        self.context.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if route.request.method == "POST" and not path.endswith("/passkey/options"):
            self.posts.append(route.request.post_data or "")
            route.fulfill(status=204 if "slow" in route.request.url else 200, content_type="text/html", body="<p>taken")
        elif not route.request.url.startswith(HOST):
            route.fulfill(body="<p>another application", content_type="text/html")
        else:
            body, headers = self.answer(path)
            route.fulfill(body=body, headers=headers)

    def answer(self, path: str) -> Answer:
        """What the provider would say at this path."""
        if path.endswith("/passkey/options"):
            return b"{}", {"Content-Type": "application/json"}  # no challenge: the script gives up quietly
        if path.startswith("/static/"):
            file = STATIC / path.removeprefix("/static/")
            return self.script(file.read_bytes()) if file.suffix == ".js" else file.read_bytes(), {
                "Content-Type": TYPES[file.suffix],
                "Cache-Control": "max-age=600",
            }
        _, _, template, variant = path.split("/")
        targets = " https://claims.example.org" if template == "form_post.html" else ""
        policy = CSP.replace("form-action 'self'", f"form-action 'self'{targets}")
        return self.source(template, variant).encode(), {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy,
        }

    def script(self, source: bytes) -> bytes:
        return source

    def source(self, template: str, variant: str) -> str:
        with language.speaking(self.lang):  # here: a request is answered in a context of its own
            values = {**COMMON, **CASES[template, variant], "lang": self.lang}
            return self.pages.get_template(template).render(**values)

    def open(self, template: str, variant: str = "first") -> Page:
        self.window.goto(f"{self.host}/show/{template}/{variant}")
        return self.window


class Walker(Visitor):
    """Goes through all pages; a web server answers, because questions of a browser that stop at a test cost four times as much."""

    def connect(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"visitor": self}))
        self.host = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @classmethod
    @contextmanager
    def on(cls, chromium: Browser, pages: Environment, *, lang: str = "en", **window: Any) -> Iterator[Walker]:
        """In a fresh profile with these traits of the window."""
        context = chromium.new_context(**window)
        made = cls(context, pages, lang=lang)
        yield made
        context.close()
        made.server.shutdown()
        made.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    visitor: Visitor
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body, headers = self.visitor.answer(urlsplit(self.path).path)
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Reader(Walker):
    """Reads many pages in one document, as `document.write` would show them: that costs a sixth of a navigation each.

    What was loaded into the window stays, and stays warm: axe-core above all. So do constants at the top of a script; each script
    therefore runs in a function of its own here. Listeners go with the old page, by the HTML standard; timers and sheets are
    cleared; a document looks for `autofocus` once only, so we do it.
    """

    FORGET = """(path) => { history.replaceState(null, "", path); document.adoptedStyleSheets = [];
      for (let last = setTimeout(() => {}, 1e6); last > 0; last--) clearTimeout(last); }"""
    FOCUS = "document.querySelector('[autofocus]')?.focus()"

    def open(self, template: str, variant: str = "first") -> Page:
        if not self.window.url.startswith(self.host):
            return super().open(template, variant)
        self.window.evaluate(self.FORGET, f"/show/{template}/{variant}")
        self.window.set_content(self.source(template, variant))
        self.window.evaluate(self.FOCUS)
        return self.window

    def script(self, source: bytes) -> bytes:
        return b"(() => {" + source + b"\n})();"
