"""Tokens that are good with one certificate only (RFC 8705 sections 3 and 4)."""

from __future__ import annotations

import json

import pytest

from idp.clients import InvalidMetadata
from idp.db import db
from idp.oauth import tokens
from tests.conftest import CLAIMS_API, PATIENTS_API
from tests.oauth.certs import HEADER, issue
from tests.oauth.conftest import SEALING_KEY, claims_of
from tests.oauth.test_device import GRANT as DEVICE
from tests.oauth.test_token_exchange import ACCESS_TOKEN, IMPERSONATION
from tests.oauth.test_token_exchange import GRANT as EXCHANGE

OWN, THIEF = issue("CN=own"), issue("CN=thief")
BOUND = {"tls_client_certificate_bound_access_tokens": True}
PUBLIC = BOUND | {"token_endpoint_auth_method": "none"}


@pytest.fixture
def setup():
    return {
        "secrets": {"sealing_keys": (SEALING_KEY,)},
        "server": {"trusted_proxies": 1},
        "mtls": {"header": HEADER},
        "oauth": {"allow_legacy": True},
    }


@pytest.fixture
def session(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def bound(make_rp, session):
    """A web application with a secret, whose tokens are bound."""
    return make_rp(**BOUND)


@pytest.fixture
def app_without_secret(make_rp, session):
    return make_rp(**PUBLIC)


def redeem(rp, by=OWN):
    return rp.redeem(rp.code(), headers=by.rfc9440)


def test_rfc8705_3_1_the_token_names_the_thumbprint_of_the_certificate(bound):
    answer = redeem(bound)
    assert answer.status == 200, answer.error_description
    assert claims_of(answer.access_token)["cnf"] == {"x5t#S256": OWN.thumbprint}
    assert answer.token_type == "Bearer"
    assert "cnf" not in claims_of(answer.id_token)


def test_rfc8705_3_it_opens_userinfo_with_that_certificate_only(bound, rp):
    token = redeem(bound).access_token
    bearer = {"Authorization": f"Bearer {token}"}
    assert bound.http.get("/userinfo", headers=bearer | OWN.rfc9440).status_code == 200
    for stolen in ({}, THIEF.rfc9440, {HEADER: "nonsense"}):
        answer = bound.http.get("/userinfo", headers=bearer | stolen)
        assert answer.status_code == 401 and 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    free = rp.sign_in().access_token
    assert rp.userinfo(free).status_code == 200  # who did not register for it has plain bearer tokens
    assert "cnf" not in claims_of(free)


def test_rfc8705_3_2_introspection_tells_the_resource_what_to_compare(bound):
    told = bound.introspect(redeem(bound).access_token).get_json()
    assert told["active"] is True and told["cnf"] == {"x5t#S256": OWN.thumbprint}


def test_without_a_certificate_nothing_is_issued_and_nothing_used_up(bound):
    code = bound.code()
    for headers in (None, {HEADER: "nonsense"}):
        answer = bound.redeem(code, headers=headers)
        assert (answer.status, answer.error) == (400, "invalid_request")
        assert "no client certificate arrived" in answer.error_description
    first = bound.redeem(code, headers=OWN.rfc9440)
    assert first.status == 200
    assert bound.refresh(first.refresh_token).error == "invalid_request"
    assert bound.refresh(first.refresh_token, headers=OWN.rfc9440).status == 200


def test_rfc8705_6_3_a_client_with_a_secret_may_renew_its_certificate(bound):
    renewed = bound.refresh(redeem(bound).refresh_token, headers=THIEF.rfc9440)
    assert renewed.status == 200
    assert claims_of(renewed.access_token)["cnf"] == {"x5t#S256": THIEF.thumbprint}


def test_rfc8705_4_the_refresh_token_of_a_public_client_is_bound_too(app_without_secret):
    rp = app_without_secret
    first = redeem(rp)
    assert first.status == 200, first.error_description
    stolen = rp.refresh(first.refresh_token, headers=THIEF.rfc9440)
    assert (stolen.status, stolen.error) == (400, "invalid_grant")
    assert "another client certificate" in stolen.error_description
    second = rp.refresh(first.refresh_token, headers=OWN.rfc9440)  # the thief used nothing up, and revoked nothing
    assert second.status == 200
    assert rp.refresh(second.refresh_token, headers=THIEF.rfc9440).error == "invalid_grant"


def test_rfc8705_4_the_binding_outlives_the_registration(app_without_secret):
    from idp import clients
    from idp.db import committing

    rp = app_without_secret
    first = redeem(rp)
    with committing():
        clients.update(rp.client.client_id, {"tls_client_certificate_bound_access_tokens": False})
    assert rp.refresh(first.refresh_token).error == "invalid_grant"
    assert rp.refresh(first.refresh_token, headers=OWN.rfc9440).status == 200


def test_machines_have_bound_tokens_too(make_rp):
    machine = make_rp(
        **BOUND, grant_types=["client_credentials"], redirect_uris=[], post_logout_redirect_uris=[], scope="claims.read"
    )
    token = machine.token(grant_type="client_credentials", headers=OWN.rfc9440).access_token
    assert claims_of(token)["cnf"] == {"x5t#S256": OWN.thumbprint}


def test_rfc8693_an_exchanged_token_is_bound_to_whom_it_was_issued_to(make_rp, bound):
    service = make_rp(
        **BOUND, client_name="API", redirect_uris=[], post_logout_redirect_uris=[], scope="", resources=[],
        grant_types=[EXCHANGE], serves=[CLAIMS_API], token_exchange=[IMPERSONATION],
    )  # fmt: skip
    subject = bound.redeem(bound.code(scope="openid claims.read"), headers=OWN.rfc9440).access_token
    form = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN}
    answer = service.token(**form, resource=PATIENTS_API, headers=THIEF.rfc9440)
    assert claims_of(answer.access_token)["cnf"] == {"x5t#S256": THIEF.thumbprint}


def test_rfc8705_3_who_trades_a_bound_token_of_its_own_shows_the_certificate(make_rp, session, audit_trail):
    """A thief with the secret and the token, and without the key, would get a fresh token bound to a certificate of their own."""
    trader = make_rp(
        **BOUND,
        grant_types=["authorization_code", EXCHANGE],
        scope="openid claims.read",
        token_exchange=[IMPERSONATION],
    )
    subject = trader.redeem(trader.code(scope="openid claims.read"), headers=OWN.rfc9440).access_token
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "resource": PATIENTS_API,
    }
    assert trader.token(**form, headers=THIEF.rfc9440).error == "invalid_request"
    assert "token.exchanged" not in audit_trail
    assert trader.token(**form, headers=OWN.rfc9440).status == 200


def test_devices_have_bound_tokens_too(make_rp, session, app):
    from idp.oauth import device_codes
    from idp.oauth.resources import Asked

    rp = make_rp(**PUBLIC, grant_types=[DEVICE, "refresh_token"], redirect_uris=[], post_logout_redirect_uris=[])
    started = device_codes.start(rp.client.client_id, Asked(("openid",), ()), address="192.0.2.1")
    family = tokens.open_family(
        session, client_id=rp.client.client_id, granted=Asked(("openid",), ()), claims={}, offline=False
    )
    db.session.commit()
    found = device_codes.find_by_user_code(started.user_code)
    assert device_codes.approve(found, family_id=family.id)
    form = {"grant_type": DEVICE, "device_code": started.raw_device_code}
    assert rp.token(**form).error == "invalid_request"
    answer = rp.token(**form, headers=OWN.rfc9440)
    assert claims_of(answer.access_token)["cnf"] == {"x5t#S256": OWN.thumbprint}
    assert rp.refresh(answer.refresh_token, headers=THIEF.rfc9440).error == "invalid_grant"
    assert rp.refresh(answer.refresh_token, headers=OWN.rfc9440).status == 200


def test_opaque_tokens_are_bound_as_well(make_app, sqlite_url, signing_keys, setup):
    import sqlalchemy as sa

    from idp import clients, config
    from idp.db import committing
    from idp.keys.model import SIGNING_KEYS
    from tests.oauth.conftest import RelyingParty

    resource = config.Resource(
        identifier=CLAIMS_API, name="Claims", scopes={"claims.read": "See"}, token_format="opaque"
    )
    app = make_app(sqlite_url, **setup, resources=(resource,))
    with app.app_context():
        with committing():
            db.session.execute(sa.insert(SIGNING_KEYS), signing_keys)
            made, raw_secret = clients.create(
                {
                    "client_name": "Batch",
                    "grant_types": ["client_credentials"],
                    "scope": "claims.read",
                    "resources": [CLAIMS_API],
                }
                | BOUND
            )
        rp = RelyingParty(app.test_client(), made, raw_secret)
        token = rp.token(grant_type="client_credentials", headers=OWN.rfc9440).access_token
        assert token.startswith("oat_")
        assert rp.introspect(token).get_json()["cnf"] == {"x5t#S256": OWN.thumbprint}


def test_rfc8705_3_no_bound_tokens_through_the_browser(make_rp):
    legacy = {"security_profile": "legacy", "grant_types": ["authorization_code", "implicit"], "scope": "openid"}
    with pytest.raises(InvalidMetadata) as refused:
        make_rp(**BOUND, **legacy, response_types=["code", "code token"])
    assert "tls_client_certificate_bound_access_tokens" in json.dumps(refused.value.fields)
    make_rp(**BOUND, **legacy, response_types=["code", "code id_token"])
