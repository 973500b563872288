"""Client authentication with assertions: private_key_jwt (RFC 7523, X-1, F-22, F-26, F-27, attacks 34, 35, 40, 42)."""

from __future__ import annotations

import pytest

from idp import clock
from tests.conftest import ISSUER
from tests.oauth.asserting import MACHINE, ask, assertion, db_url, machine, rejected
from tests.oauth.conftest import basic
from tests.oauth.signing import jwks, key, proof

__all__ = ["ask", "db_url", "machine"]


# --- private_key_jwt ----------------------------------------------------------------------------------------------


def test_rfc7523_2_2_a_client_proves_itself_with_its_key(machine, ask):
    assert machine.raw_secret is None
    assert ask(assertion(machine)).status == 200
    assert ask(assertion(machine), client_id=machine.client.client_id).status == 200


@pytest.mark.parametrize(
    ("kind", "alg"),
    [
        ("P-256", "ES256"),
        ("P-384", "ES384"),
        ("2048", "RS256"),
        ("2048", "RS384"),
        ("2048", "PS256"),
        ("Ed25519", "EdDSA"),
    ],
)
def test_x2_every_advertised_algorithm_works(make_rp, ask, client, kind, alg):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert alg in document["token_endpoint_auth_signing_alg_values_supported"]
    rp = make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks=jwks(key(kind)))
    assert ask(assertion(rp, by=key(kind), header={"alg": alg})).status == 200


def test_x2_a_client_that_registered_one_algorithm_has_no_other(make_rp, ask):
    one = {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "PS256"}
    rp = make_rp(**MACHINE, **one, jwks=jwks(key("2048")))
    assert rejected(ask(assertion(rp, by=key("2048"), header={"alg": "RS256"})))
    assert ask(assertion(rp, by=key("2048"), header={"alg": "PS256"})).status == 200


@pytest.mark.parametrize("endpoint", ["/introspect", "/revoke", "/par"])
def test_rfc7523_it_works_wherever_a_client_authenticates(machine, client, endpoint):
    good = client.post(endpoint, data={"token": "x", **proof(assertion(machine))})
    bad = client.post(endpoint, data={"token": "x", **proof(assertion(machine, by=key(name="other")))})
    assert good.status_code != 401 and bad.status_code == 401


@pytest.mark.parametrize(
    "typ", [None, "JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"]
)
def test_f22_the_new_typ_is_accepted_and_not_demanded(machine, ask, typ):
    assert ask(assertion(machine, header={"typ": typ})).status == 200


@pytest.mark.parametrize("typ", ["oauth-authz-req+jwt", "at+jwt", "logout+jwt", "dpop+jwt"])
def test_rfc8725_3_11_what_says_that_it_is_something_else_is_no_assertion(machine, ask, typ):
    assert rejected(ask(assertion(machine, header={"typ": typ})))


# --- the audience (X-1) -------------------------------------------------------------------------------------------

TOKEN_URL, PAR_URL = f"{ISSUER}/token", f"{ISSUER}/par"
OIDC_TAKES = [ISSUER, TOKEN_URL, [ISSUER], [TOKEN_URL]]
NOBODY_TAKES = [
    PAR_URL,
    [PAR_URL],
    [ISSUER, "https://evil.example.com"],
    [ISSUER, TOKEN_URL],
    [ISSUER, ISSUER],
    [],
    [[ISSUER]],
    f"{ISSUER}/",
    "https://other.example.org",
    {"iss": ISSUER},
    None,
]


@pytest.mark.parametrize("audience", OIDC_TAKES)
def test_x1_the_profile_oidc_takes_the_issuer_or_the_token_endpoint(machine, ask, audience):
    assert ask(assertion(machine, aud=audience)).status == 200


@pytest.mark.parametrize("audience", NOBODY_TAKES)
def test_x1_attack_34_trap_5_any_other_audience_is_refused(machine, ask, audience):
    assert rejected(ask(assertion(machine, aud=audience)))


@pytest.mark.parametrize("profile", ["oidc", "legacy", "smart", "fapi2"])
def test_x1_f26_the_table_decides_for_every_profile(app, profile):
    from idp.clients import profiles
    from idp.jws import BadSignature
    from idp.oauth import assertions

    class Somebody:
        def __init__(self):
            self.profile = profiles.get(profile)

    taken = []
    for audience in [*OIDC_TAKES, *NOBODY_TAKES]:
        try:
            assertions.check_audience({"aud": audience}, Somebody())
        except BadSignature:
            continue
        taken.append(audience)
    expected = {"fapi2": [ISSUER], "smart": [ISSUER, TOKEN_URL]}
    assert taken == expected.get(profile, OIDC_TAKES)


# --- times (F-27, attack 35) --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ahead"), [("iat", 8), ("iat", 10), ("nbf", 8), ("nbf", 10)])
def test_f27_a_clock_that_is_a_little_ahead_is_forgiven(machine, ask, name, ahead):
    assert ask(assertion(machine, **{name: clock.epoch() + ahead})).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"iat": 61},
        {"nbf": 61},
        {"exp": 0},
        {"exp": -1},
        {"exp": -300},
        {"exp": 400},
        {"exp": 86400},
        {"exp": 30 * 365 * 86400},
    ],
)
def test_f27_attack_35_trap_5_times_that_are_refused(machine, ask, wrong):
    assert rejected(ask(assertion(machine, **{name: clock.epoch() + by for name, by in wrong.items()})))


@pytest.mark.parametrize("exp", ["9999999999", 1e300, 1.5, True, -1, 2**70])
def test_attack_50_a_time_is_a_whole_number(machine, ask, exp):
    assert rejected(ask(assertion(machine, exp=exp)))


@pytest.mark.parametrize("name", ["iss", "sub", "jti", "exp", "aud"])
def test_attack_35_nothing_may_be_missing(machine, ask, name):
    assert rejected(ask(assertion(machine, **{name: None})))


def test_attack_35_issuer_and_subject_are_the_client(machine, make_rp, ask):
    other = make_rp(**MACHINE).client.client_id
    assert rejected(ask(assertion(machine, iss=other)))
    assert rejected(ask(assertion(machine, sub=other)))
    assert rejected(ask(assertion(machine, iss=other, sub=other)))


@pytest.mark.parametrize("jti", ["", 7, ["a"], "x" * 513])
def test_rfc7523_3_jti_is_a_text_of_reasonable_length(machine, ask, jti):
    assert rejected(ask(assertion(machine, jti=jti)))


# --- one way at a time (O-23, attacks 40, 42) ---------------------------------------------------------------------


def test_attack_40_o23_an_assertion_comes_alone(machine, rp, client):
    form = {"grant_type": "client_credentials", **proof(assertion(machine))}
    header = {"Authorization": basic(rp.client.client_id, rp.raw_secret)}
    assert client.post("/token", data=form, headers=header).status_code == 400
    assert client.post("/token", data=form | {"client_secret": "x" * 40}).status_code == 400
    twice = {"client_assertion": [assertion(machine), assertion(machine)]}
    assert client.post("/token", data=form | twice).status_code == 400


def test_rfc7521_4_2_the_type_and_the_client_must_be_right(machine, rp, client):
    form = {"grant_type": "client_credentials", **proof(assertion(machine))}
    for wrong in (
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion_type": ""},
        {"client_assertion": ""},
        {"client_id": rp.client.client_id},
    ):
        answer = client.post("/token", data=form | wrong)
        assert answer.status_code == 400 and answer.get_json()["error"] == "invalid_request"


def test_attack_42_a_client_with_a_key_cannot_come_without_it(machine, client):
    form = {"grant_type": "client_credentials", "client_id": machine.client.client_id}
    assert client.post("/token", data=form).status_code == 401
    assert client.post("/token", data=form | {"client_secret": "x" * 40}).status_code == 401


def test_a_rejected_assertion_is_written_down(machine, ask, audit_trail):
    told = ask(assertion(machine, aud="https://other.example.org"))
    assert "aud must be the issuer" in told.error_description
    assert "client.rejected" in audit_trail
