"""What a program sent and what it is told, without a framework around either.

Endpoints for programs speak in these two, so that the same code answers behind Flask and behind the short way (front.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

from flask import request
from werkzeug.http import parse_options_header

from idp import present

Environ = dict[str, Any]

FORM = "application/x-www-form-urlencoded"


class Answer(NamedTuple):
    """What a program is told. Flask takes a tuple of this shape from a view."""

    body: bytes
    status: int = 200
    headers: list[tuple[str, str]] = []  # noqa: RUF012 — nobody adds to the default


class Call:
    """A request of a program (WSGI's `environ`, PEP 3333), and its whole body."""

    def __init__(self, environ: Environ, body: bytes) -> None:
        self.environ, self.body = environ, body
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        self.query_string: str = environ.get("QUERY_STRING", "")

    def header(self, name: str) -> str | None:
        """Return a header by its name in capitals with underscores, such as AUTHORIZATION; None when it was not sent."""
        return cast("str | None", self.environ.get(f"HTTP_{name}"))

    @property
    def mimetype(self) -> str:
        """The media type of the body, in small letters and without parameters."""
        sent = self.environ.get("CONTENT_TYPE")
        return FORM if sent == FORM else parse_options_header(sent)[0].lower()

    @property
    def query(self) -> list[tuple[str, str]]:
        """Names and values of the query string, in their order; what is no UTF-8 comes back with a mark in its place."""
        return _pairs(self.query_string)

    @property
    def form(self) -> list[tuple[str, str]]:
        """Names and values of a form body (application/x-www-form-urlencoded), in their order. It must be UTF-8."""
        return _pairs(self.body.decode())


def _pairs(text: str) -> list[tuple[str, str]]:
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    halves = [part.partition("=") for part in text.split("&") if part]
    return [(name, value) for name, _, value in halves]


def call() -> Call:
    """Return the call that is being answered."""
    kept = present.kept()
    known: Call | None = kept.get("call")
    if known is None:
        known = kept.call = Call(request.environ, request.get_data())
    return known
