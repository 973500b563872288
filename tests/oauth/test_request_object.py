"""Request objects by value (RFC 9101, OIDC Core 6.1, O-18, attack 22)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from idp import clock, crypto
from tests.conftest import CLAIMS_API, ISSUER
from tests.oauth.conftest import Answer, answer_in, basic, claims_of
from tests.oauth.signing import hmac_signed, jwks, key, publishing, sign


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def rp(make_rp):
    return make_rp(jwks=jwks(key()))


def object_claims(rp, **changes):
    """The claims of a good request object; None takes one away."""
    now = clock.epoch()
    of_jwt = {"iss": rp.client.client_id, "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 300}
    of_jwt["jti"] = crypto.random_token(16)
    whole = rp.params() | of_jwt | changes
    return {name: value for name, value in whole.items() if value is not None}


def made(rp, *, by=None, header=None, **changes):
    return sign(object_claims(rp, **changes), by or key(), **(header or {"typ": "oauth-authz-req+jwt"}))


def ask(rp, request, **outer):
    query = {"client_id": rp.client.client_id, "request": request, **outer}
    return rp.http.get(f"/authorize?{urlencode(query)}")


def refused(rp, request, **outer) -> bool:
    outer = {"redirect_uri": rp.redirect_uri} | outer
    return answer_in(ask(rp, request, **outer))["error"] == "invalid_request_object"


def test_rfc9101_5_the_client_signs_its_request(rp, signed_in):
    told = answer_in(ask(rp, made(rp)))
    assert told["state"] == "state-1"
    assert claims_of(rp.redeem(told["code"]).id_token)["nonce"] == "nonce-1"


def test_oidc_core_6_1_openid_parameters_stand_beside_it(rp, signed_in):
    assert "code" in answer_in(ask(rp, made(rp), response_type="code", scope="openid"))


def test_rfc9101_6_3_only_what_is_inside_counts(rp, signed_in):
    outer = {"state": "evil", "nonce": "evil", "redirect_uri": "https://evil.example.com/cb", "prompt": "login"}
    told = answer_in(ask(rp, made(rp), **outer))
    assert told["state"] == "state-1"
    assert claims_of(rp.redeem(told["code"]).id_token)["nonce"] == "nonce-1"
    inside_without = answer_in(ask(rp, made(rp, state=None), state="outer"))
    assert "state" not in inside_without


def test_o18_the_inner_redirect_uri_must_be_registered(rp, signed_in):
    answer = ask(rp, made(rp, redirect_uri="https://evil.example.com/cb"), redirect_uri=rp.redirect_uri)
    assert answer.status_code == 400 and "Location" not in answer.headers


def test_values_that_are_not_texts_are_read_as_a_form_would_carry_them(rp, signed_in):
    claims = {"id_token": {"name": {"essential": True}}}
    wanted = made(rp, max_age=600, claims=claims, resource=[CLAIMS_API], scope="openid claims.read")
    told = answer_in(ask(rp, wanted))
    answer = rp.redeem(told["code"])
    assert claims_of(answer.id_token)["name"] == "Alice Adams"
    assert claims_of(answer.access_token)["aud"] == CLAIMS_API


@pytest.mark.parametrize("typ", [None, "JWT", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt"])
def test_rfc9101_10_8_types_that_are_accepted(rp, signed_in, typ):
    assert "code" in answer_in(ask(rp, made(rp, header={"typ": typ})))


@pytest.mark.parametrize("typ", ["client-authentication+jwt", "at+jwt", "dpop+jwt"])
def test_rfc9101_10_8_an_assertion_is_no_request(rp, signed_in, typ):
    assert refused(rp, made(rp, header={"typ": typ}))


# --- attack 22 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "nOnE"])
def test_attack_22_alg_none(rp, signed_in, alg):
    body = made(rp).split(".")[1]
    head = crypto.base64url(f'{{"alg":"{alg}"}}'.encode())
    assert refused(rp, f"{head}.{body}.")
    assert refused(rp, f"{head}.{body}.AAAA")


def test_attack_22_a_wrong_key_or_a_secret(rp, signed_in):
    assert refused(rp, made(rp, by=key(name="stranger")))
    assert refused(rp, made(rp, by=key(name="stranger"), header={"kid": "k1"}))
    assert refused(rp, hmac_signed(object_claims(rp), rp.raw_secret.encode()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": None},
        {"aud": "https://other.example.org"},
        {"aud": ["https://other.example.org"]},
        {"iss": None},
        {"iss": "somebody"},
        {"client_id": None},
        {"client_id": "somebody"},
        {"exp": None},
        {"exp": "tomorrow"},
        {"jti": 7},
        {"request": "x.y.z"},
        {"request_uri": "https://rp.example.org/r"},
        {"state": True},
        {"state": 1.5},
    ],
)
def test_attack_22_claims_that_are_refused(rp, signed_in, wrong):
    assert refused(rp, made(rp, **wrong))


@pytest.mark.parametrize("wrong", [{"exp": 0}, {"exp": -5}, {"exp": 3700}, {"iat": 61}, {"nbf": 61}])
def test_attack_22_times_that_are_refused(rp, signed_in, wrong):
    assert refused(rp, made(rp, **{name: clock.epoch() + by for name, by in wrong.items()}))


@pytest.mark.parametrize("good", [{"nbf": 8}, {"iat": 10}, {"exp": 3590}])
def test_f40_times_that_are_accepted(rp, signed_in, good):
    assert "code" in answer_in(ask(rp, made(rp, **{name: clock.epoch() + by for name, by in good.items()})))


def test_f40_the_audience_may_be_a_list(rp, signed_in):
    assert "code" in answer_in(ask(rp, made(rp, aud=[ISSUER, "https://other.example.org"])))


def test_rfc9101_the_object_must_not_pass_for_an_assertion(rp, signed_in):
    assert refused(rp, made(rp, sub=rp.client.client_id))


def test_attack_22_inner_and_outer_client_must_agree(rp, make_rp, signed_in):
    other = make_rp(client_name="Other", jwks=jwks(key()))
    assert refused(other, made(rp))
    assert refused(rp, made(rp), response_type="code token")


def test_attack_22_a_used_jti_is_refused_once_it_was_answered(rp, signed_in):
    request = made(rp)
    assert "/login" in ask(rp, made(rp, prompt="login")).location
    assert "code" in answer_in(ask(rp, request))
    assert refused(rp, request)


def test_attack_5_control_characters_and_doubled_members_inside(rp, signed_in):
    answer = ask(rp, made(rp, redirect_uri="https://rp.example.org/cb\r\nX: y"), redirect_uri=rp.redirect_uri)
    assert answer.status_code in (303, 400)
    assert "X: y" not in str(answer.headers)


@pytest.mark.parametrize("raw", ["x", "a.b.c", "A" * 20_000, "e30.e30.AAAA", "..", "a.b.c.d.e"])
def test_what_is_no_jwt_is_refused(rp, signed_in, raw):
    assert refused(rp, raw)


def test_attack_37_a_key_in_the_header_is_never_fetched(rp, signed_in):
    evil = key(name="evil")
    with publishing(jwks(evil)) as site:
        assert refused(rp, made(rp, by=evil, header={"jku": site.url, "jwk": evil.as_dict(private=False)}))
        assert site.calls == 0


def test_keys_may_be_at_an_address(make_rp, signed_in):
    with publishing(jwks(key())) as site:
        rp = make_rp(jwks_uri=site.url)
        assert "code" in answer_in(ask(rp, made(rp)))
        assert site.calls == 1


def test_a_client_without_keys_cannot_sign(make_rp, signed_in):
    rp = make_rp()
    assert refused(rp, made(rp))


# --- metadata -----------------------------------------------------------------------------------------------------


def test_x2_a_client_that_registered_one_algorithm_has_no_other(make_rp, signed_in):
    rp = make_rp(jwks=jwks(key("2048")), request_object_signing_alg="PS256")
    assert refused(rp, made(rp, by=key("2048"), header={"alg": "RS256"}))
    assert "code" in answer_in(ask(rp, made(rp, by=key("2048"), header={"alg": "PS256"})))


def test_rfc9101_10_5_a_client_that_promised_to_sign_cannot_do_otherwise(make_rp, signed_in):
    rp = make_rp(jwks=jwks(key()), require_signed_request_object=True)
    assert rp.callback()["error"] == "invalid_request"
    assert "code" in answer_in(ask(rp, made(rp)))


def test_f12_a_bad_object_does_not_bounce_a_stranger(rp):
    """Nobody is signed in: the error waits for that (F-3)."""
    answer = ask(rp, "x.y.z", redirect_uri=rp.redirect_uri)
    assert answer.status_code == 303 and "/login" in answer.location


# --- pushed -------------------------------------------------------------------------------------------------------


def test_rfc9126_3_a_signed_request_is_pushed(rp, signed_in):
    headers = {"Authorization": basic(rp.client.client_id, rp.raw_secret)}
    request = made(rp)
    answer = Answer(rp.http.post("/par", data={"client_id": rp.client.client_id, "request": request}, headers=headers))
    assert answer.status == 201
    query = urlencode({"client_id": rp.client.client_id, "request_uri": answer.request_uri})
    assert answer_in(rp.http.get(f"/authorize?{query}"))["state"] == "state-1"
    again = Answer(rp.http.post("/par", data={"request": request}, headers=headers))
    assert again.error == "invalid_request_object"  # its jti was used


def test_rfc9126_3_another_clients_object_and_request_uri_inside(rp, make_rp, signed_in):
    other = make_rp(client_name="Other", jwks=jwks(key()))
    headers = {"Authorization": basic(other.client.client_id, other.raw_secret)}
    for request in (made(rp), made(other, request_uri="urn:ietf:params:oauth:request_uri:x")):
        answer = Answer(other.http.post("/par", data={"request": request}, headers=headers))
        assert answer.error == "invalid_request_object"


def test_rfc9101_a_promise_to_sign_holds_at_par_too(make_rp, signed_in):
    rp = make_rp(jwks=jwks(key()), require_signed_request_object=True)
    headers = {"Authorization": basic(rp.client.client_id, rp.raw_secret)}
    assert Answer(rp.http.post("/par", data=rp.params(), headers=headers)).error == "invalid_request"
    answer = Answer(rp.http.post("/par", data={"request": made(rp)}, headers=headers))
    query = urlencode({"client_id": rp.client.client_id, "request_uri": answer.request_uri})
    assert "code" in answer_in(rp.http.get(f"/authorize?{query}"))
