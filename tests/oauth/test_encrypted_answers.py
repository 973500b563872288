"""Encrypted ID tokens and UserInfo (OIDC Core 2, 5.3.2, 10.2): signed first, encrypted then, never in the clear instead."""

from __future__ import annotations

import json

import pytest
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp import jwe
from idp.clients import InvalidMetadata
from tests.oauth.conftest import claims_of, header_of

RSA = RSAKey.generate_key(2048, {"kid": "r1", "use": "enc"})
P256 = ECKey.generate_key("P-256", {"kid": "e1", "use": "enc"})
P384 = ECKey.generate_key("P-384", {"kid": "e2"})
X25519 = OKPKey.generate_key("X25519", {"kid": "x1", "use": "enc", "alg": "ECDH-ES"})
SIGNS = ECKey.generate_key("P-256", {"kid": "s1", "use": "sig"})


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def jwks(*keys):
    return {"keys": [key.as_dict(private=False) for key in keys]}


def opened(raw_jwe, key):
    header = header_of(raw_jwe)
    return joserfc_jwe.decrypt_compact(raw_jwe, key, algorithms=[header["alg"], header["enc"]]).plaintext.decode()


@pytest.mark.parametrize("enc", jwe.ENCS)
@pytest.mark.parametrize(
    ("alg", "key"), [("RSA-OAEP-256", RSA), ("ECDH-ES", P256), ("ECDH-ES+A128KW", P384), ("ECDH-ES", X25519)]
)
def test_oidc_core_10_2_a_nested_id_token(make_rp, alice, signed_in, alg, key, enc):
    rp = make_rp(jwks=jwks(SIGNS, key), id_token_encrypted_response_alg=alg, id_token_encrypted_response_enc=enc)
    raw = rp.sign_in().id_token
    header = header_of(raw)
    assert (header["alg"], header["enc"], header["cty"], header["kid"]) == (alg, enc, "JWT", key.kid)
    inner = opened(raw, key)
    assert header_of(inner)["alg"] == "ES256" and claims_of(inner)["sub"] == alice.sub
    assert claims_of(inner)["nonce"] == "nonce-1"


def test_oidc_registration_2_the_default_enc(make_rp, signed_in):
    rp = make_rp(jwks=jwks(RSA), id_token_encrypted_response_alg="RSA-OAEP-256")
    assert header_of(rp.sign_in().id_token)["enc"] == "A128CBC-HS256"


def test_a_refreshed_id_token_is_encrypted_too(make_rp, alice, signed_in):
    rp = make_rp(jwks=jwks(RSA), id_token_encrypted_response_alg="RSA-OAEP-256")
    raw = rp.refresh(rp.sign_in().refresh_token).id_token
    assert claims_of(opened(raw, RSA))["sub"] == alice.sub


def test_oidc_core_5_3_2_userinfo_signed_and_encrypted(make_rp, alice, signed_in):
    rp = make_rp(
        jwks=jwks(P256), userinfo_signed_response_alg="RS256", userinfo_encrypted_response_alg="ECDH-ES+A128KW"
    )
    said = rp.userinfo(rp.sign_in().access_token)
    assert said.content_type == "application/jwt" and said.headers["Cache-Control"] == "no-store"
    raw = said.get_data(as_text=True)
    assert header_of(raw)["cty"] == "JWT" and alice.sub not in raw
    inner = claims_of(opened(raw, P256))
    assert inner["sub"] == alice.sub and inner["aud"] == rp.client.client_id


def test_oidc_core_5_3_2_userinfo_encrypted_only(make_rp, alice, signed_in):
    rp = make_rp(jwks=jwks(P256), userinfo_encrypted_response_alg="ECDH-ES", userinfo_encrypted_response_enc="A256GCM")
    said = rp.userinfo(rp.sign_in().access_token)
    raw = said.get_data(as_text=True)
    assert said.content_type == "application/jwt" and "cty" not in header_of(raw)
    assert json.loads(opened(raw, P256))["sub"] == alice.sub


def test_what_should_be_encrypted_never_leaves_in_the_clear(make_rp, signed_in):
    gone = "http://127.0.0.1:9/jwks.json"  # nobody listens there
    rp = make_rp(
        jwks_uri=gone, id_token_encrypted_response_alg="RSA-OAEP-256", userinfo_encrypted_response_alg="RSA-OAEP-256"
    )
    answer = rp.redeem(rp.code())
    assert answer.status == 400 and answer.error == "invalid_request" and answer.id_token is None
    assert "cannot be encrypted" in answer.error_description
    plain = make_rp(jwks_uri=gone, userinfo_encrypted_response_alg="RSA-OAEP-256")
    said = plain.userinfo(plain.sign_in().access_token)
    assert said.status_code == 400 and 'error="invalid_request"' in said.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("field", "metadata"),
    [
        ("id_token_encrypted_response_alg", {"id_token_encrypted_response_alg": "RSA1_5", "jwks": jwks(RSA)}),
        ("id_token_encrypted_response_alg", {"id_token_encrypted_response_alg": "dir", "jwks": jwks(RSA)}),
        ("id_token_encrypted_response_alg", {"id_token_encrypted_response_enc": "A128GCM", "jwks": jwks(RSA)}),
        (
            "userinfo_encrypted_response_enc",
            {
                "userinfo_encrypted_response_alg": "ECDH-ES",
                "userinfo_encrypted_response_enc": "A128",
                "jwks": jwks(P256),
            },
        ),
        ("jwks", {"id_token_encrypted_response_alg": "RSA-OAEP-256"}),
        ("jwks", {"id_token_encrypted_response_alg": "RSA-OAEP-256", "jwks": jwks(P256)}),
        ("jwks", {"userinfo_encrypted_response_alg": "ECDH-ES", "jwks": jwks(SIGNS)}),
    ],
)
def test_what_cannot_be_done_cannot_be_registered(make_rp, field, metadata):
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(**metadata)
    assert field in refused.value.fields


def test_discovery_says_so(client, app):
    document = client.get("/.well-known/openid-configuration").get_json()
    for kind in ("id_token", "userinfo"):
        assert document[f"{kind}_encryption_alg_values_supported"] == list(jwe.ALGS)
        assert document[f"{kind}_encryption_enc_values_supported"] == list(jwe.ENCS)
    assert "RSA1_5" not in json.dumps(document)
