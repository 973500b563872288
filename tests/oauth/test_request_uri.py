"""Request objects by reference (OIDC Core 6.2, RFC 9101 section 5.2; X-4, attacks 20, 22, 62, 63): off, signed, any."""

from __future__ import annotations

import hashlib
import threading
import time
from urllib.parse import urlencode

import pytest

from idp import clock, crypto, limits, outbound
from idp.clients.metadata import InvalidMetadata
from idp.oauth import request_uri
from tests.conftest import ISSUER
from tests.oauth.conformance import checks
from tests.oauth.conftest import REDIRECT_URI, SEALING_KEY, Answer, answer_in, basic, claims_of
from tests.oauth.signing import DRIPS_FOR_S, drip, jwks, key, publishing, sign

JWT = {"Content-Type": "application/oauth-authz-req+jwt"}


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def setup(request):
    how = getattr(request, "param", "signed")
    return {"secrets": {"sealing_keys": (SEALING_KEY,)}, "oauth": {"request_uri_by_reference": how}}


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def site():
    with publishing() as published:
        published.url = published.url.replace("/jwks", "/request.jwt")
        published.headers = dict(JWT)
        yield published


@pytest.fixture
def rp(make_rp, site):
    return make_rp(jwks=jwks(key()), request_uris=[site.url])


def inside(rp, **changes):
    whole = rp.params() | {"iss": rp.client.client_id, "aud": ISSUER} | changes
    return {name: value for name, value in whole.items() if value is not None}


def show(site, rp, *, by=None, alg="ES256", **changes):
    site.body = sign(inside(rp, **changes), by or key(), alg=alg).encode()


def show_unsigned(site, rp, **changes):
    site.body = checks.unsigned(f"x.{checks.encoded(inside(rp, **changes))}.x").encode()


def ask(rp, uri, **outer):
    query = {"client_id": rp.client.client_id, "request_uri": uri, "redirect_uri": REDIRECT_URI, **outer}
    return rp.http.get(f"/authorize?{urlencode(query)}")


def error(rp, uri, **outer) -> str:
    return answer_in(ask(rp, uri, **outer))["error"]


def test_oidc_core_6_2_the_request_lies_at_the_clients_address(rp, site, signed_in):
    show(site, rp)
    told = answer_in(ask(rp, site.url, state="evil", nonce="evil"))
    assert told["state"] == "state-1" and site.calls == 1
    assert claims_of(rp.redeem(told["code"]).id_token)["nonce"] == "nonce-1"


@pytest.mark.parametrize("setup", ["off"], indirect=True)
def test_x4_it_is_off_and_then_nothing_is_fetched(rp, site, signed_in, client):
    show(site, rp)
    assert error(rp, site.url) == "request_uri_not_supported" and site.calls == 0
    document = client.get("/.well-known/openid-configuration").get_json()
    assert (document["request_uri_parameter_supported"], document["require_request_uri_registration"]) == (False, True)


@pytest.mark.parametrize("setup", ["signed", "any"], indirect=True)
def test_x13_discovery_says_that_it_is_on(app, client):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert (document["request_uri_parameter_supported"], document["require_request_uri_registration"]) == (True, True)
    assert "none" not in document["request_object_signing_alg_values_supported"]  # that list is for both ways


def test_attack_62_nothing_is_fetched_that_was_not_registered(rp, site, make_rp, signed_in):
    show(site, rp)
    for uri in (
        *(site.url + tail for tail in ("?x=1", "/", "/../request.jwt", "%00", " ")),
        *(site.url.upper(), site.url.replace("127.0.0.1", "localhost"), "file:///etc/passwd", "gopher://127.0.0.1/"),
        *(
            "http://169.254.169.254/latest",
            "urn:ietf:params:oauth:request_uri",
            "x",
            "\ud800".encode("utf-8", "replace"),
        ),
    ):
        assert error(rp, uri) == "invalid_request_uri", uri
    other = make_rp(client_name="Other", jwks=jwks(key()))
    assert error(other, site.url) == "invalid_request_uri"
    assert site.calls == 0


def test_oidc_core_6_2_only_the_fragment_may_differ(rp, site, signed_in):
    for fragment in ("", "#", "#anything"):
        show(site, rp, nonce=f"n{fragment}")
        assert "code" in answer_in(ask(rp, site.url + fragment))


# --- what is kept -------------------------------------------------------------------------------------------------


def fitting(site) -> str:
    return crypto.base64url(hashlib.sha256(site.body).digest())


def test_oidc_core_6_2_a_document_is_kept_under_its_hash(rp, site, signed_in):
    show(site, rp)
    for _ in range(3):
        assert "code" in answer_in(ask(rp, f"{site.url}#{fitting(site)}"))
    assert site.calls == 1
    old = fitting(site)
    show(site, rp, state="second")
    assert answer_in(ask(rp, f"{site.url}#{old}"))["state"] == "state-1"
    assert answer_in(ask(rp, f"{site.url}#{fitting(site)}"))["state"] == "second" and site.calls == 2


def test_oidc_core_6_2_any_other_is_fetched_each_time(rp, site, signed_in):
    show(site, rp)
    for number, fragment in enumerate(("", "#", f"#{'A' * 43}", f"#{fitting(site)[:-1]}"), 1):
        assert "code" in answer_in(ask(rp, site.url + fragment)) and site.calls == number
    site.headers["Cache-Control"] = "no-store"
    for number in (5, 6):
        assert "code" in answer_in(ask(rp, f"{site.url}#{fitting(site)}")) and site.calls == number


def test_a_kept_document_is_forgotten_and_belongs_to_one_client(rp, site, make_rp, signed_in, app):
    show(site, rp)
    uri = f"{site.url}#{fitting(site)}"
    assert "code" in answer_in(ask(rp, uri))
    twin = make_rp(client_name="Twin", jwks=jwks(key()), request_uris=[site.url])
    assert error(twin, uri) == "invalid_request_object" and site.calls == 2
    assert (
        0
        < request_uri.kv.client().ttl(request_uri.kv.key("request_uri", crypto.digest(f"{rp.client.client_id} {uri}")))
        <= 300
    )


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://other.example.org"},
        {"aud": None},
        {"iss": None},
        {"iss": "somebody"},
        {"client_id": None},
        {"client_id": "somebody"},
        {"exp": 1},
        {"exp": 2**40},
        {"iat": 2**40},
        {"request_uri": "https://rp.example.org/r"},
        {"request": "x.y.z"},
        {"response_type": "code token"},
    ],
)
def test_attack_22_it_is_judged_as_one_by_value(rp, site, signed_in, wrong):
    show(site, rp, **wrong)
    assert error(rp, site.url, response_type="code") == "invalid_request_object"


def test_attack_22_another_key_or_algorithm(make_rp, site, signed_in):
    rp = make_rp(jwks=jwks(key("2048")), request_uris=[site.url], request_object_signing_alg="PS256")
    show(site, rp, by=key("2048", "stranger"), alg="PS256")
    assert error(rp, site.url) == "invalid_request_object"
    show(site, rp, by=key("2048"), alg="RS256")
    assert error(rp, site.url) == "invalid_request_object"
    show(site, rp, by=key("2048"), alg="PS256")
    assert "code" in answer_in(ask(rp, site.url))


def test_what_was_fetched_needs_no_exp_and_what_travelled_does(rp, site, signed_in):
    show(site, rp)
    by_value = {"client_id": rp.client.client_id, "request": site.body.decode(), "redirect_uri": REDIRECT_URI}
    assert answer_in(rp.http.get(f"/authorize?{urlencode(by_value)}"))["error"] == "invalid_request_object"
    assert "code" in answer_in(ask(rp, site.url))


def test_a_jti_is_good_for_one_answer(rp, site, signed_in):
    show(site, rp, jti="once", exp=clock.epoch() + 60)
    assert "code" in answer_in(ask(rp, site.url))
    assert error(rp, site.url) == "invalid_request_object"


def test_both_ways_at_once_are_refused(rp, site, signed_in):
    show(site, rp)
    assert error(rp, site.url, request=site.body.decode()) == "invalid_request_object" and site.calls == 0


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_attack_62_only_200_and_no_redirect(rp, site, signed_in, status):
    show(site, rp)
    site.status, site.headers["Location"] = status, site.url + "/elsewhere"
    assert error(rp, site.url) == "invalid_request_uri" and site.calls == 1


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "image/svg+xml"])
def test_attack_62_only_the_media_types_of_a_jwt(rp, site, signed_in, kind):
    show(site, rp)
    site.headers["Content-Type"] = kind
    assert error(rp, site.url) == "invalid_request_uri"


@pytest.mark.parametrize("body", [b"", b"x" * 70_000, b"\xff.\xff.", b"not a jwt", b"a.b.c"])
def test_attack_63_what_is_no_jwt(rp, site, signed_in, body):
    site.body = body
    assert error(rp, site.url) in ("invalid_request_uri", "invalid_request_object")


def test_attack_63_an_address_that_drips_holds_nobody_up(rp, site, signed_in):
    site.before = drip
    began = time.monotonic()
    assert error(rp, site.url) == "invalid_request_uri"
    assert time.monotonic() - began < DRIPS_FOR_S / 2


def test_attack_63_slow_addresses_take_no_more_than_their_turns(app, rp, site, alice, sign_in_as, monkeypatch):
    """Two threads wait for the address; everybody else is told so soon, and plain requests do not notice."""
    monkeypatch.setattr(request_uri, "PATIENCE_S", 0.1)
    monkeypatch.setattr(outbound, "DEADLINE_S", 90)
    show(site, rp)
    arrived, go_on = threading.Semaphore(0), threading.Event()
    site.before = lambda _: (arrived.release(), go_on.wait(60))
    browsers = [app.test_client() for _ in range(3)]
    for browser in browsers:
        sign_in_as(alice, browser=browser)
    query = urlencode({"client_id": rp.client.client_id, "request_uri": site.url, "redirect_uri": REDIRECT_URI})
    answers = [None, None]

    def wait(number):
        answers[number] = browsers[number].get(f"/authorize?{query}")

    waiting = [threading.Thread(target=wait, args=(number,)) for number in range(2)]
    for thread in waiting:
        thread.start()
    assert all(arrived.acquire(timeout=60) for _ in waiting)
    assert answer_in(browsers[2].get(f"/authorize?{query}"))["error"] == "temporarily_unavailable"
    assert "code" in answer_in(browsers[2].get(f"/authorize?{urlencode(rp.params())}"))
    go_on.set()
    for thread in waiting:
        thread.join()
    assert all("code" in answer_in(answer) for answer in answers) and site.calls == 2


def test_fetches_for_one_address_are_counted(rp, site, signed_in, monkeypatch):
    counted = limits.spend
    monkeypatch.setattr(limits, "spend", lambda name, key, *, count, window_s: counted(
        name, key, count=2 if name == "request_uri" else count, window_s=window_s))  # fmt: skip
    show(site, rp)
    assert ["code" in answer_in(ask(rp, site.url)) for _ in range(2)] == [True, True]
    assert error(rp, site.url) == "temporarily_unavailable" and site.calls == 2


def test_f3_nobody_is_sent_on_who_did_not_sign_in(rp, site):
    show(site, rp)
    answer = ask(rp, site.url + "?x")
    assert answer.status_code == 303 and "/login" in answer.location and site.calls == 0


def test_attack_21_not_at_par(rp, site):
    headers = {"Authorization": basic(rp.client.client_id, rp.raw_secret)}
    answer = Answer(rp.http.post("/par", data={"request_uri": site.url}, headers=headers))
    assert answer.error == "invalid_request" and site.calls == 0


# --- unsigned -----------------------------------------------------------------------------------------------------


def test_x4_unsigned_is_refused_where_signed_is_demanded(rp, site, signed_in):
    show_unsigned(site, rp)
    assert error(rp, site.url) == "invalid_request_object"


@pytest.mark.parametrize("setup", ["any"], indirect=True)
def test_oidc_core_6_2_unsigned_at_an_address_that_tls_proves(rp, site, signed_in):
    for changes in ({}, {"iss": None, "aud": None}):
        show_unsigned(site, rp, **changes)
        assert answer_in(ask(rp, site.url))["state"] == "state-1"


@pytest.mark.parametrize("setup", ["any"], indirect=True)
@pytest.mark.parametrize(
    "wrong", [{"aud": "https://other.example.org"}, {"iss": "somebody"}, {"client_id": "somebody"}, {"exp": 1}]
)
def test_oidc_core_6_1_what_an_unsigned_one_says_must_be_right(rp, site, signed_in, wrong):
    show_unsigned(site, rp, **wrong)
    assert error(rp, site.url) == "invalid_request_object"


@pytest.mark.parametrize("setup", ["any"], indirect=True)
@pytest.mark.parametrize("promise", [{"request_object_signing_alg": "ES256"}, {"require_signed_request_object": True}])
def test_rfc9101_10_5_who_promised_to_sign_cannot_leave_it(make_rp, site, signed_in, promise):
    rp = make_rp(jwks=jwks(key()), request_uris=[site.url], **promise)
    show_unsigned(site, rp)
    assert error(rp, site.url) == "invalid_request_object"
    show(site, rp)
    assert "code" in answer_in(ask(rp, site.url))


@pytest.mark.parametrize("setup", ["any"], indirect=True)
def test_attack_22_alg_none_by_value_stays_refused(rp, site, signed_in):
    show_unsigned(site, rp, exp=clock.epoch() + 60)
    by_value = {"client_id": rp.client.client_id, "request": site.body.decode(), "redirect_uri": REDIRECT_URI}
    assert answer_in(rp.http.get(f"/authorize?{urlencode(by_value)}"))["error"] == "invalid_request_object"
    head, body, _ = site.body.decode().split(".")
    other = crypto.base64url(b'{"alg":"None"}')
    for raw in (f"{head}.{body}.AAAA", f"{other}.{body}.", f"{head}.{body}"):
        site.body = raw.encode()
        assert error(rp, site.url) == "invalid_request_object"


# --- metadata -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "http://rp.example.org/request.jwt",
        "ftp://rp.example.org/request.jwt",
        "https://user@rp.example.org/request.jwt",
        "https://rp.example.org/../request.jwt",
        "https://rp.example.org/request.jwt#<x>",
        "https://rp.example.org/request.jwt#a#b",
        "https://rp.example.org/*",
        "https://rp.example.org/" + "x" * 512,
        "urn:ietf:params:oauth:request_uri:x",
        "",
    ],
)
def test_what_cannot_be_registered(make_rp, uri):
    with pytest.raises(InvalidMetadata, match="request_uris"):
        make_rp(request_uris=[uri])


def test_registered_ones_are_told(make_rp):
    uris = ["https://rp.example.org/a", "https://rp.example.org/b#LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"]
    assert make_rp(request_uris=uris).client.metadata()["request_uris"] == uris
