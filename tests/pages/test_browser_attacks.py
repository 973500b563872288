"""Attacks of section 7.F that a page as a whole must withstand: framing, referrers, openers."""

from __future__ import annotations

import re

import pytest

from tests.pages.conftest import TEMPLATES

PAGES = (
    "/login",
    "/help",
    "/recover/password",
    "/recover/username",
    "/device",
    "/signed-out",
    "/no-such-page",
    "/language",
)
LINK_OUT = re.compile(r"<a\b[^>]*target=\"_blank\"[^>]*>")


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.mark.parametrize("path", PAGES)
def test_attack_75_no_page_lets_itself_be_framed(client, path):
    answer = client.get(path, follow_redirects=True)
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", PAGES)
def test_attack_80_no_page_tells_the_next_one_its_address(client, path):
    answer = client.get(path, follow_redirects=True)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert '<meta name="referrer"' not in answer.text, "a page must not soften the header"


@pytest.mark.parametrize("path", PAGES)
def test_attack_83_no_page_shares_its_window_with_whoever_opened_it(client, path):
    assert client.get(path, follow_redirects=True).headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_attack_83_links_into_new_windows_leave_no_opener():
    found = [link for template in TEMPLATES.rglob("*.html") for link in LINK_OUT.findall(template.read_text())]
    assert found, "the consent page has some"
    assert all("noopener" in link and "noreferrer" in link for link in found)


def test_attack_82_pages_hold_no_script_and_no_style_of_their_own(client):
    for path in PAGES:
        answer = client.get(path, follow_redirects=True)
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style|javascript:", answer.text), path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "base-uri 'none'" in policy and "unsafe" not in policy
