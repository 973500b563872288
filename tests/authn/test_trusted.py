"""Trusted devices: off by default, bound, revocable, good once a cookie; never more than one factor (attack 109, N-29)."""

from __future__ import annotations

import contextvars
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from idp import audit, authn, config, doctor, sessions, users
from idp.authn import assurance, policy, trusted
from idp.authn.assurance import Demand
from idp.authn.factors import password, totp
from idp.db import db
from idp.users import User
from tests.authn.signing_in import NEW_PASSWORD, make_person, new_secret
from tests.conftest import in_threads

DAY_S = 86400
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"


@pytest.fixture
def setup() -> dict[str, Any]:
    return {
        "factors": {"trusted_device_s": 14 * DAY_S},
        "policies": (config.RolePolicy(roles=("payer",), min_acr=assurance.TWO_FACTORS),),
    }


def visit(app: Flask, user: User | int, work: Any, cookie: str = "", *, agent: str = FIREFOX) -> tuple[Any, str]:
    """Do something for a person inside one request of a browser; return what came of it, and the cookie of the answer."""
    user_id = user if isinstance(user, int) else user.id
    db.session.rollback()  # a test that reads must not stand in the way of the request
    return contextvars.Context().run(_visit, app, user_id, work, cookie, agent)


def _visit(app: Flask, user_id: int, work: Any, cookie: str, agent: str) -> tuple[Any, str]:
    headers = {"Cookie": f"idp_trusted={cookie}", "User-Agent": agent} if cookie else {"User-Agent": agent}
    with app.test_request_context("/", method="POST", headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"}):
        done = work(db.session.get_one(User, user_id))
        answer = app.process_response(app.make_response(""))
        db.session.commit()
    set_now = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith("idp_trusted=")]
    return done, set_now[-1].partition("=")[2].partition(";")[0] if set_now else ""


def person(app: Flask, **more: Any) -> User:
    return make_person("alice", secret=new_secret(), **more)


def trust(app: Flask, user: User, cookie: str = "") -> str:
    return visit(app, user, trusted.remember, cookie)[1]


def is_good(app: Flask, user: User, cookie: str, *, agent: str = FIREFOX) -> bool:
    return visit(app, user, lambda user: trusted.find(user) is not None, cookie, agent=agent)[0]


def ended(user: User) -> list[str | None]:
    return [one.reason for one in audit.search(audit.Query(subject=user.sub, event="trusted_device.ended")).entries]


def test_attack_109_no_browser_is_trusted_unless_the_settings_say_so(make_app, sqlite_url: str) -> None:
    app = make_app(sqlite_url)
    with app.app_context():
        user = person(app)
        assert trusted.offered_s(user) == 0 and trust(app, user) == "" and trusted.of(user) == []


def test_attack_109_a_cookie_is_good_for_its_person_in_its_kind_of_browser(app: Flask) -> None:
    user, bob = person(app), make_person("bob", secret=new_secret())
    cookie = trust(app, user)
    newer = FIREFOX.replace("150", "151")
    assert is_good(app, user, cookie) and is_good(app, user, cookie, agent=newer)
    assert not is_good(app, user, cookie, agent=CHROME) and not is_good(app, bob, cookie)
    assert not is_good(app, user, "") and not is_good(app, user, cookie[:-1] + ("A" if cookie[-1] != "A" else "B"))


def test_attack_109_the_database_does_not_tell_the_cookie(app: Flask) -> None:
    cookie = trust(app, person(app))
    assert cookie.partition(".")[2] not in str(db.session.execute(db.text("SELECT * FROM trusted_devices")).all())


def test_attack_109_a_cookie_works_once_and_is_replaced(app: Flask, travel) -> None:
    user = person(app)
    first = trust(app, user)
    used, second = visit(app, user, lambda user: bool(trusted.use(user)), first)
    assert used and second not in ("", first)
    assert not is_good(app, user, first) and is_good(app, user, second)


def test_attack_109_of_20_threads_with_one_cookie_one_is_let_in(app: Flask) -> None:
    user = person(app)
    user_id, cookie = user.id, trust(app, user)

    def use(_: int) -> bool:
        return visit(app, user_id, lambda user: bool(trusted.use(user)), cookie)[0]

    assert in_threads(20, app, use).count(True) == 1


def test_attack_109_a_copy_is_noticed_and_ends_the_trust(app: Flask, travel, mailbox) -> None:
    user = person(app)
    stolen = trust(app, user)
    _, replaced = visit(app, user, lambda user: bool(trusted.use(user)), stolen)
    travel(61)
    visit(app, user, trusted.look_for_copies, stolen)
    assert not is_good(app, user, replaced) and trusted.of(user) == []
    assert [one.subject for one in mailbox()][-1] == "A browser that you trusted may have been copied"
    assert ended(user) == ["copied"]


def test_a_second_tab_with_the_cookie_of_a_moment_ago_is_no_thief(app: Flask) -> None:
    user = person(app)
    first = trust(app, user)
    _, second = visit(app, user, lambda user: bool(trusted.use(user)), first)
    visit(app, user, trusted.look_for_copies, first)
    visit(app, user, trusted.look_for_copies, second)
    assert is_good(app, user, second)


def test_it_ends_when_its_time_is_over_and_using_it_does_not_prolong_it(app: Flask, travel) -> None:
    user = person(app)
    cookie = trust(app, user)
    travel(13 * DAY_S)
    _, cookie = visit(app, user, lambda user: bool(trusted.use(user)), cookie)
    assert is_good(app, user, cookie)
    travel(DAY_S + 1)
    assert not is_good(app, user, cookie) and trusted.of(user) == []
    assert trusted.prune() == 1


def _new_password(user: User) -> None:
    password.set_password(user, NEW_PASSWORD, actor=user.sub)


def _new_app(user: User) -> None:
    totp.bind(user, new_secret(), actor=user.sub)


def _app_removed(user: User) -> None:
    totp.remove(user, totp.authenticators(user)[0].public_id, actor=None)


def _disabled_and_enabled(user: User) -> None:
    users.disable(user.sub, reason="gone", actor=None)
    users.enable(user.sub, actor=None)


def _signed_out_everywhere(user: User) -> None:
    sessions.end_all(user.sub, cause="user")


@pytest.mark.parametrize(
    "change", [_new_password, _new_app, _app_removed, _disabled_and_enabled, _signed_out_everywhere]
)
def test_attack_109_what_ends_a_trust(app: Flask, change) -> None:
    user = person(app)
    cookie = trust(app, user)
    change(user)
    db.session.commit()
    assert not is_good(app, user, cookie) and trusted.of(user) == []


def test_attack_109_one_can_be_ended_or_all_and_nobody_ends_that_of_others(app: Flask) -> None:
    user, bob = person(app), make_person("bob", secret=new_secret())
    cookies = [trust(app, user) for _ in range(3)]
    newest = trusted.of(user)[0].public_id
    assert not trusted.end(bob, newest, actor=bob.sub, reason="user")
    assert trusted.end(user, newest, actor=user.sub, reason="user")
    db.session.commit()
    assert [is_good(app, user, cookie) for cookie in cookies].count(True) == 2
    assert trusted.end_all(user, actor=user.sub, reason="user") == 2
    db.session.commit()
    assert not any(is_good(app, user, cookie) for cookie in cookies)


def test_two_people_who_share_a_browser_each_have_their_own(app: Flask) -> None:
    user, bob = person(app), make_person("bob", secret=new_secret())
    both = trust(app, bob, trust(app, user))
    assert is_good(app, user, both) and is_good(app, bob, both)
    again = trust(app, user, both)
    assert is_good(app, user, again) and is_good(app, bob, again)
    assert len(trusted.of(user)) == 1 and ended(user) == ["replaced"]


@pytest.mark.parametrize(
    ("demand", "counts"),
    [
        ({}, True),
        ({"acr": assurance.ONE_FACTOR}, True),
        ({"acr": assurance.TWO_FACTORS}, False),
        ({"max_age_s": 3600}, False),
        ({"prompt": frozenset({"login"})}, False),
        ({"prompt": frozenset({"select_account"})}, True),
        ({"then": ("enrol_totp",)}, False),
    ],
)
def test_attack_109_which_demands_it_may_stand_in_for(demand: dict[str, Any], counts: bool) -> None:
    assert trusted.counts(Demand(return_to="/", **demand)) is counts


def test_roles_that_owe_two_factors_everywhere_are_offered_none(app: Flask) -> None:
    assert trusted.offered_s(person(app, roles=("payer",))) == 0
    assert policy.of(make_person("bob")).trusted_device_s == 14 * DAY_S


def test_n29_the_doctor_tells_of_the_departure(app: Flask, make_app, sqlite_url: str) -> None:
    (told,) = doctor.trust.trusted_devices(config.settings())
    assert told.state == "warn" and "NIST" in told.message
    with make_app(sqlite_url).app_context():
        (silent,) = doctor.trust.trusted_devices(config.settings())
        assert silent.state == "ok"


def test_more_than_30_days_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "idp.toml"
    file.write_text(f"[factors]\ntrusted_device_s = {31 * DAY_S}\n", encoding="utf-8")
    with pytest.raises(config.ConfigError, match="trusted_device_s"):
        config.load(file, environ={})


def test_the_room_listens_to_the_end_of_all_sessions(app: Flask) -> None:
    assert authn.trusted is trusted
