"""Device authorization (RFC 8628): the device, the person, and those who would like to be let in by mistake."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from idp import kv, sessions
from idp.db import db
from idp.oauth import consent, device_codes
from tests.conftest import ISSUER, in_threads
from tests.oauth.conftest import Answer, basic, claims_of, csrf_in

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def tv(make_rp):
    """A public client without a keyboard, of a third party."""
    return make_rp(
        client_name="Ward Screen",
        token_endpoint_auth_method="none",
        grant_types=[GRANT, "refresh_token"],
        redirect_uris=[],
        post_logout_redirect_uris=[],
        first_party=False,
    )


def start(device, **changes):
    """POST /device_authorization as the client registered."""
    form = {"scope": "openid profile"} | changes
    headers = {}
    if device.raw_secret is None:
        form["client_id"] = device.client.client_id
    else:
        headers["Authorization"] = basic(device.client.client_id, device.raw_secret)
    return Answer(device.http.post("/device_authorization", data=form, headers=headers))


def poll(device, started, **changes):
    return device.token(**({"grant_type": GRANT, "device_code": started.device_code} | changes))


def type_in(client, code):
    """Type a code at /device; returns the answer."""
    page = client.get("/device")
    return client.post("/device", data={"csrf": csrf_in(page), "user_code": code})


def question(client, code):
    """Come as far as the confirmation; returns its address and the page."""
    typed = type_in(client, code)
    assert typed.status_code == 303, typed.get_data(as_text=True)
    return typed.location, client.get(typed.location)


def decide(client, code, decision="allow"):
    address, page = question(client, code)
    return client.post(address, data={"csrf": csrf_in(page), "decision": decision})


def test_rfc8628_3_1_to_3_5_a_device_is_let_in(tv, client, alice, sign_in_as, audit_trail):
    started = start(tv)
    assert started.status == 200 and started.response.headers["Cache-Control"] == "no-store"
    assert started.verification_uri == f"{ISSUER}/device" and started.expires_in == 600 and started.interval == 5
    assert poll(tv, started).error == "authorization_pending"
    sign_in_as(alice)
    done = decide(client, started.user_code)
    assert done.status_code == 200 and "Device connected" in done.get_data(as_text=True)
    answer = poll(tv, started)
    assert answer.status == 200, answer.response.get_data(as_text=True)
    assert claims_of(answer.id_token)["sub"] == alice.sub and answer.refresh_token
    assert tv.userinfo(answer.access_token).get_json()["name"] == "Alice Adams"
    assert tv.refresh(answer.refresh_token).status == 200
    for event in ("device.started", "device.approved", "device.redeemed", "consent.granted"):
        assert event in audit_trail
    assert consent.of(alice.sub)[0].client_id == tv.client.client_id


def test_rfc8628_6_1_the_codes_are_unambiguous_and_long_enough(tv, app):
    started = [start(tv) for _ in range(20)]
    for one in started:
        assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", one.user_code)
        assert len(one.device_code) >= 22  # 128 bits of base64url
    assert len({one.user_code for one in started}) == 20
    kept = str([(key, kv.client().type(key)) for key in kv.client().scan_iter(kv.key("device", "*"))])
    assert started[0].device_code not in kept and started[0].user_code.replace("-", "") not in kept


def test_the_code_may_be_typed_in_any_case_with_any_dashes(tv, client, alice, sign_in_as):
    sign_in_as(alice)
    code = start(tv).user_code
    assert type_in(client, f" {code.lower().replace('-', ' ')} ").status_code == 303


def test_rfc8628_3_5_denied_is_told_and_stays_so(tv, client, alice, sign_in_as, audit_trail):
    started = start(tv)
    sign_in_as(alice)
    assert "Nothing was connected" in decide(client, started.user_code, "deny").get_data(as_text=True)
    assert poll(tv, started).error == "access_denied"
    assert poll(tv, started).error == "access_denied"
    assert "device.denied" in audit_trail and "device.approved" not in audit_trail
    assert type_in(client, started.user_code).status_code == 400


def test_rfc8628_3_5_polling_too_early_slows_down_by_five_seconds_each_time(tv, travel):
    started = start(tv)
    assert poll(tv, started).error == "authorization_pending"
    travel(2)
    assert poll(tv, started).error == "slow_down"
    travel(6)  # the interval is 10 s now
    assert poll(tv, started).error == "slow_down"
    travel(15)
    assert poll(tv, started).error == "authorization_pending"
    travel(14)
    assert poll(tv, started).error == "slow_down"


def test_rfc8628_3_5_an_expired_code_is_told_and_cannot_be_approved(tv, client, alice, sign_in_as, travel):
    started = start(tv)
    sign_in_as(alice)
    address, page = question(client, started.user_code)
    travel(601)
    assert poll(tv, started).error == "expired_token"
    late = client.post(address, data={"csrf": csrf_in(page), "decision": "allow"})
    assert late.status_code == 400 and "expired" in late.get_data(as_text=True)
    assert type_in(client, started.user_code).status_code == 400
    assert poll(tv, started).error == "expired_token"


def test_a_device_code_works_once(tv, client, alice, sign_in_as):
    started = start(tv)
    sign_in_as(alice)
    decide(client, started.user_code)
    assert poll(tv, started).status == 200
    assert poll(tv, started).error == "invalid_grant"


def test_race_one_of_twenty_polls_has_the_tokens(tv, app, client, alice, sign_in_as):
    started = start(tv)
    sign_in_as(alice)
    decide(client, started.user_code)
    form = {"grant_type": GRANT, "device_code": started.device_code, "client_id": tv.client.client_id}
    answers = in_threads(20, app, lambda _: app.test_client().post("/token", data=form))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19
    assert {answer.get_json()["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}


def test_race_one_of_twenty_decisions_counts(tv, app, client, alice, sign_in_as):
    started = start(tv)
    grant = device_codes.find_by_user_code(started.user_code)
    won = in_threads(
        20, app, lambda n: device_codes.approve(grant, family_id=f"f{n}") if n % 2 else device_codes.deny(grant)
    )
    assert won.count(True) == 1


def test_race_early_polls_are_all_slowed_down(tv, app):
    started = start(tv)
    told = in_threads(20, app, lambda _: device_codes.poll(started.device_code, client_id=tv.client.client_id))
    assert sorted(told) == ["pending"] + ["slow_down"] * 19


def test_whoever_is_not_signed_in_signs_in_between_code_and_confirmation(tv, client, alice, sign_in_as):
    started = start(tv)
    typed = type_in(client, started.user_code)
    answer = client.get(typed.location)
    assert answer.status_code == 303 and answer.location.startswith("/login?flow=")
    sign_in_as(alice)
    assert "Ward Screen" in client.get(typed.location).get_data(as_text=True)


def test_rfc8628_5_4_the_page_says_who_what_where_and_warns(tv, client, alice, sign_in_as):
    started = start(tv)
    sign_in_as(alice)
    text = question(client, started.user_code)[1].get_data(as_text=True)
    for words in ("Ward Screen", "Alice Adams", "alice", started.user_code, "127.0.0.1", "See your name"):
        assert words in text, words
    assert "Only continue if you started this on a device in front of you." in text
    assert text.index('value="deny"') < text.index('value="allow"')


def test_our_own_application_is_confirmed_too(make_rp, client, alice, sign_in_as):
    """First-party skips consent and never this page (RFC 8628 section 5.4)."""
    ours = make_rp(grant_types=["authorization_code", "refresh_token", GRANT], first_party=True)
    started = start(ours)
    sign_in_as(alice)
    address, page = question(client, started.user_code)
    assert page.status_code == 200 and 'value="deny"' in page.get_data(as_text=True)
    assert poll(ours, started).error == "authorization_pending"
    client.post(address, data={"csrf": csrf_in(page), "decision": "allow"})
    assert poll(ours, started).status == 200


def test_rfc8628_3_3_1_the_complete_address_fills_the_field_and_decides_nothing(tv, client, alice, sign_in_as):
    started = start(tv)
    sign_in_as(alice)
    parts = urlsplit(started.verification_uri_complete)
    assert parse_qs(parts.query) == {"user_code": [started.user_code]}
    page = client.get(f"{parts.path}?{parts.query}").get_data(as_text=True)
    assert f'value="{started.user_code}"' in page and "Only continue" in page
    assert poll(tv, started).error == "authorization_pending"
    odd = client.get("/device?user_code=%22%3E%3Cscript%3E").get_data(as_text=True)
    assert "<script>" not in odd and 'value=""' in odd


def test_another_browser_and_another_person_cannot_decide(tv, app, client, alice, bob, sign_in_as):
    started = start(tv)
    sign_in_as(alice)
    address, page = question(client, started.user_code)
    stranger = app.test_client()
    sign_in_as(bob, browser=stranger)
    theirs = stranger.get("/device")
    assert stranger.post(address, data={"csrf": csrf_in(theirs), "decision": "allow"}).status_code == 400
    sign_in_as(bob)  # on the same browser, after the page was shown to alice
    again = client.post(address, data={"csrf": csrf_in(page), "decision": "allow"})
    assert again.status_code == 303 and again.location == address
    assert poll(tv, started).error == "authorization_pending"


def test_the_forms_are_ours(tv, client, alice, sign_in_as):
    started = start(tv)
    assert client.post("/device", data={"user_code": started.user_code}).status_code == 403
    sign_in_as(alice)
    address, _ = question(client, started.user_code)
    assert client.post(address, data={"decision": "allow"}).status_code == 403
    assert poll(tv, started).error == "authorization_pending"


def test_rfc8628_5_1_guessing_is_limited(tv, client, audit_trail):
    statuses = [type_in(client, "BBBB-BBBB").status_code for _ in range(12)]
    assert statuses == [400] * 10 + [429] * 2
    assert "device.code_rejected" in audit_trail and "limit.exceeded" in audit_trail
    assert type_in(client, start(tv).user_code).status_code == 429


def test_guessing_with_fresh_browsers_is_limited_by_address(tv, app):
    statuses = [type_in(app.test_client(), "BBBB-BBBB").status_code for _ in range(62)]
    assert statuses == [400] * 60 + [429] * 2


def test_only_the_client_itself_may_begin_and_poll(tv, make_rp, audit_trail):
    other = make_rp(grant_types=["authorization_code", "refresh_token", GRANT])
    started = start(tv)
    assert poll(other, started).error == "invalid_grant"
    assert poll(tv, started).error == "authorization_pending"
    wrong = other.http.post(
        "/device_authorization",
        data={"scope": "openid"},
        headers={"Authorization": basic(other.client.client_id, "x" * 40)},
    )
    assert wrong.status_code == 401 and wrong.get_json()["error"] == "invalid_client"
    plain = make_rp()
    assert start(plain).error == "unauthorized_client"
    assert poll(plain, started).error == "unauthorized_client"


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"scope": "patients.read"}, "invalid_scope"), ({"resource": "https://x.example.org"}, "invalid_target")],
)
def test_what_the_client_may_not_have_is_refused_at_once(tv, changes, error):
    assert start(tv, **changes).error == error


def test_unknown_and_missing_codes(tv):
    assert tv.token(grant_type=GRANT).error == "invalid_request"
    assert tv.token(grant_type=GRANT, device_code="x" * 43).error == "invalid_grant"


def test_signing_out_before_the_poll_ends_it(tv, client, alice, sign_in_as):
    started = start(tv)
    session = sign_in_as(alice)
    decide(client, started.user_code)
    sessions.end(session.sid, cause="user")
    db.session.commit()
    assert poll(tv, started).error == "invalid_grant"


def test_discovery_names_the_endpoint(client):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["device_authorization_endpoint"] == f"{ISSUER}/device_authorization"
    assert GRANT in document["grant_types_supported"]


def test_the_least_sign_in_that_the_client_registered_is_owed(make_rp, client, alice, sign_in_as):
    screen = make_rp(grant_types=["authorization_code", "refresh_token", GRANT], default_acr_values=["urn:idp:acr:2fa"])
    sign_in_as(alice, acr="urn:idp:acr:1fa")
    _, answer = question(client, start(screen).user_code)
    assert answer.status_code == 303 and answer.location.startswith("/login")
