"""Resource indicators: one audience, its own scopes, and no more (RFC 8707, RFC 9068, F-8, F-20)."""

from __future__ import annotations

import pytest

from idp import config
from tests.conftest import CLAIMS_API, ISSUER, PATIENTS_API
from tests.oauth.conftest import SEALING_KEY, claims_of, header_of


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def setup():
    """The patients service wants short tokens, signed with RS256."""
    return {
        "secrets": {"sealing_keys": (SEALING_KEY,)},
        "resources": (
            config.Resource(identifier=CLAIMS_API, name="Claims", scopes={"claims.read": "See claims"}),
            config.Resource(
                identifier=PATIENTS_API,
                name="Patients",
                scopes={"patients.read": "See patients"},
                access_token_s=120,
                alg="RS256",
            ),
        ),
    }


@pytest.fixture
def both(make_rp, alice, sign_in_as):
    sign_in_as(alice)
    return make_rp(scope="openid profile claims.read patients.read", resources=[CLAIMS_API, PATIENTS_API])


def test_rfc9068_3_a_scope_of_one_resource_names_the_audience(both):
    answer = both.sign_in(scope="openid claims.read")
    assert claims_of(answer.access_token)["aud"] == CLAIMS_API and answer.scope == "claims.read"


def test_rfc9068_3_scopes_of_two_resources_need_the_parameter(both):
    assert both.callback(scope="openid claims.read patients.read")["error"] == "invalid_scope"


def test_rfc8707_2_1_several_resources_and_one_for_each_access_token(both):
    asked = {"scope": "openid profile claims.read patients.read", "resource": [CLAIMS_API, PATIENTS_API]}
    first = both.redeem(both.code(**asked))
    assert claims_of(first.access_token)["aud"] == CLAIMS_API  # the first one named
    second = both.redeem(both.code(**asked), resource=PATIENTS_API)
    assert claims_of(second.access_token)["aud"] == PATIENTS_API and second.scope == "patients.read"
    third = both.redeem(both.code(**asked), resource=f"{ISSUER}/userinfo")
    assert claims_of(third.access_token)["aud"] == f"{ISSUER}/userinfo" and third.scope == "openid profile"


def test_rfc8707_2_2_only_what_was_authorized_and_one_at_a_time(both):
    assert both.redeem(both.code(scope="openid claims.read"), resource=PATIENTS_API).error == "invalid_target"
    asked = {"scope": "openid claims.read patients.read", "resource": [CLAIMS_API, PATIENTS_API]}
    assert both.redeem(both.code(**asked), resource=[CLAIMS_API, PATIENTS_API]).error == "invalid_target"


def test_a_scope_must_belong_to_a_resource_that_is_named(both):
    assert both.callback(scope="openid patients.read", resource=CLAIMS_API)["error"] == "invalid_scope"


def test_a_resource_without_any_of_its_scopes_gives_a_token_without_scopes(both):
    answer = both.sign_in(scope="openid", resource=CLAIMS_API)
    assert claims_of(answer.access_token)["aud"] == CLAIMS_API and answer.scope is None
    assert "scope" not in claims_of(answer.access_token)


def test_f8_a_resource_may_want_shorter_tokens_and_another_algorithm(both):
    answer = both.sign_in(scope="openid patients.read")
    assert answer.expires_in == 120 and header_of(answer.access_token)["alg"] == "RS256"
    assert claims_of(answer.access_token)["exp"] - claims_of(answer.access_token)["iat"] == 120


@pytest.mark.parametrize(
    "resource", ["claims", CLAIMS_API + "/", CLAIMS_API.upper(), CLAIMS_API + "#x", "https://evil.example.com"]
)
def test_f20_an_unknown_resource_is_an_invalid_target(both, resource):
    assert both.callback(scope="openid claims.read", resource=resource)["error"] == "invalid_target"


def test_a_client_asks_only_for_resources_that_it_registered(make_rp, alice, sign_in_as):
    sign_in_as(alice)
    rp = make_rp(scope="openid claims.read patients.read", resources=[CLAIMS_API])
    assert rp.callback(scope="openid patients.read")["error"] == "invalid_target"
    assert rp.callback(scope="openid", resource=PATIENTS_API)["error"] == "invalid_target"


def test_f9_what_the_registration_lost_is_not_issued_any_more(both):
    from idp import clients
    from idp.db import committing

    answer = both.sign_in(scope="openid profile claims.read")
    with committing():
        clients.update(both.client.client_id, {"scope": "openid", "resources": []})
    narrowed = both.refresh(answer.refresh_token)
    assert narrowed.scope == "openid" and claims_of(narrowed.access_token)["aud"] == f"{ISSUER}/userinfo"
    assert "name" not in claims_of(narrowed.id_token)
