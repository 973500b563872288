"""authorization_details (RFC 9396): accepted, shown, kept, told back; refused where it cannot be meant."""

from __future__ import annotations

import json

import pytest

from idp import clock, config
from idp.clients import InvalidMetadata
from tests.conftest import CLAIMS_API, ISSUER, PATIENTS_API
from tests.oauth.conftest import REDIRECT_URI, SEALING_KEY, answer_in, basic, claims_of, csrf_in
from tests.oauth.signing import jwks, key, sign

RELEASE = {"type": "payment_release", "claim": "CLM-20428", "amount": {"currency": "USD", "cents": 12950}}


@pytest.fixture
def setup():
    return {
        "secrets": {"sealing_keys": (SEALING_KEY,)},
        "resources": (
            config.Resource(
                identifier=CLAIMS_API,
                name="Claims",
                scopes={"claims.read": "See claims"},
                authorization_details={"payment_release": "Release one payment", "payment_stop": "Stop one payment"},
            ),
            config.Resource(
                identifier=PATIENTS_API,
                name="Patients",
                scopes={"patients.read": "See patients"},
                authorization_details={"chart_access": "Open one chart"},
            ),
        ),
    }


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def rp(make_rp):
    return make_rp(authorization_details_types=["payment_release", "chart_access"])


@pytest.fixture
def partner(make_rp):
    return make_rp(client_name="Partner", first_party=False, authorization_details_types=["payment_release"])


def asked(*details, **changes):
    return {"authorization_details": json.dumps(details), "scope": "openid claims.read"} | changes


def test_rfc9470_a_step_up_tells_the_person_what_it_is_about_and_is_in_the_audit(
    rp, signed_in, client, travel, audit_trail
):
    travel(301)
    shown = client.get(rp.authorize(**asked(RELEASE), max_age="300").headers["Location"]).text
    assert "Why am I asked again" in shown and "Release one payment" in shown and "claim: CLM-20428" in shown
    assert "needs a proof of the last 5 minutes" in shown
    assert audit_trail.events().count("step_up.required") == 1
    by_scope = client.get(rp.authorize(scope="openid claims.read", max_age="300").headers["Location"]).text
    assert "See claims" in by_scope and "Release one payment" not in by_scope


def test_rfc9470_somebody_who_is_not_signed_in_is_no_step_up(rp, client, audit_trail):
    shown = client.get(rp.authorize(**asked(RELEASE), max_age="300").headers["Location"]).text
    assert "Why am I asked again" not in shown and "CLM-20428" not in shown
    assert "step_up.required" not in audit_trail


def test_rfc9396_7_told_in_the_answer_and_in_the_access_token(rp, signed_in):
    answer = rp.sign_in(**asked(RELEASE))
    assert answer.authorization_details == [RELEASE]
    assert claims_of(answer.access_token)["authorization_details"] == [RELEASE]
    assert claims_of(answer.access_token)["aud"] == CLAIMS_API
    assert "authorization_details" not in claims_of(answer.id_token)
    assert rp.introspect(answer.access_token).get_json()["authorization_details"] == [RELEASE]  # section 9.2


def test_rfc9396_9_only_the_resource_that_owns_the_type_learns_of_it(rp, signed_in):
    answer = rp.redeem(rp.code(**asked(RELEASE)), resource="http://localhost/userinfo")
    assert "authorization_details" not in claims_of(answer.access_token) and answer.authorization_details is None


def test_rfc9396_3_2_the_type_chooses_the_resource_where_no_scope_does(rp, signed_in):
    answer = rp.sign_in(**asked(RELEASE, scope="openid"))
    assert claims_of(answer.access_token)["aud"] == CLAIMS_API


def test_rfc9396_6_refresh_keeps_and_may_narrow_them(rp, signed_in):
    second = RELEASE | {"claim": "CLM-20414"}
    first = rp.sign_in(**asked(RELEASE, second))
    again = rp.refresh(first.refresh_token)
    assert again.authorization_details == [RELEASE, second]
    less = rp.refresh(again.refresh_token, authorization_details=json.dumps([second]))
    assert less.authorization_details == [second]
    more = rp.refresh(less.refresh_token, authorization_details=json.dumps([RELEASE | {"claim": "CLM-1"}]))
    assert more.status == 400 and more.error == "invalid_authorization_details"
    assert rp.refresh(less.refresh_token).authorization_details == [RELEASE, second]  # the refusal burnt nothing


def test_rfc9396_without_them_nothing_is_said(rp, signed_in):
    answer = rp.sign_in(scope="openid claims.read")
    assert "authorization_details" not in answer.response.get_json()
    assert "authorization_details" not in claims_of(answer.access_token)


def test_rfc9396_4_the_person_sees_exactly_what_is_asked_every_time(partner, client, signed_in):
    tricky = RELEASE | {"note": "<b>bold</b>"}
    for _ in range(2):  # a yes to one payment is not a yes to the next
        page = client.get(partner.authorize(**asked(tricky)).location)
        text = page.get_data(as_text=True)
        assert "Release one payment" in text and "CLM-20428" in text and "USD" in text and "12950" in text
        assert "<b>bold" not in text and "&lt;b&gt;bold" in text  # attack 14
        location = client.post(
            page.request.path + "?" + page.request.query_string.decode(),
            data={"csrf": csrf_in(page), "decision": "allow"},
        )
        answer = partner.redeem(answer_in(location, REDIRECT_URI)["code"])
        assert answer.authorization_details == [tricky]
    assert partner.callback(prompt="none", **asked(RELEASE))["error"] == "consent_required"


@pytest.mark.parametrize(
    "sent",
    [
        "x",
        "{}",
        "[]",
        '"payment_release"',
        "[1]",
        "[[]]",
        "[{}]",
        '[{"type": 1}]',
        '[{"type": "unheard_of"}]',
        '[{"type": "payment_stop"}]',  # known, and not registered by this client
        '[{"type": "chart_access"}]',  # registered, but its resource is not the client's
        '[{"type": "payment_release", "type": "payment_release"}]',
        '[{"type": "payment_release", "locations": ["https://elsewhere.example.org"]}]',
        '[{"type": "payment_release", "x": NaN}]',
        "[" + ",".join(['{"type": "payment_release"}'] * 11) + "]",
        '[{"type": "payment_release", "x": "' + "y" * 5000 + '"}]',
        '[{"type": "payment_release", "x": ' + "[" * 9 + "]" * 9 + "}]",
        "[" * 3000,
    ],
)
def test_rfc9396_5_what_cannot_be_meant_is_refused(rp, signed_in, sent):
    told = rp.callback(authorization_details=sent, scope="openid claims.read")
    assert told["error"] == "invalid_authorization_details" and told["state"] == "state-1"


def test_rfc9396_6_1_machines_have_nobody_to_ask(make_rp):
    machine = make_rp(grant_types=["client_credentials"], redirect_uris=[], scope="claims.read")
    answer = machine.token(grant_type="client_credentials", authorization_details=json.dumps([RELEASE]))
    assert answer.status == 400 and answer.error == "invalid_authorization_details"


def test_rfc9396_10_discovery_names_the_types(client, app):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["authorization_details_types_supported"] == ["payment_release", "payment_stop", "chart_access"]


def test_rfc9396_10_a_client_names_its_types(make_rp):
    assert make_rp(authorization_details_types=["payment_release"]).client.authorization_details_types
    with pytest.raises(InvalidMetadata):
        make_rp(authorization_details_types=["a", "a"])


# --- other ways in ------------------------------------------------------------------------------------------------


def test_rfc9396_2_pushed_to_par(rp, client, signed_in):
    headers = {"Authorization": basic(rp.client.client_id, rp.raw_secret)}
    pushed = client.post("/par", data=rp.params(**asked(RELEASE)), headers=headers).get_json()
    back = client.get(
        "/authorize", query_string={"client_id": rp.client.client_id, "request_uri": pushed["request_uri"]}
    )
    assert rp.redeem(answer_in(back)["code"]).authorization_details == [RELEASE]


def test_rfc9396_5_par_refuses_at_once(rp, client, signed_in):
    headers = {"Authorization": basic(rp.client.client_id, rp.raw_secret)}
    told = client.post("/par", data=rp.params(**asked({"type": "unheard_of"})), headers=headers)
    assert told.status_code == 400 and told.get_json()["error"] == "invalid_authorization_details"


def test_rfc9396_3_as_json_inside_a_request_object(make_rp, client, signed_in):
    signer = key()
    rp = make_rp(authorization_details_types=["payment_release"], jwks=jwks(signer))
    inside = rp.params(scope="openid claims.read", authorization_details=[RELEASE]) | {
        "iss": rp.client.client_id,
        "aud": ISSUER,
        "exp": clock.epoch() + 60,
        "claims": {"id_token": {"email": None}},
    }
    sent = {
        "client_id": rp.client.client_id,
        "response_type": "code",
        "scope": "openid",
        "request": sign(inside, signer),
    }
    answer = rp.redeem(answer_in(client.get("/authorize", query_string=sent))["code"])
    assert answer.authorization_details == [RELEASE]
    assert claims_of(answer.id_token)["email"] == "alice@example.org"
