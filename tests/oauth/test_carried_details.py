"""authorization_details (RFC 9396) in the device grant and in token exchange."""

from __future__ import annotations

import json

import pytest

from tests.conftest import CLAIMS_API, PATIENTS_API
from tests.oauth.conftest import claims_of
from tests.oauth.test_authorization_details import RELEASE, asked, setup
from tests.oauth.test_device import GRANT as DEVICE
from tests.oauth.test_device import decide, poll, question, start
from tests.oauth.test_token_exchange import GRANT as EXCHANGE
from tests.oauth.test_token_exchange import exchange

__all__ = ["setup"]
STOP = {"type": "payment_stop", "claim": "CLM-20428"}
CHART = {"type": "chart_access", "patient": "P-1"}


@pytest.fixture
def session(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def tv(make_rp, session):
    return make_rp(
        client_name="Ward screen", token_endpoint_auth_method="none", grant_types=[DEVICE, "refresh_token"],
        redirect_uris=[], post_logout_redirect_uris=[], scope="openid claims.read", first_party=False,
        authorization_details_types=["payment_release", "payment_stop"],
    )  # fmt: skip


# --- devices ----------------------------------------------------------------------------------------------------------


def test_rfc9396_3_a_device_asks_for_one_precise_thing_and_the_person_sees_it(tv, client):
    started = start(tv, **asked(RELEASE))
    assert started.status == 200, started.error_description
    _, page = question(client, started.user_code)
    shown = page.get_data(as_text=True)
    assert "Release one payment" in shown and "CLM-20428" in shown and "12950" in shown


def test_rfc9396_7_the_device_is_told_and_the_token_carries_it(tv, client):
    started = start(tv, **asked(RELEASE))
    decide(client, started.user_code)
    answer = poll(tv, started)
    assert answer.authorization_details == [RELEASE]
    said = claims_of(answer.access_token)
    assert said["authorization_details"] == [RELEASE] and said["aud"] == CLAIMS_API


def test_rfc9396_6_1_the_device_may_take_less_and_not_more(tv, client):
    started = start(tv, **asked(RELEASE, STOP))
    decide(client, started.user_code)
    more = poll(tv, started, authorization_details=json.dumps([CHART]))
    assert more.error == "invalid_authorization_details"
    less = poll(tv, started, authorization_details=json.dumps([STOP]))
    assert less.status == 200 and less.authorization_details == [STOP]  # the refused poll had not spent the code


@pytest.mark.parametrize(
    "sent", ["x", "{}", "[]", '[{"type": "unknown"}]', '[{"type": "chart_access"}]', json.dumps([RELEASE] * 11)]
)
def test_rfc9396_5_what_a_device_cannot_ask_for(tv, sent):
    answer = start(tv, scope="openid claims.read", authorization_details=sent)
    assert (answer.status, answer.error) == (400, "invalid_authorization_details")


# --- exchange ---------------------------------------------------------------------------------------------------------

TO_PATIENTS = {"resource": PATIENTS_API, "mode": "impersonation", "scopes": ["patients.read"]}
TO_CLAIMS = {"resource": CLAIMS_API, "mode": "impersonation", "scopes": ["claims.read"]}
TYPES = ["payment_release", "payment_stop", "chart_access"]


@pytest.fixture
def rp(make_rp, session):
    both = {"scope": "openid claims.read patients.read", "resources": [CLAIMS_API, PATIENTS_API]}
    return make_rp(**both, authorization_details_types=TYPES)


@pytest.fixture
def make_service(make_rp):
    def make(*policies, types=TYPES):
        return make_rp(
            client_name="Claims API", redirect_uris=[], post_logout_redirect_uris=[], scope="", resources=[],
            grant_types=[EXCHANGE], serves=[CLAIMS_API], token_exchange=list(policies),
            authorization_details_types=types,
        )  # fmt: skip

    return make


@pytest.fixture
def token(rp):
    """For the claims service; the person agreed to a payment there and to a chart at the patients service."""
    wanted = asked(RELEASE, STOP, CHART, scope="openid claims.read patients.read", resource=[CLAIMS_API, PATIENTS_API])
    code = rp.code(**wanted)
    answer = rp.redeem(code, resource=CLAIMS_API)
    assert claims_of(answer.access_token)["authorization_details"] == [RELEASE, STOP]
    return answer.access_token


def test_rfc9396_7_the_new_token_carries_what_was_agreed_to_for_its_resource(make_service, token):
    answer = exchange(make_service(TO_PATIENTS), token)
    assert answer.authorization_details == [CHART]
    assert claims_of(answer.access_token)["authorization_details"] == [CHART]


def test_rfc9396_10_a_service_without_the_type_gets_none(make_service, token):
    answer = exchange(make_service(TO_PATIENTS, types=["payment_release"]), token)
    assert answer.status == 200 and answer.authorization_details is None
    assert "authorization_details" not in claims_of(answer.access_token)


def test_rfc9396_6_1_at_the_same_service_details_may_shrink_and_never_grow(make_service, rp, token):
    service = make_service(TO_CLAIMS)
    less = exchange(service, token, resource=CLAIMS_API, authorization_details=json.dumps([STOP]))
    assert less.authorization_details == [STOP]
    again = exchange(service, less.access_token, resource=CLAIMS_API)
    assert again.authorization_details == [STOP]  # what was given up does not come back
    more = exchange(service, less.access_token, resource=CLAIMS_API, authorization_details=json.dumps([RELEASE]))
    assert more.error == "invalid_authorization_details"


def test_rfc9396_5_details_that_nobody_agreed_to_are_refused(make_service, token):
    other = [CHART | {"patient": "P-2"}]
    answer = exchange(make_service(TO_PATIENTS), token, authorization_details=json.dumps(other))
    assert (answer.status, answer.error) == (400, "invalid_authorization_details")
