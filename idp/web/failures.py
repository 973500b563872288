"""Errors for their reader: a page for a person, JSON for a program, the details for the log."""

from __future__ import annotations

import logging
import re
from typing import Any

import orjson
from flask import Response
from jinja2.exceptions import TemplateNotFound
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException, InternalServerError

from idp import kv
from idp.db import db, is_unreachable
from idp.errors import IdpError, Unavailable
from idp.language import gettext, lazy_gettext
from idp.record import Record
from idp.web.answers import page, wants_json
from idp.web.call import Answer
from idp.web.moulds import moulded
from idp.web.who import context

log = logging.getLogger(__name__)

_HEADLINES = {
    400: lazy_gettext("That did not work"),
    403: lazy_gettext("This is not open to you"),
    404: lazy_gettext("There is nothing here"),
    405: lazy_gettext("That did not work"),
    413: lazy_gettext("That was too much at once"),
    415: lazy_gettext("That did not work"),
    429: lazy_gettext("Please wait a moment"),
    500: lazy_gettext("Something broke on our side"),
    503: lazy_gettext("Please try again in a minute"),
}
_REMEDIES = {
    403: lazy_gettext(
        "If you came from a form, go back, reload the page and try again. Otherwise contact the service desk."
    ),
    404: lazy_gettext("Open the service that you wanted to use from its own address, or go to your account."),
    429: lazy_gettext("Wait for the time given, then try again."),
    500: lazy_gettext(
        "It is not your fault, and we have been told. Try again; if it happens twice, contact the service desk and name the code below."
    ),
    503: lazy_gettext("Your account is fine. Try again in a minute; if it stays like this, contact the service desk."),
}
_TOLD = {  # what people read in place of the library's English
    404: lazy_gettext("This address leads nowhere. It may be mistyped or out of date."),
    405: lazy_gettext("This address cannot be opened in that way."),
    413: lazy_gettext("What was sent is larger than we take."),
}
_IN_FLOODS = (429, 503)
_START_AGAIN = lazy_gettext(
    "Start again from the service that you wanted to use. If it happens again, its operator has to mend something: tell them the sentence above."
)


def explain(error: Exception) -> Any:
    """Turn any exception into an answer for its reader; what we did not foresee rolls back and is logged."""
    if isinstance(error, HTTPException) and error.response is not None:
        return error.response
    return answer_of(fault_of(error))


class Fault(Record):
    """What the caller may learn of an error."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


def fault_of(error: Exception) -> Fault:
    """Sort an exception; what we did not foresee rolls back and is logged. What fails after a view, Flask wraps."""
    if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
        error = error.original_exception
    if isinstance(error, IdpError):
        return Fault(error.status, error.code, error.public, _patience(getattr(error, "retry_after_s", None)))
    if isinstance(error, HTTPException):
        return Fault(error.code or 500, _slug(error), _told(error), _headers_of(error))
    db.session.rollback()
    if isinstance(error, kv.Unavailable) or (isinstance(error, DBAPIError) and is_unreachable(error)):
        log.error("a part that we need is away", exc_info=error)
        away = Unavailable()
        return Fault(away.status, away.code, away.public, _patience(away.retry_after_s))
    log.exception("unforeseen error", exc_info=error)
    return Fault(500, "server_error", gettext("We could not finish this."))


def error_answer(status: int, code: str, message: str, *, retry_after_s: int | None = None) -> Any:
    """Build an error for a person (a page) or a program (JSON with `error` and `error_description`)."""
    return answer_of(Fault(status, code, message, _patience(retry_after_s)))


def answer_of(fault: Fault) -> Any:
    """Tell a fault to whoever asks."""
    if wants_json():
        return json_of(fault)
    response = _error_page(fault.status, fault.message)
    response.headers.update(fault.headers)
    return response


def json_of(fault: Fault) -> Answer:
    """Tell a fault to a program."""
    body = {"error": fault.code, "error_description": fault.message, "request_id": context().request_id}
    return Answer(orjson.dumps(body), fault.status, [("Content-Type", "application/json"), *fault.headers])


def _patience(retry_after_s: int | None) -> tuple[tuple[str, str], ...]:
    return (("Retry-After", str(max(1, retry_after_s))),) if retry_after_s is not None else ()


def _error_page(status: int, message: str) -> Response:
    headline = _HEADLINES.get(status, _HEADLINES[400])
    remedy = _REMEDIES.get(status, _START_AGAIN)
    shown = {"status_code": status, "headline": headline, "message": message, "remedy": remedy}
    try:
        if status in _IN_FLOODS:
            return moulded("error.html", status, key=(status, str(message)), holes={}, values=lambda: shown)
        return page("error.html", status, **shown)
    except TemplateNotFound:
        return Response(f"{headline}\n{message}\n{remedy}\n", status, content_type="text/plain; charset=utf-8")


def _told(error: HTTPException) -> str:
    """Say to a person what a library's error means, in their language; a program gets the library's own words."""
    if wants_json():
        return error.description or ""
    return str(_TOLD.get(error.code or 500, gettext(IdpError.public)))


def _slug(error: HTTPException) -> str:
    return re.sub(r"[^a-z]+", "_", (error.name or "error").lower())


def _headers_of(error: HTTPException) -> tuple[tuple[str, str], ...]:
    kept = ("Allow", "WWW-Authenticate", "Retry-After")
    return tuple((name, value) for name, value in error.get_headers() if name in kept)
