"""Redirect URIs: registration and comparison (F-1, F-2, attacks 1 to 4 and 69)."""

from __future__ import annotations

import pytest

from idp.clients import redirects
from tests import cost

GOOD_WEB = [
    "https://rp.example.org/cb",
    "https://rp.example.org/cb?tenant=1",
    "https://rp.example.org:8443/a/b",
    "https://rp.example.org",
]
BAD_EVERYWHERE = [
    "javascript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://rp.example.org/x",
    "https://rp.example.org/cb#fragment",
    "https://rp.example.org/cb#",
    "https://*.example.org/cb",
    "https://rp.example@evil.example.com/cb",
    "https://RP.example.org/cb",
    "https://rp.example.org/a/../cb",
    "https://rp.example.org/a/%2e%2E/cb",
    "https://rp.example.org/a%2f..%2fcb",
    "https://rp.example.org\\cb",
    "https://rp.example.org/c b",
    "https://rp.example.org/cb\r\nX: y",
    "https://rp.example.org/cb\x00",
    'https://rp.example.org/"><script>',
    "https://rp.example.org/ü",
    "https://rp.example.org:port/cb",
    "https:///cb",
    "//rp.example.org/cb",
    "/cb",
    "rp.example.org/cb",
    "",
    None,
    7,
    "https://rp.example.org/" + "a" * 1000,
]


@pytest.mark.parametrize("uri", GOOD_WEB)
def test_f1_an_https_uri_may_be_registered(uri):
    assert redirects.problem(uri, native=False, loopback_names=False) is None


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("uri", BAD_EVERYWHERE)
def test_attack_3_4_and_69_what_nobody_may_register(uri, native):
    assert redirects.problem(uri, native=native, loopback_names=True)


@pytest.mark.parametrize(
    "uri", ["http://rp.example.org/cb", "http://127.0.0.1.evil.example.com/cb", "http://10.0.0.1/cb"]
)
def test_f2_plain_http_is_refused_even_for_native_apps_and_in_development(uri):
    assert redirects.problem(uri, native=True, loopback_names=True)


@pytest.mark.parametrize("uri", ["http://127.0.0.1/cb", "http://127.0.0.1:4711/cb", "http://[::1]:4711/cb"])
def test_rfc8252_7_3_loopback_literals_are_for_native_apps(uri):
    assert redirects.problem(uri, native=True, loopback_names=False) is None
    assert redirects.problem(uri, native=False, loopback_names=False)


def test_http_localhost_is_for_development_only():
    assert redirects.problem("http://localhost:8001/cb", native=False, loopback_names=True) is None
    assert redirects.problem("http://localhost:8001/cb", native=False, loopback_names=False)
    assert redirects.problem("http://localhost:8001/cb", native=True, loopback_names=False)


def test_rfc8252_7_1_an_app_scheme_is_a_reversed_domain():
    assert redirects.problem("org.example.app:/cb", native=True, loopback_names=False) is None
    assert redirects.problem("org.example.app://cb", native=True, loopback_names=False) is None
    assert redirects.problem("myapp://cb", native=True, loopback_names=False)
    assert redirects.problem("org.example.app:/cb", native=False, loopback_names=False)


@pytest.mark.parametrize(
    "presented",
    [
        "https://rp.example.org/cb/",
        "https://rp.example.org/cb?x",
        "https://rp.example.org/CB",
        "https://RP.example.org/cb",
        "https://rp.example.org:443/cb",
        "https://rp.example.org/cb/../evil",
        "https://rp.example.org/c%62",
        "https://rp.example.org.evil.example.com/cb",
        "https://rp.example@evil.example.com/cb",
        "http://rp.example.org/cb",
        "https://rp.example.org/cb#x",
        " https://rp.example.org/cb",
    ],
)
def test_rfc9700_4_1_3_a_request_is_compared_character_by_character(presented):
    assert redirects.matches("https://rp.example.org/cb", "https://rp.example.org/cb", native=False)
    assert not redirects.matches("https://rp.example.org/cb", presented, native=True)


def test_rfc8252_7_3_only_the_port_of_a_native_loopback_uri_may_differ():
    registered = "http://127.0.0.1/cb"
    assert redirects.matches(registered, "http://127.0.0.1:50123/cb", native=True)
    assert not redirects.matches(registered, "http://127.0.0.1:50123/cb", native=False)
    assert not redirects.matches(registered, "http://127.0.0.1:50123/other", native=True)
    assert not redirects.matches(registered, "http://[::1]:50123/cb", native=True)
    assert not redirects.matches(registered, "http://127.0.0.1:1@evil.example.com/cb", native=True)
    assert not redirects.matches(registered, "http://127.0.0.1:1.evil.example.com/cb", native=True)
    assert not redirects.matches("http://localhost/cb", "http://localhost:9/cb", native=True)


def test_rfc8252_8_6_only_https_proves_who_receives():
    assert redirects.identity_is_provable("https://rp.example.org/cb")
    assert not redirects.identity_is_provable("http://127.0.0.1/cb")
    assert not redirects.identity_is_provable("org.example.app:/cb")


def test_attack_140_a_long_uri_costs_no_time():
    with cost.within(1):
        for uri in ("https://rp.example.org/" + "../" * 20_000, "a" * 50_000, "http://127.0.0.1:" + "1" * 50_000):
            redirects.problem(uri, native=True, loopback_names=True)
            redirects.matches("http://127.0.0.1/cb", uri, native=True)
