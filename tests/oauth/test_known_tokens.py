"""A token that was good a moment ago is judged anew at its very next use (attacks 46, 49, 57, 119; O-29, F-21).

The server keeps what the bytes of a token proved (keys/proven.py); here everything beside the bytes changes between two uses.
"""

from __future__ import annotations

import pytest

from idp import clients, keys, sessions, users
from idp.db import committing, db
from idp.oauth.tokens import FamilyRow
from tests.conftest import CLAIMS_API, PATIENTS_API, in_threads
from tests.oauth.conftest import header_of

INACTIVE = {"active": False}


@pytest.fixture
def session(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def service(make_rp):
    """The claims service, which asks about tokens and trades them."""
    trade = {"resource": CLAIMS_API, "mode": "impersonation", "scopes": ["claims.read"]}
    return make_rp(
        client_name="Claims API",
        grant_types=["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"],
        redirect_uris=[],
        scope="claims.read",
        serves=[CLAIMS_API],
        token_exchange=[trade],
    )


@pytest.fixture
def token(rp, session):
    """A token for UserInfo that this process knows."""
    found = rp.sign_in().access_token
    for _ in range(2):
        assert rp.userinfo(found).status_code == 200
        assert rp.introspect(found).get_json()["active"] is True
    return found


@pytest.fixture
def for_service(rp, service, session):
    """A token for the claims service that this process knows."""
    found = rp.sign_in(scope="openid claims.read").access_token
    for _ in range(2):
        assert service.introspect(found).get_json()["active"] is True
        assert exchange(service, found).status == 200
    return found


def exchange(service, token):
    return service.token(
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token=token,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        resource=CLAIMS_API,
    )


def is_dead(rp, token):
    answer = rp.userinfo(token)
    return answer.status_code == 401 and 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def both_are_dead(rp, service, token, for_service):
    assert is_dead(rp, token)
    assert rp.introspect(token).get_json() == INACTIVE
    assert service.introspect(for_service).get_json() == INACTIVE
    assert exchange(service, for_service).error == "invalid_request"
    return True


def test_attack_57_a_revoked_token(rp, service, token, for_service):
    for one in (token, for_service):
        assert rp.revoke(one).status_code == 200
    assert both_are_dead(rp, service, token, for_service)
    assert rp.userinfo(rp.sign_in().access_token).status_code == 200


def test_attack_119_a_disabled_person(rp, service, token, for_service, alice):
    with committing():
        users.disable(alice.sub, reason="left", actor="cli")
    assert both_are_dead(rp, service, token, for_service)


def test_attack_119_a_person_who_is_gone_or_disabled_while_the_family_lives(rp, token, alice):
    """Nothing but the person's row says so: UserInfo reads it with the family."""
    with committing():
        db.session.execute(users.User.__table__.update().values(status="disabled"))
    assert is_dead(rp, token)


def test_attack_119_an_ended_session(rp, service, token, for_service, session):
    with committing():
        sessions.end(session.sid, cause="logout")
    assert both_are_dead(rp, service, token, for_service)


def test_a_family_that_was_forgotten(rp, service, token, for_service):
    with committing():
        db.session.execute(FamilyRow.__table__.delete())
    assert both_are_dead(rp, service, token, for_service)


def test_o_8_a_withdrawn_key(rp, service, token, for_service):
    with committing():
        keys.rotate("ES256")
        keys.withdraw(header_of(token)["kid"])
    assert both_are_dead(rp, service, token, for_service)


def test_o_8_a_rotated_key_is_published_on_and_its_tokens_are_good(rp, service, token, for_service):
    with committing():
        keys.rotate("ES256")
    assert rp.userinfo(token).status_code == 200
    assert service.introspect(for_service).get_json()["active"] is True
    assert header_of(rp.sign_in().access_token)["kid"] != header_of(token)["kid"]


def test_a_client_that_was_deleted(rp, service, token, for_service):
    with committing():
        clients.delete(rp.client.client_id)
    assert is_dead(rp, token)
    assert service.introspect(for_service).get_json() == INACTIVE
    assert exchange(service, for_service).error == "invalid_request"


def test_a_client_that_may_ask_for_less_is_told_less(rp, token):
    assert rp.userinfo(token).get_json()["email"] == "alice@example.org"
    with committing():
        clients.update(rp.client.client_id, {"scope": "openid profile"})
    said = rp.userinfo(token).get_json()
    assert said["name"] == "Alice Adams" and "email" not in said
    with committing():
        clients.update(rp.client.client_id, {"userinfo_signed_response_alg": "ES256"})
    assert rp.userinfo(token).content_type == "application/jwt"


def test_attack_58_a_service_that_serves_another_resource_now(service, for_service):
    with committing():
        clients.update(service.client.client_id, {"serves": [PATIENTS_API]})
    assert service.introspect(for_service).get_json() == INACTIVE


def test_what_is_known_of_a_person_is_read_anew(rp, token, alice):
    with committing():
        users.update(alice.sub, display_name="Alice Archer", actor="cli")
    assert rp.userinfo(token).get_json()["name"] == "Alice Archer"


def test_attack_49_an_expired_token(rp, service, token, for_service, travel):
    travel(601)
    assert is_dead(rp, token)
    assert rp.introspect(token).get_json() == service.introspect(for_service).get_json() == INACTIVE


def test_attack_49_another_byte_of_the_signature_right_after_the_good_token(rp, service, token, for_service):
    for place in (-1, -2, -40, -86):
        for good, ask in ((token, lambda raw: is_dead(rp, raw)), (for_service, lambda raw: told_nothing(service, raw))):
            end = len(good) + place
            assert ask(f"{good[:end]}{'A' if good[end] != 'A' else 'B'}{good[end + 1 :]}")
    assert rp.userinfo(token).status_code == 200


def told_nothing(service, raw):
    return service.introspect(raw).get_json() == INACTIVE


def test_attack_48_a_token_known_for_another_audience_opens_nothing_else(rp, service, token, for_service):
    assert is_dead(rp, for_service)
    assert service.introspect(token).get_json() == INACTIVE
    assert exchange(service, token).error == "invalid_request"


def test_two_threads_and_a_revocation_in_between(rp, token, app):
    other = rp.sign_in().access_token

    def use(number):
        http, said = app.test_client(), []
        for _ in range(10):
            for raw in (token, other):
                said.append(http.get("/userinfo", headers={"Authorization": f"Bearer {raw}"}).status_code)
        return said

    assert in_threads(2, app, use) == [[200] * 20] * 2
    rp.revoke(other)
    assert in_threads(2, app, use) == [[200, 401] * 10] * 2
