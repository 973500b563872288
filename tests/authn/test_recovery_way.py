"""«Forgot password?» keeps where one was going and the name that was typed, out of every address (peers 3.18, 7.80)."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from idp import kv
from idp.authn.assurance import TWO_FACTORS
from idp.users import User
from tests.authn.signing_in import (
    NEW_PASSWORD,
    Browser,
    add_demand_view,
    browser,
    code_of,
    make_person,
    new_secret,
)
from tests.conftest import ISSUER

SECRET = new_secret()


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET)


def from_an_application(app: Flask, typed: str = "alice") -> Browser:
    """A browser that an application sent to sign in, and that turned to «Forgot password?» with a name typed."""
    add_demand_view(app, client_name="Claims", acr=TWO_FACTORS)
    here = browser(app).get("/t/demand")
    return here.post(f"/recover/begin?flow={here.flow_id}", identifier=typed, lost="password")


def test_the_name_is_there_and_the_way_leads_on_to_the_application(app: Flask, user: User, mailbox, travel) -> None:
    here = from_an_application(app)
    assert here.path == "/recover/password", "neither the name nor the flow is in the address"
    assert 'value="alice"' in here.answer.text
    assert "go on to Claims" in here.post(identifier="alice").answer.text
    link = re.search(re.escape(ISSUER) + r"(/recover/password/new\?token=[\w-]{43})\n", mailbox()[-1].body)
    travel(700)
    here.get(link[1]).post(new_password=NEW_PASSWORD)
    assert here.place == "/recover/password/done" and "go on to Claims" in here.answer.text
    here.get("/recover/continue")
    assert here.place == "/login" and "Claims" in here.answer.text and 'value="alice"' in here.answer.text
    here.give_password("alice", NEW_PASSWORD).post(code=code_of(SECRET))
    assert here.place == "/recover/review"
    assert here.post(answer="mine").place == "/t/goal"


def test_a_corrected_name_is_the_one_that_is_kept(app: Flask, user: User) -> None:
    here = from_an_application(app, "alcie").post(identifier="alice").get("/recover/continue")
    assert 'value="alice"' in here.answer.text


def test_attack_17_another_browser_has_no_part_in_it(app: Flask, user: User) -> None:
    from_an_application(app)
    other = browser(app).get("/recover/password")
    assert 'value="alice"' not in other.answer.text
    other.get("/recover/continue")
    assert other.place == "/login" and "Claims" not in other.answer.text


def test_attack_133_what_was_typed_is_sealed(app: Flask, user: User) -> None:
    from_an_application(app, "My-Secret-Passw0rd")
    kept = [str(kv.client().get(key)) for key in kv.client().keys(kv.key("recovery", "way", "*"))]
    assert len(kept) == 1 and "ecret" not in kept[0]


def test_back_to_sign_in_leads_to_where_one_was(app: Flask, user: User) -> None:
    here = from_an_application(app, "ali\u202ece<b>").get("/recover/continue")
    assert here.place == "/login" and "Claims" in here.answer.text and "<b>" not in here.answer.text


def test_who_forgot_the_username_is_led_to_that_page(app: Flask) -> None:
    here = browser(app).open()
    here.post(f"/recover/begin?flow={here.flow_id}", identifier="alice@example.org", lost="username")
    assert here.place == "/recover/username" and 'value="alice@example.org"' in here.answer.text


def test_a_sign_in_that_is_over_still_leads_to_recovery(app: Flask) -> None:
    here = browser(app).open()
    here.post("/recover/begin?flow=gone", identifier="x" * 5000, lost="password")
    assert here.place == "/recover/password"


def test_attack_71_it_needs_our_token(app: Flask) -> None:
    assert app.test_client().post("/recover/begin", data={"identifier": "x"}).status_code == 403
