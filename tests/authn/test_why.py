"""Why am I asked again: the page names who asks, what is missing and what it is about; nobody else's page says any of it."""

from __future__ import annotations

import pytest
from flask import Flask

from idp.authn import guard
from idp.authn.assurance import TWO_FACTORS
from idp.users import User
from tests.authn.signing_in import Browser, add_demand_view, browser, make_person, new_secret

SECRET, THEIRS = new_secret(), new_secret()
APP = {"client_name": "Claims service"}
ABOUT = ("Release one payment", "claim: CLM-20428 <b>")


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET)


def signed_in(app: Flask) -> Browser:
    return browser(app).sign_in(secret=SECRET)


def test_a_first_sign_in_is_not_asked_again(app: Flask, user: User) -> None:
    add_demand_view(app, max_age_s=300, purpose=ABOUT, **APP)
    assert "Why am I asked again" not in browser(app).get("/t/demand").answer.text


def test_an_old_proof_is_named_with_its_age_the_application_and_the_action(app: Flask, user: User, travel) -> None:
    add_demand_view(app, max_age_s=300, purpose=ABOUT, **APP)
    here = signed_in(app)
    travel(301)
    here.get("/t/demand")
    assert here.place == "/login" and "Why am I asked again" in here.answer.text
    assert "Claims service needs a proof of the last 5 minutes" in here.answer.text
    assert "Release one payment" in here.answer.text and "CLM-20428 &lt;b&gt;" in here.answer.text
    assert "still signed in as alice" in here.answer.text
    second = here.give_password()
    assert second.place == "/login/totp" and "Why am I asked again" in second.answer.text


def test_a_missing_second_proof_is_named_and_only_it_is_asked(make_app, sqlite_url: str) -> None:
    app = make_app(sqlite_url, factors={"require_second": False, "trusted_device_s": 0})
    add_demand_view(app, acr=TWO_FACTORS, **APP)
    with app.app_context():
        make_person()
        here = browser(app).open().give_password()
        assert here.secret
        here.get("/t/demand")
        assert "Claims service needs a second proof here" in here.answer.text


def test_prompt_login_says_that_the_application_wants_it(app: Flask, user: User) -> None:
    add_demand_view(app, prompt=frozenset({"login"}), **APP)
    here = signed_in(app).get("/t/demand")
    assert "Claims service wants you to sign in again" in here.answer.text


def test_a_page_of_ours_says_that_it_is_ours(app: Flask, user: User, travel) -> None:
    app.add_url_rule("/t/guarded", "t_guarded", guard.require_recent(60)(lambda: "ok"))
    here = signed_in(app)
    travel(61)
    here.get("/t/guarded")
    assert "This page of your account needs a proof of the last minute" in here.answer.text


def test_another_person_at_the_same_browser_is_told_nothing_of_the_first(app: Flask, user: User, travel) -> None:
    add_demand_view(app, max_age_s=300, purpose=ABOUT, **APP)
    make_person("bob", secret=THEIRS)
    here = signed_in(app)
    travel(301)
    second = here.get("/t/demand").give_password("bob")
    assert second.place == "/login/totp" and "Why am I asked again" not in second.answer.text
    assert "alice" not in second.answer.text


def test_errands_and_choices_have_their_own_pages(app: Flask, user: User, travel) -> None:
    add_demand_view(app, then=("password_change",))
    here = signed_in(app)
    travel(301)
    assert "Why am I asked again" not in here.get("/t/demand").answer.text
