"""Introspection (RFC 7662) and revocation (RFC 7009): F-21, attacks 57 to 59."""

from __future__ import annotations

import pytest

from tests.conftest import CLAIMS_API, ISSUER
from tests.oauth.conftest import claims_of


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def service(make_rp):
    """The claims service as a protected resource."""
    return make_rp(
        client_name="Claims API", grant_types=["client_credentials"], redirect_uris=[], scope="", serves=[CLAIMS_API]
    )


INACTIVE = {"active": False}


def test_rfc7662_2_2_a_resource_learns_about_tokens_made_for_it(rp, service, alice, signed_in):
    token = rp.sign_in(scope="openid claims.read").access_token
    said = service.introspect(token, token_type_hint="access_token")
    assert said.status_code == 200 and said.headers["Cache-Control"] == "no-store"
    told = said.get_json()
    assert told["active"] is True and told["sub"] == alice.sub and told["aud"] == CLAIMS_API
    assert told["scope"] == "claims.read" and told["client_id"] == rp.client.client_id and told["iss"] == ISSUER


def test_attack_58_a_token_for_another_audience_is_inactive_without_detail(rp, service, signed_in):
    answer = rp.sign_in()
    assert service.introspect(answer.access_token).get_json() == INACTIVE
    assert service.introspect(answer.refresh_token).get_json() == INACTIVE
    assert service.introspect(answer.id_token).get_json() == INACTIVE


def test_a_client_may_ask_about_its_own_tokens(rp, signed_in):
    answer = rp.sign_in()
    assert rp.introspect(answer.access_token).get_json()["active"] is True
    told = rp.introspect(answer.refresh_token, token_type_hint="nonsense").get_json()
    assert told["active"] is True and told["scope"] == "openid profile email"


def test_attack_57_what_ended_is_inactive(rp, alice, signed_in, travel):
    from idp import sessions
    from idp.db import committing

    first = rp.sign_in()
    second = rp.refresh(first.refresh_token)
    assert rp.introspect(first.refresh_token).get_json() == INACTIVE
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    for token in (second.access_token, second.refresh_token, first.access_token):
        assert rp.introspect(token).get_json() == INACTIVE


def test_an_expired_token_is_inactive(rp, signed_in, travel):
    token = rp.sign_in().access_token
    travel(601)
    assert rp.introspect(token).get_json() == INACTIVE


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 5000])
def test_nonsense_is_inactive(rp, token):
    assert rp.introspect(token).get_json() == INACTIVE


def test_attack_43_58_who_may_ask(rp, make_rp, client, signed_in):
    token = rp.sign_in().access_token
    assert client.post("/introspect", data={"token": token}).status_code == 401
    public = make_rp(client_name="SPA", token_endpoint_auth_method="none")
    answer = client.post("/introspect", data={"token": token, "client_id": public.client.client_id})
    assert answer.status_code == 400 and answer.get_json()["error"] == "unauthorized_client"
    assert client.get("/introspect").status_code == 405
    assert rp.http.post("/introspect?token=x", data={"token": token}).status_code == 400


def test_a_missing_token_is_an_error(rp):
    assert rp.introspect("").get_json()["error"] == "invalid_request"
    assert rp.revoke("").get_json()["error"] == "invalid_request"


# --- revocation ---------------------------------------------------------------------------------------------------


def test_rfc7009_2_1_a_refresh_token_takes_its_family_with_it(rp, signed_in, audit_trail):
    answer = rp.sign_in()
    assert rp.revoke(answer.refresh_token, token_type_hint="refresh_token").status_code == 200
    assert rp.refresh(answer.refresh_token).error == "invalid_grant"
    assert rp.userinfo(answer.access_token).status_code == 401
    assert rp.introspect(answer.access_token).get_json() == INACTIVE
    assert "token.revoked" in audit_trail


def test_rfc7009_2_1_an_access_token_dies_alone(rp, signed_in):
    answer = rp.sign_in()
    assert rp.revoke(answer.access_token).status_code == 200
    assert rp.userinfo(answer.access_token).status_code == 401
    assert rp.refresh(answer.refresh_token).status == 200


def test_a_machine_s_token_can_be_revoked(make_rp):
    machine = make_rp(grant_types=["client_credentials"], redirect_uris=[], scope="claims.read")
    token = machine.token(grant_type="client_credentials").access_token
    assert machine.introspect(token).get_json()["active"] is True
    machine.revoke(token)
    assert machine.introspect(token).get_json() == INACTIVE


def test_attack_59_another_client_s_tokens_are_left_alone(rp, make_rp, signed_in):
    other, answer = make_rp(client_name="Other"), rp.sign_in()
    assert other.revoke(answer.refresh_token).status_code == 200
    assert other.revoke(answer.access_token).status_code == 200
    assert rp.userinfo(answer.access_token).status_code == 200
    assert rp.refresh(answer.refresh_token).status == 200


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 43])
def test_rfc7009_2_2_an_unknown_token_is_200(rp, token):
    assert rp.revoke(token).status_code == 200


def test_a_public_client_may_give_its_tokens_back(make_rp, client, signed_in):
    public = make_rp(token_endpoint_auth_method="none")
    answer = public.sign_in()
    gone = client.post("/revoke", data={"token": answer.refresh_token, "client_id": public.client.client_id})
    assert gone.status_code == 200
    assert public.refresh(answer.refresh_token).error == "invalid_grant"


def test_a_client_must_say_who_it_is(client, app):
    assert client.post("/revoke", data={"token": "x"}).status_code == 401


def test_jti_is_random(rp, signed_in):
    jtis = {claims_of(rp.sign_in().access_token)["jti"] for _ in range(3)}
    assert len(jtis) == 3
