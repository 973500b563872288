"""A sign-in that goes on from something that was proved elsewhere: an invitation, a recovery."""

from __future__ import annotations

from flask import Flask

from idp import sessions
from idp.authn import steps
from idp.authn.assurance import TWO_FACTORS, Demand
from idp.authn.factors import password, totp
from idp.db import db
from idp.users import User
from tests.authn.signing_in import NEW_PASSWORD, PASSWORD, Browser, browser, code_of, make_person, new_secret

SECRET = new_secret()


def resumed(app: Flask, user: User, **proved: object) -> Browser:
    """A browser that comes from the page which proved it."""
    app.add_url_rule(
        "/t/resume", "t_resume", lambda: steps.resume(user, Demand(return_to="/t/goal"), **proved), methods=["GET"]
    )
    return browser(app).get("/t/resume")


def test_who_has_just_chosen_a_password_goes_on_to_the_second_factor(app: Flask) -> None:
    user = make_person(secret=SECRET)
    here = resumed(app, user, methods=("pwd",))
    assert here.place == "/login/totp" and sessions.of(user.sub) == []
    assert here.post(code=code_of(SECRET)).place == "/t/goal"
    assert sessions.of(user.sub)[0].acr == TWO_FACTORS


def test_attack_104_without_leave_a_lost_factor_is_not_replaced(app: Flask) -> None:
    user = make_person(secret=SECRET)
    disable_app(user)
    assert resumed(app, user, methods=("pwd",)).place == "/recover/factor"


def test_with_leave_it_is(app: Flask) -> None:
    user = make_person(secret=SECRET)
    disable_app(user)
    here = resumed(app, user, methods=("pwd",), may_bind=True)
    assert here.place.startswith("/enrol")


def test_leave_is_not_handed_to_another_person_in_the_same_flow(app: Flask) -> None:
    user, bob = make_person(secret=SECRET), make_person("bob", secret=SECRET)
    for one in (user, bob):
        disable_app(one)
    here = resumed(app, user, methods=("pwd",), may_bind=True)
    here.choose_app()
    here.post(f"/login/password?flow={here.flow_id}", identifier="bob", password=PASSWORD)
    assert here.place == "/recover/factor"


def test_a_password_that_changes_meanwhile_ends_it(app: Flask) -> None:
    user = make_person(secret=SECRET)
    here = resumed(app, user, methods=("pwd",))
    password.set_password(user, NEW_PASSWORD, actor=user.sub)
    db.session.commit()
    assert here.post(code=code_of(SECRET)).place == "/login" and sessions.of(user.sub) == []


def disable_app(user: User) -> None:
    near = {code_of(SECRET, steps=step) for step in (-2, -1, 0, 1, 2)}
    wrong = next(f"{number:06d}" for number in range(6) if f"{number:06d}" not in near)
    for _ in range(50):
        totp.verify(user, {"code": wrong})
    db.session.commit()
