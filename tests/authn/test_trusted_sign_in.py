"""Signing in from a trusted device, and with a recovery code: what the person meets, what the session and the audit say."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from idp import audit, clock, sessions
from idp.authn import trusted
from idp.authn.assurance import ONE_FACTOR, TWO_FACTORS
from idp.authn.factors import recovery_code
from idp.db import db
from idp.users import User
from tests.authn.signing_in import CODE, Browser, add_demand_view, browser, code_of, make_codes, make_person, new_secret

DAY_S = 86400
SECRET = new_secret()


@pytest.fixture
def setup() -> dict[str, Any]:
    return {"factors": {"trusted_device_s": 14 * DAY_S}}


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET)


def trusting(app: Flask, travel) -> Browser:
    """A browser that alice trusts, and in which nobody is signed in any more."""
    here = browser(app).open().give_password()
    assert "Do not ask for a code on this browser for 14 days" in here.answer.text
    here.post(code=code_of(SECRET), trust="yes")
    sessions.end(here.secret.partition(".")[0], cause="user")
    db.session.commit()
    travel(3600)
    return here


def last_sign_in(user: User) -> audit.Entry:
    db.session.rollback()
    return audit.search(audit.Query(subject=user.sub, event="login.succeeded")).entries[0]


def test_attack_109_a_trusted_browser_signs_in_with_the_password_and_says_so(
    app: Flask, user: User, travel, mailbox
) -> None:
    add_demand_view(app)
    proved_at = clock.now()
    here = trusting(app, travel).get("/t/demand").give_password()
    assert here.place == "/t/goal"
    session = sessions.of(user.sub)[0]
    assert (session.acr, session.amr) == (ONE_FACTOR, ("pwd",)), "one factor is what it is"
    assert (session.auth_time - proved_at).total_seconds() < 60, "auth_time is when both factors were proved"
    told = last_sign_in(user)
    assert told.details["deviation"] == "trusted_device" and told.details["factors"] == ["password"]
    assert told.details["device"] == trusted.of(user)[0].public_id
    assert [mail.subject for mail in mailbox()] == ["A browser no longer asks for your second step"]


@pytest.mark.parametrize(
    "demand",
    [{"acr": TWO_FACTORS}, {"max_age_s": 7200}, {"prompt": frozenset({"login"})}, {"then": ("recovery_codes",)}],
)
def test_attack_109_a_trusted_browser_meets_no_stronger_demand(app: Flask, user: User, travel, demand) -> None:
    add_demand_view(app, **demand)
    here = trusting(app, travel).get("/t/demand").give_password()
    assert here.place == "/login/totp"


def test_attack_109_a_session_from_a_trusted_browser_is_never_a_recent_proof(app: Flask, user: User, travel) -> None:
    add_demand_view(app, max_age_s=600)
    here = trusting(app, travel).open().give_password()
    assert here.place == "/"
    assert here.get("/t/demand").place == "/login", "the password was given a second ago; both factors an hour ago"
    here.give_password().post(code=code_of(SECRET))
    assert here.place == "/t/goal" and sessions.of(user.sub)[0].acr == TWO_FACTORS


def test_attack_109_a_step_up_from_a_trusted_browser_asks_for_the_second_factor(app: Flask, user: User, travel) -> None:
    add_demand_view(app, acr=TWO_FACTORS)
    here = trusting(app, travel).open().give_password()
    assert here.get("/t/demand").place == "/login/totp"
    here.post(code=code_of(SECRET))
    assert here.place == "/t/goal" and sessions.of(user.sub)[0].acr == TWO_FACTORS


def test_attack_109_the_cookie_without_the_password_is_worth_nothing(app: Flask, user: User, travel) -> None:
    here = trusting(app, travel).open().give_password(raw_password="not it at all")
    assert here.answer.status_code == 401 and sessions.of(user.sub) == []


def test_attack_109_two_tabs_with_one_cookie_one_is_asked_for_the_code(app: Flask, user: User, travel) -> None:
    here = trusting(app, travel)
    cookie = here.client.get_cookie("idp_trusted").value
    assert here.open().give_password().place == "/"
    thief = browser(app)
    thief.client.set_cookie("idp_trusted", cookie)
    assert thief.open().give_password().place == "/login/totp"
    assert len(trusted.of(user)) == 1, "a moment later it is a tab, not a thief"
    travel(61)
    assert thief.open().give_password().place == "/login/totp"
    db.session.rollback()
    assert trusted.of(user) == [] and "trusted_device.copied" in [
        one.event for one in audit.search(audit.Query(subject=user.sub)).entries
    ]


def test_no_box_no_trust_and_a_recovery_code_makes_none(app: Flask, user: User) -> None:
    here = browser(app).sign_in(secret=SECRET)
    assert here.client.get_cookie("idp_trusted") is None
    codes = make_codes(user)
    other = browser(app).open().give_password()
    other.get(f"/login/recovery_code?flow={other.flow_id}")
    assert "Do not ask" not in other.answer.text
    other.post(code=codes[0], trust="yes").post(saved="yes")
    assert other.place == "/" and trusted.of(user) == []


# --- recovery codes (N-23) ------------------------------------------------------------------------------------


def spend(app: Flask, raw_code: str) -> Browser:
    here = browser(app).open().give_password()
    return here.get(f"/login/recovery_code?flow={here.flow_id}").post(code=raw_code)


def shown_codes(here: Browser) -> list[str]:
    return CODE.findall(here.answer.text)


def test_n23_who_spends_a_code_receives_new_ones_and_the_audit_says_so(app: Flask, user: User) -> None:
    old = make_codes(user)
    here = spend(app, old[0])
    new = shown_codes(here)
    assert here.place == "/enrol/recovery-codes" and len(new) == 10 and not set(new) & set(old)
    here.post(saved="yes")
    assert here.place == "/"
    told = last_sign_in(user)
    assert told.details["factors"] == ["password", "recovery_code"] and told.amr == ("pwd", "otp", "mfa")
    assert recovery_code.remaining(user) == 10
    assert not recovery_code.redeem(user, old[1]) and recovery_code.redeem(user, new[0])


def test_n23_until_the_new_codes_are_saved_what_is_left_of_the_old_ones_works(app: Flask, user: User) -> None:
    old = make_codes(user)
    abandoned = spend(app, old[0])
    new = shown_codes(abandoned)
    again = spend(app, old[1])
    assert again.place == "/enrol/recovery-codes", "a browser that died with the new codes locks nobody out"
    newest = shown_codes(again)
    again.post(saved="yes")
    db.session.rollback()
    assert [recovery_code.redeem(user, one) for one in (old[0], old[2], new[0])] == [False] * 3
    assert recovery_code.redeem(user, newest[0])


def test_the_event_names_the_app_that_signed_in(app: Flask, user: User) -> None:
    browser(app).sign_in(secret=SECRET)
    assert last_sign_in(user).details["factors"] == ["password", "totp"]


def test_attack_108_guesses_at_a_recovery_code_run_into_a_wait_and_a_right_one_then_too(app: Flask, user: User) -> None:
    codes = make_codes(user)
    here = browser(app).open().give_password()
    here.get(f"/login/recovery_code?flow={here.flow_id}")
    for _ in range(6):
        here.post(code="AAAAA-AAAAA-AAA")
    assert here.answer.status_code == 429 and int(here.answer.headers["Retry-After"]) > 0
    here.post(code=codes[0])
    assert here.answer.status_code == 429 and recovery_code.remaining(user) == 10, "it is not even judged"


def test_attack_108_a_spent_code_opens_nothing_in_another_browser(app: Flask, user: User) -> None:
    codes = make_codes(user)
    spend(app, codes[0])
    assert spend(app, codes[0]).answer.status_code == 401


def test_c33_one_code_is_one_proof_and_is_asked_for_once(app: Flask, user: User) -> None:
    codes = make_codes(user)
    here = spend(app, codes[0])
    assert here.place == "/enrol/recovery-codes"
    here.post(f"/login/recovery_code?flow={here.flow_id}", code=codes[1])
    db.session.rollback()
    assert recovery_code.redeem(user, codes[1]), "the step is over: a second code is not taken"


def test_attack_109_a_step_up_does_not_prolong_a_trust_without_the_password(app: Flask, user: User, travel) -> None:
    add_demand_view(app, acr=TWO_FACTORS)
    first = clock.now()
    here = trusting(app, travel).open().give_password()
    here.get("/t/demand").post(code=code_of(SECRET), trust="yes")
    assert here.place == "/t/goal" and sessions.of(user.sub)[0].acr == TWO_FACTORS
    one = trusted.of(user)[0]
    assert (one.proved_at - first).total_seconds() < 60, "the password was given then, and not since"
    assert (one.expires_at - one.proved_at).total_seconds() == 14 * DAY_S
