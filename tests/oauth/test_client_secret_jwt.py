"""Client authentication with a shared secret that does not travel: client_secret_jwt (OIDC Core 9, attack 36)."""

from __future__ import annotations

import pytest

from idp import clients, clock, crypto
from idp.clients import InvalidMetadata
from idp.clients.registry import ClientRow
from idp.db import committing, db
from tests.oauth.asserting import MACHINE, ask, assertion, db_url, machine, rejected
from tests.oauth.signing import assertion_claims, jwks, key, proof, secret_key, sign

__all__ = ["ask", "db_url", "machine"]


# --- client_secret_jwt --------------------------------------------------------------------------------------------


@pytest.fixture
def hmac_machine(make_rp):
    return make_rp(**MACHINE, token_endpoint_auth_method="client_secret_jwt")


def test_oidc_core_9_client_secret_jwt(hmac_machine, ask):
    claims = assertion_claims(hmac_machine.client.client_id)
    assert ask(sign(claims, secret_key(hmac_machine.raw_secret), alg="HS256")).status == 200
    assert rejected(ask(sign(claims, secret_key(hmac_machine.raw_secret), alg="HS256")))  # the jti is burnt
    assert rejected(ask(sign(assertion_claims(hmac_machine.client.client_id), secret_key("x" * 43), alg="HS256")))


def test_client_secret_jwt_the_secret_itself_does_not_travel(hmac_machine):
    assert hmac_machine.token(grant_type="client_credentials").status == 401
    assert hmac_machine.token(auth="post", grant_type="client_credentials").status == 401


def test_client_secret_jwt_is_sealed_at_rest_and_nobody_elses_is(app, hmac_machine, make_rp):

    row = db.session.get(ClientRow, hmac_machine.client.client_id)
    assert row.secrets[0]["sealed"] and hmac_machine.raw_secret not in str(row.secrets)
    other = db.session.get(ClientRow, make_rp().client.client_id)
    assert not other.secrets[0].get("sealed")


def test_client_secret_jwt_rotation_keeps_the_old_secret_for_a_while(hmac_machine, ask):
    client_id = hmac_machine.client.client_id
    with committing():
        fresh = clients.rotate_secret(client_id, overlap_s=3600)
    for raw in (fresh, hmac_machine.raw_secret):
        assert ask(sign(assertion_claims(client_id), secret_key(raw), alg="HS256")).status == 200
    with clock.travel(3601):
        assert rejected(ask(sign(assertion_claims(client_id), secret_key(hmac_machine.raw_secret), alg="HS256")))
        assert ask(sign(assertion_claims(client_id), secret_key(fresh), alg="HS256")).status == 200


def test_client_secret_jwt_a_sealing_key_that_is_gone_is_a_refusal_and_no_accident(hmac_machine, ask, monkeypatch):
    monkeypatch.setattr(crypto, "unseal", _broken)
    answer = ask(
        sign(assertion_claims(hmac_machine.client.client_id), secret_key(hmac_machine.raw_secret), alg="HS256")
    )
    assert rejected(answer) and "ask for a new one" in answer.error_description


def _broken(*_, **__):
    raise crypto.SealBroken("gone")


def test_a_client_may_go_from_a_secret_to_a_key_and_not_back(rp, client):
    client_id = rp.client.client_id
    with committing():
        clients.update(client_id, {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(key())})
    assert rp.refresh("x").status == 401  # the secret ended with the change
    assert client.post("/revoke", data={"token": "x", **proof(assertion(rp))}).status_code == 200
    for back in ("client_secret_basic", "client_secret_jwt", "none"):
        with pytest.raises(InvalidMetadata):
            clients.update(client_id, {"token_endpoint_auth_method": back})
