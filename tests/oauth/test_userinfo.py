"""UserInfo and the claims in tokens (OIDC Core 5, RFC 6750, RFC 9068 section 4)."""

from __future__ import annotations

import json

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


def test_oidc_core_5_3_2_claims_by_scope(rp, alice, signed_in):
    said = rp.userinfo(rp.sign_in(scope="openid profile email provider").access_token)
    assert said.status_code == 200 and said.content_type == "application/json"
    assert said.headers["Cache-Control"] == "no-store"
    claims = said.get_json()
    assert claims.pop("updated_at") > 0
    assert claims == {
        "sub": alice.sub,
        "name": "Alice Adams",
        "given_name": "Alice",
        "family_name": "Adams",
        "preferred_username": "alice",
        "email": "alice@example.org",
        "email_verified": True,
        "npi": "1234567893",
        "roles": ["physician"],
    }


def test_o28_only_sub_for_openid_alone(rp, alice, signed_in):
    assert rp.userinfo(rp.sign_in(scope="openid").access_token).get_json() == {"sub": alice.sub}


def test_o28_what_is_empty_is_left_out(rp, bob, sign_in_as):
    sign_in_as(bob)
    claims = rp.userinfo(rp.sign_in(scope="openid profile provider").access_token).get_json()
    assert "npi" not in claims and "given_name" not in claims and "locale" not in claims


def test_o28_get_post_with_header_and_post_with_body(rp, client, signed_in):
    token = rp.sign_in().access_token
    header = {"Authorization": f"Bearer {token}"}
    answers = [
        client.get("/userinfo", headers=header),
        client.post("/userinfo", headers=header),
        client.post("/userinfo", data={"access_token": token}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].get_json() == answers[1].get_json() == answers[2].get_json()


def test_o19_claims_by_name(rp, signed_in):
    wanted = json.dumps({"userinfo": {"name": {"essential": True}}, "id_token": {"email": None}})
    answer = rp.sign_in(scope="openid", claims=wanted)
    said = rp.userinfo(answer.access_token).get_json()
    assert said["name"] == "Alice Adams" and "email" not in said
    assert claims_of(answer.id_token)["email"] == "alice@example.org"


def test_claims_by_name_only_within_what_the_client_registered(make_rp, signed_in):
    narrow = make_rp(scope="openid")
    answer = narrow.sign_in(scope="openid", claims='{"userinfo": {"npi": null}, "id_token": {"email": null}}')
    assert "npi" not in narrow.userinfo(answer.access_token).get_json()
    assert "email" not in claims_of(answer.id_token)


def test_oidc_core_5_4_claims_are_in_the_id_token_where_the_access_token_opens_no_userinfo(rp, signed_in):
    for_api = rp.sign_in(scope="openid profile claims.read", resource=CLAIMS_API)
    assert claims_of(for_api.id_token)["name"] == "Alice Adams"
    for_userinfo = rp.sign_in(scope="openid profile")
    assert "name" not in claims_of(for_userinfo.id_token)


# --- tokens that are not good here --------------------------------------------------------------------------------


def refused(answer, error="invalid_token", status=401):
    assert answer.status_code == status
    assert f'error="{error}"' in answer.headers["WWW-Authenticate"]


def test_rfc6750_3_1_no_token_gets_the_bare_challenge(client, app):
    answer = client.get("/userinfo")
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == 'Bearer realm="idp"'


@pytest.mark.parametrize("token", ["x", "a.b.c", "a" * 20_000, "é"])
def test_o29_nonsense(rp, token):
    refused(rp.userinfo(token.encode().decode("latin-1")))


def test_attack_48_an_id_token_is_no_access_token(rp, signed_in):
    refused(rp.userinfo(rp.sign_in().id_token))


def test_attack_48_a_token_for_another_audience(rp, signed_in):
    refused(rp.userinfo(rp.sign_in(scope="openid claims.read").access_token))


def test_attack_46_49_a_tampered_token(rp, signed_in):
    head, body, signature = rp.sign_in().access_token.split(".")
    refused(rp.userinfo(f"{head}.{body}."))
    refused(rp.userinfo(f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{body}."))
    refused(rp.userinfo(f"{head}.{body[:-2]}AA.{signature}"))


def test_attack_49_an_expired_token(rp, signed_in, travel):
    token = rp.sign_in().access_token
    travel(601)
    refused(rp.userinfo(token))


def test_a_machine_s_token_is_about_nobody(make_rp):
    machine = make_rp(grant_types=["client_credentials"], redirect_uris=[], scope="claims.read")
    refused(machine.userinfo(machine.token(grant_type="client_credentials").access_token))


def test_rfc6750_3_1_a_token_without_openid(rp, signed_in):
    answer = rp.sign_in(scope="profile", nonce=None)
    assert answer.id_token is None
    refused(rp.userinfo(answer.access_token), "insufficient_scope", 403)


def test_f18_a_token_in_the_address_is_refused(rp, client, signed_in):
    token = rp.sign_in().access_token
    refused(client.get(f"/userinfo?access_token={token}"), "invalid_request", 400)


def test_f18_two_ways_at_once_are_refused(rp, client, signed_in):
    token = rp.sign_in().access_token
    answer = client.post("/userinfo", data={"access_token": token}, headers={"Authorization": f"Bearer {token}"})
    refused(answer, "invalid_request", 400)


@pytest.mark.parametrize(
    "path", ["/userinfo/x.css", "/userinfo/", "/userinfo;a.css", "/authorize/x", "/jwks/x.css", "/token/x"]
)
def test_attack_79_web_cache_deception(client, app, path):
    answer = client.get(path)
    assert answer.status_code == 404 and answer.headers["Cache-Control"] == "no-store"


def test_attack_81_f11_cors_is_open_and_without_credentials(client, app):
    answer = client.get("/userinfo", headers={"Origin": "null"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]


def test_head_is_refused(client, app):
    assert client.head("/userinfo").status_code == 405


def test_the_userinfo_resource_has_its_endpoint_s_address(rp, signed_in):
    answer = rp.sign_in(scope="openid", resource=f"{ISSUER}/userinfo")
    assert rp.userinfo(answer.access_token).status_code == 200
