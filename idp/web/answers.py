"""What goes out: pages for people, JSON for programs, and their content security policy."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, cast
from urllib.parse import urlsplit

from flask import Response, g, make_response, redirect, render_template, request

from idp import language, present
from idp.config import settings
from idp.web.who import context

P = ParamSpec("P")

CSP_REPORTS = "/csp-report"  # where browsers tell what they refused (violations.py)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """Render a page for a person: never stored, with the support details on it.

    `form_targets` (origins) widens the page's `form-action`: browsers apply it to the redirects after a POST too, so
    a sign-in page that ends at a relying app must name that app's origin. `frame_sources` (origins) may be framed by it.
    """
    targets: tuple[str, ...] = tuple(values.pop("form_targets", ()))
    framed: tuple[str, ...] = tuple(values.pop("frame_sources", ()))
    body = render_template(template, support=settings().support, request_id=context().request_id, **values)
    return paged(body, status, form_targets=targets, frame_sources=framed)


def paged(
    body: str, status: int, *, form_targets: tuple[str, ...] = (), frame_sources: tuple[str, ...] = ()
) -> Response:
    """Answer with a page that is rendered already."""
    response = make_response(body, status)
    if form_targets or frame_sources:
        policy = content_security_policy(form_targets=form_targets, frame_sources=frame_sources)
        response.headers["Content-Security-Policy"] = policy
    return response


def see_other(location: str) -> Response:
    """Answer 303: a POST became a page to GET (F-10: never 307)."""
    return cast(Response, redirect(location, code=303))


def answer_json() -> None:
    """Note that this request is for programs: whatever goes wrong with it is told in JSON, in English (RFC 6749 section 5.2)."""
    present.kept().answers_json = True
    language.speak(language.SOURCE)


def wants_json() -> bool:
    """Say whether the caller is a program rather than a browser."""
    if g.get("answers_json", False):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return best == "application/json" or not request.accept_mimetypes.accept_html


def content_security_policy(*, form_targets: tuple[str, ...] = (), frame_sources: tuple[str, ...] = ()) -> str:
    """Return the policy of our pages: nothing inline, nothing from elsewhere, never framed."""
    frames = f"frame-src {' '.join(frame_sources)}; " if frame_sources else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"{frames}form-action {' '.join((chr(39) + 'self' + chr(39), *form_targets))}; frame-ancestors 'none'; base-uri 'none'; report-uri {CSP_REPORTS}"
    )


def origin_of(url: str) -> str:
    """Return scheme://host[:port] of a URL (a scheme alone for native apps), as `form_targets` wants it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


@functools.lru_cache(maxsize=64)
def _asset_version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """Return the URL of a static file with its version, so that it can be cached for a year."""
    return f"/static/{name}?v={_asset_version(Path(__file__).parents[1] / 'static' / name)}"


def document(view: Callable[P, Any]) -> Callable[P, Any]:
    """Decorate a view that only ever reads: it may be asked with HEAD too."""
    view.is_document = True  # type: ignore[attr-defined]
    return view
