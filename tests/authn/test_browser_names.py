"""Browsers by the names that people use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.authn.browsers import described


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPad; CPU OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1", "Safari on iPad"),
        ("Mozilla/5.0 (X11; CrOS x86_64) Chrome/140.0 Safari/537.36 OPR/120.0", "Opera on ChromeOS"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15)", "Mac"),
        ("curl/8", "Unknown browser"),
        (None, "Unknown browser"),
    ],
)
def test_a_browser_is_called_by_its_usual_name(agent: str | None, name: str) -> None:
    assert described(agent) == name


@given(st.text(max_size=2000))
def test_attack_132_what_a_browser_writes_of_itself_is_never_repeated(agent: str) -> None:
    words = {"Edge", "Opera", "Firefox", "Chrome", "Safari", "iPhone", "iPad", "Android", "ChromeOS", "Windows", "Mac"}
    assert set(described(agent).split()) <= words | {"Linux", "on", "Unknown", "browser"}
