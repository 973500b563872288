"""The story of the house over plain HTTP, against the really running demo: one sign-in, two services, every step provable."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.authn.signing_in import CODE

pytestmark = pytest.mark.xdist_group("demo")


def test_one_sign_in_opens_two_services_and_one_sign_out_closes_both(demo, phones, browser):
    facts, marisol = demo.facts, demo.person("marisol")

    login = browser.open(facts["claims_url"])
    assert urlsplit(login.url).path == "/login"
    assert login.url.startswith(facts["issuer"])
    assert "Claims service" in login.text

    second = browser.submit(login, "/login/password", identifier=marisol["username"], password=marisol["password"])
    assert urlsplit(second.url).path == "/login/totp"
    claims = browser.submit(second, "/login/totp", code=phones["marisol"].code())
    assert claims.url == f"{facts['claims_url']}/dashboard"
    assert "Hello, Marisol Quint" in claims.text
    assert "CLM-20431" in claims.text

    patients = browser.open(facts["patients_url"])
    assert patients.url == f"{facts['patients_url']}/dashboard"
    assert "Hello, Marisol Quint" in patients.text
    assert not [step for step in patients.path if "/login" in step]

    account = browser.open(facts["issuer"])
    assert "Marisol Quint" in account.text
    assert f'href="{facts["claims_url"]}"' in account.text
    assert f'href="{facts["patients_url"]}"' in account.text

    foreign = browser.open(f"{facts['claims_url']}/try/peer")
    assert "401 Unauthorized" in foreign.text
    assert '"reason": "aud"' in foreign.text.replace("&#34;", '"')
    misused = browser.open(f"{facts['claims_url']}/try/id-token")
    assert "401 Unauthorized" in misused.text
    assert '"reason": "typ"' in misused.text.replace("&#34;", '"')
    assert "200 OK" in browser.open(f"{facts['claims_url']}/try/own").text

    gone = browser.submit(patients, "/sign-out")
    assert gone.url.startswith(f"{facts['patients_url']}/signed-out?state=")
    assert "session at the identity provider has ended too" in gone.text
    time.sleep(1.2)  # the claims service asks again after a second
    again = browser.open(f"{facts['claims_url']}/dashboard")
    assert urlsplit(again.url).path == "/login"
    assert urlsplit(browser.open(f"{facts['patients_url']}/dashboard").url).path == "/login"

    verified = demo.idp("--json", "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_officer_finds_every_step_of_a_sign_in(demo, phones, browser):
    ilona = demo.person("ilona")
    browser.sign_in(browser.open(demo.facts["claims_url"]), ilona, phones["ilona"])
    browser.open(demo.facts["patients_url"])
    page = browser.open(f"{demo.facts['patients_url']}/dashboard")
    browser.submit(page, "/sign-out")

    told = demo.idp("--json", "audit", "tail", "--user", ilona["username"], "-n", "500")
    assert told.returncode == 0, told.stderr
    events = json.loads(told.stdout)
    steps = [(event["event"], event["client_id"]) for event in events]
    wanted = [
        ("password.verified", None),
        ("factor.verified", None),
        ("session.started", None),
        ("login.succeeded", None),
        ("authorization.granted", "demo-claims"),
        ("code.redeemed", "demo-claims"),
        ("authorization.granted", "demo-patients"),
        ("code.redeemed", "demo-patients"),
        ("logout.requested", "demo-patients"),
        ("session.ended", None),
        ("token.revoked", None),
    ]
    last = len(steps) - 1 - steps[::-1].index(wanted[0])
    walked = iter(steps[last:])
    assert all(step in walked for step in wanted), steps[last:]
    assert ilona["username"] not in told.stdout  # events carry subjects, not names


def test_a_wrong_password_a_wrong_code_and_a_used_code_sign_nobody_in(demo, phones, browser):
    edda, phone = demo.person("edda"), phones["edda"]
    login = browser.open(demo.facts["claims_url"])
    wrong = browser.submit(login, "/login/password", identifier=edda["username"], password="Not-the-1-password!")
    assert urlsplit(wrong.url).path.startswith("/login")
    assert "/login/password" in wrong.text
    second = browser.submit(wrong, "/login/password", identifier=edda["username"], password=edda["password"])
    refused = browser.submit(second, "/login/totp", code="000000")
    assert "/login/totp" in refused.text
    code = phone.code()
    assert "Hello, Edda Brandt" in browser.submit(refused, "/login/totp", code=code).text
    with type(browser)() as other:
        page = other.open(demo.facts["claims_url"])
        page = other.submit(page, "/login/password", identifier=edda["username"], password=edda["password"])
        replayed = other.submit(page, "/login/totp", code=code)
        assert "/login/totp" in replayed.text
        assert "Hello" not in replayed.text


def test_a_newcomer_enrols_at_the_first_sign_in_and_needs_no_phone(demo, browser):
    tunde = demo.person("rn-20417")
    page = browser.open(demo.facts["patients_url"])
    page = browser.submit(page, "/login/password", identifier="RN-20417", password=tunde["password"])
    assert urlsplit(page.url).path == "/enrol"
    page = browser.open(str(page.url).replace("/enrol?", "/enrol/totp?"))
    assert "<svg" in page.text
    found = re.search(r'id="key"[^>]*>(.*?)</code>', page.text, re.S)
    assert found
    key = re.sub(r"<[^>]+>", "", found.group(1)).strip()

    mailbox = browser.open(demo.facts["codes_url"])
    assert "Tunde Adeyemi has no authenticator app yet" in mailbox.text
    mailbox = browser.submit(mailbox, "/demo/authenticator", secret=key)
    row = mailbox.words()[mailbox.words().index("Tunde Adeyemi") :]
    shown = re.search(r"\b\d{6}\b", row)
    assert shown

    page = browser.submit(page, "/enrol/totp", code=shown.group())
    assert urlsplit(page.url).path == "/enrol/recovery-codes"
    codes = CODE.findall(page.text)
    assert len(codes) == 10
    page = browser.submit(page, "/enrol/recovery-codes", saved="yes")
    assert page.url == f"{demo.facts['patients_url']}/dashboard"
    assert "Hello, Tunde Adeyemi" in page.text


def test_a_third_party_has_to_ask_and_no_is_no(demo, phones, browser):
    jonas = demo.person("jonas")
    asked = browser.sign_in(browser.open(f"{demo.facts['partner_url']}/connect"), jonas, phones["jonas"])
    assert urlsplit(asked.url).path == "/consent"
    assert "Footpath Study" in asked.text
    assert "See patients and their visits" in asked.text
    denied = browser.submit(asked, "/consent", decision="deny")
    assert "You did not give this service access" in denied.text

    asked = browser.open(f"{demo.facts['partner_url']}/connect")
    assert urlsplit(asked.url).path == "/consent"
    allowed = browser.submit(asked, "/consent", decision="allow")
    assert "Thank you, Jonas Feld" in allowed.text
    assert "It read 8 patient records" in allowed.text
    straight = browser.open(f"{demo.facts['partner_url']}/connect")
    assert "It read 8 patient records" in straight.text


def test_releasing_money_asks_for_more_scope(demo, phones, browser):
    ilona = demo.person("ilona")
    browser.sign_in(browser.open(demo.facts["claims_url"]), ilona, phones["ilona"])
    page = browser.open(f"{demo.facts['claims_url']}/claims/CLM-20428")
    done = browser.submit(page, "/release")  # to the provider and back, and the payment is released
    assert done.url.startswith(f"{demo.facts['claims_url']}/claims/CLM-20428?done=")
    assert "Payment released" in done.text


def test_prompt_none_answers_without_a_page(demo, browser):
    asked = browser.http.get(f"{demo.facts['claims_url']}/sign-in", follow_redirects=False).headers["Location"]
    answer = browser.http.get(f"{asked}&prompt=none", follow_redirects=False)
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert query["error"] == ["login_required"]
    assert query["iss"] == [demo.facts["issuer"]]


def test_the_provider_says_what_it_can_and_all_of_it_answers(demo, browser):
    issuer = demo.facts["issuer"]
    document = browser.http.get(f"{issuer}/.well-known/openid-configuration").json()
    assert document["issuer"] == issuer
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert browser.http.get(document["jwks_uri"]).json()["keys"]
    assert browser.http.get(f"{issuer}/readyz").json()["ready"] is True
