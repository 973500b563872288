"""Fetching what applications publish: where it may go and when it gives up (attacks 62, 63; RFC 9700 4.11 is the other direction)."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time

import httpcore
import pytest
from flask import Flask

from idp import outbound
from idp.outbound import Unreachable, fetch_json
from tests.conftest import make_settings
from tests.oauth.signing import DRIPS_FOR_S, drip, publishing


@pytest.fixture
def place(tmp_path):
    """An application of nothing but settings, in a mode."""

    def make(mode: str, **sections):
        app = Flask("outbound")
        app.extensions["idp.settings"] = make_settings(
            database_url="sqlite://",
            redis_url="redis://127.0.0.1:1/0",
            prefix="",
            folder=tmp_path,
            mode=mode,
            **sections,
        )
        return app.app_context()

    return make


@pytest.fixture
def inside(place):
    """Production: loopback is as forbidden as any other network of ours."""
    with place("production"):
        yield


@pytest.fixture
def at_home(place):
    """Development: loopback is allowed."""
    with place("development"):
        yield


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/jwks",
        "https://127.1/jwks",
        "https://2130706433/jwks",
        "https://0x7f000001/jwks",
        "https://0177.0.0.1/jwks",
        "https://0/jwks",
        "https://localhost/jwks",
        "https://localhost./jwks",
        "https://[::1]/jwks",
        "https://[::]/jwks",
        "https://[::ffff:127.0.0.1]/jwks",
        "https://[::ffff:10.0.0.1]/jwks",
        "https://[64:ff9b::7f00:1]/jwks",
        "https://[2002:7f00:1::]/jwks",
        "https://[fe80::1]/jwks",
        "https://[fc00::1]/jwks",
        "https://[ff02::1]/jwks",
        "https://10.0.0.1/jwks",
        "https://172.16.0.1/jwks",
        "https://192.168.1.1/jwks",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/jwks",
        "https://224.0.0.1/jwks",
        "https://255.255.255.255/jwks",
        "https://192.0.2.1/jwks",
    ],
)
def test_attack_62_networks_that_are_not_public(inside, url, monkeypatch):
    monkeypatch.setattr(outbound._Target, "connect_tcp", _never)
    with pytest.raises(Unreachable, match=r"not public|does not resolve"):
        fetch_json(url)


def _never(*_, **__):
    raise AssertionError("a connection was tried")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/jwks",
        "file:///etc/passwd",
        "gopher://example.org/",
        "ftp://example.org/jwks",
        "https://user@example.org/jwks",
        "https://user:secret@example.org/jwks",
        "https:///jwks",
        "https://example.org:port/jwks",
        "https://exämple.org/jwks",
        "//example.org/jwks",
        "data:application/json,{}",
        "",
    ],
)
def test_attack_62_only_https(inside, url):
    with pytest.raises(Unreachable):
        fetch_json(url)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888"])
def test_the_open_internet_is_open(address):
    assert outbound.is_public(ipaddress.ip_address(address))


def answers(*addresses):
    """A name server that says this, and counts how often it is asked."""
    asked = []

    def resolve(host, port, *_, **__):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return asked, resolve


def test_attack_62_one_bad_address_among_good_ones_is_enough(inside, monkeypatch):
    _, resolve = answers("8.8.8.8", "10.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(outbound._Target, "connect_tcp", _never)
    with pytest.raises(Unreachable, match="not public"):
        fetch_json("https://rebind.example.org/jwks")


def test_attack_62_the_connection_goes_to_the_address_that_was_judged(inside, monkeypatch):
    """A DNS that says something else the second time is not asked a second time."""
    asked, resolve = answers("8.8.8.8")
    went = []

    class Recorder:
        def connect_tcp(self, host, port, timeout):
            went.append((host, port))
            raise httpcore.ConnectError("recorded")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(httpcore, "SyncBackend", Recorder)
    with pytest.raises(Unreachable, match="no answer"):
        fetch_json("https://rebind.example.org:8443/jwks")
    assert went == [("8.8.8.8", 8443)] and asked == ["rebind.example.org"]


def test_tls_proves_the_name_and_not_the_address(at_home):
    """A server on loopback that speaks no TLS, or none that we trust, is nobody."""
    with publishing({}) as site, pytest.raises(Unreachable, match="no answer"):
        fetch_json(site.url.replace("http://", "https://"))


def test_plain_http_leads_to_loopback_only(at_home, monkeypatch):
    _, resolve = answers("8.8.8.8")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Unreachable, match="not public"):
        fetch_json("http://rp.example.org/jwks")


def test_a_document(at_home):
    with publishing({"a": [1]}) as site:
        site.headers["Cache-Control"] = "private, max-age=77"
        found = fetch_json(site.url)
        assert found.value == {"a": [1]} and found.max_age_s == 77
        site.headers["Content-Type"] = "application/jwk-set+json; charset=utf-8"
        site.headers["Cache-Control"] = "no-store"
        assert fetch_json(site.url).max_age_s == 0
        del site.headers["Cache-Control"]
        assert fetch_json(site.url).max_age_s is None


def test_no_proxy_of_the_environment_is_used(at_home, monkeypatch):
    with publishing({"direct": True}) as site, publishing({"proxied": True}) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert fetch_json(site.url).value == {"direct": True} and proxy.calls == 0


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 307, 308, 401, 404, 500])
def test_attack_62_only_200_and_no_redirect(at_home, status):
    with publishing({}) as site, publishing({}) as other:
        site.status = status
        site.headers["Location"] = other.url
        with pytest.raises(Unreachable, match=f"status {status}"):
            fetch_json(site.url)
        assert other.calls == 0


def test_attack_63_the_size_has_an_end(at_home):
    with publishing() as site:
        site.body = b'"' + b"x" * (outbound.MAX_BYTES - 2) + b'"'
        assert len(fetch_json(site.url).value) == outbound.MAX_BYTES - 2
        site.body += b" "
        with pytest.raises(Unreachable, match="larger"):
            fetch_json(site.url)
        site.headers["Content-Length"] = str(10**9)
        with pytest.raises(Unreachable):
            fetch_json(site.url)


def test_attack_63_the_deadline_covers_headers_that_drip(at_home):
    with publishing({}) as site:
        site.before = drip
        began = time.monotonic()
        with pytest.raises(Unreachable):
            fetch_json(site.url)
        assert time.monotonic() - began < DRIPS_FOR_S / 2


def test_attack_63_the_deadline_covers_the_name(inside, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(60) and [])
    monkeypatch.setattr(outbound, "DEADLINE_S", 0.2)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="not resolved in time"):
        fetch_json("https://slow.example.org/jwks")
    assert time.monotonic() - began < 30, "the name is known after a minute"
    release.set()


# --- private networks that the operator allows --------------------------------------------------------------------


@pytest.fixture
def in_hospital(place):
    """Production, with two networks where applications live."""
    with place("production", outbound={"allowed_networks": ("10.20.0.0/16", "fd12:3456::/32")}):
        yield


@pytest.mark.parametrize("address", ["10.20.0.1", "10.20.255.255", "fd12:3456::1", "8.8.8.8"])
def test_attack_62_applications_in_an_allowed_network_are_reached(in_hospital, monkeypatch, address):
    assert went_to(monkeypatch, address) == [(address, 443)]


@pytest.mark.parametrize(
    "address",
    [
        *("10.21.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "fd12:3457::1", "::ffff:10.20.0.1", "64:ff9b::a14:1"),
        *("127.0.0.1", "::1", "0.0.0.0", "169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200"),
        *("168.63.129.16", "192.0.0.192", "255.255.255.255", "224.0.0.1"),
    ],
)
def test_attack_62_every_other_network_stays_closed(in_hospital, monkeypatch, address):
    assert went_to(monkeypatch, address) == []


def test_attack_62_metadata_of_clouds_is_refused_even_in_an_allowed_network(place, monkeypatch):
    networks = ("100.64.0.0/10", "fd00::/8", "10.0.0.0/8")
    with place("production", outbound={"allowed_networks": networks}):
        for address in ("100.100.100.200", "fd00:ec2::254", "169.254.169.254", "127.0.0.1"):
            assert went_to(monkeypatch, address) == []
        assert went_to(monkeypatch, "100.100.100.201") == [("100.100.100.201", 443)]


def test_attack_62_an_allowed_network_is_reached_by_https_only(in_hospital, monkeypatch):
    assert went_to(monkeypatch, "10.20.0.1", url="http://app.example.org/jwks") == []


def went_to(monkeypatch, address: str, url: str = "https://app.example.org/jwks") -> list[tuple[str, int]]:
    """Where a connection was opened when the name means this address."""
    went = []

    class Recorder:
        def connect_tcp(self, host, port, timeout):
            went.append((host, port))
            raise httpcore.ConnectError("recorded")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", answers(address)[1])
        patch.setattr(httpcore, "SyncBackend", Recorder)
        with pytest.raises(Unreachable):
            fetch_json(url)
    return went
