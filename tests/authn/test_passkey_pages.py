"""Passkeys through the pages: signing in with one, with a password and one, enrolling, demands, dead ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from idp import audit, sessions, users
from idp.authn import policy
from idp.authn.assurance import PHISHING_RESISTANT, TWO_FACTORS
from idp.authn.factors import passkey, password, recovery_code
from idp.authn.factors.passkey import Enrolled
from idp.config import RolePolicy, Settings
from idp.config.schema import Server
from idp.db import db
from idp.users import User
from tests.authn.authenticator import UP, Authenticator
from tests.authn.signing_in import (
    PASSWORD,
    Browser,
    add_demand_view,
    browser,
    code_of,
    make_codes,
    make_person,
    new_secret,
)
from tests.conftest import in_threads

SECRET = new_secret()
JSON = {"Accept": "application/json"}


@pytest.fixture
def app(app: Flask) -> Flask:
    add_demand_view(app, client_name="Claims service")
    return app


def give_passkey(user: User, **traits: Any) -> Authenticator:
    """Give a person a passkey. Commits."""
    key = Authenticator(**traits)
    assert isinstance(passkey.enrol(user, "f", key.create(passkey.creation_options(user, "f"))), Enrolled)
    db.session.commit()
    return key


def options(here: Browser, path: str = "/login/passkey/options", *, csrf: str | None = None) -> Any:
    """What the page's script asks for."""
    return here.client.post(
        f"{path}?flow={here.flow_id}", data={"csrf": here.csrf() if csrf is None else csrf}, headers=JSON
    )


def use_passkey(here: Browser, key: Authenticator, **lies: Any) -> Browser:
    """Press the passkey button on the page that this browser shows."""
    asked = options(here)
    assert asked.status_code == 200, asked.text
    action = "/login/passkey/sign-in" if here.place in ("/login", "/login/passkey/sign-in") else "/login/passkey"
    return here.post(f"{action}?flow={here.flow_id}", credential=key.get(asked.json, **lies))


def enrol_passkey(here: Browser, key: Authenticator, **lies: Any) -> Browser:
    """Press the button on the enrolment page."""
    asked = options(here, "/enrol/passkey/options")
    assert asked.status_code == 200, asked.text
    return here.post(f"/enrol/passkey?flow={here.flow_id}", credential=key.create(asked.json, **lies))


def session_of(user: User) -> sessions.SsoSession:
    return sessions.of(user.sub)[0]


# --- without a password ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("synced", "kind"), [(False, "hwk"), (True, "swk")])
def test_c29_a_passkey_alone_signs_in(app: Flask, audit_trail: Any, synced: bool, kind: str) -> None:
    user = make_person()
    key = give_passkey(user, synced=synced)
    here = use_passkey(browser(app).get("/t/demand"), key)
    assert here.place == "/t/goal"
    assert (session_of(user).acr, session_of(user).amr) == (PHISHING_RESISTANT, (kind, "user", "mfa"))
    assert audit_trail.events()[-3:] == ["factor.verified", "session.started", "login.succeeded"]


def test_peers_19_no_code_is_asked_for_when_an_app_is_set_up_too(app: Flask) -> None:
    user = make_person(secret=SECRET)
    assert use_passkey(browser(app).get("/t/demand"), give_passkey(user)).place == "/t/goal"


def test_attack_73_the_flow_moves_to_a_new_id(app: Flask) -> None:
    user = make_person(secret=SECRET)
    key = give_passkey(user)
    here = browser(app).get("/t/demand")
    before = here.flow_id
    asked = options(here).json
    here.post(f"/login/passkey/sign-in?flow={before}", follow=False, credential=key.get(asked))
    assert here.answer.status_code == 303 and before not in here.answer.headers["Location"]


def test_c24_every_passkey_that_fails_looks_the_same(app: Flask) -> None:
    user, gone = make_person(), make_person("gone")
    key, theirs = give_passkey(user), give_passkey(gone)
    users.disable(gone.sub, reason="left", actor=None)
    db.session.commit()
    tries: list[tuple[Authenticator, dict[str, Any]]] = [
        (Authenticator(), {}),
        (key, {"signature": b"0" * 70}),
        (key, {"flags": UP}),
        (key, {"with_handle": False}),
        (key, {"origin": "https://example.com"}),
        (theirs, {}),
    ]
    seen = set()
    for one, lies in tries:
        one.rp_id = "localhost"
        here = use_passkey(browser(app).get("/t/demand"), one, **lies)
        text = here.answer.text.replace(here.csrf(), "").replace(here.flow_id, "")
        seen.add((here.answer.status_code, text.split("<main")[1]))
    assert len(seen) == 1 and seen.pop()[0] == 401
    assert sessions.of(user.sub) == [] and sessions.of(gone.sub) == []
    reasons = [one.reason for one in audit.search(audit.Query(event="login.failed"), limit=9).entries]
    assert set(reasons) == {
        "unknown_authenticator",
        "not_verified",
        "person_not_verified",
        "wrong_user_handle",
        "wrong_origin",
        "account_disabled",
    }


def test_a_failed_passkey_leaves_the_password_and_another_try(app: Flask) -> None:
    user = make_person(secret=SECRET)
    key = give_passkey(user)
    here = use_passkey(browser(app).get("/t/demand"), key, flags=UP)
    assert here.answer.status_code == 401 and "passkey did not work" in here.answer.text
    assert use_passkey(here, key).place == "/t/goal"


def test_attack_106_a_replayed_assertion_signs_nobody_in(app: Flask) -> None:
    user = make_person()
    key = give_passkey(user)
    here = browser(app).get("/t/demand")
    raw = key.get(options(here).json)
    there = browser(app).get("/t/demand")
    assert there.post(f"/login/passkey/sign-in?flow={there.flow_id}", credential=raw).answer.status_code == 401
    flow_id = here.flow_id
    assert here.post(f"/login/passkey/sign-in?flow={flow_id}", credential=raw).place == "/t/goal"
    assert there.post(f"/login/passkey/sign-in?flow={there.flow_id}", credential=raw).answer.status_code == 401
    assert len(sessions.of(user.sub)) == 1


def test_attack_90_a_stranger_who_fails_on_the_password_shuts_no_passkey_out(app: Flask) -> None:
    user = make_person(secret=SECRET)
    key = give_passkey(user)
    stranger = browser(app).open()
    for _ in range(8):
        stranger.give_password("alice", "wrong")
    assert stranger.answer.status_code == 429
    assert use_passkey(browser(app).get("/t/demand"), key).place == "/t/goal"


def test_passkeys_have_a_limit_of_the_address(make_app: Callable[..., Flask], sqlite_url: str) -> None:
    app = make_app(sqlite_url, limits={"address_per_minute": 3})
    with app.app_context():
        here = browser(app).open()
        for _ in range(3):
            here.post(f"/login/passkey/sign-in?flow={here.flow_id}", credential="{}")
        assert here.answer.status_code == 401
        here.post(f"/login/passkey/sign-in?flow={here.flow_id}", credential="{}")
        assert here.answer.status_code == 429 and int(here.answer.headers["Retry-After"]) > 0


def test_a_password_that_others_knew_is_not_in_the_way(app: Flask) -> None:
    user = make_person(secret=SECRET)
    key = give_passkey(user)
    password.issue_temporary(user, actor=None)
    db.session.commit()
    assert use_passkey(browser(app).get("/t/demand"), key).place == "/t/goal"


def test_a_person_without_any_password_signs_in(app: Flask) -> None:
    user = make_person(raw_password=None)
    assert use_passkey(browser(app).get("/t/demand"), give_passkey(user)).place == "/t/goal"


def test_a_passkey_that_is_removed_on_the_way_in_opens_nothing(app: Flask) -> None:
    user = make_person()
    key = give_passkey(user)
    here = browser(app).get(demanding(app, "/t/codes", then=("recovery_codes",)))
    assert use_passkey(here, key).place == "/enrol/recovery-codes"
    passkey.remove(user, passkey.authenticators(user)[0].public_id, actor=user.sub)
    db.session.commit()
    flow_id = here.flow_id
    assert options(here, "/enrol/passkey/options").status_code == 409, "it enrols no other one (attack 104)"
    assert here.post(saved="yes").place == "/login" and "changed" in here.answer.text
    assert here.get(f"/enrol/passkey?flow={flow_id}").place == "/login" and sessions.of(user.sub) == []


def test_race_one_assertion_opens_one_session(app: Flask) -> None:
    user = make_person()
    key = give_passkey(user)
    here = browser(app).get("/t/demand")
    raw, csrf, flow_id = key.get(options(here).json), here.csrf(), here.flow_id
    cookies = {name: here.client.get_cookie(name).value for name in ("idp_browser",)}

    def attempt(_: int) -> int:
        client = app.test_client()
        for name, value in cookies.items():
            client.set_cookie(name, value)
        answer = client.post(f"/login/passkey/sign-in?flow={flow_id}", data={"csrf": csrf, "credential": raw})
        return client.get(answer.headers["Location"]).status_code if answer.status_code == 303 else 0

    in_threads(20, app, attempt)
    assert len(sessions.of(user.sub)) == 1


# --- after a password --------------------------------------------------------------------------------------------


def test_a_passkey_is_the_second_factor_that_is_offered_first(app: Flask) -> None:
    user = make_person(secret=SECRET)
    key = give_passkey(user)
    make_codes(user)
    here = browser(app).get("/t/demand").give_password()
    assert here.place == "/login/passkey" and "Use your passkey" in here.answer.text
    assert "/login/totp?flow=" in here.answer.text and "/login/recovery_code?flow=" in here.answer.text, "other ways"
    assert use_passkey(here, key, flags=UP).place == "/t/goal"
    assert (session_of(user).acr, session_of(user).amr) == (PHISHING_RESISTANT, ("pwd", "hwk", "mfa"))


def test_peers_19_who_has_no_passkey_at_hand_takes_the_app(app: Flask) -> None:
    user = make_person(secret=SECRET)
    give_passkey(user)
    here = browser(app).get("/t/demand").give_password()
    here.get(f"/login/totp?flow={here.flow_id}").post(code=code_of(SECRET))
    assert here.place == "/t/goal" and session_of(user).acr == TWO_FACTORS


def test_attack_99_somebody_elses_passkey_is_refused(app: Flask, audit_trail: Any) -> None:
    alice, bob = make_person(), make_person("bob")
    give_passkey(alice)
    theirs = give_passkey(bob)
    here = browser(app).get("/t/demand").give_password()
    assert use_passkey(here, theirs).answer.status_code == 401
    assert "did not work" in here.answer.text and sessions.of(alice.sub) == sessions.of(bob.sub) == []
    assert "factor.rejected" in audit_trail


def test_n10_failures_as_a_second_factor_are_limited(app: Flask) -> None:
    user = make_person()
    give_passkey(user)
    here = browser(app).get("/t/demand").give_password()
    answers = [here.post(f"/login/passkey?flow={here.flow_id}", credential="{}").answer.status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]


def test_attack_98_no_options_before_their_step(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).open().give_password()
    assert options(here).status_code == 409, "they have no passkey"
    assert options(here, "/enrol/passkey/options").status_code == 409
    assert options(here, "/enrol/passkey/options").json["error_description"].startswith("This page was open too long")


def test_attack_104_options_need_our_form_and_this_browser(app: Flask) -> None:
    here = browser(app).open()
    for path in ("/login/passkey/options", "/enrol/passkey/options"):
        assert options(here, path, csrf="forged").status_code == 403
        assert here.client.get(f"{path}?flow={here.flow_id}").status_code == 405, "a GET changes nothing"
    stranger = browser(app).open()
    stranger.path = here.path
    assert options(stranger).status_code == 409


def test_options_of_one_flow_are_limited(app: Flask) -> None:
    here = browser(app).open()
    answers = [options(here).status_code for _ in range(61)]
    assert answers == [200] * 60 + [429]


# --- demands -----------------------------------------------------------------------------------------------------


def demanding(app: Flask, path: str, **demand: Any) -> str:
    from idp import authn, clock
    from idp.authn import Demand

    def view() -> Any:
        return authn.demand(Demand(return_to="/t/goal", asked_at=clock.now(), **demand))

    app.add_url_rule(path, path.strip("/").replace("/", "_"), view)
    return path


def test_attack_103_a_code_does_not_reach_phishing_resistant(app: Flask) -> None:
    user = make_person(secret=SECRET)
    key = give_passkey(user)
    here = browser(app).get(demanding(app, "/t/phr", acr=PHISHING_RESISTANT)).give_password()
    here.get(f"/login/totp?flow={here.flow_id}").post(code=code_of(SECRET))
    assert here.place == "/login/passkey" and sessions.of(user.sub) == []
    assert use_passkey(here, key).place == "/t/goal"
    assert session_of(user).amr == ("pwd", "hwk", "otp", "user", "mfa")


def test_phr_leads_a_person_with_a_code_session_to_their_passkey(app: Flask, travel: Any) -> None:
    user = make_person(secret=SECRET)
    key = give_passkey(user)
    path = demanding(app, "/t/phr", acr=PHISHING_RESISTANT)
    here = browser(app).get("/t/demand").give_password()
    here.get(f"/login/totp?flow={here.flow_id}").post(code=code_of(SECRET))
    travel(600)
    assert here.get(path).place == "/login/passkey", "only what is missing"
    assert use_passkey(here, key).place == "/t/goal" and session_of(user).acr == PHISHING_RESISTANT


def test_phr_lets_whoever_has_none_enrol_after_a_fresh_proof(app: Flask, travel: Any) -> None:
    user = make_person(secret=SECRET)
    path = demanding(app, "/t/phr", acr=PHISHING_RESISTANT)
    here = browser(app).sign_in(secret=SECRET)
    travel(120)
    assert here.get(path).place == "/login", "not from a session of minutes ago (attack 104)"
    here.give_password().post(code=code_of(SECRET))
    assert here.place == "/enrol/passkey" and "/enrol?flow" not in here.answer.text, "an app would not do"
    assert here.get(f"/enrol/totp?flow={here.flow_id}").place == "/enrol/passkey"
    enrol_passkey(here, Authenticator()).post(saved="yes")
    assert here.place == "/t/goal" and session_of(user).acr == PHISHING_RESISTANT


def test_phr_where_no_passkey_is_allowed_says_so(make_app: Callable[..., Flask], sqlite_url: str) -> None:
    app = make_app(sqlite_url, factors={"allowed": ("totp",)})
    with app.app_context():
        make_person(secret=SECRET)
        here = browser(app).get(demanding(app, "/t/phr", acr=PHISHING_RESISTANT))
        assert "passkey" not in here.answer.text.split("<main")[1], "no button that cannot work"
        here.give_password().post(code=code_of(SECRET))
        assert here.answer.status_code == 403 and "asks for a passkey" in here.answer.text


def test_the_policy_of_a_role_decides_what_counts(make_app: Callable[..., Flask], sqlite_url: str) -> None:
    apps_only = RolePolicy(roles=("clerk",), factors=("totp",))
    app = make_app(sqlite_url, policies=(apps_only,))
    with app.app_context():
        clerk = make_person(secret=SECRET, roles=("clerk",))
        key = give_passkey(clerk)
        here = browser(app).open()
        assert use_passkey(here, key).answer.status_code == 401, "attack 103"
        assert here.give_password().place == "/login/totp"
        assert here.get(f"/login/passkey?flow={here.flow_id}").place == "/login/totp"


def test_an_app_that_is_not_allowed_any_more_makes_way(make_app: Callable[..., Flask], sqlite_url: str) -> None:
    app = make_app(sqlite_url, factors={"allowed": ("passkey",), "min_acr": PHISHING_RESISTANT})
    with app.app_context():
        user = make_person(secret=SECRET)
        here = browser(app).open().give_password()
        assert here.place == "/login/totp"
        assert here.post(code=code_of(SECRET)).place == "/enrol/passkey"
        enrol_passkey(here, Authenticator()).post(saved="yes")
        assert here.place == "/" and session_of(user).acr == PHISHING_RESISTANT
        assert browser(app).open().give_password().place == "/login/passkey"


# --- enrolling ---------------------------------------------------------------------------------------------------


def test_first_sign_in_with_a_passkey(app: Flask, audit_trail: Any, mailbox: Any) -> None:
    user, key = make_person(), Authenticator(synced=True)
    here = browser(app).get("/t/demand").give_password()
    assert here.place == "/enrol" and sessions.of(user.sub) == []
    here.get(f"/enrol/passkey?flow={here.flow_id}")
    assert "Choose another way" in here.answer.text
    assert enrol_passkey(here, key).place == "/enrol/recovery-codes"
    assert here.post(saved="yes").place == "/t/goal"
    assert session_of(user).amr == ("pwd", "swk", "user", "mfa") and recovery_code.remaining(user) == 10
    assert {"factor.enrolled", "recovery_codes.issued", "login.succeeded"} <= set(audit_trail.events())
    assert any("passkey was added" in mail.subject for mail in mailbox())
    again = use_passkey(browser(app).get("/t/demand"), key)
    assert again.place == "/t/goal", "and no password is needed from now on"


def test_a_security_key_that_verifies_nobody_is_a_second_factor(app: Flask) -> None:
    user, key = make_person(), Authenticator(verifies=False)
    here = browser(app).get("/t/demand").give_password()
    enrol_passkey(here.get(f"/enrol/passkey?flow={here.flow_id}"), key).post(saved="yes")
    assert here.place == "/t/goal" and session_of(user).amr == ("pwd", "hwk", "mfa")
    assert use_passkey(browser(app).get("/t/demand"), key).answer.status_code == 401, "but not the first"


def test_another_passkey_is_an_errand_with_a_fresh_proof(app: Flask) -> None:
    user = make_person(secret=SECRET)
    codes = len(make_codes(user))
    path = demanding(app, "/t/errand", then=("enrol_passkey",))
    here = browser(app).sign_in(secret=SECRET).get(path)
    assert here.place == "/enrol/passkey" and enrol_passkey(here, Authenticator()).place == "/t/goal"
    assert recovery_code.remaining(user) == codes, "the codes stay"
    assert here.get(path).place == "/enrol/passkey" and enrol_passkey(here, Authenticator()).place == "/t/goal"
    assert len(passkey.authenticators(user)) == 2


@pytest.mark.parametrize(
    ("lies", "words"),
    [({"crossOrigin": True}, "could not be saved"), ({"fmt": "made-up"}, "could not be saved")],
)
def test_what_could_not_be_enrolled_is_told_and_can_be_tried_again(
    app: Flask, lies: dict[str, Any], words: str, audit_trail: Any
) -> None:
    user = make_person()
    here = browser(app).get("/t/demand").give_password()
    here.get(f"/enrol/passkey?flow={here.flow_id}")
    assert enrol_passkey(here, Authenticator(), **lies).answer.status_code == 401 and words in here.answer.text
    assert "factor.rejected" in audit_trail and not passkey.bound(user)
    assert enrol_passkey(here, Authenticator()).place == "/enrol/recovery-codes"


def test_a_passkey_that_is_taken_is_told_in_kind_words(app: Flask) -> None:
    bob, user = make_person("bob"), make_person()
    key = give_passkey(bob)
    here = browser(app).get("/t/demand").give_password()
    enrol_passkey(here.get(f"/enrol/passkey?flow={here.flow_id}"), key)
    assert "on an account already" in here.answer.text and not passkey.bound(user)


def test_the_choice_is_skipped_where_there_is_none(make_app: Callable[..., Flask], sqlite_url: str) -> None:
    for allowed, place in ((("passkey",), "/enrol/passkey"), (("totp",), "/enrol/totp")):
        app = make_app(sqlite_url, factors={"allowed": allowed})
        with app.app_context():
            make_person(allowed[0])
            here = browser(app).open().give_password(allowed[0])
            assert here.place == place and here.get(f"/enrol?flow={here.flow_id}").place == place


# --- other origins -----------------------------------------------------------------------------------------------


def test_c26_related_origins_are_told_only_where_some_are_listed(
    make_app: Callable[..., Flask], sqlite_url: str
) -> None:
    with (app := make_app(sqlite_url)).app_context():
        assert app.test_client().get("/.well-known/webauthn").status_code == 404
    app = make_app(sqlite_url, factors={"passkey_related_origins": ("https://login.example.com",)})
    with app.app_context():
        answer = app.test_client().get("/.well-known/webauthn")
        assert answer.mimetype == "application/json"
        assert json.loads(answer.text) == {"origins": ["http://localhost", "https://login.example.com"]}


@pytest.mark.parametrize(
    ("issuer", "offered"),
    [
        ("http://localhost:8000", ("passkey", "totp")),
        ("https://login.example.org", ("passkey", "totp")),
        ("http://127.0.0.1:8000", ("totp",)),
        ("https://[2001:db8::1]", ("totp",)),
    ],
)
def test_a_passkey_needs_a_host_with_a_name(issuer: str, offered: tuple[str, ...]) -> None:
    assert policy.of_roles((), Settings(server=Server(issuer=issuer))).factors == offered


def test_the_password_still_works_as_before(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).get("/t/demand").give_password(raw_password=PASSWORD)
    assert here.post(code=code_of(SECRET)).place == "/t/goal"
