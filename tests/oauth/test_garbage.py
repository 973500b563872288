"""Garbage in every parameter: an answer that says what is wrong, and never a broken one (attacks 19, 144)."""

from __future__ import annotations

import json

import pytest
from joserfc import jws

from idp import clock, strict_json
from tests.conftest import ISSUER
from tests.each import on_each
from tests.oauth.conftest import REDIRECT_URI
from tests.oauth.signing import jwks, key

HALF = '"\\ud800"'
DEEP = "[" * 300 + "]" * 300
JSON_GARBAGE = {
    "half a pair": HALF,
    "the other half": '"\\udfff x"',
    "beyond 64 bits": "18446744073709551617",
    "beyond every register": "-" + "9" * 400,
    "300 lists": DEEP,
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    "1e999": "1e999",
}
PLACES = {
    "value": '{"id_token":{"name":{"value":?}}}',
    "values": '{"userinfo":{"name":{"values":[?]}}}',
    "acr": '{"id_token":{"acr":{"essential":true,"values":[?]}}}',
    "sub": '{"id_token":{"sub":{"value":?}}}',
    "unknown": '{"id_token":{"unknown":{"value":?}}}',
    "elsewhere": '{"elsewhere":?}',
}
BYTES = ["%ED%A0%80", "%ff", "%C0%AF", "%F4%90%80%80", "%E2%82", "%fe%ff", "%80", "a%ED%BF%BFb"]
PARAMETERS = [
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "login_hint", "claims",
    "acr_values", "prompt", "max_age", "id_token_hint", "ui_locales", "request", "request_uri", "resource",
    "authorization_details", "code_challenge", "code_challenge_method", "unknown",
]  # fmt: skip


@pytest.fixture
def db_url(sqlite_url):
    """Nothing of this may reach a database."""
    return sqlite_url


def signed(body: str) -> str:
    """A JWS by the client's key over a body as it is, JSON or not."""
    return jws.serialize_compact({"alg": "ES256", "kid": key().kid}, body, key(), algorithms=["ES256"])


@on_each("place", PLACES)
@on_each("kind", JSON_GARBAGE)
def test_attack_19_claims_that_nobody_can_keep_are_refused(rp, alice, sign_in_as, place, kind):
    sign_in_as(alice)
    told = rp.callback(claims=PLACES[place].replace("?", JSON_GARBAGE[kind]))
    assert told["error"] == "invalid_request" and told["state"] == "state-1"


@pytest.mark.parametrize("kind", ["half a pair", "the other half"])
def test_attack_19_a_name_that_is_no_text(rp, alice, sign_in_as, kind):
    sign_in_as(alice)
    assert rp.callback(claims=f'{{"id_token":{{{JSON_GARBAGE[kind]}:null}}}}')["error"] == "invalid_request"
    assert rp.callback(claims=f"{{{JSON_GARBAGE[kind]}:null}}")["error"] == "invalid_request"


@on_each("kind", JSON_GARBAGE)
def test_attack_144_authorization_details_that_nobody_can_keep(rp, alice, sign_in_as, kind):
    sign_in_as(alice)
    for sent in ('[{"type":"payment","amount":?}]', '[{"type":?}]', "?"):
        told = rp.callback(authorization_details=sent.replace("?", JSON_GARBAGE[kind]))
        assert told["error"] == "invalid_authorization_details"


@on_each("garbage", BYTES)
@on_each("name", PARAMETERS)
def test_attack_144_bytes_that_are_no_text_in_a_query(client, rp, name, garbage):
    for sent in (f"{name}={garbage}", f"{garbage}=x", f"client_id={rp.client.client_id}&{name}=a{garbage}b"):
        assert client.get(f"/authorize?{sent}").status_code == 400


@on_each("garbage", BYTES)
def test_attack_144_bytes_that_are_no_text_in_a_form(client, rp, garbage):
    for path in ("/authorize", "/token", "/par", "/introspect", "/revoke", "/device_authorization"):
        for sent in (f"grant_type={garbage}", f"state=a{garbage}b&client_id={rp.client.client_id}", f"{garbage}=x"):
            answer = client.post(path, data=sent, content_type="application/x-www-form-urlencoded")
            assert answer.status_code == 400, (path, sent)


@on_each("raw", [b"\xed\xa0\x80", b"\xff", b"\xc0\xaf"])
def test_attack_144_raw_bytes_that_are_no_text_in_a_form(client, raw):
    answer = client.post("/token", data=b"grant_type=" + raw, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400 and answer.get_json()["error"] == "invalid_request"


@on_each("path", ["/login", "/consent", "/authorize/resume", "/end_session", "/device", "/recover/password"])
@on_each("garbage", BYTES)
def test_attack_144_bytes_that_are_no_text_on_the_way_of_a_person(client, path, garbage):
    names = ("flow", "txn", "id_token_hint", "post_logout_redirect_uri", "user_code", "state")
    assert client.get(f"{path}?{'&'.join(f'{name}={garbage}' for name in names)}").status_code < 500


@on_each("kind", JSON_GARBAGE)
def test_attack_19_a_request_object_that_nobody_can_keep(make_rp, alice, sign_in_as, kind):
    sign_in_as(alice)
    rp = make_rp(jwks=jwks(key()))
    inside = rp.params() | {"iss": rp.client.client_id, "aud": ISSUER, "exp": clock.epoch() + 60}
    for name in ("state", "claims", "login_hint", "unknown", "jti", "exp"):
        body = json.dumps(inside | {name: "?"}).replace('"?"', JSON_GARBAGE[kind])
        told = rp.callback(request=signed(body), client_id=rp.client.client_id)
        assert told["error"] == "invalid_request_object", name


@on_each("kind", JSON_GARBAGE)
def test_attack_144_metadata_that_nobody_can_keep(client, kind):
    body = f'{{"redirect_uris":["{REDIRECT_URI}"],"client_name":{JSON_GARBAGE[kind]}}}'
    answer = client.post("/register", data=body, content_type="application/json")
    assert answer.status_code in (400, 401)


def test_attack_144_a_hint_as_long_as_a_book_is_no_hint(rp, client):
    from idp import kv

    assert rp.authorize(login_hint="x" * 5000).status_code == 303
    kept = [kv.client().get(key) for key in kv.client().scan_iter(kv.key("*")) if kv.client().type(key) == "string"]
    assert kept and not any("x" * 400 in text for text in kept)


@on_each(
    "sent", ['{"a":1,"a":1}', "[1e400]", "[9007199254740992]", '["\\udc00"]', "[NaN]", "[" * 99999, "", "{", b"\xff"]
)
def test_strict_json_reads_what_everybody_reads_alike_and_nothing_else(sent):
    with pytest.raises(ValueError):
        strict_json.loads(sent)


def test_strict_json_reads_json():
    assert strict_json.loads('{"a":[1,-9007199254740991,1.5,"\\ud83d\\ude00",null,true]}')["a"][3] == "😀"
    assert strict_json.loads("[[1]]", max_depth=2) == [[1]]
    with pytest.raises(ValueError):
        strict_json.loads("[[1]]", max_depth=1)
