"""Opaque access tokens (`token_format = "opaque"`): random text, asked about, dead at once when revoked (F-7, F-21, attack 57)."""

from __future__ import annotations

import pytest

from idp import config, crypto, kv, sessions
from idp.db import committing
from idp.oauth import opaque
from tests.conftest import CLAIMS_API, PATIENTS_API
from tests.oauth.conftest import SEALING_KEY, claims_of

INACTIVE = {"active": False}


@pytest.fixture
def db_url(sqlite_url):
    """Opaque tokens are in Redis only."""
    return sqlite_url


@pytest.fixture
def setup():
    return {
        "secrets": {"sealing_keys": (SEALING_KEY,)},
        "oauth": {"userinfo_token_format": "opaque"},
        "resources": (
            config.Resource(
                identifier=CLAIMS_API, name="Claims", scopes={"claims.read": "See claims"}, token_format="opaque"
            ),
            config.Resource(identifier=PATIENTS_API, name="Patients", scopes={"patients.read": "See patients"}),
        ),
    }


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def service(make_rp):
    return make_rp(grant_types=["client_credentials"], redirect_uris=[], scope="", serves=[CLAIMS_API])


@pytest.fixture
def token(rp, signed_in):
    return rp.sign_in(scope="openid claims.read").access_token


def test_f7_it_says_nothing_and_is_kept_as_a_digest(token, app):
    assert token.startswith("oat_") and "." not in token and len(token) >= 4 + 43
    kept = kv.client().keys(kv.key("opaque", "*"))
    assert kept == [kv.key("opaque", crypto.digest(token))]
    assert 0 < kv.client().ttl(kept[0]) <= 600


def test_rfc7662_its_resource_learns_what_it_stands_for(service, rp, token, alice, signed_in):
    told = service.introspect(token).get_json()
    assert told["active"] is True and told["sub"] == alice.sub and told["aud"] == CLAIMS_API
    assert told["scope"] == "claims.read" and told["client_id"] == rp.client.client_id
    assert told["acr"] and told["auth_time"] and told["sid"] == signed_in.sid and told["exp"] > told["iat"]


def test_attack_58_nobody_else_does(make_rp, token):
    other = make_rp(grant_types=["client_credentials"], redirect_uris=[], scope="", serves=[PATIENTS_API])
    assert other.introspect(token).get_json() == INACTIVE
    assert make_rp().introspect(token).get_json() == INACTIVE


def test_userinfo_takes_the_opaque_ones_that_are_meant_for_it(rp, token, alice, signed_in):
    own = rp.sign_in().access_token
    assert own.startswith("oat_") and rp.userinfo(own).get_json()["sub"] == alice.sub
    assert rp.userinfo(token).status_code == 401  # attack 48: made for the claims service


def test_other_resources_keep_their_format(make_rp, signed_in):
    rp = make_rp(scope="openid patients.read", resources=[PATIENTS_API])
    assert claims_of(rp.sign_in(scope="openid patients.read").access_token)["aud"] == PATIENTS_API


def test_f21_revoked_means_dead_at_once(rp, service, token, audit_trail):
    assert rp.revoke(token, token_type_hint="refresh_token").status_code == 200
    assert service.introspect(token).get_json() == INACTIVE and opaque.find(token) is None
    assert "token.revoked" in audit_trail


def test_attack_59_by_its_own_client_only(service, make_rp, token):
    assert make_rp().revoke(token).status_code == 200
    assert service.introspect(token).get_json()["active"] is True


def test_attack_57_it_dies_with_the_session(service, token, signed_in):
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    assert service.introspect(token).get_json() == INACTIVE


def test_f8_it_expires(service, token, travel):
    travel(601)
    assert service.introspect(token).get_json() == INACTIVE


def test_a_machine_s_token_too(make_rp, service):
    machine = make_rp(grant_types=["client_credentials"], redirect_uris=[], scope="claims.read")
    token = machine.token(grant_type="client_credentials").access_token
    told = service.introspect(token).get_json()
    assert token.startswith("oat_") and told["sub"] == f"client:{machine.client.client_id}"


@pytest.mark.parametrize("raw", ["oat_", "oat_x", "oat_" + "x" * 43, "oat_*"])
def test_nonsense_is_inactive(rp, service, raw):
    assert service.introspect(raw).get_json() == INACTIVE
    assert rp.userinfo(raw).status_code == 401
    assert rp.revoke(raw).status_code == 200
