"""Who may open the staff's pages: the role, two factors, a proof of the last minutes; everybody else is told what is missing."""

from __future__ import annotations

import pytest
from flask import Flask

from idp import admin, audit, users
from idp.db import db
from tests.authn.signing_in import Browser, browser, code_of, make_person, new_secret

SECRET = new_secret()


@pytest.fixture
def setup() -> dict[str, object]:
    return {"factors": {"require_second": False}}


def signed_in(app: Flask, username: str, *, roles: tuple[str, ...] = (), secret: str | None = None) -> Browser:
    make_person(username, roles=roles, secret=secret)
    return browser(app).sign_in(username, secret=secret)


def test_who_is_not_signed_in_is_led_to_the_sign_in_and_back(app: Flask) -> None:
    make_person("desk", roles=("help_desk",), secret=SECRET)
    here = browser(app).get("/admin/")
    assert here.place == "/login"
    here.goals = ("/admin/",)
    here.give_password("desk").post(code=code_of(SECRET))
    assert here.place == "/admin/"
    assert "Looking after others" in here.client.get("/admin/").text


def test_asvs_8_2_1_a_role_that_is_missing_is_named_and_written_down(app: Flask) -> None:
    here = signed_in(app, "nurse", roles=("nurse",), secret=SECRET)
    answer = here.client.get("/admin/")
    assert answer.status_code == 403
    assert "signed in as nurse" in answer.text and "Help desk" in answer.text and "ask an administrator" in answer.text
    refused = audit.search(audit.Query(event="admin.refused")).entries
    assert [(one.outcome, one.reason) for one in refused] == [("failure", "role_missing")]


def test_asvs_8_4_2_one_factor_is_not_enough_for_the_staff(app: Flask) -> None:
    here = signed_in(app, "desk", roles=("help_desk",))
    assert here.client.get("/").status_code == 200
    assert here.get("/admin/").place != "/admin/", "a second factor is demanded"


def test_asvs_8_4_2_an_old_proof_is_not_enough_for_the_staff(app: Flask, travel) -> None:
    here = signed_in(app, "desk", roles=("help_desk",), secret=SECRET)
    assert here.client.get("/admin/").status_code == 200
    travel(admin.PROOF_S - 10)
    assert here.client.get("/").status_code == 200
    travel(20)
    assert here.client.get("/").status_code == 200
    assert here.get("/admin/").place == "/login"


def test_asvs_8_3_2_a_role_that_was_taken_away_is_gone_at_once(app: Flask) -> None:
    here = signed_in(app, "desk", roles=("help_desk",), secret=SECRET)
    assert here.client.get("/admin/").status_code == 200
    users.set_roles(users.find_by_login("desk").sub, [], actor="test")
    db.session.commit()
    assert here.client.get("/admin/").status_code == 403


def test_the_menu_shows_what_the_role_may_use(app: Flask) -> None:
    answer = signed_in(app, "auditor", roles=("auditor",), secret=SECRET).client.get("/admin/")
    assert answer.status_code == 200
    assert "/admin/recovery" in answer.text and "/admin/people" not in answer.text
