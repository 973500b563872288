"""Parameters of protocol requests: each once, from one place, empty means absent (RFC 6749 section 3.1, F-17).

Authlib merges query and body and lets the query win; we read one of the two and refuse the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from authlib.oauth2.rfc6749 import InvalidRequestError

from idp import web
from idp.oauth.errors import quotable
from idp.record import Record
from idp.web import FORM

REPEATABLE = ("resource", "audience")  # RFC 8707 section 2, RFC 8693 section 2.1

_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, line ends, halves of a pair


class Params(Record):
    """What a request said: `one` maps a name to its only value, `resources` and `audiences` are the values of what may come
    several times, each once."""

    one: Mapping[str, str]
    resources: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    pushed: bool = False  # they came through /par (RFC 9126)
    signed: bool = False  # they came in a request object of the client's (RFC 9101)
    once: str = ""  # the name that is used up when the request is answered (once.py)

    def get(self, name: str) -> str | None:
        """Return the value, or None when it was absent or empty."""
        return self.one.get(name)

    def words(self, name: str) -> tuple[str, ...]:
        """Return the values of a space-separated parameter, each once, in order."""
        return tuple(dict.fromkeys((self.one.get(name) or "").split()))


def of_browser() -> Params:
    """Read a request that comes through the browser: the query of a GET, the form of a POST. Raises InvalidRequestError."""
    sent = web.call()
    if sent.method != "GET":
        return of_form()
    _check_encoding(sent.query_string.encode("latin-1", "replace"))
    return read(sent.query)


def of_form() -> Params:
    """Read a POST: a form in the body and no query string. Raises InvalidRequestError."""
    sent = web.call()
    if sent.query_string:
        raise InvalidRequestError("Parameters belong into the body of the POST; the query string must be empty.")
    if sent.mimetype != FORM:
        raise InvalidRequestError(f"The body must be {FORM}.")
    _check_encoding(sent.body)
    return read(sent.form)


def _check_encoding(raw: bytes) -> None:
    """Werkzeug puts a mark where bytes are no UTF-8; then `state` would come back changed. Raises InvalidRequestError."""
    if b"%" not in raw and raw.isascii():
        return
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise InvalidRequestError("The parameters are not UTF-8 text.") from None


def read(source: Iterable[tuple[str, str]]) -> Params:
    """Check that nothing came twice and that everything is text. Raises InvalidRequestError."""
    one: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for name, value in source:
        if _NOT_TEXT.search(f"{name}{value}"):
            raise InvalidRequestError(f"The parameter {quotable(name)} holds control characters.")
        if name in REPEATABLE:
            several.setdefault(name, []).append(value)
        elif name in one:
            raise InvalidRequestError(f"The parameter {quotable(name)} was sent more than once.")
        else:
            one[name] = value
    given = {name: value for name, value in one.items() if value}
    resources, audiences = (tuple(dict.fromkeys(filter(None, several.get(name, ())))) for name in REPEATABLE)
    return Params(given, resources, audiences)
