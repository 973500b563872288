"""Signing in again: step up, prompt=login, max_age, another person, choosing an account; and the guards of other rooms."""

from __future__ import annotations

import pytest
from flask import Flask

from idp import sessions, users
from idp.authn import guard
from idp.authn.assurance import TWO_FACTORS
from idp.authn.factors import password, recovery_code, totp
from idp.db import db
from idp.users import User
from tests.authn.signing_in import (
    NEW_PASSWORD,
    PASSWORD,
    Browser,
    add_demand_view,
    browser,
    code_of,
    make_person,
    new_secret,
)

SECRET, THEIRS = new_secret(), new_secret()
CHOICE = frozenset({"select_account"})
AGAIN = frozenset({"login"})


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET)


def signed_in(app: Flask) -> Browser:
    """A browser where alice is signed in; the code of the present step is spent."""
    here = browser(app).sign_in(secret=SECRET)
    assert here.secret
    return here


def test_prompt_login_asks_again_and_keeps_the_sid_with_a_new_secret(app: Flask, user: User, travel) -> None:
    add_demand_view(app, prompt=AGAIN)
    here = signed_in(app)
    sid, secret = here.secret.split(".")
    travel(30)
    here.get("/t/demand")
    assert here.place == "/login" and 'value="alice"' in here.answer.text, "the name is filled in"
    here.give_password().post(code=code_of(SECRET))
    assert here.place == "/t/goal"
    again = here.secret.split(".")
    assert again[0] == sid and again[1] != secret
    session = sessions.of(user.sub)[0]
    assert (session.auth_time - session.started_at).total_seconds() >= 30


def test_a_session_too_old_for_max_age_is_proved_again(app: Flask, user: User, travel) -> None:
    add_demand_view(app, max_age_s=60)
    here = signed_in(app)
    travel(61)
    assert here.get("/t/demand").place == "/login"
    assert here.give_password().post(code=code_of(SECRET)).place == "/t/goal"


def test_somebody_else_at_the_re_authentication_ends_the_earlier_session_first(
    app: Flask, user: User, audit_trail
) -> None:
    add_demand_view(app, prompt=AGAIN)
    bob = make_person("bob", secret=THEIRS)
    here = signed_in(app)
    here.get("/t/demand").give_password("bob").post(code=code_of(THEIRS))
    assert here.place == "/t/goal"
    assert (sessions.of(user.sub), [one.sub for one in sessions.of(bob.sub)]) == ([], [bob.sub])
    told = audit_trail.events()
    assert told.index("session.ended") < len(told) - 1 - told[::-1].index("session.started")


def test_a_step_up_asks_only_for_what_is_missing(make_app, sqlite_url: str, travel) -> None:
    app = make_app(sqlite_url, factors={"require_second": False})
    add_demand_view(app, acr=TWO_FACTORS)
    with app.app_context():
        alice = make_person()
        here = browser(app).open().give_password()
        sid, secret = here.secret.split(".")
        assert here.path == "/" and sessions.of(alice.sub)[0].amr == ("pwd",)
        totp.bind(alice, SECRET, actor=None)
        db.session.commit()
        travel(600)
        assert here.get("/t/demand").place == "/login/totp"
        here.post(code=code_of(SECRET))
        session = sessions.of(alice.sub)[0]
        assert here.place == "/t/goal" and session.acr == TWO_FACTORS
        assert here.secret.split(".")[0] == sid and here.secret.split(".")[1] != secret, "attack 73"
        assert session.auth_time < session.chosen_at, "the password is as old as it was"


def test_attack_104_an_old_session_alone_enrols_nothing(make_app, sqlite_url: str, travel) -> None:
    app = make_app(sqlite_url, factors={"require_second": False})
    add_demand_view(app, acr=TWO_FACTORS)
    with app.app_context():
        make_person()
        here = browser(app).open().give_password()
        travel(600)
        assert here.get("/t/demand").place == "/login", "the password again, before an app is bound"
        assert here.give_password().place == "/enrol"


def test_select_account_asks_whether_to_go_on_as_the_same_person(app: Flask, user: User) -> None:
    add_demand_view(app, prompt=CHOICE, client_name="Claims service")
    here = signed_in(app).get("/t/demand")
    assert "Is this you?" in here.answer.text and "Claims service" in here.answer.text
    assert here.post(f"/login/account?flow={here.flow_id}", choice="continue").place == "/t/goal"


def test_select_account_lets_somebody_else_sign_in(app: Flask, user: User) -> None:
    add_demand_view(app, prompt=CHOICE)
    bob = make_person("bob", secret=THEIRS)
    here = signed_in(app).get("/t/demand")
    here.post(f"/login/account?flow={here.flow_id}", choice="other")
    assert here.place == "/login" and "Is this you?" not in here.answer.text and 'value="alice"' not in here.answer.text
    assert here.give_password("bob").post(code=code_of(THEIRS)).place == "/t/goal"
    assert [one.sub for one in sessions.of(bob.sub)] == [bob.sub] and sessions.of(user.sub) == []


def test_login_hint_fills_in_the_name_and_is_escaped(app: Flask) -> None:
    add_demand_view(app, login_hint='bob"><script>')
    page = browser(app).get("/t/demand").answer.text
    assert "bob&#34;&gt;&lt;script&gt;" in page and '"><script>' not in page


def test_a_demand_that_is_met_goes_straight_on(app: Flask, user: User) -> None:
    add_demand_view(app)
    assert signed_in(app).get("/t/demand").place == "/t/goal"


# --- errands --------------------------------------------------------------------------------------------------


def test_attack_104_a_first_app_needs_it_too(make_app, sqlite_url: str, travel) -> None:
    app = make_app(sqlite_url, factors={"require_second": False})
    add_demand_view(app, acr=TWO_FACTORS)
    with app.app_context():
        make_person()
        here = browser(app).open().give_password()
        travel(61)
        assert here.get("/t/demand").place == "/login"
        travel(61)
        assert here.give_password().get(here.path).place == "/enrol", "the same flow may take its time"


def test_c15_an_errand_needs_a_proof_of_the_last_minutes(app: Flask, user: User, travel) -> None:
    add_demand_view(app, then=("password_change",))
    here = signed_in(app)
    assert here.get("/t/demand").place == "/password/change"
    travel(301)
    assert here.get("/t/demand").place == "/login"


def test_changing_the_password_ends_the_other_sessions_and_is_told_by_mail(
    app: Flask, user: User, mailbox, audit_trail
) -> None:
    add_demand_view(app, then=("password_change",))
    elsewhere, here = signed_in(app), None
    with_codes = browser(app).open().give_password().post(code=code_of(SECRET, steps=1))
    here, before = with_codes, with_codes.secret
    assert here.get("/t/demand").post(current_password=PASSWORD, new_password=NEW_PASSWORD).place == "/t/goal"
    assert [one.sid for one in sessions.of(user.sub)] == [here.secret.split(".")[0]] and here.secret != before
    assert elsewhere.get("/").place != "/" or "Sign in" in elsewhere.answer.text
    assert mailbox()[-1].subject == "Your password was changed" and "password.changed" in audit_trail
    assert password.verify(user, NEW_PASSWORD)


def test_attack_96_a_bad_new_password_is_refused_with_every_rule_it_breaks(app: Flask, user: User) -> None:
    add_demand_view(app, then=("password_change",))
    here = signed_in(app).get("/t/demand")
    for bad in ("", "short", "alice-Alice-1234", PASSWORD):
        assert here.post(current_password=PASSWORD, new_password=bad).answer.status_code == 400, bad
    assert password.verify(user, PASSWORD)


def test_attack_96_a_session_alone_changes_no_password(app: Flask, user: User, audit_trail) -> None:
    add_demand_view(app, then=("password_change",))
    here = signed_in(app).get("/t/demand")
    assert 'autocomplete="current-password"' in here.answer.text
    for wrong in ({}, {"current_password": ""}, {"current_password": "Wrong-Horse-42-Battery"}):
        assert here.post(new_password=NEW_PASSWORD, **wrong).answer.status_code == 401
    assert "not your present password" in here.answer.text and "factor.rejected" in audit_trail
    assert here.post(current_password=PASSWORD, new_password=NEW_PASSWORD).place == "/t/goal"
    assert password.verify(user, NEW_PASSWORD)


def test_attack_96_the_present_password_is_not_guessed_there(app: Flask, user: User) -> None:
    add_demand_view(app, then=("password_change",))
    here = signed_in(app).get("/t/demand")
    for _ in range(6):
        here.post(current_password="guess", new_password=NEW_PASSWORD)
    assert here.answer.status_code == 429 and int(here.answer.headers["Retry-After"]) > 0
    assert here.post(current_password=PASSWORD, new_password=NEW_PASSWORD).answer.status_code == 429


@pytest.mark.parametrize(
    ("errand", "place"),
    [
        ("recovery_codes", "/enrol/recovery-codes"),
        ("enrol_totp", "/enrol/totp"),
        ("enrol_passkey", "/enrol/passkey"),
    ],
)
def test_attack_104_new_factors_need_a_proof_of_the_last_minute(
    app: Flask, user: User, travel, errand: str, place: str
) -> None:
    add_demand_view(app, then=(errand,))
    here = signed_in(app)
    travel(45)
    assert here.get("/t/demand").place == place
    travel(16)
    codes = recovery_code.remaining(user)
    assert here.get("/t/demand").place == "/login" and recovery_code.remaining(user) == codes
    assert here.give_password().post(code=code_of(SECRET)).place == place


def test_new_recovery_codes_replace_the_old(app: Flask, user: User) -> None:
    add_demand_view(app, then=("recovery_codes",))
    here = signed_in(app).get("/t/demand")
    assert here.place == "/enrol/recovery-codes" and recovery_code.remaining(user) == 10
    assert here.post(saved="yes").place == "/t/goal"


def test_another_app_can_be_enrolled(app: Flask, user: User) -> None:
    add_demand_view(app, then=("enrol_totp",))
    here = signed_in(app).get("/t/demand")
    assert here.place == "/enrol/totp"


# --- guards ---------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(app: Flask, user: User) -> Flask:
    app.add_url_rule("/t/mine", "t_mine", guard.login_required(lambda: "mine"), methods=["GET", "POST"])
    app.add_url_rule("/t/recent", "t_recent", guard.require_recent(60)(lambda: "recent"))
    app.add_url_rule("/t/strong", "t_strong", guard.require_acr(TWO_FACTORS)(lambda: "strong"))
    return app


def test_login_required_leads_through_the_sign_in_and_back_with_the_query(guarded: Flask) -> None:
    here = browser(guarded).get("/t/mine?page=2")
    assert here.place == "/login"
    here.goals = ("/t/mine",)
    here.give_password().post(code=code_of(SECRET))
    assert here.path == "/t/mine?page=2" and here.client.get(here.path).text == "mine"


def test_a_guarded_form_leads_to_the_account_and_not_to_a_get_of_itself(guarded: Flask) -> None:
    here = browser(guarded)
    answer = here.client.post("/t/mine")
    assert answer.status_code == 303
    assert here.get(answer.headers["Location"]).give_password().post(code=code_of(SECRET)).path == "/"


def test_require_recent_and_require_acr(guarded: Flask, travel) -> None:
    here = signed_in(guarded)
    assert [here.client.get(path).text for path in ("/t/mine", "/t/recent", "/t/strong")] == [
        "mine",
        "recent",
        "strong",
    ]
    travel(61)
    assert here.client.get("/t/recent").status_code == 303 and here.client.get("/t/strong").text == "strong"


def test_attack_119_a_disabled_person_is_out_with_the_next_request(guarded: Flask, user: User) -> None:
    here = signed_in(guarded)
    users.disable(user.sub, reason="left", actor=None)
    db.session.commit()
    assert here.client.get("/t/mine").status_code == 303


def test_attack_119_even_if_the_session_was_missed(guarded: Flask, user: User) -> None:
    here = signed_in(guarded)
    user.status = users.DISABLED
    db.session.commit()
    assert here.client.get("/t/mine").status_code == 303
    assert sessions.of(user.sub) == []


def test_attack_76_a_guarded_address_with_two_slashes_is_no_way_out(app: Flask, user: User) -> None:
    app.add_url_rule("/<path:rest>", "t_any", guard.login_required(lambda rest: rest))
    answer = app.test_client().get("//evil.example.com/x")
    assert answer.status_code in (303, 308, 400) and "evil" not in answer.headers.get("Location", "").split("?")[0]


def test_a_guarded_address_with_letters_of_any_script_is_come_back_to(app: Flask, user: User) -> None:
    app.add_url_rule("/t/of/<name>", "t_of", guard.login_required(lambda name: name))
    here = browser(app)
    here.goals = ("/t/of/Zo%C3%AB%20B",)
    here.get("/t/of/Zoë B?q=%C3%A4").give_password().post(code=code_of(SECRET))
    assert here.path == "/t/of/Zo%C3%AB%20B?q=%C3%A4" and here.client.get(here.path).text == "Zoë B"
