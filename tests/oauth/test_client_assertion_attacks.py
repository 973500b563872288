"""Client assertions that come twice, are signed by somebody else, or are something else (attacks 33, 36 to 39, 50)."""

from __future__ import annotations

import base64
import json

import pytest
from joserfc import jws

from idp import clock
from tests.conftest import in_threads
from tests.oauth.asserting import MACHINE, ask, assertion, db_url, machine, rejected
from tests.oauth.signing import assertion_claims, hmac_signed, jwks, key, proof, publishing, secret_key, sign

__all__ = ["ask", "db_url", "machine"]


# --- once (attack 33, trap 5) -------------------------------------------------------------------------------------


def test_attack_33_an_assertion_is_good_once(machine, ask):
    raw = assertion(machine, exp=clock.epoch() + 300)
    assert ask(raw).status == 200
    assert rejected(ask(raw))
    with clock.travel(280):
        assert rejected(ask(raw))


def test_attack_33_another_assertion_with_the_same_jti_is_refused_too(machine, make_rp, ask):
    twin = make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks=jwks(key()))
    assert ask(assertion(machine, jti="one")).status == 200
    assert rejected(ask(assertion(machine, jti="one", exp=clock.epoch() + 90)))
    assert ask(assertion(twin, jti="one")).status == 200  # a jti is unique for its client, not for the world


def test_attack_33_a_refused_assertion_burns_nothing(machine, ask):
    assert rejected(ask(assertion(machine, by=key(name="other"), jti="mine")))
    assert ask(assertion(machine, jti="mine")).status == 200


def test_attack_33_trap_5_of_twenty_at_once_one_is_served(app, machine):
    raw = assertion(machine)

    def use(_: int) -> int:
        form = {"grant_type": "client_credentials", **proof(raw)}
        return app.test_client().post("/token", data=form).status_code

    answers = in_threads(20, app, use)
    assert sorted(answers) == [200] + [401] * 19


# --- signatures (attacks 36 to 39) --------------------------------------------------------------------------------


def test_attack_36_alg_none_in_any_spelling(machine, ask):
    head, body, _ = assertion(machine).split(".")

    for alg in ("none", "None", "nOnE"):
        fake = base64.urlsafe_b64encode(f'{{"alg":"{alg}"}}'.encode()).rstrip(b"=").decode()
        assert rejected(ask(f"{fake}.{body}."))
        assert rejected(ask(f"{fake}.{body}.AAAA"))
    assert rejected(ask(f"{head}.{body}."))


def test_attack_36_a_public_key_is_not_an_hmac_secret(make_rp, ask):
    rp = make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("2048")))
    pem = key("2048").as_pem(private=False).decode()
    for raw in (pem, pem.strip(), rp.client.client_id, ""):
        assert rejected(ask(hmac_signed(assertion_claims(rp.client.client_id), raw.encode())))


def test_attack_36_a_secret_does_not_stand_in_for_a_key_nor_a_key_for_a_secret(make_rp, ask):
    basic_client = make_rp(**MACHINE)
    raw = sign(assertion_claims(basic_client.client.client_id), secret_key(basic_client.raw_secret), alg="HS256")
    assert rejected(ask(raw))
    hmac_client = make_rp(**MACHINE, token_endpoint_auth_method="client_secret_jwt", jwks=jwks(key()))
    assert rejected(ask(assertion(hmac_client)))


def test_attack_36_another_key_or_a_changed_body(machine, ask):
    assert rejected(ask(assertion(machine, by=key(name="stranger"))))
    thief = sign(assertion_claims(machine.client.client_id), key(name="stranger"), kid="k1")
    assert rejected(ask(thief))
    head, _, signature = assertion(machine).split(".")
    other = assertion(machine).split(".")[1]
    assert rejected(ask(f"{head}.{other}.{signature}"))


def test_attack_37_a_key_in_the_header_is_never_looked_at(machine, ask):
    with publishing(jwks(key(name="evil"))) as site:
        evil = key(name="evil")
        for header in (
            {"jku": site.url},
            {"x5u": site.url},
            {"jwk": evil.as_dict(private=False)},
            {"x5c": ["AAAA"]},
            {"jku": site.url, "jwk": evil.as_dict(private=False)},
        ):
            assert rejected(ask(assertion(machine, by=evil, header=header)))
        assert site.calls == 0


@pytest.mark.parametrize(
    "kid", ["../../dev/null", "' OR 1=1 --", "", "k1\x00", "x" * 5000, "https://evil.example.com/k"]
)
def test_attack_38_a_kid_is_compared_and_nothing_else(machine, ask, kid):
    assert rejected(ask(assertion(machine, header={"kid": kid})))


def test_f34_without_kid_and_with_doubled_kids_the_fitting_key_is_found(make_rp, ask):
    same = [key("P-256", "same"), key("2048", "same")]
    rp = make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks=jwks(*same))
    assert ask(assertion(rp, by=same[0])).status == 200
    assert ask(assertion(rp, by=same[1], header={"alg": "PS256"})).status == 200
    assert ask(assertion(rp, by=same[0], header={"kid": None})).status == 200


def test_attack_39_a_request_object_is_no_assertion(machine, ask):
    claims = assertion_claims(machine.client.client_id, sub=None) | {"client_id": machine.client.client_id}
    assert rejected(ask(sign(claims, key(), typ="oauth-authz-req+jwt")))
    assert rejected(ask(sign(claims, key())))


@pytest.mark.parametrize("raw", ["x", "a.b", "a.b.c", "a.b.c.d", ".".join(["A" * 9000] * 3), "{}", "ä.ö.ü"])
def test_trap_7_what_is_no_jwt_is_refused(machine, ask, raw):
    assert rejected(ask(raw, client_id=machine.client.client_id))


def test_attack_50_critical_extensions_and_doubled_members(machine, ask):
    assert rejected(ask(assertion(machine, header={"b64": True})))
    assert rejected(ask(_crit(machine)))
    claims = assertion_claims(machine.client.client_id)

    doubled = json.dumps(claims)[:-1] + ', "sub": "somebody"}'
    raw = jws.serialize_compact({"alg": "ES256", "kid": "k1"}, doubled, key(), algorithms=["ES256"])
    assert rejected(ask(raw))


def _crit(machine) -> str:

    raw = assertion(machine)
    header = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", "crit": ["exp"], "exp": 1}).encode()).rstrip(b"=")
    return f"{header.decode()}.{raw.split('.', 1)[1]}"
