"""Signing per client: ID tokens, UserInfo and introspection answers in every algorithm (X-2, O-26 to O-28, RFC 9701)."""

from __future__ import annotations

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from idp.clients import InvalidMetadata
from tests.conftest import CLAIMS_API, ISSUER
from tests.oauth.conftest import SEALING_KEY, basic, claims_of, header_of, make_signing_keys

ALGS = ("ES256", "RS256", "PS256", "ES384", "EdDSA")
JWT_ANSWER = "application/token-introspection+jwt"


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture(scope="session")
def signing_keys(migrated_sqlite, kv_url, tmp_path_factory):
    """Keys of every algorithm."""

    return make_signing_keys(migrated_sqlite, kv_url, tmp_path_factory.mktemp("all-keys"), algs=ALGS)


@pytest.fixture
def setup():
    return {"secrets": {"sealing_keys": (SEALING_KEY,)}, "oauth": {"signing_algs": ALGS}}


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def published(client):
    """Check a signature with nothing but the published keys."""

    def verify(raw_jwt, alg):
        keys = KeySet.import_key_set(client.get("/jwks").get_json())
        jws.deserialize_compact(raw_jwt, keys, algorithms=[alg])
        return claims_of(raw_jwt)

    return verify


@pytest.mark.filterwarnings("ignore:.*EdDSA")
@pytest.mark.parametrize("alg", ALGS)
def test_x2_the_client_chooses_the_algorithm(make_rp, published, alice, signed_in, alg):
    rp = make_rp(id_token_signed_response_alg=alg, userinfo_signed_response_alg=alg)
    answer = rp.sign_in()
    assert header_of(answer.id_token)["alg"] == alg
    assert published(answer.id_token, alg)["sub"] == alice.sub
    said = rp.userinfo(answer.access_token)
    assert said.status_code == 200 and said.content_type == "application/jwt"
    assert said.headers["Cache-Control"] == "no-store"
    told = published(said.get_data(as_text=True), alg)
    assert (told["iss"], told["aud"], told["sub"]) == (ISSUER, rp.client.client_id, alice.sub)
    assert told["name"] == "Alice Adams"


def test_at_hash_fits_the_algorithm(make_rp, signed_in):
    import base64
    import hashlib

    for alg, name in (("ES384", "sha384"), ("EdDSA", "sha512"), ("PS256", "sha256")):
        answer = make_rp(id_token_signed_response_alg=alg).sign_in()
        digest = hashlib.new(name, answer.access_token.encode()).digest()
        half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
        assert claims_of(answer.id_token)["at_hash"] == half


def test_o26_rs256_for_a_client_that_names_none_and_is_not_ours(make_rp, signed_in):
    assert make_rp(first_party=False).client.id_token_signed_response_alg == "RS256"
    assert make_rp(first_party=True).client.id_token_signed_response_alg == "ES256"


@pytest.mark.parametrize("alg", ["none", "HS256", "RS512", "es256"])
@pytest.mark.parametrize("name", ["id_token", "userinfo", "introspection"])
def test_o27_nothing_else_can_be_registered(make_rp, name, alg):
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(**{f"{name}_signed_response_alg": alg})
    assert "must be one of" in str(refused.value.fields)


def test_discovery_offers_what_there_are_keys_for(client):
    document = client.get("/.well-known/openid-configuration").get_json()
    for kind in ("id_token", "userinfo", "introspection"):
        assert set(document[f"{kind}_signing_alg_values_supported"]) == set(ALGS)


def test_attack_48_a_signed_userinfo_answer_is_no_id_token_hint(make_rp, signed_in):
    rp = make_rp(userinfo_signed_response_alg="RS256")
    told = rp.userinfo(rp.sign_in().access_token).get_data(as_text=True)
    assert rp.callback(prompt="none", id_token_hint=told)["error"] == "login_required"
    assert rp.http.get("/end_session", query_string={"id_token_hint": told}).status_code == 400
    assert rp.userinfo(told).status_code == 401


# --- RFC 9701 -----------------------------------------------------------------------------------------------------


@pytest.fixture
def service(make_rp):
    return make_rp(
        grant_types=["client_credentials"],
        redirect_uris=[],
        scope="",
        serves=[CLAIMS_API],
        introspection_signed_response_alg="PS256",
    )


def asked(service, token, accept=JWT_ANSWER):
    headers = {"Authorization": basic(service.client.client_id, service.raw_secret), "Accept": accept}
    return service.http.post("/introspect", data={"token": token}, headers=headers)


def test_rfc9701_5_a_signed_answer(rp, service, published, alice, signed_in):
    token = rp.sign_in(scope="openid claims.read").access_token
    said = asked(service, token)
    assert said.content_type == JWT_ANSWER and said.headers["Cache-Control"] == "no-store"
    raw = said.get_data(as_text=True)
    assert header_of(raw)["typ"] == "token-introspection+jwt"
    told = published(raw, "PS256")
    assert (told["iss"], told["aud"]) == (ISSUER, service.client.client_id) and told["iat"] > 0
    assert "sub" not in told and "exp" not in told  # RFC 9701 section 8.1: it must not pass for an access token
    assert told["token_introspection"] == asked(service, token, "application/json").get_json()
    assert told["token_introspection"]["sub"] == alice.sub


def test_rfc9701_5_a_foreign_token_is_inactive_there_too(rp, service, published, signed_in):
    raw = asked(service, rp.sign_in().access_token).get_data(as_text=True)
    assert published(raw, "PS256")["token_introspection"] == {"active": False}


def test_rfc9701_4_json_without_the_accept_header(rp, service, signed_in):
    token = rp.sign_in(scope="openid claims.read").access_token
    for accept in ("*/*", "application/json", "application/*", f"{JWT_ANSWER};q=0"):
        assert asked(service, token, accept).content_type == "application/json"


def test_rfc9701_8_1_the_answer_is_good_for_nothing_else(rp, service, signed_in):
    raw = asked(service, rp.sign_in(scope="openid claims.read").access_token).get_data(as_text=True)
    assert rp.userinfo(raw).status_code == 401
    assert service.introspect(raw).get_json() == {"active": False}
