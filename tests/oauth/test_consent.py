"""Consent: asked once of people who use a third party's application, never for our own (OIDC Core 3.1.2.4, attacks 13 to 16)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from idp.oauth import consent, views
from tests.oauth.conftest import answer_in, csrf_in


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def asked(response) -> str:
    """The browser was sent to the consent page; returns the txn."""
    assert response.status_code == 303 and response.location.startswith("/consent?txn="), response.location
    return parse_qs(urlsplit(response.location).query)["txn"][0]


def decide(client, txn, decision, **form):
    page = client.get(f"/consent?txn={txn}")
    assert page.status_code == 200
    return client.post(f"/consent?txn={txn}", data={"csrf": csrf_in(page), "decision": decision} | form)


def test_our_own_applications_do_not_ask(rp, signed_in):
    assert "code" in rp.callback()


def test_a_third_party_asks_once_and_the_yes_is_remembered(partner, client, alice, signed_in, audit_trail):
    txn = asked(partner.authorize())
    answer = answer_in(decide(client, txn, "allow"))
    assert partner.redeem(answer["code"]).status == 200
    assert "code" in partner.callback() and "code" in partner.callback(prompt="none")
    assert consent.of(alice.sub)[0].scopes == ("email", "openid", "profile")
    assert "consent.granted" in audit_trail


def test_more_than_was_allowed_asks_again_and_less_does_not(partner, client, signed_in):
    decide(client, asked(partner.authorize(scope="openid profile")), "allow")
    assert "code" in partner.callback(scope="openid")
    decide(client, asked(partner.authorize(scope="openid email")), "allow")
    assert "code" in partner.callback(scope="openid profile email")


def test_a_no_travels_to_the_client_and_is_not_remembered(partner, client, signed_in, audit_trail):
    told = answer_in(decide(client, asked(partner.authorize()), "deny"))
    assert told["error"] == "access_denied" and told["state"] == "state-1"
    assert asked(partner.authorize())
    assert "consent.denied" in audit_trail and "consent.granted" not in audit_trail


def test_prompt_consent_asks_even_after_a_yes(partner, client, signed_in):
    decide(client, asked(partner.authorize()), "allow")
    assert "code" in answer_in(decide(client, asked(partner.authorize(prompt="consent")), "allow"))


def test_f16_a_client_that_anybody_could_be_asks_every_time(make_rp, client, signed_in):
    native = make_rp(
        application_type="native",
        token_endpoint_auth_method="none",
        redirect_uris=["http://127.0.0.1/cb"],
        first_party=False,
    )
    for _ in range(2):
        txn = asked(native.authorize())
        assert "code" in answer_in(decide(client, txn, "allow"), "http://127.0.0.1/cb")


def test_the_page_says_who_what_and_where_to(partner, client, signed_in):
    page = client.get(f"/consent?txn={asked(partner.authorize(scope='openid email claims.read'))}")
    text = page.get_data(as_text=True)
    for expected in (
        "Partner",
        "rp.example.org",
        "See your e-mail address",
        "See claims and their status",
        "Until you sign out",
    ):
        assert expected in text
    assert "form-action 'self' https://rp.example.org;" in page.headers["Content-Security-Policy"]


def test_claims_asked_for_by_name_are_on_the_page(partner, client, signed_in):
    txn = asked(partner.authorize(scope="openid", claims='{"userinfo": {"npi": null}}'))
    assert "See your NPI" in client.get(f"/consent?txn={txn}").get_data(as_text=True)


def test_o30_offline_access_is_on_the_page_and_its_yes_is_needed(partner, client, signed_in):
    decide(client, asked(partner.authorize(scope="openid")), "allow")
    txn = asked(partner.authorize(scope="openid offline_access"))
    page = client.get(f"/consent?txn={txn}").get_data(as_text=True)
    assert "Keep access while you are not signed in" in page and "Until you withdraw it" in page


def test_attack_14_64_a_client_s_name_is_escaped(make_rp, client, signed_in):
    evil = make_rp(client_name="<b>Bank</b>", first_party=False)
    assert "<b>Bank</b>" not in client.get(f"/consent?txn={asked(evil.authorize())}").get_data(as_text=True)


def test_attack_15_the_form_cannot_change_what_was_asked(partner, rp, client, alice, signed_in):
    txn = asked(partner.authorize(scope="openid"))
    told = answer_in(decide(client, txn, "allow", scope="openid email", client_id=rp.client.client_id))
    assert partner.redeem(told["code"]).scope == "openid"
    assert consent.remembered(alice.sub, partner.client.client_id) == {"openid"}


def test_attack_16_a_form_of_another_session_is_refused(partner, app, client, alice, signed_in, sign_in_as):
    txn = asked(partner.authorize())
    elsewhere = app.test_client()
    sign_in_as(alice, browser=elsewhere)
    foreign = csrf_in(elsewhere.get("/end_session"))
    for csrf in ("", "x", foreign):
        assert client.post(f"/consent?txn={txn}", data={"csrf": csrf, "decision": "allow"}).status_code == 403
    token = csrf_in(client.get(f"/consent?txn={txn}"))
    assert elsewhere.post(f"/consent?txn={txn}", data={"csrf": token, "decision": "allow"}).status_code == 403


def test_attack_17_the_page_opens_in_the_browser_that_asked_only(partner, app, bob, signed_in, sign_in_as):
    txn = asked(partner.authorize())
    victim = app.test_client()
    sign_in_as(bob, browser=victim)
    assert victim.get(f"/consent?txn={txn}").status_code == 400


def test_a_person_answers_only_what_they_were_shown(partner, client, alice, bob, signed_in, sign_in_as):
    txn = asked(partner.authorize())
    token = csrf_in(client.get(f"/consent?txn={txn}"))
    sign_in_as(bob)
    response = client.post(f"/consent?txn={txn}", data={"csrf": token, "decision": "allow"})
    assert response.location == f"/authorize/resume?txn={txn}"
    assert consent.of(alice.sub) == consent.of(bob.sub) == []


def test_a_decision_counts_once(partner, client, signed_in):
    txn = asked(partner.authorize())
    token = csrf_in(client.get(f"/consent?txn={txn}"))
    form = {"csrf": token, "decision": "allow"}
    assert "code" in answer_in(client.post(f"/consent?txn={txn}", data=form))
    assert client.post(f"/consent?txn={txn}", data=form).status_code == 400
    assert client.get(f"/consent?txn={txn}").status_code == 400


@pytest.mark.parametrize("decision", ["", "yes", "ALLOW"])
def test_only_allow_and_deny_are_decisions(partner, client, signed_in, decision):
    assert decide(client, asked(partner.authorize()), decision).status_code == 400


def test_attack_13_prompt_none_never_shows_the_page(partner, signed_in):
    assert partner.callback(prompt="none")["error"] == "consent_required"


def test_signing_out_meanwhile_leads_back_to_the_sign_in(partner, client, signed_in):
    from idp import sessions
    from idp.db import committing

    txn = asked(partner.authorize())
    token = csrf_in(client.get(f"/consent?txn={txn}"))
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    response = client.post(f"/consent?txn={txn}", data={"csrf": token, "decision": "allow"})
    assert client.get(response.location).location.startswith("/login")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://rounds.example.com/cb", "rounds.example.com"),
        ("http://localhost:8002/cb", "localhost:8002"),
        ("http://[::1]:9/cb", "[::1]:9"),
        ("com.example.app:/cb", "com.example.app"),
    ],
)
def test_w11_the_page_names_the_host_and_its_port(uri: str, shown: str) -> None:
    assert views._shown_host(uri) == shown
