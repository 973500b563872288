"""moulds — pages that are the same for everybody but for a few words: rendered once, filled in for each reader.

The sign-in page and «please try again in a minute» come in floods, and to render one costs as much as all else that such a request does.
So what is left when a page is rendered with marks in place of those words is kept, by language and by `key`, and the words are put in,
escaped. A mark is 128 random bits of this process that never leave it: nothing that somebody sends can be taken for one.

A mould is rendered with `csrf_field`, `here` and `request_id` as holes of their own, which every page may use. What else a page reads of
the request must be in its `key` or among its `holes`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Hashable, Mapping
from typing import Any
from urllib.parse import quote

from flask import Response, current_app, render_template
from markupsafe import escape

from idp import language
from idp.config import Settings, settings
from idp.web import reader
from idp.web.answers import paged
from idp.web.forms import csrf_field
from idp.web.who import context

_MOST = 64  # moulds of one application: languages times applications that people sign in to; then it begins anew
_KEPT = "idp.moulds"
_MARK = f"hole{secrets.token_hex(16)}"
_HOLES = re.compile(rf"{_MARK}([a-z_]+)0")

_Mould = tuple[Settings, list[str]]  # what it was made under; text, name of a hole, text, name of a hole, …, text


def moulded(
    template: str,
    status: int = 200,
    *,
    key: Hashable,
    holes: Mapping[str, str],
    values: Callable[[], Mapping[str, Any]],
    form_targets: tuple[str, ...] = (),
) -> Response:
    """Answer with a page with these words in its holes; `values`, the rest of what it shows, is asked for once for each `key`.

    Holes stand in text and in attributes; after `| urlencode` only words that it would leave as they are. `form_targets`: as in `page`.
    """
    return paged(_filled(template, key, holes, values), status, form_targets=form_targets)


def _filled(template: str, key: Hashable, holes: Mapping[str, str], values: Callable[[], Mapping[str, Any]]) -> str:
    kept: dict[Hashable, _Mould] = current_app.extensions.setdefault(_KEPT, {})
    name = (template, language.current(), key)
    made_under, parts = kept.get(name, (None, []))
    if made_under is not settings():
        parts = _made(template, holes, values())
        if len(kept) >= _MOST:
            kept.clear()
        kept[name] = settings(), parts
    words = {hole: _OF_EVERY_PAGE[hole]() if hole in _OF_EVERY_PAGE else holes[hole] for hole in set(parts[1::2])}
    filled = parts.copy()
    filled[1::2] = [str(escape(words[hole])) for hole in parts[1::2]]
    return "".join(filled)


def _made(template: str, holes: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    body = render_template(
        template,
        **{hole: _mark(hole) for hole in holes},
        request_id=_mark("request_id"),
        csrf_field=lambda: _mark("csrf_field"),
        here=lambda: _mark("here"),
        support=settings().support,
        **values,
    )
    return _HOLES.split(body)


_OF_EVERY_PAGE: dict[str, Callable[[], str]] = {
    "csrf_field": csrf_field,
    "here": lambda: quote(reader.here()),
    "request_id": lambda: context().request_id or "",
}


def _mark(hole: str) -> str:
    return f"{_MARK}{hole}0"
