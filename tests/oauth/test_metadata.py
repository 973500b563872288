"""Discovery and JWKS say what is there and nothing else (OIDC Discovery 3 and 4, RFC 8414, O-1 to O-8)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from idp.clients import profiles
from idp.config import settings
from idp.oauth.grants import GRANTS
from tests.conftest import ISSUER
from tests.oauth.conftest import answer_in, claims_of, header_of


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def document(client):
    return client.get("/.well-known/openid-configuration").get_json()


def test_o1_the_document_is_json_and_names_its_issuer(client, document):
    answer = client.get("/.well-known/openid-configuration")
    assert answer.status_code == 200 and answer.content_type == "application/json"
    assert document["issuer"] == ISSUER


def test_o2_every_endpoint_is_under_the_issuer_and_answers(client, document):
    for name, url in document.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert url.startswith(ISSUER + "/"), name
            path = urlsplit(url).path
            assert client.options(path).status_code == 200, name
            assert client.options(path).headers["Allow"], name


def test_o3_o4_x13_everything_is_said_explicitly(document):
    assert document["response_types_supported"] == ["code"]
    assert document["subject_types_supported"] == ["public", "pairwise"]
    assert {"RS256", "ES256"} == set(document["id_token_signing_alg_values_supported"])
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["request_parameter_supported"] is True
    assert "none" not in document["request_object_signing_alg_values_supported"]
    assert document["require_pushed_authorization_requests"] is False
    assert document["request_uri_parameter_supported"] is False
    assert document["claims_parameter_supported"] is True
    assert document["authorization_response_iss_parameter_supported"] is True
    for name in ("grant_types_supported", "response_modes_supported", "acr_values_supported", "ui_locales_supported"):
        assert document[name]


def test_house_6_discovery_advertises_exactly_what_is_registered(app, document):
    assert set(document["grant_types_supported"]) == {grant.GRANT_TYPE for grant in GRANTS}
    server = app.extensions["idp.oauth"]
    assert set(server._grants) == set(document["grant_types_supported"])
    offered = profiles.offered(settings().oauth)
    assert set(document["response_modes_supported"]) == {mode for profile in offered for mode in profile.response_modes}
    methods = {method for profile in offered for method in profile.auth_methods} - set(profiles.TLS_METHODS)  # off here
    assert methods == set(document["token_endpoint_auth_methods_supported"])
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    for name, url in document.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert urlsplit(url).path in rules, name


def test_advertised_response_modes_work_and_others_do_not(rp, document, alice, sign_in_as):
    sign_in_as(alice)
    for mode in document["response_modes_supported"]:
        assert "code" in answer_in(rp.authorize(response_mode=mode))
    for mode in {"fragment", "jwt", "query.jwt"} - set(document["response_modes_supported"]):
        assert "error" in answer_in(rp.authorize(response_mode=mode))


def test_advertised_algorithms_and_claims_are_those_of_real_tokens(make_rp, document, alice, sign_in_as):
    sign_in_as(alice)
    for alg in document["id_token_signing_alg_values_supported"]:
        answer = make_rp(id_token_signed_response_alg=alg).sign_in(scope="openid profile email provider claims.read")
        assert header_of(answer.id_token)["alg"] == alg
        assert set(claims_of(answer.id_token)) <= set(document["claims_supported"])


def test_o3_advertised_scopes_are_those_that_are_owned(document, rp, alice, sign_in_as):
    assert {
        "openid",
        "profile",
        "email",
        "address",
        "phone",
        "provider",
        "offline_access",
        "claims.read",
        "patients.read",
    } == set(document["scopes_supported"])


def test_o5_nothing_is_empty(document):
    assert all(value not in ([], "", None) for value in document.values())


def test_o6_rfc8414_says_the_same(client, document):
    assert client.get("/.well-known/oauth-authorization-server").get_json() == document


def test_o7_only_public_parts_and_every_kid_once(client, app):
    keys = client.get("/jwks").get_json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) >= 2
    for key in keys:
        assert key["use"] == "sig" and key["alg"] and key["kty"] in ("EC", "RSA")
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)  # attack 60


def test_o7_every_token_names_a_published_key(rp, client, alice, sign_in_as):
    sign_in_as(alice)
    published = {key["kid"]: key["alg"] for key in client.get("/jwks").get_json()["keys"]}
    answer = rp.sign_in()
    for token in (answer.id_token, answer.access_token):
        assert published[header_of(token)["kid"]] == header_of(token)["alg"]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks"])
def test_documents_are_cached_and_revalidated(client, app, path):
    first = client.get(path)
    assert first.headers["Cache-Control"].startswith("public, max-age=")
    assert client.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert client.head(path).status_code == 200
    assert client.get(path, headers={"Origin": "https://spa.example.org"}).headers["Access-Control-Allow-Origin"] == "*"
    assert "Set-Cookie" not in first.headers


def test_attack_70_the_host_of_the_request_changes_nothing(client, document):
    answer = client.get("/.well-known/openid-configuration", headers={"X-Forwarded-Host": "evil.example.com"})
    assert answer.get_json() == document
    assert client.get("/.well-known/openid-configuration", headers={"Host": "evil.example.com"}).status_code == 400
