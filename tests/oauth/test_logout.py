"""RP-Initiated Logout 1.0 (O-33 to O-37, attacks 72, 76, 122, 125)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.oauth.conftest import csrf_in

BYE = "https://rp.example.org/bye"


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def end_session(client, **params):
    return client.get(f"/end_session?{urlencode(params)}")


def is_signed_in(rp) -> bool:
    return "code" in rp.callback(prompt="none")


def test_o34_a_valid_hint_signs_out_and_returns_with_state_only(rp, client, signed_in, audit_trail):
    hint = rp.sign_in().id_token
    response = end_session(client, id_token_hint=hint, post_logout_redirect_uri=BYE, state="s 1")
    assert response.status_code == 303 and response.location == f"{BYE}?state=s+1"
    assert rp.callback(prompt="none")["error"] == "login_required"  # attack 125
    assert "logout.requested" in audit_trail and "session.ended" in audit_trail


def test_o34_without_state_nothing_is_added(rp, client, signed_in):
    hint = rp.sign_in().id_token
    assert end_session(client, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE


def test_o34_an_expired_hint_is_still_genuine(rp, client, signed_in, travel):
    hint = rp.sign_in().id_token
    travel(600)
    assert end_session(client, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE


def test_o33_a_cross_site_post_comes_back_as_a_get(rp, client, signed_in):
    hint = rp.sign_in().id_token
    form = {"id_token_hint": hint, "post_logout_redirect_uri": BYE, "state": "x"}
    back = client.post("/end_session", data=form)
    assert back.status_code == 303 and back.location.startswith("/end_session?")
    assert client.get(back.location).location == f"{BYE}?state=x"
    assert not is_signed_in(rp)


@pytest.mark.parametrize("params", [{}, {"state": "x"}])
def test_o35_o37_without_a_hint_the_person_is_asked_and_then_told(rp, client, signed_in, params):
    page = end_session(client, **params)
    assert page.status_code == 200 and "Alice Adams" in page.get_data(as_text=True)
    assert is_signed_in(rp)  # attack 72: a link alone signs nobody out
    done = client.post("/end_session", data={"csrf": csrf_in(page), "decision": "sign_out"} | params)
    assert done.location == "/signed-out" and client.get("/signed-out").status_code == 200
    assert not is_signed_in(rp)


def test_a_hint_without_return_address_signs_out_and_says_so(rp, client, signed_in):
    assert end_session(client, id_token_hint=rp.sign_in().id_token).location == "/signed-out"
    assert not is_signed_in(rp)


def test_the_person_may_stay(rp, client, signed_in):
    page = end_session(client)
    assert client.post("/end_session", data={"csrf": csrf_in(page), "decision": "stay"}).location == "/"
    assert is_signed_in(rp)


def test_attack_72_the_answer_needs_our_form(rp, client, signed_in):
    assert client.post("/end_session", data={"decision": "sign_out"}).status_code == 403
    assert client.post("/end_session", data={"decision": "sign_out", "csrf": "x"}).status_code == 403
    assert is_signed_in(rp)


@pytest.mark.parametrize("broken", ["decision=%00", "decision=sign_out&state=a&state=b", "decision=sign_out&state=%FF"])
def test_attack_5_144_a_form_that_could_be_meant_in_two_ways_ends_nothing(rp, client, signed_in, broken):
    form = f"csrf={csrf_in(end_session(client))}&{broken}"
    answer = client.post("/end_session", data=form, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400
    assert is_signed_in(rp)


def test_o37_a_hint_about_somebody_else_asks(rp, client, alice, bob, sign_in_as):
    sign_in_as(alice)
    hint = rp.sign_in().id_token
    sign_in_as(bob)
    page = end_session(client, id_token_hint=hint, post_logout_redirect_uri=BYE, state="x")
    assert page.status_code == 200 and is_signed_in(rp)
    form = {
        "csrf": csrf_in(page),
        "decision": "sign_out",
        "id_token_hint": hint,
        "post_logout_redirect_uri": BYE,
        "state": "x",
    }
    assert client.post("/end_session", data=form).location == f"{BYE}?state=x"
    assert not is_signed_in(rp)


def test_o37_a_hint_about_another_session_of_the_person_asks(rp, app, client, make_rp, alice, sign_in_as):
    elsewhere = app.test_client()
    sign_in_as(alice, browser=elsewhere)
    hint = make_rp(browser=elsewhere).sign_in().id_token
    sign_in_as(alice)
    assert end_session(client, id_token_hint=hint).status_code == 200
    assert is_signed_in(rp)


@pytest.mark.parametrize(
    "uri",
    [
        "https://rp.example.org/other",
        f"{BYE}?foo=bar",
        f"{BYE}/",
        "https://evil.example.com/",
        "//evil.example.com",
        "/\\evil.example.com",
        "https:evil.example.com",
        "javascript:alert(1)",
    ],
)
def test_o36_attack_76_122_an_unregistered_return_address_leads_nowhere(rp, client, signed_in, uri):
    hint = rp.sign_in().id_token
    response = end_session(client, id_token_hint=hint, post_logout_redirect_uri=uri)
    assert response.status_code == 400 and "Location" not in response.headers
    assert is_signed_in(rp)


def test_o36_a_return_address_without_hint_leads_nowhere(rp, client, signed_in):
    response = end_session(client, post_logout_redirect_uri=BYE, client_id=rp.client.client_id)
    assert response.status_code == 400 and is_signed_in(rp)


def test_o36_a_hint_that_is_not_ours_leads_nowhere(rp, client, signed_in):
    answer = rp.sign_in()
    head, body, signature = answer.id_token.split(".")
    for forged in (
        "x",
        f"{head}.{body}.",
        f"eyJhbGciOiJub25lIn0.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        answer.access_token,
    ):
        assert end_session(client, id_token_hint=forged, post_logout_redirect_uri=BYE).status_code == 400
    assert is_signed_in(rp)


def test_o37_client_id_and_hint_must_agree(rp, make_rp, client, signed_in):
    hint = rp.sign_in().id_token
    other = make_rp(client_name="Other")
    assert end_session(client, id_token_hint=hint, client_id=other.client.client_id).status_code == 400
    assert end_session(client, id_token_hint=hint, client_id=rp.client.client_id).location == "/signed-out"


def test_when_nobody_is_signed_in_a_good_request_still_returns(rp, client, signed_in):
    hint = rp.sign_in().id_token
    end_session(client, id_token_hint=hint)
    assert end_session(client, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE
    assert end_session(client).location == "/signed-out"


def test_parameters_come_once(rp, client, signed_in):
    assert client.get("/end_session?state=a&state=b").status_code == 400


def test_attack_77_what_is_repeated_is_escaped(client, signed_in):
    assert "<script>alert" not in end_session(client, state='"><script>alert(1)</script>').get_data(as_text=True)


def test_attack_85_head_signs_nobody_out(rp, client, signed_in):
    hint = rp.sign_in().id_token
    assert client.head(f"/end_session?{urlencode({'id_token_hint': hint})}").status_code == 405
    assert is_signed_in(rp)
