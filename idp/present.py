"""present — what is going on just now: the application and what one request keeps, without the proxies that Flask has around them.

A request asks for its settings and for what it noted a few dozen times. Each time a proxy finds out anew what it stands for, which costs
more than what is found. These are the same objects that `current_app` and `g` lead to.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, cast

from flask import Flask
from flask.ctx import AppContext
from flask.globals import app_ctx

_CONTEXT = cast("ContextVar[AppContext]", cast(Any, app_ctx).__wrapped__)  # what the proxy asks (Werkzeug's LocalProxy)


def extension(name: str) -> Any:
    """Return what a room keeps in the application under this name. Raises KeyError, or RuntimeError outside of an application."""
    return _context().app.extensions[name]


def app() -> Flask:
    """Return the application. Raises RuntimeError where there is none."""
    return _context().app


def kept() -> Any:
    """Return what `flask.g` stands for: what this request keeps. Raises RuntimeError outside of an application."""
    return _context().g


def number() -> int:
    """Return what tells this request from all others that go on. Raises RuntimeError outside of an application."""
    return id(_context())


class Answering:
    """While this is entered a request is answered by an application: its context, without signals that nobody hears.

    Whoever asked for a database session must have it closed (`Flask.do_teardown_appcontext`); most requests ask for none.
    """

    __slots__ = ("_app", "_token")

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._token: Token[AppContext] | None = None

    def __enter__(self) -> None:
        self._token = _CONTEXT.set(AppContext(self._app))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _CONTEXT.reset(self._token)


def _context() -> AppContext:
    try:
        return _CONTEXT.get()
    except LookupError:
        raise RuntimeError("This needs an application, and none is at work here.") from None
