"""Which browsers are told that we do not test with them."""

from __future__ import annotations

import pytest

from idp.authn import browsers

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
EDGE = CHROME + " Edg/{}.0.0.0"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.1 Mobile/15E148 Safari/604.1"
MAC_SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.0 Safari/605.1.15"
IE = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"


@pytest.mark.parametrize(
    ("agent", "known"),
    [
        (CHROME.format(140), True),
        (CHROME.format(80), False),
        (EDGE.format(140, 140), True),
        (EDGE.format(140, 90), False),
        (FIREFOX.format(128), True),
        (FIREFOX.format(60), False),
        (SAFARI.format(17), True),
        (SAFARI.format(13), False),
        (MAC_SAFARI.format(16), True),
        (IE, False),
        ("Mozilla/5.0 " + "x" * 50_000, False),
        ("curl/8.5.0", True),
        ("", True),
        (None, True),
    ],
)
def test_browsers_that_we_test_with(agent: str | None, known: bool) -> None:
    assert browsers.supported(agent) is known
