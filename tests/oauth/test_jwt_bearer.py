"""The JWT bearer grant (RFC 7523 sections 2.1 and 3): whose word is believed, about whom, for what, and how often."""

from __future__ import annotations

import json

import pytest

from idp import clock, crypto, users
from idp.clients import InvalidMetadata
from idp.db import committing, db
from idp.oauth import access_tokens
from tests.conftest import CLAIMS_API, ISSUER, PATIENTS_API, in_threads
from tests.oauth.conftest import SEALING_KEY, Answer, basic, claims_of, header_of
from tests.oauth.signing import jwks, key, publishing, sign

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PARTNER = "https://partner.example.org"
BY_URL = "https://by-url.example.org"
PARTNER_KEY, PARTNER_RSA = key(name="partner"), key("2048", "partner-rsa")

GATEWAY = {
    "client_name": "Gateway",
    "grant_types": [GRANT],
    "redirect_uris": [],
    "post_logout_redirect_uris": [],
    "scope": "claims.read patients.read",
    "resources": [CLAIMS_API, PATIENTS_API],
}


@pytest.fixture(scope="module")
def published():
    with publishing(jwks(PARTNER_KEY)) as site:
        yield site


@pytest.fixture
def setup(tmp_path, published):
    from idp.config import TrustedIssuer

    file = tmp_path / "partner.jwks.json"
    file.write_text(json.dumps(jwks(PARTNER_KEY, PARTNER_RSA)))
    scopes, clients = ("claims.read",), ("gateway",)
    table = [
        TrustedIssuer(issuer=PARTNER, jwks=str(file), clients=clients, subject="email", scopes=scopes),
        TrustedIssuer(issuer=f"{PARTNER}/names", jwks=str(file), clients=clients, subject="username", scopes=scopes),
        TrustedIssuer(issuer=f"{PARTNER}/subs", jwks=str(file), clients=clients, scopes=scopes, algs=("RS256",)),
        TrustedIssuer(issuer=BY_URL, jwks=published.url, clients=clients, subject="email", scopes=("patients.read",)),
        TrustedIssuer(issuer=f"{PARTNER}/gone", jwks=str(tmp_path / "no"), clients=clients, scopes=scopes),
        TrustedIssuer(
            issuer=f"{PARTNER}/wide", jwks=str(file), clients=clients, subject="email",
            scopes=("claims.read", "patients.read", "openid"),
        ),
    ]  # fmt: skip
    return {"secrets": {"sealing_keys": (SEALING_KEY,)}, "trusted_issuers": tuple(table)}


@pytest.fixture
def gateway(app, client):
    return registered(client, "gateway")


def registered(http, client_id, **changes):
    from idp import clients
    from tests.oauth.conftest import RelyingParty

    with committing():
        made, raw_secret = clients.create(GATEWAY | changes, client_id=client_id)
    return RelyingParty(http, made, raw_secret)


def assertion(*, by=PARTNER_KEY, header=None, **changes):
    now = clock.epoch()
    good = {
        "iss": PARTNER,
        "sub": "alice@example.org",
        "aud": ISSUER,
        "jti": crypto.random_token(16),
        "iat": now,
        "exp": now + 120,
    }
    claims = {name: value for name, value in (good | changes).items() if value is not None}
    return sign(claims, by, **(header or {}))


def ask(rp, raw=None, **form):
    return rp.token(**({"grant_type": GRANT, "assertion": raw or assertion()} | form))


def refused(answer, *, error="invalid_grant"):
    """RFC 7521 section 4.1.1: 400 and a code; never 401, for the client itself is who it says."""
    return (answer.status, answer.error, answer.access_token) == (400, error, None)


# --- what is had ------------------------------------------------------------------------------------------------------


def test_rfc7523_2_1_a_trusted_issuer_vouches_for_a_person(gateway, alice):
    answer = ask(gateway)
    assert answer.status == 200, answer.response.get_data(as_text=True)
    assert answer.response.headers["Cache-Control"] == "no-store"
    assert answer.refresh_token is None and answer.id_token is None
    assert (answer.token_type, answer.scope) == ("Bearer", "claims.read")
    said = claims_of(answer.access_token)
    assert header_of(answer.access_token)["typ"] == "at+jwt"
    assert (said["sub"], said["aud"], said["client_id"]) == (alice.sub, CLAIMS_API, "gateway")
    assert said["exp"] - said["iat"] == 600


def test_nobody_may_read_a_sign_in_into_the_token(gateway, alice):
    """The person did nothing here: a service that wants acr or auth_time must send them to /authorize (RFC 9470)."""
    assert not {"acr", "amr", "auth_time", "sid"} & claims_of(ask(gateway).access_token).keys()


def test_the_audit_names_issuer_jti_and_person(gateway, alice):
    ask(gateway, assertion(jti="one-of-theirs"))
    row = db.session.execute(
        db.text("SELECT subject, actor, client_id, details FROM audit_events WHERE event = 'assertion.redeemed'")
    ).one()
    assert tuple(row)[:3] == (alice.sub, "gateway", "gateway")
    assert json.loads(row.details)["issuer"] == PARTNER and json.loads(row.details)["jti"] == "one-of-theirs"


def test_the_token_is_one_of_a_person_and_dies_when_they_are_disabled(gateway, alice, make_rp):
    token = ask(gateway).access_token
    claims, family = access_tokens.read(token)
    assert family.sub == alice.sub and claims["jti"].startswith(family.id)
    assert gateway.introspect(token).get_json()["active"] is True
    with committing():
        users.disable(alice.sub, reason="left", actor="cli")
    assert gateway.introspect(token).get_json() == {"active": False}


def test_the_person_may_end_it(gateway, alice):
    """It stands among the applications of the account page, and goes when they withdraw it there."""
    from idp.oauth import consent, reach

    token = ask(gateway).access_token
    (held,) = reach.of(alice.sub, now=clock.now())
    assert (held.client_id, held.scopes) == ("gateway", ("claims.read",))
    with committing():
        consent.revoke(alice.sub, "gateway", actor=alice.sub)
    assert gateway.introspect(token).get_json() == {"active": False}


def test_the_token_opens_no_userinfo(gateway, alice):
    assert gateway.userinfo(ask(gateway).access_token).status_code == 401


# --- who is meant -----------------------------------------------------------------------------------------------------


def test_sub_is_a_verified_address_a_username_or_our_own_subject_as_the_table_says(gateway, alice):
    rsa = {"iss": f"{PARTNER}/subs", "by": PARTNER_RSA, "header": {"alg": "RS256"}}
    assert ask(gateway, assertion(sub="Alice@example.org")).status == 200
    assert ask(gateway, assertion(iss=f"{PARTNER}/names", sub="alice")).status == 200
    for issuer, sub in ((PARTNER, "alice"), (f"{PARTNER}/names", "alice@example.org"), (PARTNER, alice.sub)):
        assert refused(ask(gateway, assertion(iss=issuer, sub=sub)))
    assert ask(gateway, assertion(sub=alice.sub, **rsa)).status == 200
    assert refused(ask(gateway, assertion(sub="alice", **rsa)))


def test_an_address_that_nobody_proved_is_nobodys(gateway, app):
    with committing():
        users.create(username="carol", display_name="Carol", emails=("carol@example.org",))
    assert refused(ask(gateway, assertion(sub="carol@example.org")))
    assert ask(gateway, assertion(iss=f"{PARTNER}/names", sub="carol")).status == 200


def test_attack_119_disabled_and_unknown_people_are_refused_alike(gateway, alice):
    with committing():
        users.disable(alice.sub, reason="left", actor="cli")
    told = [ask(gateway, assertion(sub=sub)) for sub in ("alice@example.org", "nobody@example.org")]
    assert all(refused(answer) for answer in told)
    assert len({answer.error_description.partition(" (")[0] for answer in told}) == 1


@pytest.mark.parametrize("sub", [None, "", 7, "x" * 321, ["alice@example.org"]])
def test_rfc7523_3_sub_is_a_text_of_reasonable_length(gateway, alice, sub):
    assert refused(ask(gateway, assertion(sub=sub)))


# --- who says so ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("issuer", [None, "https://evil.example.com", 7, f"{PARTNER}/", ISSUER])
def test_rfc7523_3_an_issuer_that_nobody_trusts(gateway, alice, issuer):
    assert refused(ask(gateway, assertion(iss=issuer)))


def test_rfc7521_6_2_a_client_that_vouches_for_itself_is_sent_to_client_credentials(gateway, alice):
    for sub in ("gateway", "alice@example.org"):
        answer = ask(gateway, assertion(iss="gateway", sub=sub))
        assert refused(answer) and "client_credentials" in answer.error_description


def test_only_the_applications_of_the_table_bring_its_assertions(gateway, client, alice):
    raw = assertion()
    assert refused(ask(registered(client, "stranger"), raw))
    assert ask(gateway, raw).status == 200  # and nothing was used up


def test_attack_36_a_signature_by_another_key_or_none(gateway, alice):
    assert refused(ask(gateway, assertion(by=key(name="stranger"))))
    assert refused(ask(gateway, assertion(by=key(name="stranger"), header={"kid": "partner"})))
    head, body, _ = assertion().split(".")
    none = crypto.base64url(b'{"alg":"none"}')
    for raw in (f"{head}.{body}.", f"{none}.{body}.", f"{none}.{body}.AAAA", "x", "a.b.c"):
        assert refused(ask(gateway, raw))


def test_x2_the_tables_algorithms_are_the_only_ones(gateway, alice):
    answer = ask(gateway, assertion(iss=f"{PARTNER}/subs", sub=alice.sub))
    assert refused(answer) and "alg must be RS256" in answer.error_description


def test_attack_37_a_key_in_the_header_is_never_looked_at(gateway, alice):
    evil = key(name="evil")
    with publishing(jwks(evil)) as site:
        for header in ({"jku": site.url}, {"x5u": site.url}, {"jwk": evil.as_dict(private=False)}, {"x5c": ["AAAA"]}):
            assert refused(ask(gateway, assertion(by=evil, header=header)))
        assert site.calls == 0


def test_keys_that_an_issuer_publishes_are_fetched_and_kept(gateway, alice, published):
    before = published.calls
    for _ in range(3):
        assert ask(gateway, assertion(iss=BY_URL)).status == 200
    assert published.calls == before + 1


def test_keys_that_cannot_be_read_are_a_refusal_and_no_accident(gateway, alice):
    answer = ask(gateway, assertion(iss=f"{PARTNER}/gone"))
    assert refused(answer) and "the file with the keys cannot be used" in answer.error_description


# --- what the assertion must say --------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/token", [ISSUER]])
def test_x1_the_audience_is_ours_as_the_profile_writes_it(gateway, alice, audience):
    assert ask(gateway, assertion(aud=audience)).status == 200


@pytest.mark.parametrize("audience", [None, f"{ISSUER}/", f"{ISSUER}/par", [ISSUER, "https://evil.example.com"], [], 7])
def test_x1_attack_34_any_other_audience_is_refused(gateway, alice, audience):
    assert refused(ask(gateway, assertion(aud=audience)))


@pytest.mark.parametrize(("name", "ahead"), [("iat", 8), ("iat", 10), ("nbf", 8), ("nbf", 10), ("exp", 300)])
def test_f27_a_clock_that_is_a_little_ahead_is_forgiven(gateway, alice, name, ahead):
    assert ask(gateway, assertion(**{name: clock.epoch() + ahead})).status == 200


@pytest.mark.parametrize("wrong", [{"iat": 61}, {"nbf": 61}, {"exp": 0}, {"exp": -300}, {"exp": 400}, {"exp": 86400}])
def test_f27_attack_35_times_that_are_refused(gateway, alice, wrong):
    assert refused(ask(gateway, assertion(**{name: clock.epoch() + by for name, by in wrong.items()})))


@pytest.mark.parametrize(
    "changes", [{"exp": None}, {"exp": "9999999999"}, {"jti": None}, {"jti": ""}, {"jti": "x" * 513}]
)
def test_attack_35_nothing_may_be_missing_or_misshapen(gateway, alice, changes):
    assert refused(ask(gateway, assertion(**changes)))


@pytest.mark.parametrize("typ", [None, "JWT", "authorization-grant+jwt", "application/authorization-grant+jwt"])
def test_rfc7523bis_the_new_typ_is_accepted_and_not_demanded(gateway, alice, typ):
    assert ask(gateway, assertion(header={"typ": typ})).status == 200


@pytest.mark.parametrize("typ", ["client-authentication+jwt", "at+jwt", "logout+jwt", "dpop+jwt"])
def test_rfc8725_3_11_what_says_that_it_is_something_else_is_no_grant(gateway, alice, typ):
    assert refused(ask(gateway, assertion(header={"typ": typ})))


# --- once (attack 33) -------------------------------------------------------------------------------------------------


def test_attack_33_an_assertion_is_good_once(gateway, alice):
    raw = assertion(exp=clock.epoch() + 300)
    assert ask(gateway, raw).status == 200
    answer = ask(gateway, raw)
    assert refused(answer) and "jti was used before" in answer.error_description
    with clock.travel(280):
        assert refused(ask(gateway, raw))


def test_attack_33_a_refused_request_burns_nothing(gateway, alice):
    raw = assertion()
    assert refused(ask(gateway, raw, scope="patients.read"), error="invalid_scope")
    assert refused(ask(gateway, assertion(sub="nobody@example.org", jti="mine")))
    assert ask(gateway, raw).status == 200
    assert ask(gateway, assertion(jti="mine")).status == 200


def test_attack_33_of_twenty_at_once_one_is_served(app, gateway, alice):
    form = {"grant_type": GRANT, "assertion": assertion()}
    headers = {"Authorization": basic("gateway", gateway.raw_secret)}

    def use(_: int) -> int:
        return app.test_client().post("/token", data=form, headers=headers).status_code

    assert sorted(in_threads(20, app, use)) == [200] + [400] * 19


# --- for what ---------------------------------------------------------------------------------------------------------


def test_f8_the_issuer_gives_no_more_than_its_table_says(gateway, alice):
    assert refused(ask(gateway, scope="patients.read"), error="invalid_scope")
    assert refused(ask(gateway, scope="openid"), error="invalid_scope")
    assert refused(ask(gateway, resource=PATIENTS_API), error="invalid_scope")
    wide = f"{PARTNER}/wide"
    assert ask(gateway, assertion(iss=wide), scope="patients.read").scope == "patients.read"
    assert ask(gateway, assertion(iss=wide), resource=PATIENTS_API).scope == "patients.read"
    assert refused(ask(gateway, assertion(iss=wide)), error="invalid_scope")  # two resources, and none named
    assert refused(ask(gateway, assertion(iss=wide), scope="openid"), error="invalid_scope")


def test_f8_the_client_has_no_more_than_it_registered(app, client, alice):
    narrow = registered(client, "gateway", scope="patients.read", resources=[PATIENTS_API])
    assert refused(ask(narrow), error="invalid_scope")


def test_rfc9396_nobody_agreed_to_details(gateway, alice):
    answer = ask(gateway, authorization_details='[{"type": "payment_release"}]')
    assert refused(answer, error="invalid_authorization_details")


# --- the client -------------------------------------------------------------------------------------------------------


def test_an_assertion_without_the_client_is_worth_nothing(gateway, client, alice, rp):
    form = {"grant_type": GRANT, "assertion": assertion()}
    for extra in ({}, {"client_id": "gateway"}, {"client_id": "gateway", "client_secret": "x" * 43}):
        answer = Answer(client.post("/token", data=form | extra))
        assert (answer.status, answer.error) == (401, "invalid_client")
    assert refused(ask(rp), error="unauthorized_client")
    assert refused(ask(gateway, assertion=""), error="invalid_request")


def test_a_public_client_cannot_register_for_it(make_rp):
    with pytest.raises(InvalidMetadata):
        make_rp(**(GATEWAY | {"token_endpoint_auth_method": "none"}))


def test_an_application_cannot_give_it_to_itself(client, app):
    from datetime import timedelta

    from idp.clients import registration_tokens

    with committing():
        _, raw_token = registration_tokens.create(
            label="t", scopes=("openid",), uses=2, expires_at=clock.now() + timedelta(hours=1)
        )
    body = {"redirect_uris": ["https://rp.example.org/cb"], "grant_types": [GRANT]}
    assert client.post("/register", json=body, headers={"Authorization": f"Bearer {raw_token}"}).status_code == 400


def test_discovery_names_the_grant(client):
    assert GRANT in client.get("/.well-known/openid-configuration").get_json()["grant_types_supported"]
