"""ID tokens as subject tokens of token exchange (RFC 8693 section 3): traded by their audience, while the sign-in lives."""

from __future__ import annotations

import pytest

from idp import sessions, users
from idp.db import committing, db
from tests.conftest import CLAIMS_API, PATIENTS_API
from tests.oauth.conftest import claims_of
from tests.oauth.test_token_exchange import DELEGATION, GRANT, IMPERSONATION, exchange

ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@pytest.fixture
def session(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def make_portal(make_rp, session):
    """An application that signs people in and calls the patients service for them."""

    def make(*policies, **metadata):
        grants = ["authorization_code", "refresh_token", GRANT]
        return make_rp(**({"grant_types": grants, "token_exchange": list(policies) or [IMPERSONATION]} | metadata))

    return make


def trade(portal, id_token, **changes):
    return exchange(portal, id_token, **({"subject_token_type": ID_TOKEN} | changes))


def test_rfc8693_3_an_id_token_is_traded_by_its_audience(make_portal, alice, session):
    portal = make_portal()
    signed_in = portal.sign_in()
    answer = trade(portal, signed_in.id_token)
    assert answer.status == 200, answer.error_description
    said = claims_of(answer.access_token)
    assert (said["sub"], said["aud"], said["sid"]) == (alice.sub, PATIENTS_API, session.sid)
    assert answer.scope == "patients.read"
    assert said["exp"] <= claims_of(signed_in.id_token)["exp"]  # and not as long as an access token may live


def test_rfc8693_3_nobody_else_trades_it(make_portal, make_rp):
    """The service that received it somehow, another application, and one that has the policy but not the sign-in."""
    portal, other = make_portal(), make_portal()
    id_token = portal.sign_in().id_token
    assert trade(other, id_token).error == "invalid_request"
    service = make_rp(
        client_name="API", redirect_uris=[], post_logout_redirect_uris=[], scope="", resources=[],
        grant_types=[GRANT], serves=[CLAIMS_API], token_exchange=[IMPERSONATION],
    )  # fmt: skip
    assert trade(service, id_token).error == "invalid_request"


def test_a_token_is_what_it_says_it_is(make_portal):
    portal = make_portal()
    signed_in = portal.sign_in()
    assert exchange(portal, signed_in.id_token).error == "invalid_request"  # not an access token
    assert trade(portal, signed_in.access_token).error == "invalid_request"  # not an ID token
    assert trade(portal, "x.y.z").error == "invalid_request"
    requested = trade(portal, signed_in.id_token, requested_token_type=ID_TOKEN)
    assert requested.error == "invalid_request"  # none is given for another


def test_a_signed_userinfo_answer_is_no_id_token(make_portal):
    portal = make_portal(userinfo_signed_response_alg="ES256")
    told = portal.userinfo(portal.sign_in().access_token)
    assert told.content_type == "application/jwt"
    assert trade(portal, told.get_data(as_text=True)).error == "invalid_request"


def test_an_expired_one_is_refused(make_portal, travel):
    portal = make_portal()
    id_token = portal.sign_in().id_token
    travel(301)
    assert trade(portal, id_token).error == "invalid_request"


def test_it_dies_with_the_sign_in_and_with_the_account(make_portal, alice, session):
    portal = make_portal()
    first = portal.sign_in()
    with committing():
        users.disable(alice.sub, reason="left", actor="cli")
    assert trade(portal, first.id_token).error == "invalid_request"


def test_it_dies_with_the_session_and_with_the_revoked_family(make_portal, session):
    portal = make_portal()
    first = portal.sign_in()
    portal.revoke(first.refresh_token)
    assert trade(portal, first.id_token).error == "invalid_request"
    second = portal.sign_in()
    assert trade(portal, second.id_token).status == 200
    sessions.end(session.sid, cause="user")
    db.session.commit()
    assert trade(portal, second.id_token).error == "invalid_request"


def test_o32_a_pairwise_id_token_stays_pairwise(make_portal, alice):
    portal = make_portal(subject_type="pairwise")
    id_token = portal.sign_in().id_token
    said = claims_of(trade(portal, id_token).access_token)
    assert said["sub"] == claims_of(id_token)["sub"] != alice.sub


def test_delegation_names_the_application(make_portal):
    portal = make_portal(DELEGATION)
    said = claims_of(trade(portal, portal.sign_in().id_token).access_token)
    assert said["act"] == {"sub": f"client:{portal.client.client_id}"}
