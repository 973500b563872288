"""Client authentication with assertions: private_key_jwt, client_secret_jwt (RFC 7523, X-1, F-22, F-26, F-27, attacks 33 to 42)."""

from __future__ import annotations

import pytest

from idp import clients, clock, crypto
from idp.clients import InvalidMetadata
from idp.db import committing
from tests.conftest import CLAIMS_API, ISSUER, in_threads
from tests.oauth.conftest import Answer, basic
from tests.oauth.signing import assertion_claims, hmac_signed, jwks, key, proof, publishing, secret_key, sign

MACHINE = {
    "client_name": "Batch",
    "grant_types": ["client_credentials"],
    "redirect_uris": [],
    "scope": "claims.read",
    "resources": [CLAIMS_API],
}


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def machine(make_rp):
    """A machine that proves itself with a P-256 key."""
    return make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks=jwks(key()))


@pytest.fixture
def ask(client):
    """Ask for a token with an assertion."""

    def send(raw_assertion, **form):
        return Answer(client.post("/token", data={"grant_type": "client_credentials", **proof(raw_assertion), **form}))

    return send


def assertion(rp, *, by=None, header=None, **changes) -> str:
    return sign(assertion_claims(rp.client.client_id, **changes), by or key(), **(header or {}))


def rejected(answer) -> bool:
    return answer.status == 401 and answer.error == "invalid_client" and answer.access_token is None


# --- private_key_jwt ----------------------------------------------------------------------------------------------


def test_rfc7523_2_2_a_client_proves_itself_with_its_key(machine, ask):
    assert machine.raw_secret is None
    assert ask(assertion(machine)).status == 200
    assert ask(assertion(machine), client_id=machine.client.client_id).status == 200


@pytest.mark.parametrize(
    ("kind", "alg"),
    [
        ("P-256", "ES256"),
        ("P-384", "ES384"),
        ("2048", "RS256"),
        ("2048", "RS384"),
        ("2048", "PS256"),
        ("Ed25519", "EdDSA"),
    ],
)
def test_x2_every_advertised_algorithm_works(make_rp, ask, client, kind, alg):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert alg in document["token_endpoint_auth_signing_alg_values_supported"]
    rp = make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks=jwks(key(kind)))
    assert ask(assertion(rp, by=key(kind), header={"alg": alg})).status == 200


def test_x2_a_client_that_registered_one_algorithm_has_no_other(make_rp, ask):
    one = {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "PS256"}
    rp = make_rp(**MACHINE, **one, jwks=jwks(key("2048")))
    assert rejected(ask(assertion(rp, by=key("2048"), header={"alg": "RS256"})))
    assert ask(assertion(rp, by=key("2048"), header={"alg": "PS256"})).status == 200


@pytest.mark.parametrize("endpoint", ["/introspect", "/revoke", "/par"])
def test_rfc7523_it_works_wherever_a_client_authenticates(machine, client, endpoint):
    good = client.post(endpoint, data={"token": "x", **proof(assertion(machine))})
    bad = client.post(endpoint, data={"token": "x", **proof(assertion(machine, by=key(name="other")))})
    assert good.status_code != 401 and bad.status_code == 401


@pytest.mark.parametrize(
    "typ", [None, "JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"]
)
def test_f22_the_new_typ_is_accepted_and_not_demanded(machine, ask, typ):
    assert ask(assertion(machine, header={"typ": typ})).status == 200


@pytest.mark.parametrize("typ", ["oauth-authz-req+jwt", "at+jwt", "logout+jwt", "dpop+jwt"])
def test_rfc8725_3_11_what_says_that_it_is_something_else_is_no_assertion(machine, ask, typ):
    assert rejected(ask(assertion(machine, header={"typ": typ})))


# --- the audience (X-1) -------------------------------------------------------------------------------------------

TOKEN_URL, PAR_URL = f"{ISSUER}/token", f"{ISSUER}/par"
OIDC_TAKES = [ISSUER, TOKEN_URL, [ISSUER], [TOKEN_URL]]
NOBODY_TAKES = [
    PAR_URL,
    [PAR_URL],
    [ISSUER, "https://evil.example.com"],
    [ISSUER, TOKEN_URL],
    [ISSUER, ISSUER],
    [],
    [[ISSUER]],
    f"{ISSUER}/",
    "https://other.example.org",
    {"iss": ISSUER},
    None,
]


@pytest.mark.parametrize("audience", OIDC_TAKES)
def test_x1_the_profile_oidc_takes_the_issuer_or_the_token_endpoint(machine, ask, audience):
    assert ask(assertion(machine, aud=audience)).status == 200


@pytest.mark.parametrize("audience", NOBODY_TAKES)
def test_x1_attack_34_trap_5_any_other_audience_is_refused(machine, ask, audience):
    assert rejected(ask(assertion(machine, aud=audience)))


@pytest.mark.parametrize("profile", ["oidc", "legacy", "smart", "fapi2"])
def test_x1_f26_the_table_decides_for_every_profile(app, profile):
    from idp.clients import profiles
    from idp.jws import BadSignature
    from idp.oauth import assertions

    class Somebody:
        def __init__(self):
            self.profile = profiles.get(profile)

    taken = []
    for audience in [*OIDC_TAKES, *NOBODY_TAKES]:
        try:
            assertions.check_audience({"aud": audience}, Somebody())
        except BadSignature:
            continue
        taken.append(audience)
    expected = {"fapi2": [ISSUER], "smart": [ISSUER, TOKEN_URL]}
    assert taken == expected.get(profile, OIDC_TAKES)


# --- times (F-27, attack 35) --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ahead"), [("iat", 8), ("iat", 10), ("nbf", 8), ("nbf", 10)])
def test_f27_a_clock_that_is_a_little_ahead_is_forgiven(machine, ask, name, ahead):
    assert ask(assertion(machine, **{name: clock.epoch() + ahead})).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"iat": 61},
        {"nbf": 61},
        {"exp": 0},
        {"exp": -1},
        {"exp": -300},
        {"exp": 400},
        {"exp": 86400},
        {"exp": 30 * 365 * 86400},
    ],
)
def test_f27_attack_35_trap_5_times_that_are_refused(machine, ask, wrong):
    assert rejected(ask(assertion(machine, **{name: clock.epoch() + by for name, by in wrong.items()})))


@pytest.mark.parametrize("exp", ["9999999999", 1e300, 1.5, True, -1, 2**70])
def test_attack_50_a_time_is_a_whole_number(machine, ask, exp):
    assert rejected(ask(assertion(machine, exp=exp)))


@pytest.mark.parametrize("name", ["iss", "sub", "jti", "exp", "aud"])
def test_attack_35_nothing_may_be_missing(machine, ask, name):
    assert rejected(ask(assertion(machine, **{name: None})))


def test_attack_35_issuer_and_subject_are_the_client(machine, make_rp, ask):
    other = make_rp(**MACHINE).client.client_id
    assert rejected(ask(assertion(machine, iss=other)))
    assert rejected(ask(assertion(machine, sub=other)))
    assert rejected(ask(assertion(machine, iss=other, sub=other)))


@pytest.mark.parametrize("jti", ["", 7, ["a"], "x" * 513])
def test_rfc7523_3_jti_is_a_text_of_reasonable_length(machine, ask, jti):
    assert rejected(ask(assertion(machine, jti=jti)))


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
    import base64

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
    import json

    from joserfc import jws

    doubled = json.dumps(claims)[:-1] + ', "sub": "somebody"}'
    raw = jws.serialize_compact({"alg": "ES256", "kid": "k1"}, doubled, key(), algorithms=["ES256"])
    assert rejected(ask(raw))


def _crit(machine) -> str:
    import base64
    import json

    raw = assertion(machine)
    header = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", "crit": ["exp"], "exp": 1}).encode()).rstrip(b"=")
    return f"{header.decode()}.{raw.split('.', 1)[1]}"


# --- one way at a time (O-23, attacks 40, 42) ---------------------------------------------------------------------


def test_attack_40_o23_an_assertion_comes_alone(machine, rp, client):
    form = {"grant_type": "client_credentials", **proof(assertion(machine))}
    header = {"Authorization": basic(rp.client.client_id, rp.raw_secret)}
    assert client.post("/token", data=form, headers=header).status_code == 400
    assert client.post("/token", data=form | {"client_secret": "x" * 40}).status_code == 400
    twice = {"client_assertion": [assertion(machine), assertion(machine)]}
    assert client.post("/token", data=form | twice).status_code == 400


def test_rfc7521_4_2_the_type_and_the_client_must_be_right(machine, rp, client):
    form = {"grant_type": "client_credentials", **proof(assertion(machine))}
    for wrong in (
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion_type": ""},
        {"client_assertion": ""},
        {"client_id": rp.client.client_id},
    ):
        answer = client.post("/token", data=form | wrong)
        assert answer.status_code == 400 and answer.get_json()["error"] == "invalid_request"


def test_attack_42_a_client_with_a_key_cannot_come_without_it(machine, client):
    form = {"grant_type": "client_credentials", "client_id": machine.client.client_id}
    assert client.post("/token", data=form).status_code == 401
    assert client.post("/token", data=form | {"client_secret": "x" * 40}).status_code == 401


def test_a_rejected_assertion_is_written_down(machine, ask, audit_trail):
    told = ask(assertion(machine, aud="https://other.example.org"))
    assert "aud must be the issuer" in told.error_description
    assert "client.rejected" in audit_trail


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
    from idp.clients.registry import ClientRow
    from idp.db import db

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
