"""Token exchange (RFC 8693): who may trade which token for which, and what the new one says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from idp import clients, clock, sessions, users
from idp.clients import InvalidMetadata, registration_tokens
from idp.db import committing, db
from idp.oauth import access_tokens
from tests.conftest import CLAIMS_API, PATIENTS_API
from tests.oauth.conftest import claims_of, header_of

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
DELEGATION = {"resource": PATIENTS_API, "mode": "delegation", "scopes": ["patients.read"]}
IMPERSONATION = DELEGATION | {"mode": "impersonation"}


@pytest.fixture
def make_service(make_rp):
    """The claims service, which receives tokens for claims and may trade them."""

    def make(*policies, **metadata):
        good = {
            "client_name": "Claims API",
            "redirect_uris": [],
            "post_logout_redirect_uris": [],
            "grant_types": ["client_credentials", GRANT],
            "scope": "",
            "resources": [],
            "serves": [CLAIMS_API],
            "token_exchange": list(policies),
        }
        return make_rp(**(good | metadata))

    return make


@pytest.fixture
def service(make_service):
    return make_service(DELEGATION)


@pytest.fixture
def session(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def token(rp, session):
    """An access token of alice for the claims service."""
    return rp.sign_in(scope="openid claims.read").access_token


def exchange(service, token, **changes):
    good = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS_TOKEN, "resource": PATIENTS_API}
    return service.token(**(good | changes))


def test_rfc8693_2_2_1_delegation_names_the_actor(service, token, alice, session, audit_trail):
    answer = exchange(service, token)
    assert answer.status == 200, answer.response.get_data(as_text=True)
    assert answer.response.headers["Cache-Control"] == "no-store"
    assert answer.issued_token_type == ACCESS_TOKEN and answer.token_type == "Bearer"
    assert answer.scope == "patients.read" and answer.refresh_token is None and answer.id_token is None
    said = claims_of(answer.access_token)
    assert header_of(answer.access_token)["typ"] == "at+jwt"
    assert said["aud"] == PATIENTS_API and said["sub"] == alice.sub and said["sid"] == session.sid
    assert said["client_id"] == service.client.client_id and said["act"] == {
        "sub": f"client:{service.client.client_id}"
    }
    assert "token.exchanged" in audit_trail


def test_the_audit_names_actor_and_subject(service, token, alice):
    exchange(service, token)
    row = db.session.execute(
        db.text("SELECT actor, subject, client_id FROM audit_events WHERE event = 'token.exchanged'")
    ).one()
    assert tuple(row) == (service.client.client_id, alice.sub, service.client.client_id)


def test_rfc8693_1_1_impersonation_names_nobody(make_service, token, alice):
    said = claims_of(exchange(make_service(IMPERSONATION), token).access_token)
    assert "act" not in said and said["sub"] == alice.sub


def test_rfc8693_4_1_actors_stand_inside_each_other(make_service, service, token):
    second = make_service(
        {"resource": CLAIMS_API, "mode": "delegation", "scopes": ["claims.read"]}, serves=[PATIENTS_API]
    )
    answer = exchange(second, exchange(service, token).access_token, resource=CLAIMS_API)
    first_actor = {"sub": f"client:{service.client.client_id}"}
    assert claims_of(answer.access_token)["act"] == {"sub": f"client:{second.client.client_id}", "act": first_actor}


def test_impersonation_does_not_hide_who_acted_before(make_service, service, token):
    second = make_service(
        {"resource": CLAIMS_API, "mode": "impersonation", "scopes": ["claims.read"]}, serves=[PATIENTS_API]
    )
    answer = exchange(second, exchange(service, token).access_token, resource=CLAIMS_API)
    assert claims_of(answer.access_token)["act"] == {"sub": f"client:{service.client.client_id}"}


def test_chains_of_actors_end(make_service, token):
    back = {"resource": CLAIMS_API, "mode": "delegation", "scopes": ["claims.read"]}
    service = make_service(DELEGATION, back, serves=[CLAIMS_API, PATIENTS_API])
    for target in (PATIENTS_API, CLAIMS_API, PATIENTS_API, CLAIMS_API):
        token = exchange(service, token, resource=target).access_token
    assert exchange(service, token).error == "invalid_request"


def test_an_actor_token_says_who_acts(make_service, service, make_rp, app, token, bob, sign_in_as, audit_trail):
    other = app.test_client()
    sign_in_as(bob, browser=other)
    actor_token = make_rp(browser=other).sign_in(scope="openid claims.read").access_token
    answer = exchange(service, token, actor_token=actor_token, actor_token_type=ACCESS_TOKEN)
    assert claims_of(answer.access_token)["act"] == {"sub": bob.sub}
    refused = exchange(make_service(IMPERSONATION), token, actor_token=actor_token, actor_token_type=ACCESS_TOKEN)
    assert refused.error == "invalid_request"
    with committing():
        users.disable(bob.sub, reason="test", actor="cli")
    assert exchange(service, token, actor_token=actor_token, actor_token_type=ACCESS_TOKEN).error == "invalid_request"


def test_the_new_token_never_outlives_the_old_one(service, token, travel):
    travel(500)
    said, old = claims_of(exchange(service, token).access_token), claims_of(token)
    assert said["exp"] <= old["exp"] and said["exp"] - said["iat"] <= 100


def test_the_new_token_dies_with_the_session(service, token, session, app):
    fresh = exchange(service, token).access_token
    assert access_tokens.read(fresh)
    sessions.end(session.sid, cause="user")
    db.session.commit()
    assert access_tokens.read(fresh) is None
    assert exchange(service, token).error == "invalid_request"


def test_a_token_is_traded_by_whom_it_was_for_or_issued_to(make_service, make_rp, token, session):
    stranger = make_service(DELEGATION, serves=[PATIENTS_API])
    assert exchange(stranger, token).error == "invalid_request"
    itself = make_rp(grant_types=["authorization_code", "refresh_token", GRANT], token_exchange=[IMPERSONATION])
    own = itself.sign_in(scope="openid claims.read").access_token
    assert exchange(itself, own).status == 200
    assert exchange(itself, token).error == "invalid_request"


def test_only_clients_with_a_policy_exchange(rp, token):
    assert exchange(rp, token).error == "unauthorized_client"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"resource": CLAIMS_API}, "invalid_target"),
        ({"resource": "https://unknown.example.org"}, "invalid_target"),
        ({"resource": [PATIENTS_API, CLAIMS_API]}, "invalid_target"),
        ({"audience": CLAIMS_API}, "invalid_target"),
        ({"scope": "claims.read"}, "invalid_scope"),
        ({"scope": "patients.read openid"}, "invalid_scope"),
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token": "x"}, "invalid_request"),
        ({"subject_token": "e30.e30.e30"}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"actor_token_type": ACCESS_TOKEN}, "invalid_request"),
    ],
)
def test_rfc8693_2_2_2_what_is_refused(service, token, changes, error):
    answer = exchange(service, token, **changes)
    assert (answer.status, answer.error) == (400, error)


def test_id_tokens_machines_and_revoked_tokens_are_no_subjects(service, make_rp, rp, session):
    signed_in = rp.sign_in(scope="openid claims.read")
    assert exchange(service, signed_in.id_token).error == "invalid_request"
    machine = make_rp(grant_types=["client_credentials"], scope="claims.read", redirect_uris=[])
    of_machine = machine.token(grant_type="client_credentials", scope="claims.read").access_token
    assert exchange(service, of_machine).error == "invalid_request"
    rp.revoke(signed_in.access_token)
    assert exchange(service, signed_in.access_token).error == "invalid_request"


def test_an_expired_subject_token_is_refused(service, token, travel):
    travel(700)
    assert exchange(service, token).error == "invalid_request"


def test_audience_is_another_word_for_resource_and_one_policy_needs_none(service, token):
    assert exchange(service, token, resource=None, audience=PATIENTS_API).status == 200
    assert exchange(service, token, resource=None).status == 200


def test_at_the_same_service_a_token_may_shrink_and_never_grow(make_service, make_rp, session):
    same = {"resource": CLAIMS_API, "mode": "impersonation", "scopes": ["claims.read"]}
    service = make_service(same)
    token = make_rp().sign_in(scope="openid claims.read").access_token
    assert exchange(service, token, resource=CLAIMS_API).scope == "claims.read"
    without = make_rp().sign_in(scope="openid", resource=CLAIMS_API).access_token
    assert exchange(service, without, resource=CLAIMS_API).error == "invalid_scope"


def test_the_patient_service_sees_a_token_of_its_own(service, make_rp, token):
    reader = make_rp(
        grant_types=["client_credentials"], scope="", redirect_uris=[], resources=[], serves=[PATIENTS_API]
    )
    seen = reader.introspect(exchange(service, token).access_token).get_json()
    assert seen["active"] is True and seen["act"]["sub"].startswith("client:")


@pytest.mark.parametrize(
    "metadata",
    [
        {"token_exchange": []},
        {"token_exchange": [DELEGATION, DELEGATION]},
        {"token_exchange": [DELEGATION | {"mode": "magic"}]},
        {"token_exchange": [DELEGATION | {"scopes": []}]},
        {"token_exchange": [DELEGATION | {"scopes": "patients.read"}]},
        {"token_exchange": [DELEGATION | {"resource": "patients"}]},
        {"token_exchange": [DELEGATION | {"more": 1}]},
        {"token_exchange": DELEGATION},
        {"token_endpoint_auth_method": "none", "grant_types": [GRANT], "token_exchange": [DELEGATION]},
    ],
)
def test_policies_that_cannot_be_registered(make_service, metadata):
    with pytest.raises(InvalidMetadata):
        make_service(**metadata)


def test_a_policy_is_an_administrators_to_give(client, app):

    with committing():
        _, raw_token = registration_tokens.create(
            label="t", scopes=("openid",), uses=2, expires_at=clock.now() + timedelta(hours=1)
        )
    body = {"redirect_uris": ["https://rp.example.org/cb"], "token_exchange": [DELEGATION]}
    headers = {"Authorization": f"Bearer {raw_token}"}
    made = client.post("/register", json=body, headers=headers)
    assert made.status_code == 201 and clients.get(made.get_json()["client_id"]).token_exchange == ()
    assert client.post("/register", json=body | {"grant_types": [GRANT]}, headers=headers).status_code == 400


def test_discovery_names_the_grant(client):
    assert GRANT in client.get("/.well-known/openid-configuration").get_json()["grant_types_supported"]
