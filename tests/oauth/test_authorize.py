"""GET and POST /authorize: what is refused where, and when the person must sign in (RFC 6749 4.1.2.1, OIDC Core 3.1.2, 2.1)."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests import cost
from tests.conftest import ISSUER
from tests.oauth.conftest import REDIRECT_URI, answer_in, claims_of


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def stays_here(response) -> str:
    """The answer is a page of ours and sends nobody anywhere."""
    assert response.status_code == 400 and "Location" not in response.headers
    assert response.headers["Content-Security-Policy"].count("frame-ancestors 'none'")
    return response.get_data(as_text=True)


# --- whom an answer may go to (F-1, F-3, attacks 1 to 6) ----------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "https://rp.example.org/cb/",
        "https://rp.example.org/cb?x=1",
        "https://rp.example.org/cb#x",
        "https://rp.example.org/cb/../evil",
        "https://rp.example.org/cb%2f..",
        "https://rp.example.org@evil.example.com",
        "https://rp.example.org.evil.example.com/cb",
        "https://rp.example.org:443/cb",
        "https://RP.example.org/cb",
        "https://rp.example.org/cb\\",
        "https://rp.example.org/cb\t",
        "https://rp.example.org/cb\r\nSet-Cookie: a=b",
        "https://rp.example.org/cb\x00",
        "javascript:alert(1)",
        "//evil.example.com",
        '"><script>alert(1)</script>',
    ],
)
def test_attack_1_2_3_an_unregistered_redirect_uri_leads_to_a_page_of_ours(rp, signed_in, uri):
    page = stays_here(rp.authorize(redirect_uri=uri))
    assert "<script>alert" not in page and "evil.example.com" not in page


@pytest.mark.parametrize("client_id", [None, "", "nobody", "' OR 1=1", "\x00", "a" * 3000])
def test_f3_an_unknown_client_leads_to_a_page_of_ours(rp, signed_in, client_id, audit_trail):
    stays_here(rp.authorize(client_id=client_id))


def test_f3_it_is_written_down(rp, signed_in, audit_trail):
    rp.authorize(redirect_uri="https://evil.example.com/")
    assert "authorization.denied" in audit_trail


def test_o11_two_registered_uris_and_none_named(make_rp, signed_in):
    stays_here(make_rp(redirect_uris=[REDIRECT_URI, "https://rp.example.org/b"]).authorize(redirect_uri=None))


@pytest.mark.parametrize("first", [True, False])
def test_attack_5_two_redirect_uris(rp, signed_in, first):
    uris = [REDIRECT_URI, "https://evil.example.com/"]
    stays_here(rp.authorize(redirect_uri=uris if first else uris[::-1]))


@pytest.mark.parametrize(
    "name",
    ["client_id", "scope", "state", "response_type", "code_challenge", "nonce", "prompt", "max_age", "foo", "claims"],
)
def test_attack_6_o12_nothing_comes_twice(rp, signed_in, name):
    value = rp.params().get(name, "none")
    stays_here(rp.authorize(**{name: [value, value]}))


def test_attack_5_query_and_body_are_not_mixed(rp, client, signed_in):
    stays_here(client.post("/authorize?redirect_uri=https://evil.example.com/", data=rp.params()))


def test_attack_142_a_json_body_is_no_form(rp, client, signed_in):
    stays_here(client.post("/authorize", json=rp.params()))


def test_attack_144_what_is_no_utf8_is_refused(rp, client, signed_in):
    query = urlencode(rp.params(state=None)) + "&state=%ff%fe"
    stays_here(client.get(f"/authorize?{query}"))


# --- the order of the specification -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request_object"),
        ({"request_uri": "https://rp.example.org/request"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge": "a" * 42}, "invalid_request"),
        ({"code_challenge": "a" * 44}, "invalid_request"),
        ({"code_challenge": "a" * 42 + "="}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"scope": "openid patients.read"}, "invalid_scope"),
        ({"resource": "https://unknown.example.org"}, "invalid_target"),
        ({"resource": "https://patients.example.org/api"}, "invalid_target"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "٣"}, "invalid_request"),
        ({"max_age": "9" * 11}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"claims": "[]"}, "invalid_request"),
        ({"claims": '{"userinfo": [1]}'}, "invalid_request"),
        ({"claims": '{"userinfo": {"name": 1}}'}, "invalid_request"),
        ({"claims": '{"userinfo": {"name": null, "name": null}}'}, "invalid_request"),
        (
            {"claims": '{"id_token": {"acr": {"essential": true, "values": ["urn:none"]}}}'},
            "unmet_authentication_requirements",
        ),
        ({"state": "s" * 4097}, "invalid_request"),
    ],
)
def test_rfc6749_4_1_2_1_an_error_travels_to_the_client(rp, signed_in, changes, error):
    told = rp.callback(**changes)
    assert told["error"] == error
    assert set(told) <= {"error", "error_description", "state", "iss"} and told["iss"] == ISSUER  # O-21, O-22
    assert told.get("state") == rp.params(**changes).get("state")
    assert all(0x20 <= ord(c) <= 0x7E and c not in '"\\' for c in told["error_description"])  # O-21


def test_x3_only_an_explicit_exception_goes_without_pkce_and_even_it_not_with_plain(make_rp, signed_in):
    rp = make_rp(require_pkce=False)
    assert "code" in rp.callback(code_challenge=None, code_challenge_method=None)
    assert rp.callback(code_challenge_method="plain")["error"] == "invalid_request"


def test_attack_19_huge_and_deep_claims_are_refused_quickly(rp, client, signed_in):
    deep = '{"userinfo":' * 2000 + "null" + "}" * 2000
    with cost.within(2):
        answer = client.get(f"/authorize?{urlencode(rp.params(claims=deep[:60000]))}")
    assert answer_in(answer)["error"] == "invalid_request"


def test_attack_10_140_a_scope_of_ten_kilobytes_takes_no_time(rp, signed_in):
    with cost.within(2):
        assert rp.callback(scope="a/*.dus " * 2000)["error"] == "invalid_scope"


@pytest.mark.parametrize("separator", ["\t", "\n", "\u00a0", "\u2003"])
def test_attack_9_scopes_are_separated_by_spaces(rp, signed_in, separator):
    response = rp.authorize(scope=f"email{separator}openid")
    assert response.status_code == 400 or "code" not in answer_in(response)


def test_oidc_core_3_1_2_1_unknown_scopes_are_ignored_and_the_answer_says_what_is_left(rp, signed_in):
    assert rp.redeem(rp.code(scope="openid groups unheard-of profile")).scope == "openid profile"


def test_o12_unknown_and_empty_parameters_are_ignored(rp, signed_in):
    assert "code" in rp.callback(foo="bar", display="", ui_locales="", prompt="", max_age="", claims="", request="")


def test_o17_what_may_be_ignored_makes_no_error(rp, signed_in):
    told = rp.callback(
        display="popup",
        ui_locales="se-SV fr",
        claims_locales="fr",
        login_hint="alice",
        acr_values="urn:unknown urn:idp:acr:1fa",
    )
    assert "code" in told


def test_o9_post_works_like_get(rp, client, signed_in):
    parked = client.post("/authorize", data=rp.params())
    assert parked.status_code == 303 and parked.location.startswith("/authorize/resume?txn=")
    assert rp.redeem(answer_in(client.get(parked.location))["code"]).status == 200


def test_o9_a_cross_site_post_arrives_without_cookies_and_still_finds_the_session(rp, app, client, signed_in):
    parked = app.test_client().post("/authorize", data=rp.params())
    assert "code" in answer_in(client.get(parked.location))


def test_a_parked_request_is_answered_once(rp, client, signed_in):
    parked = client.post("/authorize", data=rp.params()).location
    assert "code" in answer_in(client.get(parked))
    assert stays_here(client.get(parked))


def test_attack_85_head_changes_nothing(rp, client, signed_in):
    assert client.head(f"/authorize?{urlencode(rp.params())}").status_code == 405
    assert client.put("/authorize").status_code == 405


# --- who must sign in ---------------------------------------------------------------------------------------------


def test_nobody_signed_in_leads_to_the_login_page_and_back(rp, app, client, alice, sign_in_as):
    first = rp.authorize(login_hint="alice")
    assert first.status_code == 303 and first.location.startswith("/login?flow=")
    assert "form-action" in client.get(first.location).headers["Content-Security-Policy"]
    sign_in_as(alice)
    txn = _txns(app)[0]
    assert txn


def test_o13_prompt_none_without_a_session(rp):
    told = rp.callback(prompt="none")
    assert told["error"] == "login_required" and told["state"] == "state-1" and told["iss"] == ISSUER


def test_o13_prompt_none_with_a_session_is_silent(rp, signed_in):
    assert "code" in rp.callback(prompt="none")


def test_o13_prompt_none_without_consent(partner, signed_in):
    assert partner.callback(prompt="none")["error"] == "consent_required"


def test_o14_prompt_login_demands_a_new_proof(rp, app, client, alice, signed_in, sign_in_as, travel):
    txn = _sent_to_login(app, rp.authorize(prompt="login"))
    assert client.get(f"/authorize/resume?txn={txn}").location.startswith("/login")  # coming back alone is no proof
    travel(5)
    later = sign_in_as(alice)
    told = answer_in(client.get(f"/authorize/resume?txn={txn}"))
    assert claims_of(rp.redeem(told["code"]).id_token)["auth_time"] == int(later.auth_time.timestamp())


@pytest.mark.parametrize("max_age", ["0", "1"])
def test_o15_max_age_demands_a_new_proof_when_the_last_is_older(rp, app, signed_in, travel, max_age):
    travel(2)
    assert _sent_to_login(app, rp.authorize(max_age=max_age))


def test_o15_a_young_session_is_good_for_max_age(rp, signed_in, travel):
    travel(50)
    told = rp.callback(max_age="10000")
    assert claims_of(rp.redeem(told["code"]).id_token)["auth_time"] == int(signed_in.auth_time.timestamp())


def test_o15_prompt_none_with_an_old_session(rp, signed_in, travel):
    travel(2)
    assert rp.callback(max_age="1", prompt="none")["error"] == "login_required"


def test_default_max_age_of_the_registration_counts(make_rp, app, signed_in, travel):
    rp = make_rp(default_max_age=10)
    travel(11)
    assert _sent_to_login(app, rp.authorize())


def test_acr_values_step_up_a_weaker_session(rp, app, alice, sign_in_as):
    sign_in_as(alice, acr="urn:idp:acr:1fa")
    assert "code" in rp.callback()
    assert _sent_to_login(app, rp.authorize(acr_values="urn:idp:acr:2fa"))
    assert rp.callback(acr_values="urn:idp:acr:2fa", prompt="none")["error"] == "login_required"


def test_oidc_core_5_5_1_1_an_essential_acr_is_a_demand(rp, app, alice, sign_in_as):
    sign_in_as(alice, acr="urn:idp:acr:1fa")
    wanted = json.dumps({"id_token": {"acr": {"essential": True, "values": ["urn:idp:acr:2fa"]}}})
    assert _sent_to_login(app, rp.authorize(claims=wanted))


def test_select_account_lets_the_person_choose(rp, app, signed_in):
    assert _sent_to_login(app, rp.authorize(prompt="select_account"))


# --- hints (O-16, attack 18) --------------------------------------------------------------------------------------


def test_o16_a_hint_about_the_person_who_is_signed_in_is_silent(rp, signed_in, travel):
    hint = rp.sign_in().id_token
    assert "code" in rp.callback(prompt="none", id_token_hint=hint)
    travel(600)  # expired by now
    assert "code" in rp.callback(prompt="none", id_token_hint=hint)


def test_o16_a_hint_about_somebody_else_never_yields_the_other_s_tokens(
    rp, app, client, alice, bob, sign_in_as, travel
):
    sign_in_as(alice)
    hint = rp.sign_in().id_token
    sign_in_as(bob)
    assert rp.callback(prompt="none", id_token_hint=hint)["error"] == "login_required"
    txn = _sent_to_login(app, rp.authorize(id_token_hint=hint))
    travel(1)
    sign_in_as(bob)
    assert answer_in(client.get(f"/authorize/resume?txn={txn}"))["error"] == "login_required"


def test_attack_18_a_forged_hint_signs_nobody_in(rp, make_rp, alice, signed_in):
    genuine = rp.sign_in().id_token
    head, body, signature = genuine.split(".")
    for forged in ("x", "a.b.c", f"{head}.{body}.", f"eyJhbGciOiJub25lIn0.{body}.", f"{head}.{body}.{signature[::-1]}"):
        assert rp.callback(prompt="none", id_token_hint=forged)["error"] == "login_required"
        assert "code" in rp.callback(id_token_hint=forged)
    access_token = rp.sign_in().access_token
    assert rp.callback(prompt="none", id_token_hint=access_token)["error"] == "login_required"
    foreign = make_rp(client_name="Other").sign_in().id_token
    assert rp.callback(prompt="none", id_token_hint=foreign)["error"] == "login_required"


def test_oidc_core_5_5_1_the_sub_claim_names_whom_the_request_is_about(rp, alice, bob, signed_in):
    def about(person):
        return json.dumps({"id_token": {"sub": {"value": person.sub}}})

    assert "code" in rp.callback(prompt="none", claims=about(alice))
    assert rp.callback(prompt="none", claims=about(bob))["error"] == "login_required"


# --- errors and browsers where nobody is signed in (F-3, attack 12) -----------------------------------------------


def test_attack_12_an_error_redirect_waits_for_a_sign_in(rp, app, client, alice, sign_in_as):
    txn = _sent_to_login(app, rp.authorize(scope="nonsense"))
    sign_in_as(alice)
    told = answer_in(client.get(f"/authorize/resume?txn={txn}"))
    assert told["error"] == "invalid_scope" and told["state"] == "state-1"


def test_attack_12_prompt_none_is_the_exception(rp):
    assert rp.callback(scope="nonsense", prompt="none")["error"] == "invalid_scope"


def test_attack_12_an_essential_acr_that_nobody_reaches_waits_too(rp, app, client, alice, sign_in_as):
    wanted = json.dumps({"id_token": {"acr": {"essential": True, "value": "urn:none"}}})
    txn = _sent_to_login(app, rp.authorize(claims=wanted))
    sign_in_as(alice)
    told = answer_in(client.get(f"/authorize/resume?txn={txn}"))
    assert told["error"] == "unmet_authentication_requirements"


def test_strangers_cannot_fill_the_trail(rp, client, audit_trail):
    from idp.oauth import refusals

    for number in range(refusals.written() + 20):
        client.get(f"/authorize?client_id=nobody{number}")
    events = audit_trail.events()
    assert events.count("authorization.denied") == refusals.written()
    assert events.count("limit.exceeded") == 1


# --- parked requests (attack 17) ----------------------------------------------------------------------------------


def test_attack_17_a_txn_of_another_browser_leads_nowhere(rp, app, alice, sign_in_as):
    txn = _sent_to_login(app, rp.authorize())
    victim = app.test_client()
    sign_in_as(alice, browser=victim)
    stays_here(victim.get(f"/authorize/resume?txn={txn}"))


def test_a_parked_request_expires(rp, app, client, alice, sign_in_as, travel):
    txn = _sent_to_login(app, rp.authorize())
    travel(7201)
    sign_in_as(alice)
    stays_here(client.get(f"/authorize/resume?txn={txn}"))


@pytest.mark.parametrize("txn", ["", "x", "../", "\x00", "a" * 5000])
def test_a_made_up_txn_leads_nowhere(client, signed_in, txn):
    stays_here(client.get("/authorize/resume", query_string={"txn": txn}))


# --- headers ------------------------------------------------------------------------------------------------------


def test_f10_f12_f13_what_every_answer_carries(rp, client, signed_in):
    for response in (rp.authorize(), rp.authorize(client_id="nobody"), client.get("/signed-out")):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.status_code in (200, 303, 400)


def test_f11_no_cors_on_the_authorization_endpoint(rp, client, signed_in):
    for response in (
        client.options("/authorize", headers={"Origin": "https://rp.example.org"}),
        client.get(f"/authorize?{urlencode(rp.params())}", headers={"Origin": "https://rp.example.org"}),
        client.get("/end_session", headers={"Origin": "https://rp.example.org"}),
    ):
        assert "Access-Control-Allow-Origin" not in response.headers


def _txns(app) -> list[str]:
    return list(app.extensions["idp.kv"].scan_iter("*authz*"))


def _sent_to_login(app, response) -> str:
    """The browser was sent to sign in; returns the txn that the sign-in will lead back to."""
    assert response.status_code == 303 and response.location.startswith("/login"), response.location
    from idp.authn import flow

    with app.test_request_context(headers={"Cookie": response.request.headers.get("Cookie", "")}):
        raw = app.extensions["idp.kv"].get(flow._key(parse_qs(urlsplit(response.location).query)["flow"][0]))
    return parse_qs(urlsplit(json.loads(raw)["demand"]["return_to"]).query)["txn"][0]
