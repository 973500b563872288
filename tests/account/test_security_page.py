"""/account/security: what it shows, what can be changed there, and what an attacker at a screen that was left cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, clock, config, sessions
from idp.authn import assurance, factors, trusted
from idp.authn.factors import recovery_code, totp
from idp.authn.flow import FRESH_S, PROOF_S
from idp.db import db
from idp.users import User
from tests.authn.signing_in import CODE, Browser, browser, code_of, key_on, make_codes, make_person, new_secret

PAGE = "/account/security"
SECRET = new_secret()


@pytest.fixture
def setup() -> dict[str, Any]:
    return {
        "factors": {"trusted_device_s": 14 * 86400},
        "policies": (
            config.RolePolicy(roles=("guest",), require_second=False),
            config.RolePolicy(roles=("payer",), factors=("totp",)),
        ),
    }


@pytest.fixture
def user(app: Flask) -> User:
    made = make_person(secret=SECRET)
    make_codes(made)
    return made


@pytest.fixture
def here(app: Flask, user: User) -> Browser:
    """Alice, signed in with both factors just now, on her page."""
    return signed_in(app)


def signed_in(app: Flask) -> Browser:
    made = browser(app)
    made.goals = ("/",)
    return made.sign_in(secret=SECRET).get(PAGE)


def apps(user: User) -> list[factors.Authenticator]:
    db.session.rollback()
    return totp.authenticators(user)


def words(here: Browser) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", here.answer.text))


def prove(here: Browser) -> Browser:
    """Give the password and the code that the sign-in pages ask for."""
    assert here.place == "/login", here.place
    return here.give_password().post(code=code_of(SECRET))


# --- what it shows --------------------------------------------------------------------------------------------


def test_nobody_is_led_to_the_sign_in(app: Flask) -> None:
    assert app.test_client().get(PAGE).status_code == 303


def test_it_says_what_there_is_and_what_is_asked(here: Browser) -> None:
    told = words(here)
    for sentence in (
        "Every sign-in needs a second step beside the password.",
        "After 15 minutes without use you are signed out.",
        "Authenticator app",
        "10 codes left, made",
        "this is the only one: add another before you remove it",
    ):
        assert sentence in told, sentence


def test_what_is_asked_follows_the_policy_of_the_person(app: Flask) -> None:
    make_person("guest", secret=SECRET, roles=("guest",))
    make_person("payer", secret=SECRET, roles=("payer",))
    guest, payer = browser(app).sign_in("guest", secret=SECRET), browser(app).sign_in("payer", secret=SECRET)
    assert "A second step is up to you." in words(guest.get(PAGE))
    told = words(payer.get(PAGE))
    assert "The second step has to be an authenticator app." in told and "Add a passkey" not in told


# --- adding, renaming, replacing ------------------------------------------------------------------------------


def test_an_app_is_added_named_and_told(here: Browser, user: User, mailbox) -> None:
    here.post(f"{PAGE}/add", factor="totp")
    assert here.place == "/enrol/totp", "both factors were proved a moment ago"
    here.post(code=code_of(key_on(here.answer.text)), label="Ward tablet")
    assert here.place == PAGE and "Your new second step is ready." in here.answer.text
    assert [one.label for one in apps(user)] == ["Authenticator app", "Ward tablet"]
    assert mailbox()[-1].subject == "An authenticator app was added to your account"


def test_an_app_is_replaced_in_one_errand(here: Browser, user: User) -> None:
    old = apps(user)[0].public_id
    here.post(f"{PAGE}/replace", id=old)
    assert totp.enrolled(user), "the old one works until the new one does"
    here.post(code=code_of(key_on(here.answer.text)), label="New phone")
    assert here.place == PAGE and "the old one is gone" in here.answer.text
    assert [one.label for one in apps(user)] == ["New phone"]
    (event,) = audit.search(audit.Query(subject=user.sub, event="factor.removed")).entries
    assert (event.reason, event.details["authenticator"]) == ("replaced", old)


def test_an_abandoned_replacement_changes_nothing(here: Browser, user: User) -> None:
    here.post(f"{PAGE}/replace", id=apps(user)[0].public_id)
    assert len(apps(user)) == 1


def test_a_name_is_changed_and_a_bad_one_is_explained_in_place(here: Browser, user: User) -> None:
    one = apps(user)[0].public_id
    here.post(f"{PAGE}/rename", id=one, label=" My phone ")
    assert apps(user)[0].label == "My phone" and "The new name is saved." in here.answer.text
    here.post(f"{PAGE}/rename", id=one, label="x" * 61)
    assert here.answer.status_code == 400 and 'aria-invalid="true"' in here.answer.text
    assert apps(user)[0].label == "My phone"


# --- removing -------------------------------------------------------------------------------------------------


def add_tablet(user: User) -> str:
    made = totp.bind(user, new_secret(), actor=None, label="Tablet").public_id
    db.session.commit()
    return made


def test_c15_the_page_of_the_last_factor_says_what_to_do_instead(here: Browser, user: User) -> None:
    one = apps(user)[0].public_id
    here.get(f"{PAGE}/remove?id={one}")
    told = words(here)
    assert "This is your last second step" in told and "Add another first" in told and "Remove it" not in told
    here.post(f"{PAGE}/remove", id=one)
    assert here.answer.status_code == 409 and len(apps(user)) == 1


def test_one_of_two_is_removed_and_other_sessions_end_if_wanted(app: Flask, here: Browser, user: User, travel) -> None:
    travel(30)
    other = signed_in(app)
    tablet = add_tablet(user)
    here.get(f"{PAGE}/remove?id={tablet}")
    assert "Also sign me out on 1 other browser." in words(here)
    here.post(f"{PAGE}/remove", id=tablet, end_others="yes")
    assert here.place == PAGE and [one.label for one in apps(user)] == ["Authenticator app"]
    assert other.get(PAGE).place == "/login" and here.get(PAGE).place == PAGE


def test_asvs_7_4_3_other_sessions_stay_unless_the_box_is_ticked(app: Flask, here: Browser, user: User, travel) -> None:
    travel(30)
    other = signed_in(app)
    here.post(f"{PAGE}/remove", id=add_tablet(user))
    assert other.get(PAGE).place == PAGE


def test_a_person_without_the_demand_removes_the_last_and_is_warned(app: Flask) -> None:
    guest = make_person("guest", secret=SECRET, roles=("guest",))
    make_codes(guest)
    here = browser(app).sign_in("guest", secret=SECRET)
    one = apps(guest)[0].public_id
    assert "your password alone opens your account" in words(here.get(f"{PAGE}/remove?id={one}"))
    here.post(f"{PAGE}/remove", id=one)
    db.session.rollback()
    assert factors.authenticators(guest) == []


# --- attacks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "form"),
    [("add", {"factor": "totp"}), ("replace", {}), ("codes", {}), ("password", {})],
)
def test_attack_104_an_unattended_screen_starts_no_errand_without_a_proof(
    here: Browser, user: User, travel, path: str, form: dict[str, str]
) -> None:
    travel(PROOF_S + 1 if path != "password" else FRESH_S + 1)
    here.post(f"{PAGE}/{path}", id=apps(user)[0].public_id, **form)
    assert here.place == "/login" and len(apps(user)) == 1


def test_attack_105_a_removal_needs_a_fresh_proof_of_both_factors(here: Browser, user: User, travel) -> None:
    tablet = add_tablet(user)
    travel(FRESH_S + 1)
    here.post(f"{PAGE}/remove", id=tablet)
    assert here.place == "/login" and len(apps(user)) == 2
    assert "Remove “Tablet”" in words(here), "the page says what it is about"
    prove(here)
    assert here.place == f"{PAGE}/remove" and len(apps(user)) == 2, "the proof leads to the question, not to the deed"
    here.post(f"{PAGE}/remove", id=tablet)
    assert len(apps(user)) == 1


def test_attack_105_a_session_of_one_factor_removes_nothing(app: Flask, here: Browser, user: User, travel) -> None:
    sessions.end(here.secret.partition(".")[0], cause="user")
    db.session.commit()
    travel(30)
    trusting = browser(app).open().give_password().post(code=code_of(SECRET), trust="yes")
    sessions.end(trusting.secret.partition(".")[0], cause="user")
    db.session.commit()
    travel(30)
    trusting.open().give_password()
    assert sessions.of(user.sub)[0].acr == assurance.ONE_FACTOR
    trusting.get(PAGE).post(f"{PAGE}/remove", id=apps(user)[0].public_id)
    assert trusting.place.startswith("/login") and len(apps(user)) == 1


@pytest.mark.parametrize(
    "form",
    [
        {"mfa_enabled": "false", "require_second": "false", "factors": ""},
        {"label": "Phone", "disabled_at": "2026-01-01", "user_id": "2", "sealed_secret": "x"},
    ],
)
def test_attack_105_fields_that_no_form_has_change_nothing(here: Browser, user: User, form: dict[str, str]) -> None:
    before = apps(user)[0]
    for path in (f"{PAGE}/rename", "/account/profile"):
        here.get(PAGE).post(path, id=before.public_id, **{"label": before.label, **form})
    after = apps(user)[0]
    assert (after.public_id, after.disabled_at, after.usable) == (before.public_id, None, True)
    assert factors.must_stay(user, after.public_id)


def test_attack_104_105_forms_without_our_token_and_gets_change_nothing(here: Browser, user: User) -> None:
    tablet = add_tablet(user)
    for path in ("add", "replace", "rename", "remove", "codes", "password", "untrust", "untrust-all"):
        sent = {"id": tablet, "label": "Hers", "factor": "totp"}
        assert here.client.post(f"{PAGE}/{path}", data=sent).status_code == 403
        if path != "remove":  # GET of that one asks
            assert here.client.get(f"{PAGE}/{path}").status_code == 405
    here.client.get(f"{PAGE}/remove?id={tablet}")
    assert [one.label for one in apps(user)] == ["Authenticator app", "Tablet"]


def test_attack_105_what_somebody_else_has_bound_is_as_unknown_as_nothing(app: Flask, here: Browser) -> None:
    bob = make_person("bob", secret=new_secret())
    totp.bind(bob, new_secret(), actor=None, label="His")
    db.session.commit()
    theirs = apps(bob)[0].public_id
    for path in ("replace", "rename", "remove"):
        answers = []
        for one in (theirs, "01999999-0000-7000-8000-000000000000"):
            here.get(PAGE).post(f"{PAGE}/{path}", id=one, label="Hers")
            answers.append(here.answer.status_code)
        assert answers == [404, 404]
    assert here.get(f"{PAGE}/remove?id={theirs}").answer.status_code == 404
    assert [one.label for one in apps(bob)] == ["Authenticator app", "His"]


def test_recovery_codes_are_not_removed_by_their_id(here: Browser, user: User) -> None:
    here.post(f"{PAGE}/remove", id=recovery_code.THE_SET)
    assert here.answer.status_code == 404 and recovery_code.remaining(user) == 10


# --- recovery codes and trusted browsers ----------------------------------------------------------------------


def test_who_never_had_codes_is_told_something_else_than_who_has_used_them_up(
    app: Flask, here: Browser, user: User
) -> None:
    make_person("payer", secret=SECRET, roles=("payer",))
    never = browser(app).sign_in("payer", secret=SECRET)
    assert "You have no recovery codes yet." in words(never.get(PAGE))
    db.session.execute(sa.update(recovery_code.RecoveryCode).values(used_at=clock.now()))
    db.session.commit()
    assert "You have no recovery code left." in words(here.get(PAGE))


def test_n23_new_codes_are_shown_given_as_a_file_and_told(here: Browser, user: User, mailbox) -> None:
    here.post(f"{PAGE}/codes")
    assert here.place == "/enrol/recovery-codes"
    shown = CODE.findall(here.answer.text)
    link = re.search(r'href="(/enrol/recovery-codes/file\?flow=[^"]+)"', here.answer.text)
    file = here.client.get(link[1])
    assert file.headers["Content-Disposition"] == 'attachment; filename="idp-recovery-codes.txt"'
    assert file.mimetype == "text/plain" and "no-store" in file.headers["Cache-Control"]
    assert [line for line in file.text.splitlines() if line in shown] == shown and "Account: alice" in file.text
    assert browser(here.client.application).client.get(link[1]).status_code == 303, "only in this browser"
    here.post(saved="yes")
    assert here.place == PAGE and mailbox()[-1].subject == "You have new recovery codes"
    assert here.client.get(link[1]).status_code == 303, "and only until they are saved"


def test_trusted_browsers_are_listed_and_ended_one_by_one_or_all(app: Flask, user: User, travel) -> None:
    here = browser(app).open().give_password().post(code=code_of(SECRET), trust="yes").get(PAGE)
    assert "This browser" in words(here)
    row = trusted.of(user)[0].public_id
    db.session.rollback()
    here.post(f"{PAGE}/untrust", id=row)
    assert "That browser asks for your second step again." in here.answer.text
    here.post(f"{PAGE}/untrust", id=row)
    assert here.answer.status_code == 404
    travel(30)
    browser(app).open().give_password().post(code=code_of(SECRET), trust="yes")
    here.get(PAGE).post(f"{PAGE}/untrust-all")
    db.session.rollback()
    assert trusted.of(user) == []
