"""The protected resource: RFC 9068 access tokens and nothing else, refused in words (RFC 6750)."""

from __future__ import annotations

import base64
import hashlib
import json
import time

import httpx
import pytest
from joserfc import jwk, jws

from idp.demo.bearer import ProtectedResource, Refusal
from idp.demo.wire import Provider
from tests.demo.standin import PLAIN, ec_key


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def refused(answer: httpx.Response, reason: str, status: int = 401, error: str = "invalid_token") -> None:
    assert answer.status_code == status
    assert answer.json()["reason"] == reason
    assert answer.json()["error"] == error
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert f'error="{error}"' in answer.headers["WWW-Authenticate"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_proper_access_token_opens_the_api(world):
    answer = world.api(world.token())
    assert answer.status_code == 200
    assert len(answer.json()["claims"]) == 15
    one = world.api(
        world.token(aud=["https://other.example.com", world.claims_resource]),
        f"{world.claims_resource}/claims/CLM-20431",
    )
    assert one.json()["amount"] == {"cents": 18400, "currency": "USD"}


def test_rfc9068_4_a_token_for_the_neighbour_is_refused_for_its_audience(world):
    answer = world.api(world.token(), f"{world.patients_resource}/patients")
    refused(answer, "aud")
    assert world.claims_resource in answer.json()["error_description"]


@pytest.mark.parametrize("typ", ["JWT", None, "logout+jwt", "secevent+jwt", "at", ""])
def test_rfc9068_4_an_id_token_is_no_access_token(world, typ):
    refused(world.api(world.token(typ=typ)), "typ")


def test_the_type_is_named_even_when_the_audience_is_wrong_too(world):
    refused(world.api(world.token(typ="JWT", aud="claims")), "typ")


def test_typ_is_a_media_type_and_has_no_case(world):
    assert world.api(world.token(typ="application/AT+jwt")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.example.com"}, "iss"),
        ({"aud": None}, "aud"),
        ({"aud": [["nested"]]}, "aud"),
        ({"aud": "claims-service"}, "aud"),
        ({"sub": None}, "malformed"),
        ({"client_id": None}, "malformed"),
        ({"exp": 1_000_000_300, "iat": 1_000_000_000}, "expired"),
        ({"exp": None}, "malformed"),
        ({"exp": "99999999999"}, "malformed"),
        ({"exp": 1.5e9}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": 10**30}, "malformed"),
        ({"exp": -1}, "malformed"),
        ({"exp": 5_000_000_000}, "malformed"),
        ({"iat": None}, "malformed"),
    ],
)
def test_7d_49_50_claims_that_do_not_fit(world, changes, reason):
    refused(world.api(world.token(**changes)), reason)


def test_7d_49_the_future_is_not_valid_yet(world):
    later = int(time.time()) + 120
    refused(world.api(world.token(nbf=later)), "not_yet_valid")
    refused(world.api(world.token(iat=later, exp=later + 60)), "not_yet_valid")


def test_7d_46_alg_none_is_refused_in_every_spelling(world):
    claims = part(world.provider.access_claims(world.claims_resource, "claims.read"))
    for alg in ("none", "None", "nOnE", "NONE", "", None, "HS256"):
        raw = f"{part({'alg': alg, 'typ': 'at+jwt', 'kid': 'k1'})}.{claims}."
        refused(world.api(raw), "alg")


def test_7d_46_an_empty_or_foreign_signature_is_refused(world):
    good = world.token()
    head, _, signature = good.rpartition(".")
    refused(world.api(head + "."), "signature")
    refused(world.api(f"{head}.{'A' * len(signature)}"), "signature")
    refused(world.api(f"{head}.{signature}=extra"), "signature")


def test_7d_47_the_public_key_is_no_shared_secret(world):
    public = world.provider.key.as_pem(private=False)
    claims = json.dumps(world.provider.access_claims(world.claims_resource, "claims.read")).encode()
    forged = jws.serialize_compact(
        {"alg": "HS256", "typ": "at+jwt", "kid": "k1"},
        claims,
        jwk.OctKey.import_key(base64.b64encode(public)),
        algorithms=["HS256"],
    )
    refused(world.api(forged), "alg")


def test_a_token_of_another_key_with_our_kid_is_refused(world):
    claims = world.provider.access_claims(world.claims_resource, "claims.read")
    refused(world.api(world.provider.sign(claims, typ="at+jwt", key=ec_key("k1"))), "signature")


def test_a_key_that_the_token_brings_along_is_ignored(world):
    own = ec_key("k9")
    claims = world.provider.access_claims(world.claims_resource, "claims.read")
    forged = world.provider.sign(claims, typ="at+jwt", key=own, jwk=own.as_dict(private=False))
    refused(world.api(forged), "key")


def test_7d_50_crit_and_b64_are_refused(world):
    claims = part(world.provider.access_claims(world.claims_resource, "claims.read"))
    for header in ({"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"b64": True}):
        raw = f"{part({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 'k1', **header})}.{claims}.AAAA"
        refused(world.api(raw), "crit")


@pytest.mark.parametrize(
    "payload",
    [b'{"iss":"a","iss":"b"}', b'{"exp":NaN}', b"[]", b"null", b"\xff", b"{", b"[" * 5000],
)
def test_7d_50_json_that_is_not_plain_is_refused(world, payload):
    refused(world.api(f"{part({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 'k1'})}.{part(payload)}.AAAA"), "malformed")


@pytest.mark.parametrize("raw", ["x", "a.b", "a.b.c", "a.b.c.d.e", "." * 2, "é.é.é", "A" * 20_000])
def test_what_is_no_jwt_is_refused(world, raw):
    answer = PLAIN.get(f"{world.claims_resource}/claims", headers={"Authorization": f"Bearer {raw}".encode()})
    refused(answer, "malformed")


def test_rfc6750_3_without_a_token_there_is_a_challenge_and_no_error_code(world):
    answer = world.api(None)
    assert answer.status_code == 401
    assert "error=" not in answer.headers["WWW-Authenticate"]
    assert "/.well-known/oauth-protected-resource" in answer.headers["WWW-Authenticate"]
    assert answer.json()["reason"] == "missing"


def test_another_scheme_is_refused(world):
    answer = PLAIN.get(f"{world.claims_resource}/claims", auth=("user", "password"))
    refused(answer, "missing")


def test_rfc6750_2_3_a_token_in_the_url_is_refused(world):
    answer = PLAIN.get(f"{world.claims_resource}/claims", params={"access_token": world.token()})
    refused(answer, "query", 400, "invalid_request")


def test_rfc6750_3_1_a_missing_scope_is_403_and_named(world):
    answer = world.api(world.token(scope="openid patients.read claims.readonly"))
    refused(answer, "scope", 403, "insufficient_scope")
    assert answer.json()["scope"] == "claims.read"
    assert 'scope="claims.read"' in answer.headers["WWW-Authenticate"]


def test_rfc9470_3_an_old_sign_in_is_not_enough_to_release_a_payment(world):
    url = f"{world.claims_resource}/claims/CLM-20428/release"
    refused(world.api(world.token(), url, "POST"), "scope", 403, "insufficient_scope")
    stale = world.token(scope="claims.release", auth_time=int(time.time()) - 3600)
    answer = world.api(stale, url, "POST")
    refused(answer, "auth_time", 401, "insufficient_user_authentication")
    assert 'max_age="300"' in answer.headers["WWW-Authenticate"]
    assert 'acr_values="urn:idp:acr:2fa urn:idp:acr:phr"' in answer.headers["WWW-Authenticate"]
    weak = world.api(world.token(scope="claims.release", acr="urn:idp:acr:1fa"), url, "POST")
    refused(weak, "acr", 401, "insufficient_user_authentication")
    refused(
        world.api(world.token(scope="claims.release", auth_time=None), url, "POST"),
        "auth_time",
        401,
        "insufficient_user_authentication",
    )
    payment = {"type": "payment_release", "claim": "CLM-20428", "amount": "129.50 USD"}
    good = world.token(scope="claims.release", authorization_details=[payment])
    assert world.api(good, url, "POST").json()["status"] == "paid"
    assert world.api(good, url, "POST").status_code == 409, "once"


@pytest.mark.parametrize(
    "agreed",
    [
        None,
        [],
        "payment_release",
        [{"type": "payment_release", "claim": "CLM-20414", "amount": "129.50 USD"}],
        [{"type": "payment_release", "claim": "CLM-20428", "amount": "1.00 USD"}],
        [{"type": "payment_look", "claim": "CLM-20428", "amount": "129.50 USD"}],
    ],
)
def test_rfc9396_a_token_releases_the_payment_that_was_agreed_to_and_no_other(world, agreed):
    token = world.token(scope="claims.release", authorization_details=agreed)
    answer = world.api(token, f"{world.claims_resource}/claims/CLM-20428/release", "POST")
    refused(answer, "authorization_details", 403, "insufficient_scope")


def test_a_rotated_key_is_fetched_when_it_is_first_seen(world):
    assert world.api(world.token()).status_code == 200
    old = world.token()
    world.provider.key = ec_key("k2")
    world.provider.published.append(world.provider.key.as_dict(private=False))
    refused(world.api(world.token()), "key")  # too soon after the last fetch
    world.claims_provider._refetch_s = 0.0
    assert world.api(world.token()).status_code == 200
    assert world.api(old).status_code == 200


def test_unknown_kids_cost_the_provider_one_request_in_a_while(world):
    assert world.api(world.token()).status_code == 200
    world.provider.requests.clear()
    world.provider.key = ec_key("unknown")
    for _ in range(20):
        refused(world.api(world.token()), "key")
    assert world.provider.requests.count("/jwks") <= 1


def test_a_symmetric_or_broken_key_in_the_key_set_is_never_used(world):
    secret = base64.urlsafe_b64encode(b"x" * 32).decode()
    world.provider.published[:0] = [
        {"kty": "oct", "k": secret, "kid": "k1"},
        {"kty": "EC", "kid": "broken"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "point"},
    ]
    assert world.api(world.token()).status_code == 200


def test_rfc9728_the_resource_describes_itself(world):
    document = PLAIN.get(f"{world.claims_url}/.well-known/oauth-protected-resource").json()
    assert document["resource"] == world.claims_resource
    assert document["authorization_servers"] == [world.provider.issuer]
    assert document["scopes_supported"] == ["claims.read", "claims.release"]


def test_unknown_records_are_404_in_json(world):
    answer = world.api(world.token(), f"{world.claims_resource}/claims/CLM-1")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_the_provider_away_is_503_and_not_401(world):
    raw = world.token()
    world.provider.stop()
    answer = world.api(raw)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    world.provider = type("Stopped", (), {"stop": lambda self: None})()


@pytest.mark.parametrize("service", ["claims_url", "patients_url"])
def test_health_needs_no_provider(world, service):
    assert PLAIN.get(f"{getattr(world, service)}/healthz").json()["status"] == "ok"


def test_rfc8705_3_a_bound_token_without_its_certificate_is_refused(world):
    for cnf in ({"x5t#S256": "A" * 43}, {"jkt": "A" * 43}, {}, "x"):
        refused(world.api(world.token(cnf=cnf)), "cnf")


def test_rfc8705_3_a_bound_token_opens_the_api_with_its_certificate(world):
    raw = b"the certificate, as the proxy tells it"
    shown = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
    resource = ProtectedResource(
        Provider(world.provider.issuer), identifier=world.claims_resource, name="Claims", scopes={},
        client_certificate=lambda: raw,
    )  # fmt: skip
    assert resource.check(world.token(cnf={"x5t#S256": shown}), scope="claims.read")
    assert resource.check(world.token(), scope="claims.read")
    for cnf in ({"x5t#S256": shown[::-1]}, {"x5t#S256": shown, "jkt": "A" * 43}):
        with pytest.raises(Refusal) as refusal:
            resource.check(world.token(cnf=cnf), scope="claims.read")
        assert refusal.value.reason == "cnf"
