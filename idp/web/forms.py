"""What comes in: CSRF tokens, parameters that come once, paths that stay here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec
from urllib.parse import urlsplit

from blinker import Signal
from flask import request
from markupsafe import Markup

from idp import crypto
from idp.config import settings
from idp.errors import BadInput, Forbidden
from idp.language import gettext
from idp.web.who import browser_id, context

CSRF_FIELD = "csrf"

form_refused = Signal(
    "A form came without our token or from another site: sent with path. A room above writes it down."
)

P = ParamSpec("P")


def csrf_token() -> str:
    """Return the token that a form of this browser must send back."""
    return crypto.mac("csrf", browser_id())


def csrf_field() -> Markup:
    """Return the hidden input for a form."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, csrf_token())


def check_csrf() -> None:
    """Refuse a POST that did not come from a form of ours in this browser. Raises Forbidden."""
    sent = request.form.get(CSRF_FIELD, "")
    browser = context().browser_id
    ours = browser is not None and any(crypto.same(sent, good) for good in crypto.macs("csrf", browser))
    if not ours or _from_elsewhere():
        form_refused.send("web", path=request.path)
        raise Forbidden(
            gettext("This form was open too long or came from another browser. Go back, reload the page and try again.")
        )


def _from_elsewhere() -> bool:
    """Say whether the browser names another site as the origin of this POST.

    Our pages send no referrer, and browsers then call our own forms' origin "null"; Sec-Fetch-Site tells them from a stranger's.
    """
    stranger = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
    return stranger or request.headers.get("Origin") not in (None, "null", settings().server.issuer)


def csrf_protected(view: Callable[P, Any]) -> Callable[P, Any]:
    """Decorate a browser view: its POST must carry our token."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        if request.method != "GET":
            check_csrf()
        return view(*args, **kwargs)

    return guarded


def single(name: str, default: str = "") -> str:
    """Return one parameter: of the form on POST, of the query otherwise. Raises BadInput when it came twice or holds NUL."""
    values = (request.form if request.method == "POST" and name in request.form else request.args).getlist(name)
    if len(values) > 1:
        raise BadInput({name: [gettext("“%(name)s” was sent more than once.", name=name)]})
    value = values[0] if values else default
    if "\x00" in value:
        raise BadInput({name: [gettext("“%(name)s” holds a character that cannot be used.", name=name)]})
    return value


def duplicates(*, allowed: tuple[str, ...] = ()) -> list[str]:
    """Return the parameters that were sent more than once, across query and form (RFC 6749 section 3.1)."""
    counted: dict[str, int] = {}
    for source in (request.args, request.form):
        for name in source:
            counted[name] = counted.get(name, 0) + len(source.getlist(name))
    return sorted(name for name, times in counted.items() if times > 1 and name not in allowed)


def local_path(value: str) -> str:
    """Return `value` if it is a path on this server. Raises BadInput for anything that a browser could take elsewhere."""
    parts = urlsplit(value)
    bad = any(ord(character) < 0x21 or character == "\\" for character in value)
    if bad or parts.scheme or parts.netloc or not value.startswith("/") or value.startswith("//"):
        raise BadInput(public=gettext("That address does not belong to this server."))
    return value
