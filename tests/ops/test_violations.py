"""Content security policy: what it refuses is reported, and a report is nobody's way in (attack 82, ASVS 3.4.7)."""

from __future__ import annotations

import json
import logging

import pytest

from idp import web
from idp.violations import LARGEST, REPORTS

REPORT = {
    "csp-report": {
        "document-uri": "https://login.example.org/login?flow=typed-by-somebody#x",
        "blocked-uri": "https://evil.example.com/steal.js?c=1",
        "effective-directive": "script-src-elem",
    }
}


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


def send(client, body, kind="application/csp-report"):
    return client.post(web.CSP_REPORTS, data=body if isinstance(body, bytes) else json.dumps(body), content_type=kind)


def lines(caplog):
    return [record for record in caplog.records if record.name == "idp.violations"]


def test_attack_82_every_page_says_where_to_report_and_a_report_is_logged(client, caplog):
    assert "report-uri /csp-report" in client.get("/help").headers["Content-Security-Policy"]
    with caplog.at_level(logging.WARNING):
        assert send(client, REPORT).status_code == 204
    (line,) = lines(caplog)
    assert (line.directive, line.blocked) == ("script-src-elem", "https://evil.example.com/steal.js")
    assert line.page == "https://login.example.org/login", "no query: it may hold what a person typed"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/csp-report"), (b"[]", "application/csp-report"), ({"csp-report": 7}, "application/csp-report"),
        ({"csp-report": {}}, "application/csp-report"), (REPORT, "text/plain"), (b"x" * (LARGEST + 1), "application/csp-report"),
        (b"\xff\xfe", "application/json"),
    ],
)  # fmt: skip
def test_nonsense_is_answered_alike_and_not_written(client, caplog, body, kind):
    with caplog.at_level(logging.WARNING):
        assert send(client, body, kind).status_code == 204
    assert not lines(caplog)


def test_one_address_fills_no_log(client, caplog):
    with caplog.at_level(logging.WARNING):
        assert {send(client, REPORT).status_code for _ in range(REPORTS + 5)} == {204}
    assert len(lines(caplog)) == REPORTS


def test_it_takes_posts_only(client):
    assert client.get(web.CSP_REPORTS).status_code == 405
