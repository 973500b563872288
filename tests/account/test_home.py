"""A person's own page: what it shows, and what can be done from it."""

from __future__ import annotations

import pytest
from flask import Flask

from idp import clients, sessions
from idp.authn.factors import password, recovery_code
from idp.db import db
from idp.users import User
from tests.authn.signing_in import (
    NEW_PASSWORD,
    PASSWORD,
    Browser,
    browser,
    code_of,
    make_codes,
    make_person,
    new_secret,
)

SECRET = new_secret()
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET, roles=("physician",))


@pytest.fixture
def home(app: Flask, user: User) -> Browser:
    """Alice, signed in, on her page."""
    here = browser(app)
    here.client.environ_base["HTTP_USER_AGENT"] = FIREFOX
    return here.sign_in(secret=SECRET).get("/")


def elsewhere(app: Flask, travel, username: str = "alice", secret: str = SECRET) -> Browser:
    travel(30)
    here = browser(app).sign_in(username, secret=secret)
    assert here.secret
    return here


def make_client(name: str, *, first_party: bool, client_uri: str = "") -> None:
    page = {"client_uri": client_uri} if client_uri else {}
    clients.create(
        {"client_name": name, "redirect_uris": [f"https://{name}.example.org/cb"], "first_party": first_party, **page}
    )
    db.session.commit()


def test_nobody_is_led_to_the_sign_in(app: Flask) -> None:
    assert browser(app).get("/").place == "/login"
    assert app.test_client().get("/").status_code == 303


def test_it_says_who_is_signed_in_and_offers_the_way_out(home: Browser) -> None:
    assert home.answer.status_code == 200 and "Hello, Alice" in home.answer.text
    assert 'href="/end_session"' in home.answer.text and 'href="/account/password"' in home.answer.text
    assert home.answer.headers["Cache-Control"] == "no-store"


def test_it_lists_the_services_of_the_house_that_have_a_page(home: Browser) -> None:
    make_client("claims", first_party=True, client_uri="https://claims.example.org/")
    make_client("internal", first_party=True)
    make_client("stranger", first_party=False, client_uri="https://stranger.example.org/")
    page = home.get("/").answer.text
    assert 'href="https://claims.example.org/"' in page and "internal" not in page and "stranger" not in page


def test_it_shows_the_last_sign_ins_also_failed_ones(home: Browser, app: Flask) -> None:
    browser(app).open().give_password("alice", "wrong")
    page = home.get("/").answer.text
    assert "A sign-in failed" in page and "Signed in: Password and code" in page and "127.0.0.1" in page


def test_it_says_that_one_is_signed_in_elsewhere(home: Browser, app: Flask, travel) -> None:
    assert "other browser" not in home.get("/").answer.text
    elsewhere(app, travel)
    assert "signed in on one other browser" in home.get("/").answer.text


def test_attack_71_forms_of_the_page_need_our_token(home: Browser, user: User) -> None:
    mine = home.secret.split(".")[0]
    for path in ("/account/sessions/end", "/account/recovery-codes"):
        assert home.client.post(path, data={"sid": mine}).status_code == 403
    assert len(sessions.of(user.sub)) == 1


def test_attack_85_new_recovery_codes_need_a_post(home: Browser) -> None:
    assert home.client.get("/account/recovery-codes").status_code == 405


def test_c30_few_recovery_codes_are_noted_with_a_remedy(home: Browser, user: User) -> None:
    codes = make_codes(user)
    assert "recovery codes left" not in home.get("/").answer.text
    for code in codes[:7]:
        recovery_code.redeem(user, code)
    db.session.commit()
    assert "3 recovery codes left" in home.get("/").answer.text
    home.post("/account/recovery-codes")
    assert home.place == "/enrol/recovery-codes"
    home.post(saved="yes")
    assert home.place == "/" and recovery_code.remaining(user) == 10


def test_the_password_is_changed_after_a_fresh_proof(home: Browser, user: User, travel) -> None:
    travel(301)
    home.get("/account/password")
    assert home.place == "/login"
    home.give_password().post(code=code_of(SECRET)).post(current_password=PASSWORD, new_password=NEW_PASSWORD)
    assert home.place == "/" and password.verify(user, NEW_PASSWORD)
    assert "Your password is changed." in home.get(home.path).answer.text


def test_attack_79_odd_addresses_are_not_the_page(home: Browser) -> None:
    assert [home.client.get(path).status_code for path in ("/x.css", "/account/password/x.css")] == [404, 404]
