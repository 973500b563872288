"""The browser of the suite: a person at it signs in, agrees, and goes wherever the provider sends them.

It keeps two promises of real browsers that decide whether a sign-in ends well: cookies, and the `form-action` of the page whose
form was sent, which holds for every redirect after it (CSP3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from flask.testing import FlaskClient

FORM = "application/x-www-form-urlencoded"
MAX_STEPS = 12


@dataclass
class Form:
    """A form of a page as it would be sent without anybody typing: `buttons` are added by whoever presses one."""

    action: str
    method: str
    enctype: str
    identity: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Arrival:
    """A request that left for another site."""

    method: str
    uri: str
    query: dict[str, str]
    fragment: dict[str, str]
    body: dict[str, str]
    content_type: str = ""


@dataclass(frozen=True)
class Shown:
    """A page of the provider in front of the person."""

    status: int
    url: str
    html: str
    csp: str
    forms: tuple[Form, ...]
    frames: tuple[str, ...] = ()
    onward: tuple[str, ...] = ()  # links that a script follows when the page has done its work

    @property
    def framed_by(self) -> str:
        """Who may show this page in a frame, by its policy."""
        return next(_sources(self.csp, "frame-ancestors"), "*")

    def may_frame(self, url: str) -> bool:
        """Whether the page's policy lets this address open in a frame."""
        return _may_go(next(_sources(self.csp, "frame-src"), "'none'"), url, self.url)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.frames: list[str] = []
        self.onward: list[str] = []
        self.open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "iframe":
            self.frames.append(said["src"])
        elif tag == "a" and "data-onward" in said:
            self.onward.append(said["href"])
        elif tag == "form":
            self.open = True
            kind, method = said.get("enctype", FORM), said.get("method", "get").upper()
            self.forms.append(Form(said.get("action", ""), method, kind, said.get("id", "")))
        elif self.open and said.get("name"):
            if tag == "button":
                self.forms[-1].buttons.add((said["name"], said.get("value", "")))
            elif tag == "input" and said.get("type") not in ("checkbox", "submit"):
                self.forms[-1].fields[said["name"]] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag != "form"


@dataclass
class UserAgent:
    """A browser with nothing in it yet, and the person in front of it."""

    http: FlaskClient
    issuer: str
    username: str
    password: str
    decides: bool = True  # else the person stops at the question whether to allow it
    signed_in: int = 0  # how often the person had to type the password

    def visit(self, url: str) -> Arrival | Shown:
        """Open an address and do what the pages ask for, until another site or a page that asks for nothing known."""
        return self._go("GET", url)

    def press(self, page: Shown, name: str, value: str) -> Arrival | Shown:
        """Press a button of a page."""
        form = next(form for form in page.forms if (name, value) in form.buttons)
        return self._send(page, form, {name: value})

    def post(self, url: str, form: dict[str, str]) -> Arrival | Shown:
        """Send a form from another site; its page has no policy that we know."""
        return self._go("POST", url, data=form)

    def _go(self, method: str, url: str, *, data: dict[str, str] | None = None, allowed: str = "*") -> Arrival | Shown:
        for _ in range(MAX_STEPS):
            url = urljoin(self.issuer + "/", url)
            if not url.startswith(self.issuer + "/"):
                return _arrival(method, url)
            parts = urlsplit(url)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            answer = self.http.open(path, method=method, data=data, base_url=self.issuer)
            if answer.status_code not in (301, 302, 303, 307, 308):
                return self._look(url, answer)
            assert answer.status_code == 303 or method == "GET", "a form is answered with 303 (F-10)"
            url = urljoin(url, answer.headers["Location"])
            assert _may_go(allowed, url, self.issuer), f"form-action {allowed} keeps the browser from {url}"
            method, data = "GET", None
        raise AssertionError("the provider sends the browser in circles")

    def _look(self, url: str, answer: Any) -> Arrival | Shown:
        reader = _Reader()
        reader.feed(answer.get_data(as_text=True))
        page = Shown(
            answer.status_code,
            url,
            answer.get_data(as_text=True),
            answer.headers.get("Content-Security-Policy", ""),
            tuple(reader.forms),
            tuple(reader.frames),
            tuple(reader.onward),
        )
        for form in page.forms:
            target = urljoin(url, form.action)
            if form.identity == "form-post":
                assert "no-store" in answer.headers["Cache-Control"]
                return self._send(page, form, {})
            if urlsplit(target).path == "/login/password":
                self.signed_in += 1
                return self._send(page, form, {"identifier": self.username, "password": self.password})
            if urlsplit(target).path == "/consent" and self.decides:
                return self._send(page, form, {"decision": "allow"})
        return page

    def _send(self, page: Shown, form: Form, typed: dict[str, str]) -> Arrival | Shown:
        target, fields = urljoin(page.url, form.action), form.fields | typed
        allowed = next(_sources(page.csp, "form-action"), "*")
        assert _may_go(allowed, target, self.issuer), f"form-action {allowed} keeps the form from {target}"
        if not target.startswith(self.issuer + "/"):
            return _arrival(form.method, target, body=fields, content_type=form.enctype)
        return self._go(form.method, target, data=fields, allowed=allowed)


def _arrival(method: str, url: str, *, body: dict[str, str] | None = None, content_type: str = "") -> Arrival:
    parts = urlsplit(url)
    return Arrival(
        method=method,
        uri=url.split("#")[0].split("?")[0],
        query=dict(_once(parts.query)),
        fragment=dict(_once(parts.fragment)),
        body=body or {},
        content_type=content_type,
    )


def _once(text: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(text, keep_blank_values=True)
    assert len(pairs) == len({name for name, _ in pairs}), f"a parameter came twice: {pairs}"
    return pairs


def _sources(csp: str, directive: str) -> Iterator[str]:
    for part in csp.split(";"):
        name, _, value = part.strip().partition(" ")
        if name == directive:
            yield value


def _may_go(allowed: str, url: str, issuer: str) -> bool:
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    words = allowed.split()
    return "*" in words or origin in words or ("'self'" in words and origin == issuer)
