"""A sign-in that is under way ends with what it rests on: the password, the account, the sessions, the factors, the recovery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from flask import Flask, g

from idp import clock, sessions, users
from idp.authn import Demand, factors, flow, proofs, recovery, still
from idp.authn.assurance import ONE_FACTOR, TWO_FACTORS
from idp.authn.factors import recovery_code
from idp.db import db
from idp.users import User
from tests.authn.signing_in import (
    CODE,
    NEW_PASSWORD,
    Browser,
    add_demand_view,
    browser,
    code_of,
    key_on,
    make_codes,
    make_person,
    new_secret,
)
from tests.authn.test_passkey_pages import options

SECRET = new_secret()
CHANGED = "Something about your account has changed."
Ends = Callable[[User], Any]


@pytest.fixture
def user(app: Flask) -> User:
    user = make_person(secret=SECRET)
    make_codes(user)
    return user


def parked(here: Browser, page: str, **fields: str) -> str:
    """Leave an errand of hers open in this browser; returns its flow."""
    here.get("/account/security").post(f"/account/security/{page}", **fields)
    assert here.place.startswith("/enrol")
    return here.flow_id


def reset(user: User) -> None:
    raw_token = recovery._issue(user)
    ticket = recovery.find(raw_token)
    assert ticket and recovery.finish(ticket, NEW_PASSWORD)


def end_everything(user: User) -> None:
    sessions.end_all(user.sub, cause="user")


def disable_and_enable(user: User) -> None:
    users.disable(user.sub, reason="left", actor=None)
    users.enable(user.sub, actor=None)


def remove_the_app(user: User) -> None:
    one = next(one for one in factors.authenticators(user) if one.factor == "totp")
    factors.remove(user, one.public_id, actor=None, by_force=True)


def bound(user: User) -> int:
    db.session.rollback()
    db.session.expire_all()
    return len([one for one in factors.authenticators(user) if one.factor != recovery_code.name])


def does(ends: Ends, user: User) -> None:
    ends(user)
    db.session.commit()


EVERY_END = pytest.mark.parametrize("ends", [reset, end_everything, disable_and_enable, remove_the_app])


@EVERY_END
def test_attacks_96_104_119_an_errand_left_open_ends_with_what_it_rests_on(app: Flask, user: User, ends: Ends) -> None:
    here = browser(app).sign_in(secret=SECRET)
    codes = parked(here, "codes")
    assert len(CODE.findall(here.answer.text)) == 10
    add = parked(here, "add", factor="passkey")
    csrf = here.csrf()
    does(ends, user)
    before = bound(user)
    assert options(here, "/enrol/passkey/options", csrf=csrf).status_code == 409
    for path in (f"/enrol/passkey?flow={add}", f"/enrol/totp?flow={add}", f"/enrol/recovery-codes?flow={codes}"):
        answer = here.client.post(path, data={"csrf": csrf, "saved": "1", "credential": "{}", "code": "123456"})
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (303, "/login")
        assert CHANGED in here.get(path).answer.text and here.place == "/login"
    assert here.get(f"/enrol/recovery-codes/file?flow={codes}").place == "/login"
    assert CODE.findall(here.answer.text) == [] and bound(user) == before


@pytest.mark.parametrize("ends", [reset, end_everything, disable_and_enable])
def test_attack_104_119_a_password_alone_binds_nothing_after_the_end(app: Flask, ends: Ends) -> None:
    tess = make_person("tess")
    here = browser(app).open().give_password("tess").choose_app()
    secret = key_on(here.answer.text)
    does(ends, tess)
    assert here.post(code=code_of(secret)).place == "/login" and CHANGED in here.answer.text
    assert bound(tess) == 0


@EVERY_END
def test_attack_119_who_has_proved_both_steps_in_a_flow_of_theirs_starts_over(
    app: Flask, user: User, ends: Ends
) -> None:
    raw_code = make_codes(user)[0]
    here = browser(app).open().give_password()
    here.get(f"/recover/factor?flow={here.flow_id}").post(way="recovery_code", code=raw_code)
    assert here.place == "/enrol/recovery-codes"
    does(ends, user)
    assert here.post(saved="1").place == "/login" and here.secret == "" and sessions.of(user.sub) == []


@EVERY_END
def test_attack_98_an_end_in_the_middle_of_a_step_counts_too(
    app: Flask, user: User, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = browser(app).sign_in(secret=SECRET)
    parked(here, "add", factor="totp")
    secret = key_on(here.answer.text)
    seen, locked, sub, counted = [], still.locked, user.sub, []

    def end_now() -> None:
        with app.app_context():
            one = users.get_by_sub(sub)
            does(ends, one)
            counted.append(bound(one))

    def first_the_end(found: Any) -> Any:
        if not seen:
            seen.append(found)
            thread = Thread(target=end_now)
            thread.start()
            thread.join()
        return locked(found)

    monkeypatch.setattr(still, "locked", first_the_end)
    assert here.post(code=code_of(secret)).place == "/login" and CHANGED in here.answer.text
    assert seen and counted == [bound(user)]


def test_attack_119_a_session_that_its_person_ended_takes_its_flows_along(app: Flask, user: User) -> None:
    here = browser(app).sign_in(secret=SECRET)
    flow_id = parked(here, "codes")
    sessions.end(here.secret.partition(".")[0], cause="idle")
    db.session.commit()
    assert here.get(f"/enrol/recovery-codes?flow={flow_id}").place == "/login"


def test_the_flow_that_ends_everything_goes_on_but_not_past_the_end_of_somebody_else(app: Flask, user: User) -> None:
    with app.test_request_context():
        begun = replace(flow.begin(Demand(return_to="/")), sub=user.sub, since=proofs.since(user.sub))
        proofs.revoke(user.sub)
        proofs.revoke(user.sub)
        assert not proofs.count(begun) and proofs.count(proofs.kept(begun))
    with app.test_request_context():
        begun = replace(begun, since=proofs.since(user.sub))
    proofs.revoke(user.sub)
    with app.test_request_context():
        proofs.revoke(user.sub)
        assert not proofs.count(proofs.kept(begun))


def test_attack_104_a_session_stands_for_no_password_where_a_second_step_is_lost(
    app: Flask, user: User, travel: Callable[[float], None]
) -> None:
    add_demand_view(app, acr=TWO_FACTORS)
    raw_code = make_codes(user)[0]
    with app.test_request_context():
        sessions.start(user.sub, acr=ONE_FACTOR, amr=("pwd",), auth_time=clock.now())
        cookie = g.sso_cookie
    here = browser(app)
    here.client.set_cookie("idp_sso", cookie)
    assert here.get("/t/demand").place == "/login/totp"
    flow_id, csrf = here.flow_id, here.csrf()
    asked = {"csrf": csrf, "way": "recovery_code", "code": raw_code, "lost": "1"}
    answer = here.client.post(f"/recover/factor?flow={flow_id}", data=asked)
    assert answer.headers["Location"] == f"/login?flow={flow_id}" and bound(user) == 1
    here.get(answer.headers["Location"]).give_password()
    assert here.get(f"/recover/factor?flow={here.flow_id}").place == "/recover/factor"
    assert here.post(way="recovery_code", code=raw_code).place == "/enrol/recovery-codes", "the code was not spent"
