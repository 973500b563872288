"""Which language a page speaks: what the person chose, what an application said of them (ui_locales), what their browser asks for."""

from __future__ import annotations

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from idp import language
from idp.errors import BadInput
from idp.web.answers import page, see_other
from idp.web.forms import csrf_protected, local_path, single
from idp.web.who import read_cookie, set_cookie

CHOSEN, SUGGESTED = "language", "ui_language"
CHOSEN_S = 365 * 86400


def speak() -> None:
    """Speak the reader's language from here on; the edge calls it before each request."""
    wanted = [read_cookie(CHOSEN) or "", read_cookie(SUGGESTED) or ""]
    accepted = [tag for tag, _ in request.accept_languages]
    language.speak(language.best([*wanted, *accepted]) or language.SOURCE)
    language.tell_time(None)


def choose_language(tag: str) -> None:
    """Keep the person's own choice in this browser. Raises BadInput for a language that we do not speak."""
    if tag not in language.SUPPORTED:
        raise BadInput(public=language.gettext("This language is not available."))
    g.language_chosen = tag
    language.speak(tag)


def suggest_language(tags: list[str]) -> None:
    """Follow an application's `ui_locales` (OIDC Core 3.1.2.1) or a person's profile, unless this browser has a choice of its own."""
    found = language.best(tags)
    if found and not read_cookie(CHOSEN):
        if read_cookie(SUGGESTED) != found:
            g.language_suggested = found
        language.speak(found)


def keep(response: Response) -> None:
    """Put what was chosen on the answer, and say what language it is in."""
    if "language_chosen" in g:
        set_cookie(response, CHOSEN, g.language_chosen, max_age_s=CHOSEN_S)
    if "language_suggested" in g:
        set_cookie(response, SUGGESTED, g.language_suggested)
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Language", language.current())


def here() -> str:
    """Return where this page can be asked for again: its own address, or `/` for one that only answers forms."""
    path = request.full_path.rstrip("?")
    try:
        current_app.url_map.bind("").match(request.path, method="GET")
        return local_path(path)
    except (HTTPException, RequestRedirect, BadInput):
        return "/"


@csrf_protected
def language_page() -> Response:
    """Let the person choose a language, and lead them back to the page they came from."""
    try:
        back = local_path(single("to", "/"))
    except BadInput:
        back = "/"
    if request.method == "GET":
        return page("language.html", languages=language.SUPPORTED, back=back)
    choose_language(single("language"))
    return see_other(back)
