"""The `claims` parameter, standard scopes, and what a sign-in must be (OIDC Core 5.4, 5.5; O-15, O-17, O-19, attack 19)."""

from __future__ import annotations

import json

import pytest

from idp import users
from idp.db import committing
from tests import cost
from tests.oauth.conftest import claims_of

ADDRESS = {"street_address": "4 Alder Street", "locality": "Larkfield", "region": "OH", "country": "US"}


@pytest.fixture
def db_url(sqlite_url):
    """The contact column is tested on both systems in tests/users."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    with committing():
        users.set_contact(alice.sub, phone="+1 555 0100", phone_verified=True, address=ADDRESS, actor=None)
    return sign_in_as(alice)


@pytest.fixture
def rp(make_rp):
    return make_rp(scope="openid profile email address phone provider claims.read")


def userinfo_of(rp, **changes):
    return rp.userinfo(rp.sign_in(**changes).access_token).get_json()


def test_oidc_core_5_4_address_and_phone(rp, signed_in):
    told = userinfo_of(rp, scope="openid address phone")
    assert told["phone_number"] == "+1 555 0100" and told["phone_number_verified"] is True
    assert told["address"]["formatted"] == "4 Alder Street\nLarkfield, OH\nUS" and told["address"]["region"] == "OH"
    assert set(told) == {"sub", "phone_number", "phone_number_verified", "address"}


def test_oidc_core_5_4_who_has_none_has_no_such_claims(rp, bob, sign_in_as):
    sign_in_as(bob)
    assert set(userinfo_of(rp, scope="openid address phone")) == {"sub"}


def test_oidc_core_5_5_both_places(rp, signed_in):
    wanted = {
        "userinfo": {"phone_number": None, "name": {"essential": True}},
        "id_token": {"given_name": None, "address": {"essential": True}, "auth_time": {"essential": True}},
    }
    answer = rp.sign_in(scope="openid", claims=json.dumps(wanted))
    told, proved = rp.userinfo(answer.access_token).get_json(), claims_of(answer.id_token)
    assert {"phone_number", "name"} <= set(told) and "address" not in told and "given_name" not in told
    assert proved["given_name"] == "Alice" and proved["address"]["locality"] == "Larkfield" and proved["auth_time"]


@pytest.mark.parametrize(
    "claims",
    [
        {"userinfo": {"unheard_of": {"essential": True}, "name": None}},
        {"userinfo": {"https://example.org/odd": None, "name": {"unheard_of": 1}}},
        {"somewhere": {"name": None}, "userinfo": {"name": {"value": {"deep": 1}}}},
        {"userinfo": {"name": {"essential": "yes", "values": [[1]]}}},
    ],
)
def test_oidc_core_5_5_1_what_is_not_understood_is_ignored(rp, signed_in, claims):
    assert set(userinfo_of(rp, scope="openid", claims=json.dumps(claims))) == {"sub", "name"}


def test_oidc_core_5_5_1_a_value_that_cannot_be_met_is_no_error(rp, signed_in):
    wanted = {"userinfo": {"name": {"value": "Somebody Else", "essential": True}}}
    assert userinfo_of(rp, scope="openid", claims=json.dumps(wanted))["name"] == "Alice Adams"


@pytest.mark.parametrize(
    "claims",
    [
        "[]",
        "x",
        '"x"',
        '{"userinfo": []}',
        '{"userinfo": {"name": 1}}',
        '{"userinfo": {"name": null, "name": null}}',
        '{"userinfo": {}, "userinfo": {}}',
        '{"userinfo": {"name": {"value": NaN}}}',
        '{"x": ' * 6 + "1" + "}" * 6,
        '{"x": ' * 1200 + "1" + "}" * 1200,
        "[" * 8000,
        '{"userinfo": {' + ",".join(f'"c{n}": null' for n in range(1000)) + "}}",
        '{"id_token": {"acr": {"values": [1]}}}',
    ],
)
def test_attack_19_what_cannot_be_meant_is_an_error_and_quickly(rp, signed_in, claims):
    with cost.within(2):
        assert rp.callback(claims=claims)["error"] == "invalid_request"


def test_oidc_core_5_5_1_1_acr(rp, make_rp, signed_in):
    two, phr = "urn:idp:acr:2fa", "urn:example:unheard-of"
    for claims in ({"acr": {"essential": True, "values": [phr, two]}}, {"acr": {"value": two, "essential": True}}):
        assert claims_of(rp.sign_in(claims=json.dumps({"id_token": claims})).id_token)["acr"] == two
    unmet = json.dumps({"id_token": {"acr": {"essential": True, "value": phr}}})
    assert rp.callback(claims=unmet)["error"] == "unmet_authentication_requirements"
    assert "code" in rp.callback(claims=json.dumps({"id_token": {"acr": {"value": phr}}}))
    assert "code" in rp.callback(claims=json.dumps({"id_token": {"acr": {"essential": True}}}))
    assert "code" in rp.callback(acr_values=f"{phr} {two}")


def test_oidc_core_5_5_1_sub_names_whom_the_request_is_about(rp, alice, bob, signed_in):
    def about(sub):
        return json.dumps({"id_token": {"sub": {"value": sub}}})

    assert "code" in rp.callback(claims=about(alice.sub), prompt="none")
    assert rp.callback(claims=about(bob.sub), prompt="none")["error"] == "login_required"


def test_registration_2_default_acr_values(make_rp, alice, sign_in_as):
    strong = make_rp(default_acr_values=["urn:idp:acr:2fa"], require_auth_time=True)
    sign_in_as(alice, acr="urn:idp:acr:1fa")
    assert strong.callback(prompt="none")["error"] == "login_required"
    assert "code" in strong.callback(prompt="none", acr_values="urn:idp:acr:1fa")
    sign_in_as(alice)
    assert claims_of(strong.sign_in(prompt="none").id_token)["auth_time"]


def test_registration_2_default_max_age(make_rp, signed_in, travel):
    fresh = make_rp(default_max_age=60)
    assert "code" in fresh.callback(prompt="none")
    travel(61)
    assert fresh.callback(prompt="none")["error"] == "login_required"
    assert "code" in fresh.callback(prompt="none", max_age="600")


def test_o45_session_expiry(rp, signed_in):
    told = claims_of(rp.sign_in().id_token)
    assert told["session_expiry"] == int(signed_in.expires_at.timestamp()) > told["exp"]


def test_discovery_lists_claims_and_scopes(client, app):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert {"address", "phone_number", "phone_number_verified", "session_expiry"} <= set(document["claims_supported"])
    assert {"address", "phone"} <= set(document["scopes_supported"])
    assert len(document["claims_supported"]) == len(set(document["claims_supported"]))
