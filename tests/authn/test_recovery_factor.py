"""A lost second step: a saved code, or the help desk's temporary code, beside the password; what was planted is shown afterwards."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from idp import audit, sessions, users
from idp.authn import factors, recovery_case, recovery_desk, recovery_review
from idp.authn.factors import password, recovery_code, totp
from idp.authn.recovery_desk import Desk
from idp.db import db
from idp.users import User
from tests.authn.signing_in import (
    NEW_PASSWORD,
    PASSWORD,
    Browser,
    browser,
    code_of,
    key_on,
    make_codes,
    make_person,
    new_secret,
)
from tests.conftest import ISSUER

SECRET = new_secret()
FIRST, SECOND = Desk("_first", is_administrator=False), Desk("_second", is_administrator=False)


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET)


def lost(app: Flask, *, raw_password: str = PASSWORD) -> Browser:
    """A browser where alice gave her password and turned to «I cannot use my second step»."""
    here = browser(app).open().give_password("alice", raw_password)
    return here.get(f"/recover/factor?flow={here.flow_id}")


def temporary_code(user: User, travel: Any, **given: Any) -> str:
    told = {"reason": "Phone stolen", "proof": "callback", "proof_note": "Extension 417", **given}
    case = recovery_desk.open_case(user, by=FIRST, **told)
    recovery_desk.approve(case, by=SECOND)
    travel(1801)
    raw_code = recovery_desk.issue(case, by=FIRST)
    db.session.commit()
    return raw_code


def enrol_app(here: Browser) -> Browser:
    """Go through the enrolment of an authenticator app and the saving of codes."""
    if here.place == "/enrol":
        here.get(f"/enrol/totp?flow={here.flow_id}")
    assert here.place == "/enrol/totp", here.place
    here.post(code=code_of(key_on(here.answer.text)))
    assert here.place == "/enrol/recovery-codes"
    return here.post(saved="yes")


# --- a saved code ---------------------------------------------------------------------------------------------


def test_the_page_names_every_way_and_is_no_dead_end(app: Flask, user: User) -> None:
    make_codes(user)
    here = browser(app).open().give_password()
    assert f"/recover/factor?flow={here.flow_id}" in here.answer.text
    here = here.get(f"/recover/factor?flow={here.flow_id}")
    assert here.answer.status_code == 200
    for told in (
        "I have a recovery code",
        "gave me a temporary code",
        "Call the service desk",
        "+1 555 0100",
        "A second person",
    ):
        assert told in here.answer.text


def test_n25_password_and_a_saved_code_bind_a_new_factor_and_end_the_old_one(app: Flask, user: User, mailbox) -> None:
    raw_codes = make_codes(user)
    elsewhere = browser(app).sign_in(secret=SECRET)
    assert elsewhere.secret
    here = lost(app).post(way="recovery_code", code=raw_codes[0], lost="yes")
    db.session.expire_all()
    assert not totp.enrolled(user), "N-27: the lost one is off before the new one is there"
    assert sessions.of(user.sub) == []
    assert "Your lost device no longer signs you in" in [mail.subject for mail in mailbox()]
    here = enrol_app(here)
    assert here.place == "/recover/review"
    assert here.post(answer="mine").path == "/" and here.secret
    assert [one.factor for one in factors.authenticators(user)] == ["totp", "recovery_code"]


def test_a_saved_code_without_loss_keeps_the_app(app: Flask, user: User) -> None:
    raw_codes = make_codes(user)
    lost(app).post(way="recovery_code", code=raw_codes[0])
    assert totp.enrolled(user)


def test_attack_108_a_spent_code_is_refused_here_too(app: Flask, user: User) -> None:
    raw_codes = make_codes(user)
    lost(app).post(way="recovery_code", code=raw_codes[0])
    again = lost(app).post(way="recovery_code", code=raw_codes[0], lost="yes")
    assert again.answer.status_code == 401 and "used before" in again.answer.text
    assert totp.enrolled(user), "a refused code removes nothing"


# --- the temporary code ---------------------------------------------------------------------------------------


def test_attack_117_the_whole_way_through_the_help_desk(app: Flask, user: User, travel, audit_trail) -> None:
    raw_code = temporary_code(user, travel)
    here = lost(app).post(way="temporary", code=raw_code.lower())
    assert factors.authenticators(user) == []
    here = enrol_app(here)
    assert here.place == "/recover/review"
    assert here.post(answer="mine").path == "/" and here.secret
    session = sessions.of(user.sub)[0]
    assert set(session.amr) == {"pwd", "otp", "mfa"}, (
        "the new app proves the second factor; the temporary code proves none"
    )
    assert {"recovery_case.used", "factor.removed", "factor.enrolled", "recovery.reviewed"} <= set(audit_trail.events())


def test_attack_117_the_temporary_code_never_replaces_the_password(app: Flask, user: User, travel) -> None:
    raw_code = temporary_code(user, travel)
    here = browser(app).open()
    assert here.get(f"/recover/factor?flow={here.flow_id}").place == "/login", "not before the password"
    here.post(f"/recover/factor?flow={here.flow_id}", way="temporary", code=raw_code)
    assert here.place == "/login"
    assert browser(app).open().give_password("alice", raw_code).answer.status_code == 401
    assert recovery_case.search(user=user).items[0].stands == "issued", "and it is not spent"


def test_n25_attack_113_mail_and_temporary_code_are_two(app: Flask, user: User, mailbox, travel) -> None:
    browser(app).get("/recover/password").post(identifier="alice")
    link = re.search(re.escape(ISSUER) + r"(/recover/password/new\?token=[\w-]{43})\n", mailbox()[-1].body)
    browser(app).get(link[1]).post(new_password=NEW_PASSWORD)
    raw_code = temporary_code(user, travel)
    here = lost(app, raw_password=NEW_PASSWORD)
    assert here.place == "/recover/factor", "the mail alone has not got past the second factor"
    assert enrol_app(here.post(way="temporary", code=raw_code)).place == "/recover/review"


def test_factors_that_are_only_out_of_reach_stay_beside_the_new_one(app: Flask, user: User, travel) -> None:
    raw_code = temporary_code(user, travel, remove_factors=False)
    here = lost(app).post(way="temporary", code=raw_code)
    assert here.place.startswith("/enrol")


def test_attack_104_who_abandons_the_enrolment_does_not_leave_the_account_to_the_password(
    app: Flask, user: User, travel
) -> None:
    raw_code = temporary_code(user, travel)
    lost(app).post(way="temporary", code=raw_code)
    assert factors.authenticators(user) == []
    thief = browser(app).open().give_password()
    assert thief.place == "/recover/factor", "nothing is bound, and a password alone binds nothing"
    assert thief.get(f"/enrol/totp?flow={thief.flow_id}").place == "/recover/factor"


def test_attack_99_a_code_in_somebody_elses_sign_in_is_refused(app: Flask, user: User, travel) -> None:
    raw_code = temporary_code(user, travel)
    make_person("mallory", secret=new_secret())
    here = browser(app).open().give_password("mallory")
    here = here.get(f"/recover/factor?flow={here.flow_id}").post(way="temporary", code=raw_code)
    assert here.answer.status_code == 401
    assert totp.enrolled(user)


def test_attack_100_guessing_waits(app: Flask, user: User) -> None:
    here = lost(app)
    statuses = [
        here.post(f"/recover/factor?flow={here.flow_id}", way="temporary", code="x").answer.status_code
        for _ in range(6)
    ]
    assert statuses == [401] * 5 + [429] and here.answer.headers["Retry-After"]


def test_a_form_without_a_way_is_told_so(app: Flask, user: User) -> None:
    assert lost(app).post(code="x").answer.status_code == 400


def test_nobody_can_use_it_who_has_finished_or_not_begun(app: Flask, user: User) -> None:
    here = browser(app).sign_in(secret=SECRET)
    assert here.get("/recover/factor?flow=nothing").place == "/"
    assert browser(app).get("/recover/factor?flow=nothing").place == "/login"


def test_a_person_without_any_second_step_left_is_led_here(app: Flask, user: User) -> None:
    factors.find("totp").remove(user, factors.authenticators(user)[0].public_id, actor=None)  # type: ignore[union-attr]
    make_codes(user)
    for _ in range(10):
        db.session.execute(recovery_code.RecoveryCode.__table__.update().values(used_at=user.created_at))
    db.session.commit()
    here = browser(app).open().give_password()
    assert here.place == "/recover/factor" and "I have a recovery code" not in here.answer.text
    reasons = [one.reason for one in audit.search(audit.Query(event="login.failed")).entries]
    assert reasons == ["second_factor_blocked"]


# --- «stop this» ----------------------------------------------------------------------------------------------


def stop_link(mail: Any) -> str:
    found = re.search(re.escape(ISSUER) + r"(/recover/stop\?token=[\w.-]+)", mail.body)
    assert found
    return found[1]


def test_attack_118_a_mail_scanner_stops_nothing_and_the_person_does(app: Flask, user: User, mailbox) -> None:
    case = recovery_desk.open_case(user, by=FIRST, reason="x", proof="video", proof_note="passport")
    db.session.commit()
    link = stop_link(mailbox()[-1])
    for _ in range(3):
        here = browser(app).get(link)
        assert here.path == "/recover/stop" and "Stop this request?" in here.answer.text
    assert recovery_case.get(case.public_id).stands == "open"
    assert "The request is stopped" in here.post().answer.text
    assert recovery_case.get(case.public_id).stands == "stopped"
    assert "The request is stopped" in browser(app).get(link).answer.text


def test_a_forged_stop_link_is_told_so(app: Flask, user: User) -> None:
    here = browser(app).get("/recover/stop?token=x.y")
    assert here.answer.status_code == 404 and "Open the link in the mail once more" in here.answer.text


def test_attack_71_the_pages_need_our_token(app: Flask, user: User) -> None:
    client = app.test_client()
    for path in ("/recover/factor", "/recover/stop", "/recover/review"):
        assert client.post(path, data={"way": "temporary", "code": "x"}).status_code == 403


# --- was it you? ----------------------------------------------------------------------------------------------


def recovered(app: Flask, mailbox: Any) -> None:
    """Choose a new password by mail."""
    browser(app).get("/recover/password").post(identifier="alice")
    link = re.search(re.escape(ISSUER) + r"(/recover/password/new\?token=[\w-]{43})\n", mailbox()[-1].body)
    assert link
    assert browser(app).get(link[1]).post(new_password=NEW_PASSWORD).place == "/recover/password/done"


def test_peers_18_what_was_planted_is_shown_once_and_removed(app: Flask, user: User, mailbox, travel) -> None:
    travel(31 * 86400)
    planted_id = totp.bind(user, new_secret(), actor=user.sub, label="Another phone").public_id
    users.add_email(user.sub, "evil@example.com", actor=user.sub, verified=True)
    db.session.commit()
    recovered(app, mailbox)
    here = browser(app).open().give_password("alice", NEW_PASSWORD).post(code=code_of(SECRET))
    assert here.place == "/recover/review" and here.secret == "", "before the session, after both factors"
    assert "Another phone" in here.answer.text and "evil@example.com" in here.answer.text
    assert here.answer.text.count('name="unknown"') == 2, "what is older is not asked about"
    keys = re.findall(r'name="unknown" value="([^"]+)"', here.answer.text)
    here.answer = here.client.post(here.path, data={"csrf": here.csrf(), "unknown": keys, "answer": "remove"})
    here._follow()
    assert here.path == "/" and here.secret
    assert [one.public_id for one in factors.authenticators(user)] != [planted_id]
    assert [one.label for one in factors.authenticators(user)] == ["Authenticator app"]
    assert users.find_by_login("evil@example.com") is None
    assert not recovery_review.owed(user)
    assert browser(app).open().give_password("alice", NEW_PASSWORD).post(code=code_of(SECRET, steps=1)).path == "/"


def test_nothing_new_nothing_asked(app: Flask, user: User, mailbox, travel) -> None:
    travel(31 * 86400)
    recovered(app, mailbox)
    assert browser(app).open().give_password("alice", NEW_PASSWORD).post(code=code_of(SECRET)).path == "/"


def test_attack_98_the_question_cannot_be_asked_without_both_factors(app: Flask, user: User, mailbox) -> None:
    recovered(app, mailbox)
    here = browser(app).open().give_password("alice", NEW_PASSWORD)
    assert here.get(f"/recover/review?flow={here.flow_id}").place == "/login/totp"
    here.post(
        f"/recover/review?flow={here.flow_id}",
        answer="remove",
        unknown=f"totp:{factors.authenticators(user)[0].public_id}",
    )
    assert totp.enrolled(user)


def test_attack_126_somebody_elses_things_cannot_be_removed(app: Flask, user: User, mailbox) -> None:
    other = make_person("bob", secret=new_secret())
    theirs = factors.authenticators(other)[0].public_id
    recovered(app, mailbox)
    here = browser(app).open().give_password("alice", NEW_PASSWORD).post(code=code_of(SECRET))
    here.post(answer="remove", unknown=f"totp:{theirs}")
    assert here.path == "/" and totp.enrolled(other)


def test_who_removes_the_last_authenticator_enrols_another(app: Flask, user: User, mailbox) -> None:
    recovered(app, mailbox)
    here = browser(app).open().give_password("alice", NEW_PASSWORD).post(code=code_of(SECRET))
    here.post(answer="remove", unknown=f"totp:{factors.authenticators(user)[0].public_id}")
    assert here.place.startswith("/enrol") and here.secret == ""
    assert password.verify(user, NEW_PASSWORD)
