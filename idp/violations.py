"""violations — what browsers refused to load or run on our pages (CSP Level 3 section 5; ASVS 3.4.7): /csp-report.

A script that somebody managed to put into a page of ours does not run, and its try is in the log and in the metrics. Anybody can send
such a report, and browser extensions cause many: so it is a hint for whoever looks, never an event of the audit, and limited by address.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, request

from idp import limits, metrics, strict_json, web

log = logging.getLogger(__name__)
views = Blueprint("violations", __name__)

REPORTS, WINDOW_S = 20, 60  # of one address
LARGEST = 16 * 1024
_KINDS = ("application/csp-report", "application/json")


def install(app: Flask) -> None:
    """Register the route."""
    app.register_blueprint(views)


@views.post(web.CSP_REPORTS)
def take() -> Response:
    """Write down one report. The answer is the same for every report, understood or not: browsers do not read it."""
    body = request.get_data()
    near = limits.address_bucket(web.context().address or "")
    is_report = request.mimetype in _KINDS and len(body) <= LARGEST
    if is_report and limits.spend("csp_reports", near, count=REPORTS, window_s=WINDOW_S).allowed:
        _write_down(_told(body))
    return Response(status=204)


def _told(body: bytes) -> dict[str, Any]:
    try:
        report = strict_json.loads(body)
    except ValueError:
        return {}
    told = report.get("csp-report") if isinstance(report, dict) else None
    return told if isinstance(told, dict) else {}


def _write_down(told: dict[str, Any]) -> None:
    """Of addresses only what names a place: queries and fragments may hold what a person typed."""
    directive = str(told.get("effective-directive") or told.get("violated-directive") or "")[:64]
    if not directive:
        return
    metrics.VIOLATIONS.inc()
    page, blocked = (_place(str(told.get(name) or "")) for name in ("document-uri", "blocked-uri"))
    log.warning(
        "a browser refused something on a page of ours",
        extra={"directive": directive, "page": page, "blocked": blocked},
    )


def _place(uri: str) -> str:
    parts = urlsplit(uri[:512])
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.netloc else uri[:32].partition("?")[0]
