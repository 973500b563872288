"""The relying party believes nothing that does not check out."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from idp.demo import relying_app
from tests.demo.standin import PLAIN, TLS, ec_key


def csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found
    return found.group(1)


def test_a_person_is_greeted_by_name_and_sees_claims_from_the_api(world):
    page = world.browser.get(world.claims_url)
    assert page.status_code == 200
    assert str(page.url) == f"{world.claims_url}/dashboard"
    assert "Hello, Amara Quist" in page.text
    assert "CLM-20431" in page.text
    assert "$184.00" in page.text


def test_both_services_take_the_same_sign_in(world):
    world.browser.get(world.claims_url)
    page = world.browser.get(world.patients_url)
    assert "Hello, Amara Quist" in page.text
    assert "Miriam Kessler" in page.text
    visits = world.browser.get(f"{world.patients_url}/patients/PT-1029")
    assert "Wound care, follow-up" in visits.text


def test_rfc7636_the_authorization_request_carries_s256_state_nonce_and_resource(world):
    answer = world.browser.get(f"{world.claims_url}/sign-in", follow_redirects=False)
    assert answer.status_code == 303
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["resource"] == [world.claims_resource]
    assert query["response_type"] == ["code"]
    assert len(query["state"][0]) >= 43
    assert len(query["nonce"][0]) >= 43
    assert query["state"] != query["nonce"]


def test_rfc6749_2_3_1_client_credentials_are_form_encoded_before_base64(world):
    world.browser.get(world.claims_url)
    scheme, _, encoded = world.provider.token_forms[0]["basic"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded).decode() == "claims:s%20e%3Ac%2Fret%25"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"state": "of another browser"}, "state"),
        ({"state": None}, "state"),
        ({"iss": "https://evil.example.com"}, "iss"),
        ({"iss": None}, "iss"),
        ({"code": None}, "neither a code nor an error"),
        ({"code": "not a code"}, "invalid_grant"),
        ({"error": "access_denied"}, "did not give this service access"),
        ({"error": "<script>", "code": None}, "&lt;script&gt;"),
    ],
)
def test_a_doubtful_authorization_response_signs_nobody_in(world, answer, complaint):
    world.provider.answer = answer
    page = world.browser.get(world.claims_url)
    assert page.status_code == 400
    assert complaint in page.text
    world.provider.answer = {}
    assert "Hello" not in page.text
    assert world.browser.get(f"{world.claims_url}/dashboard", follow_redirects=False).status_code == 303


def test_an_answer_works_once_and_only_in_the_browser_that_asked(world):
    world.browser.get(f"{world.claims_url}/sign-in", follow_redirects=False)
    asked = world.browser.get(f"{world.claims_url}/sign-in", follow_redirects=False).headers["Location"]
    callback = PLAIN.get(asked).headers["Location"]
    with httpx.Client(timeout=60, trust_env=False, verify=TLS) as other_browser:
        assert other_browser.get(callback).status_code == 400
    assert world.browser.get(callback, follow_redirects=False).status_code == 303
    assert world.browser.get(callback, follow_redirects=False).status_code == 400


def test_repeated_parameters_are_refused(world):
    asked = world.browser.get(f"{world.claims_url}/sign-in", follow_redirects=False).headers["Location"]
    callback = PLAIN.get(asked).headers["Location"]
    page = world.browser.get(f"{callback}&code=another")
    assert page.status_code == 400
    assert "repeats a parameter" in page.text


@pytest.mark.parametrize(
    ("claims", "complaint"),
    [
        ({"nonce": "of another sign-in"}, "(nonce)"),
        ({"nonce": None}, "(nonce)"),
        ({"iss": "https://evil.example.com"}, "(iss)"),
        ({"aud": "patients"}, "(aud)"),
        ({"aud": ["claims", "patients"]}, "(aud)"),
        ({"azp": "patients"}, "(azp)"),
        ({"sub": None}, "(sub)"),
        ({"exp": 1_000_000_000, "iat": 999_999_900}, "(expired)"),
        ({"exp": "soon"}, "(malformed)"),
        ({"iat": None}, "(malformed)"),
        ({"at_hash": "AAAA"}, "(at_hash)"),
    ],
)
def test_core_3_1_3_7_an_id_token_that_does_not_fit_signs_nobody_in(world, claims, complaint):
    world.provider.id_token = claims
    page = world.browser.get(world.claims_url)
    assert page.status_code == 400
    assert complaint in page.text


def test_core_5_3_2_userinfo_about_somebody_else_signs_nobody_in(world):
    world.provider.userinfo_sub = "somebody else"
    page = world.browser.get(world.claims_url)
    assert page.status_code == 400
    assert "(sub)" in page.text


def test_a_name_in_the_id_token_needs_no_userinfo(world):
    world.provider.id_token = {"name": "Quist, Amara"}
    assert "Hello, Quist, Amara" in world.browser.get(world.claims_url).text
    assert "/userinfo" not in world.provider.requests


def test_an_access_token_is_no_id_token(world):
    world.provider.id_token_typ = "at+jwt"
    page = world.browser.get(world.claims_url)
    assert page.status_code == 400
    assert "(typ)" in page.text


def test_an_id_token_of_an_unpublished_key_signs_nobody_in(world):
    world.provider.key = ec_key("never published")
    page = world.browser.get(world.claims_url)
    assert page.status_code == 400
    assert "(key)" in page.text


def test_discovery_of_another_issuer_is_not_believed(world):
    world.provider.discovery = {"issuer": "https://evil.example.com"}
    page = world.browser.get(world.claims_url)
    assert page.status_code == 503
    assert "another issuer" in page.text


def test_a_sign_in_gives_the_browser_a_new_session_id(world):
    world.browser.get(f"{world.claims_url}/sign-in", follow_redirects=False)
    before = world.browser.cookies["claims_session"]
    world.browser.get(world.claims_url)
    assert world.browser.cookies["claims_session"] != before
    world.browser.cookies.set("claims_session", before, domain="localhost.local", path="/")
    with httpx.Client(timeout=60, trust_env=False, verify=TLS, cookies={"claims_session": before}) as thief:
        assert thief.get(f"{world.claims_url}/dashboard").status_code == 303


def test_tokens_never_reach_the_browser(world):
    for path in ("/", "/try/own", "/try/id-token", "/claims/CLM-20431"):
        page = world.browser.get(world.claims_url + path)
        assert page.status_code == 200
        assert not re.search(r"eyJ[\w-]{40,}", page.text)
    assert not any("eyJ" in (cookie.value or "") for cookie in world.browser.cookies.jar)


@pytest.mark.parametrize("target", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com", "x"])
def test_return_to_never_leads_elsewhere(world, target):
    page = world.browser.get(f"{world.claims_url}/sign-in", params={"return_to": target})
    assert str(page.url) == f"{world.claims_url}/dashboard"


def test_an_access_token_is_refreshed_when_it_is_due(world):
    world.provider.access_token = {"exp": None}
    world.provider.access_token = {}
    world.browser.get(world.claims_url)
    assert len(world.provider.token_forms) == 1
    original, relying_app.REFRESH_EARLY_S = relying_app.REFRESH_EARLY_S, 10_000
    try:
        page = world.browser.get(f"{world.claims_url}/dashboard")
    finally:
        relying_app.REFRESH_EARLY_S = original
    assert "Hello, Amara Quist" in page.text
    assert world.provider.token_forms[-1]["grant_type"] == "refresh_token"
    assert world.provider.token_forms[-1]["resource"] == world.claims_resource


def test_a_stale_access_token_is_replaced_after_the_api_refused_it(world):
    world.provider.access_token = {"iat": 1_000_000_000, "exp": 1_000_000_300}
    page = world.browser.get(f"{world.claims_url}/sign-in?return_to=/signed-out", follow_redirects=False)
    world.browser.get(
        world.browser.get(page.headers["Location"], follow_redirects=False).headers["Location"], follow_redirects=False
    )
    world.provider.access_token = {}
    assert "CLM-20431" in world.browser.get(f"{world.claims_url}/dashboard").text


def test_sign_out_ends_both_sessions_and_says_so(world):
    page = world.browser.get(world.claims_url)
    done = world.browser.post(f"{world.claims_url}/sign-out", data={"csrf": csrf(page)})
    assert str(done.url).startswith(f"{world.claims_url}/signed-out?state=")
    assert "session at the identity provider has ended too" in done.text
    assert not world.provider.signed_in
    assert world.browser.get(f"{world.claims_url}/dashboard", follow_redirects=False).status_code == 303


def test_a_sign_out_elsewhere_is_noticed_here(world, monkeypatch):
    world.browser.get(world.claims_url)
    world.provider.signed_in = False
    monkeypatch.setattr(relying_app, "CONFIRM_S", 0)
    answer = world.browser.get(f"{world.claims_url}/dashboard", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("form", [{}, {"csrf": "guessed"}, {"csrf": "ä"}])
def test_a_sign_out_from_another_site_is_refused(world, form):
    world.browser.get(world.claims_url)
    assert world.browser.post(f"{world.claims_url}/sign-out", data=form).status_code == 400
    assert world.provider.signed_in
    assert "Hello" in world.browser.get(f"{world.claims_url}/dashboard").text


def test_a_link_to_signed_out_signs_nobody_out(world):
    world.browser.get(world.claims_url)
    assert "Hello" in world.browser.get(f"{world.claims_url}/signed-out").text


def logout_token(world, *, typ="logout+jwt", **changes):
    claims = world.provider.access_claims("claims", "", client_id=None, auth_time=None)
    claims |= {"scope": None, "sid": "sid-1", "events": {relying_app.LOGOUT_EVENT: {}}, **changes}
    return world.provider.sign({k: v for k, v in claims.items() if v is not None}, typ=typ)


def post_logout(world, raw):
    return PLAIN.post(f"{world.claims_url}/backchannel-logout", data={"logout_token": raw})


def test_backchannel_logout_2_7_ends_the_local_session_once(world):
    world.browser.get(world.claims_url)
    raw = logout_token(world)
    assert post_logout(world, raw).status_code == 204
    assert world.browser.get(f"{world.claims_url}/dashboard", follow_redirects=False).status_code == 303
    assert post_logout(world, raw).json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"},
        {"aud": "patients"},
        {"events": {}},
        {"events": None},
        {"nonce": "n"},
        {"sid": None, "sub": None},
        {"exp": 1_000_000_000, "iat": 999_999_999},
        {"jti": None},
    ],
)
def test_backchannel_logout_2_6_a_logout_token_that_does_not_fit_ends_nothing(world, changes):
    world.browser.get(world.claims_url)
    assert post_logout(world, logout_token(world, **changes)).status_code == 400
    assert "Hello" in world.browser.get(f"{world.claims_url}/dashboard").text


def test_the_provider_away_is_a_page_and_not_a_crash(world):
    world.provider.stop()
    page = world.browser.get(world.claims_url)
    assert page.status_code == 503
    assert "does not answer" in page.text
    world.provider = type("Stopped", (), {"stop": lambda self: None})()


def test_a_third_party_connects_with_its_own_client_and_its_own_session(world):
    start = world.browser.get(f"{world.patients_url}/partner")
    assert "This app belongs to somebody else" in start.text
    page = world.browser.get(f"{world.patients_url}/partner/connect")
    assert "It read 8 patient records" in page.text
    assert next(iter(world.provider.token_forms))["grant_type"] == "authorization_code"
    answer = world.browser.get(f"{world.patients_url}/dashboard", follow_redirects=False)
    assert answer.status_code == 303


def test_pages_run_no_script_and_are_not_stored(world):
    page = world.browser.get(world.claims_url)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert f"form-action 'self' {world.provider.issuer}" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert "<script" not in page.text
    assert "style=" not in page.text


def test_releasing_a_payment_asks_for_scope_and_a_fresh_sign_in(world):
    url = f"{world.claims_url}/claims/CLM-20428"
    page = world.browser.get(url)
    assert "approved" in page.text
    asked = world.browser.post(f"{url}/release", data={"csrf": csrf(page)}, follow_redirects=False)
    query = parse_qs(urlsplit(asked.headers["Location"]).query)
    assert "claims.release" in query["scope"][0].split()
    assert query["max_age"] == ["300"] and query["acr_values"] == ["urn:idp:acr:2fa urn:idp:acr:phr"]
    assert json.loads(query["authorization_details"][0]) == [
        {"type": "payment_release", "claim": "CLM-20428", "amount": "129.50 USD"}
    ]
    done = world.browser.get(asked.headers["Location"])  # back from the provider, and on to what the form had asked for
    assert str(done.url).startswith(f"{url}?done=") and "The payment of $129.50 has been released" in done.text
    assert world.provider.sub in done.text and "Who released this payment" in done.text
    assert "by the subject" in done.text and "You: " in done.text, "it is named for what it is"
    again = world.browser.get(str(done.url))
    assert "has been released" not in again.text and "Payment released" in again.text, "said once"
    back = next(step for step in done.history if "/release?once=" in str(step.url))
    other = world.browser.get(f"{world.claims_url}/claims/CLM-20414/release", params={"once": back.url.params["once"]})
    assert "Payment released" not in other.text and "approved" in other.text
    assert world.browser.post(f"{url}/release", data={"csrf": csrf(other)}).status_code == 409


@pytest.mark.parametrize("once", ["", "guess"])
def test_rfc9470_a_link_from_elsewhere_releases_nothing(world, once):
    url = f"{world.claims_url}/claims/CLM-20428/release"
    page = world.browser.get(url, params={"once": once})
    assert str(page.url).endswith("/claims/CLM-20428") and "approved" in page.text
