"""A client's keys: which may be registered, and how they are fetched and kept (RFC 7591 2, RFC 7517 5, attacks 37, 52, 62, 63)."""

from __future__ import annotations

import threading
import time

import pytest

from idp import clients, clock, outbound
from idp.clients import InvalidMetadata
from tests.conftest import in_threads
from tests.oauth.asserting import MACHINE, ask, assertion, db_url, machine, rejected
from tests.oauth.signing import DRIPS_FOR_S, drip, jwks, key, proof, publishing

__all__ = ["ask", "db_url", "machine"]


# --- registration (attack 52) -------------------------------------------------------------------------------------


def strange_keys():
    good = key("2048").as_dict(private=False)
    return {
        "RSA-1024": key("1024").as_dict(private=False),
        "e=1": good | {"e": "AQ"},
        "e=3": good | {"e": "Aw"},
        "even e": good | {"e": "AQAA"},
        "P-192": {"kty": "EC", "crv": "P-192", "x": "AAAA", "y": "AAAA"},
        "secp256k1": key("secp256k1").as_dict(private=False),
        "not on the curve": key().as_dict(private=False) | {"x": "AAAA"},
        "oct": {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        "private": key().as_dict(private=True),
        "no kty": {"kid": "x"},
        "kid": good | {"kid": 7},
        "text": "key",
    }


@pytest.mark.parametrize("kind", sorted(strange_keys()))
def test_attack_52_weak_private_and_broken_keys_are_not_registered(make_rp, kind):
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [strange_keys()[kind]]})
    assert list(refused.value.fields) == ["jwks"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
        ({"jwks": {"keys": []}}, "jwks"),
        ({"jwks": []}, "jwks"),
        ({"jwks": {"keys": "x"}}, "jwks"),
        ({"jwks_uri": "http://rp.example.org/jwks"}, "jwks_uri"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
        ({"jwks_uri": "gopher://rp.example.org/"}, "jwks_uri"),
        ({"jwks_uri": "https://user@rp.example.org/jwks"}, "jwks_uri"),
        ({"token_endpoint_auth_signing_alg": "ES256"}, "token_endpoint_auth_signing_alg"),
        ({"request_object_signing_alg": "none"}, "request_object_signing_alg"),
        ({"request_object_signing_alg": "HS256"}, "request_object_signing_alg"),
        ({"request_object_signing_alg": "ES256"}, "jwks"),
        ({"require_signed_request_object": True}, "jwks"),
        ({"require_pushed_authorization_requests": "yes"}, "require_pushed_authorization_requests"),
    ],
)
def test_rfc7591_2_key_metadata_is_coherent(make_rp, changes, field):
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(**changes)
    assert field in refused.value.fields


def test_rfc7591_2_keys_by_value_or_by_url_not_both(make_rp):
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(jwks=jwks(key()), jwks_uri="https://rp.example.org/jwks")
    assert "jwks_uri" in refused.value.fields
    wrong = {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "HS256"}
    with pytest.raises(InvalidMetadata):
        make_rp(**wrong, jwks=jwks(key()))
    with pytest.raises(InvalidMetadata):
        make_rp(token_endpoint_auth_method="client_secret_jwt", token_endpoint_auth_signing_alg="ES256")


def test_the_metadata_come_back_as_they_were_registered(machine):
    shown = clients.get(machine.client.client_id).metadata()
    assert shown["jwks"] == jwks(key()) and shown["token_endpoint_auth_method"] == "private_key_jwt"


# --- jwks_uri (attacks 37, 62, 63) --------------------------------------------------------------------------------


@pytest.fixture
def remote(make_rp):
    """A machine whose keys are at a real address on loopback."""
    with publishing(jwks(key())) as site:
        rp = make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks_uri=site.url)
        yield rp, site


def test_rfc7517_5_keys_are_fetched_once_and_kept(remote, ask):
    rp, site = remote
    for _ in range(3):
        assert ask(assertion(rp)).status == 200
    assert site.calls == 1


def test_an_unknown_kid_asks_again_but_not_always(remote, ask):
    rp, site = remote
    assert ask(assertion(rp)).status == 200
    site.show(jwks(key(), key(name="k2")))
    assert rejected(ask(assertion(rp, by=key(name="k2"))))  # it was fetched a moment ago
    assert site.calls == 1
    with clock.travel(21):
        assert ask(assertion(rp, by=key(name="k2"))).status == 200
        for _ in range(5):
            assert rejected(ask(assertion(rp, by=key(name="nonsense"))))
        assert site.calls == 2


def test_the_owner_says_how_long_a_set_is_kept_within_limits(remote, ask):
    rp, site = remote
    site.headers["Cache-Control"] = "public, max-age=120"
    assert ask(assertion(rp)).status == 200
    with clock.travel(119):
        assert ask(assertion(rp)).status == 200
    assert site.calls == 1
    with clock.travel(121):
        assert ask(assertion(rp)).status == 200
    assert site.calls == 2


def test_attack_63_a_failure_is_remembered_for_longer_each_time(remote, ask):
    rp, site = remote
    site.status = 500
    for _ in range(4):
        assert rejected(ask(assertion(rp)))
    assert site.calls == 1
    with clock.travel(6):
        assert rejected(ask(assertion(rp)))
        assert site.calls == 2
    with clock.travel(12):
        assert rejected(ask(assertion(rp)))
        assert site.calls == 2  # ten seconds by now
    site.status = 200
    with clock.travel(17):
        assert ask(assertion(rp)).status == 200


def test_attack_63_the_old_keys_serve_while_the_address_is_down(remote, ask):
    rp, site = remote
    assert ask(assertion(rp)).status == 200
    site.status = 503
    with clock.travel(4000):
        assert ask(assertion(rp)).status == 200
        assert ask(assertion(rp)).status == 200
        assert site.calls == 2


def test_attack_63_others_do_not_wait_for_a_slow_server(app, remote, monkeypatch):
    """It answers when seven have given up: were one of them waiting for it, it would not answer before its time is over."""
    monkeypatch.setattr(outbound, "DEADLINE_S", 90)
    rp, site = remote
    gave_up = threading.Semaphore(0)
    site.before = lambda _: [gave_up.acquire(timeout=60) for _ in range(7)]

    def use(_: int) -> int:
        form = {"grant_type": "client_credentials", **proof(assertion(rp))}
        status = app.test_client().post("/token", data=form).status_code
        gave_up.release()
        return status

    assert sorted(in_threads(8, app, use)) == [200, *[401] * 7]
    assert site.calls == 1


def test_attack_62_a_redirect_is_not_followed(remote, ask):
    rp, site = remote
    with publishing(jwks(key())) as elsewhere:
        site.status, site.headers = 302, {"Location": elsewhere.url, "Content-Type": "application/json"}
        assert rejected(ask(assertion(rp)))
        assert elsewhere.calls == 0


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "text/html"}, None),
        ({}, None),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, None),
        ({"Content-Type": "application/json"}, b"<html>"),
        ({"Content-Type": "application/json"}, b"[]"),
        ({"Content-Type": "application/json"}, b'{"keys": []}'),
        ({"Content-Type": "application/json"}, b'{"keys": [' + b'{"kty":"oct","k":"AAAA"}' + b"]}"),
        ({"Content-Type": "application/json"}, b'{"keys": "' + b"x" * 70_000 + b'"}'),
        ({"Content-Type": "application/json"}, b"[" * 60_000),
    ],
)
def test_attack_62_63_what_is_not_a_small_key_set_is_nothing(remote, ask, headers, body):
    rp, site = remote
    site.headers, site.body = headers, site.body if body is None else body
    answer = ask(assertion(rp))
    assert rejected(answer) and "jwks_uri" in answer.error_description


def test_attack_63_a_dripping_server_costs_three_seconds_once(remote, ask):
    rp, site = remote
    site.before = drip
    began = time.monotonic()
    assert rejected(ask(assertion(rp)))
    assert time.monotonic() - began < DRIPS_FOR_S / 2
    assert rejected(ask(assertion(rp))) and site.calls == 1
