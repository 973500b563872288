"""Signing in through the pages: the whole way, every wrong turn, several tabs."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from idp import audit, kv, limits, sessions, users
from idp.authn import flow
from idp.authn.assurance import TWO_FACTORS
from idp.authn.factors import password, recovery_code, totp
from idp.authn.identify import SILENT_SCOPE, identify
from idp.db import db
from tests import cost
from tests.authn.signing_in import (
    CODE,
    NEW_PASSWORD,
    PASSWORD,
    Browser,
    add_demand_view,
    browser,
    code_of,
    key_on,
    make_codes,
    make_person,
    new_secret,
)
from tests.conftest import in_threads

SECRET = new_secret()
GENEROUS = {"account_free_attempts": 10_000, "address_per_minute": 10_000, "network_per_minute": 10_000}


@pytest.fixture
def app(app: Flask) -> Flask:
    add_demand_view(app, client_name="Claims service", form_targets=("https://claims.example.org",))
    return app


def session_of(sub: str) -> sessions.SsoSession:
    return sessions.of(sub)[0]


# --- the way ---------------------------------------------------------------------------------------------------


def test_password_and_code_lead_back_to_where_the_person_was_going(app: Flask, audit_trail) -> None:
    user = make_person(secret=SECRET)
    here = browser(app).get("/t/demand")
    assert here.place == "/login" and "Claims service" in here.answer.text
    here.give_password()
    assert here.place == "/login/totp"
    here.post(code=code_of(SECRET))
    assert here.place == "/t/goal"
    session = session_of(user.sub)
    assert (session.acr, session.amr) == (TWO_FACTORS, ("pwd", "otp", "mfa"))
    told = [event for event in audit_trail.events() if event not in ("user.created", "password.set", "factor.enrolled")]
    assert told == ["password.verified", "factor.verified", "session.started", "login.succeeded"]


def test_the_email_address_signs_in_too(app: Flask) -> None:
    make_person(secret=SECRET)
    assert browser(app).open().give_password("ALICE@Example.org").place == "/login/totp"


def test_login_without_a_demand_ends_at_the_account(app: Flask) -> None:
    make_person(secret=SECRET)
    assert browser(app).sign_in(secret=SECRET).path == "/"


def test_f10_every_step_answers_303_and_is_never_stored(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).open()
    here.post(f"/login/password?flow={here.flow_id}", follow=False, identifier="alice", password=PASSWORD)
    assert (here.answer.status_code, here.answer.headers["Cache-Control"]) == (303, "no-store")
    here._follow().post(follow=False, code=code_of(SECRET))
    assert (here.answer.status_code, here.answer.headers["Cache-Control"]) == (303, "no-store")


def test_the_pages_allow_the_redirects_after_them_to_reach_the_application(app: Flask) -> None:
    policy = browser(app).get("/t/demand").answer.headers["Content-Security-Policy"]
    assert "form-action 'self' https://claims.example.org;" in policy


def test_first_sign_in_enrols_an_app_and_hands_out_codes(app: Flask, audit_trail) -> None:
    user = make_person()
    here = browser(app).get("/t/demand").give_password()
    assert here.answer.text.index("Passkey") < here.answer.text.index("Authenticator app"), "N-13"
    here.choose_app()
    secret = key_on(here.answer.text)
    assert len(secret) == 32 and here.get(here.path).answer.text.count(secret[:4]), "a reloaded page shows the same key"
    assert here.post(code="000000").answer.status_code == 401
    here.post(code=code_of(secret))
    assert here.place == "/enrol/recovery-codes"
    codes = CODE.findall(here.answer.text)
    assert len(codes) == 10 and here.post().answer.status_code == 400, "the box has to be ticked"
    here.post(saved="yes")
    assert here.place == "/t/goal" and session_of(user.sub).acr == TWO_FACTORS
    assert {"factor.enrolled", "recovery_codes.issued", "login.succeeded"} <= set(audit_trail.events())
    assert codes[0] not in here.get("/").answer.text and recovery_code.redeem(user, codes[0])


def test_a_recovery_code_stands_in_for_the_app(app: Flask) -> None:
    user = make_person(secret=SECRET)
    codes = make_codes(user)
    here = browser(app).get("/t/demand").give_password()
    assert "/login/recovery_code?flow=" in here.answer.text
    here.get(f"/login/recovery_code?flow={here.flow_id}").post(code=codes[0])
    assert here.place == "/enrol/recovery-codes", "N-23: who spends one receives new ones"
    here.post(saved="yes")
    assert here.place == "/t/goal" and session_of(user.sub).amr == ("pwd", "otp", "mfa")


def test_whoever_comes_in_with_a_code_and_has_no_app_left_binds_one(app: Flask) -> None:
    user = make_person()
    here = browser(app).get("/t/demand")
    codes = make_codes(user)
    here.give_password().post(code=codes[0])
    assert here.place == "/enrol"


def test_attack_104_a_password_alone_never_replaces_a_second_factor(app: Flask, audit_trail) -> None:
    user = make_person(secret=SECRET)
    for _ in range(50):
        totp.verify(user, {"code": _wrong()})
    db.session.commit()
    here = browser(app).get("/t/demand").give_password()
    assert (here.place, here.answer.status_code) == ("/recover/factor", 200), "the way back in needs more than it"
    for name in ("totp", "passkey"):
        assert here.get(f"/enrol/{name}?flow={here.flow_id}").place == "/recover/factor"
    assert sessions.of(user.sub) == [] and "login.failed" in audit_trail


def _wrong() -> str:
    near = {code_of(SECRET, steps=step) for step in (-2, -1, 0, 1, 2)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


# --- wrong turns -----------------------------------------------------------------------------------------------


def failed_page(here: Browser) -> tuple[int, str]:
    """What an attacker sees: status and page, without what differs by itself."""
    stable = re.sub(r'value="[^"]*"|flow(?:=|%3D)[\w-]+|<code dir="ltr">[^<]*</code>', "", here.answer.text)
    return here.answer.status_code, stable


def test_c7_attack_86_every_failed_password_looks_the_same(app: Flask) -> None:
    make_person()
    gone = make_person("gone")
    users.disable(gone.sub, reason="left", actor=None)
    make_person("mute", raw_password=None)
    db.session.commit()
    tries = [("alice", "wrong"), ("nobody", "wrong"), ("gone", PASSWORD), ("gone", "wrong"), ("mute", "wrong")]
    seen = {failed_page(browser(app).open().give_password(*pair)) for pair in tries}
    assert len(seen) == 1 and seen.pop()[0] == 401


def test_attack_86_failed_sign_ins_set_the_same_cookies_and_headers(app: Flask) -> None:
    make_person()
    answers = [browser(app).open().give_password(name, "wrong").answer for name in ("alice", "nobody")]
    first, second = ({name for name, _ in answer.headers} for answer in answers)
    assert first == second


def test_attack_133_an_unknown_name_is_kept_only_as_a_digest(app: Flask) -> None:
    here = browser(app).open().give_password("My-Secret-Passw0rd", "oops")
    entries = audit.search(audit.Query(event="login.failed")).entries
    assert [entry.reason for entry in entries] == ["unknown_identifier"]
    assert "My-Secret" not in str(entries) and "my-secret" not in str(entries)
    assert here.answer.status_code == 401


def test_attack_100_codes_run_into_a_wait_that_survives_a_new_sign_in(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).open().give_password()
    for _ in range(5):
        assert here.post(code=_wrong()).answer.status_code == 401
    assert here.post(code=_wrong()).answer.status_code == 429
    assert int(here.answer.headers["Retry-After"]) > 0
    other = browser(app).open().give_password()
    assert other.post(code=code_of(SECRET)).answer.status_code == 429, "also for the right code, also from elsewhere"


def test_attack_91_failures_of_all_spellings_count_together(app: Flask) -> None:
    make_person()
    names = ("alice", "ALICE", "Ａlice", " alice ", "aLice")
    statuses = [browser(app).open().give_password(name, "wrong").answer.status_code for name in names]
    assert statuses == [401] * 5
    assert browser(app).open().give_password("Alice", PASSWORD).answer.status_code == 429


def test_attack_91_guesses_under_all_names_of_a_person_count_together(app: Flask, travel, audit_trail) -> None:
    make_person(secret=SECRET)
    for number in range(5):
        browser(app).open().give_password(("alice", "alice@example.org")[number % 2], "wrong")
    refused = browser(app).open().give_password("alice@example.org", PASSWORD)
    assert refused.answer.status_code == 401 and "not right" in refused.answer.text, "the right one is not judged"
    assert "limit.exceeded" in audit_trail
    travel(31)
    assert browser(app).open().give_password("alice@example.org").place == "/login/totp"
    assert browser(app).open().give_password("alice", "wrong").answer.status_code == 401, "success forgets"


def test_attack_86_waits_do_not_tell_which_address_belongs_to_which_name(app: Flask) -> None:
    make_person()
    seen = []
    for pair in (("alice", "alice@example.org"), ("zz-1001", "zz-1001@example.org")):
        pages = [
            failed_page(browser(app).open().give_password(name, "wrong")) for name in (pair[0],) * 6 + (pair[1],) * 6
        ]
        seen.append([(status, re.sub(r"\d+ seconds", "", text)) for status, text in pages])
    assert seen[0] == seen[1]
    assert [status for status, _ in seen[0]] == [401] * 5 + [429] + [401] * 5 + [429]


def test_attack_86_the_silent_wait_takes_the_time_of_a_wrong_password(make_app, sqlite_url: str) -> None:
    """Three kinds of refusal in turns: an ordinary wrong password, nobody, and an account that waits silently."""
    app = make_app(sqlite_url, passwords={"bcrypt_cost": 8}, limits=GENEROUS)
    with app.app_context():
        for name in ("alice", "waits"):
            make_person(name)
        waiting = users.find_by_login("waits")
        assert waiting
        kv.client().hset(limits._account_key(SILENT_SCOPE, waiting.sub, False), "until", 2**52)

        def once(name: str) -> None:
            with app.test_request_context():
                identify(name, "Wrong-Horse-42-Battery")
            db.session.rollback()

        for other in ("alice", "nobody"):
            ratio = cost.alike(lambda: once("waits"), lambda name=other: once(name), within=1.6, times=25)
            assert 0.6 < ratio < 1.6, other


def test_attack_90_a_stranger_does_not_lock_a_person_out_of_a_known_device(app: Flask) -> None:
    make_person(secret=SECRET)
    mine = browser(app).sign_in(secret=SECRET)
    for _ in range(6):
        stranger = browser(app).open().give_password("alice", "guess")
    assert stranger.answer.status_code == 429
    mine.client.delete_cookie("idp_sso")
    assert mine.open().give_password().place == "/login/totp"


def test_attack_94_without_redis_nobody_signs_in(make_app, sqlite_url: str) -> None:
    app = make_app(sqlite_url, redis={"url": "unix:///nowhere/valkey.sock"})
    answers = [app.test_client().get("/login"), app.test_client().post("/login/password?flow=x", data={"csrf": "x"})]
    assert [answer.status_code for answer in answers] == [503, 503]


def test_attack_98_no_step_can_be_skipped(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).open()
    fresh = here.flow_id
    for path in (
        "/login/totp",
        "/login/recovery_code",
        "/login/passkey",
        "/enrol",
        "/enrol/totp",
        "/enrol/passkey",
        "/enrol/recovery-codes",
        "/password/change",
        "/login/blocked",
    ):
        assert browser_like(here).get(f"{path}?flow={fresh}").place == "/login", path
    here.give_password()
    for path in (
        "/enrol",
        "/enrol/totp",
        "/enrol/passkey",
        "/enrol/recovery-codes",
        "/password/change",
        "/login/blocked",
    ):
        assert browser_like(here).get(f"{path}?flow={here.flow_id}").place == "/login/totp", path
    assert here.get("/").place != "/" or "Sign in" in here.answer.text
    assert here.secret == ""


def browser_like(here: Browser) -> Browser:
    return Browser(here.client)


def test_attack_98_a_half_done_sign_in_cannot_change_the_password(app: Flask) -> None:
    user = make_person(secret=SECRET)
    here = browser(app).open().give_password()
    here.post(f"/password/change?flow={here.flow_id}", new_password=NEW_PASSWORD)
    assert here.place == "/login/totp" and password.verify(user, PASSWORD)


def test_attack_99_the_code_must_be_of_the_person_whose_password_it_was(app: Flask) -> None:
    theirs = new_secret()
    make_person(secret=SECRET)
    make_person("mallory", secret=theirs)
    here = browser(app).open().give_password("alice")
    assert here.post(code=code_of(theirs), username="mallory", sub="mallory").answer.status_code == 401
    other = browser(app).open().give_password("mallory")
    here.post(f"/login/totp?flow={other.flow_id}", code=code_of(theirs))
    assert here.secret == "", "the flow of another browser is none"


def test_attack_99_another_password_in_the_same_flow_starts_from_nothing(app: Flask) -> None:
    make_person(secret=SECRET)
    bob = make_person("bob", secret=new_secret())
    here = browser(app).open()
    page = here.flow_id
    here.give_password("alice")
    here.get(f"/login?flow={page}").give_password("bob")
    assert here.post(code=code_of(SECRET)).answer.status_code == 401
    assert sessions.of(bob.sub) == []


def test_attack_17_a_flow_opened_in_another_browser_leads_nowhere(app: Flask) -> None:
    make_person(secret=SECRET)
    mine = browser(app).get("/t/demand")
    victim = browser(app).get(f"/login?flow={mine.flow_id}")
    assert victim.place == "/login" and victim.flow_id != mine.flow_id
    victim.give_password().post(code=code_of(SECRET))
    assert victim.path == "/", "not where somebody else was going"
    assert mine.get(mine.path).place == "/login" and mine.secret == ""


def test_attack_73_the_flow_id_of_before_the_password_knows_nothing_after_it(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).get("/t/demand")
    before = here.flow_id
    here.give_password()
    assert here.flow_id != before
    assert browser_like(here).get(f"/login/totp?flow={before}").place == "/login"


def test_attack_71_a_form_without_our_token_is_refused(app: Flask) -> None:
    make_person()
    here = browser(app).open()
    forged = here.client.post(
        f"/login/password?flow={here.flow_id}", data={"identifier": "alice", "password": PASSWORD}
    )
    foreign = browser(app).open().csrf()
    crossed = here.client.post(
        f"/login/password?flow={here.flow_id}", data={"csrf": foreign, "identifier": "alice", "password": PASSWORD}
    )
    assert (forged.status_code, crossed.status_code) == (403, 403)


def test_attack_76_the_address_to_return_to_is_never_read_from_the_request(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).get("/login?return_to=https://evil.example.com&next=//evil.example.com")
    here.give_password().post(code=code_of(SECRET), return_to="//evil.example.com")
    assert here.path == "/"


def test_attack_14_what_was_typed_is_escaped(app: Flask) -> None:
    here = browser(app).open().give_password('"><script>alert(1)</script>', "x")
    assert "<script>alert" not in here.answer.text


def test_attack_85_getting_a_form_address_changes_nothing(app: Flask) -> None:
    here = browser(app).open()
    again = here.client.get(f"/login/password?flow={here.flow_id}&identifier=a&password=b")
    assert again.status_code == 303 and again.headers["Location"] == f"/login?flow={here.flow_id}"
    assert here.client.put(f"/login/totp?flow={here.flow_id}").status_code == 405


@pytest.mark.parametrize("raw", ["", "x" * 5000, "nul\x00byte", "\U0001f600" * 64, "p" * 72 + "q"])
def test_attack_87_odd_passwords_are_wrong_passwords(app: Flask, raw: str) -> None:
    make_person()
    assert browser(app).open().give_password("alice", raw).answer.status_code == 401


# --- tabs, late clicks, changes on the way ---------------------------------------------------------------------


def test_peers_22_two_tabs_each_reach_their_own_goal(app: Flask) -> None:
    make_person(secret=SECRET)
    first = browser(app).get("/t/demand")
    second = browser_like(first).open()
    first.give_password().post(code=code_of(SECRET))
    assert first.place == "/t/goal"
    assert second.get(f"/login?flow={second.flow_id}").path == "/", "signed in by the other tab: on to the goal"


def test_peers_22_the_other_tab_may_be_at_its_second_step(app: Flask) -> None:
    make_person(secret=SECRET)
    first = browser(app).get("/t/demand").give_password()
    second = browser_like(first).get("/t/demand").give_password()
    first.post(code=code_of(SECRET))
    second.post(code=code_of(SECRET))
    assert second.place == "/t/goal"


def test_a_second_click_and_the_back_button_lead_to_the_goal(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).get("/t/demand").give_password()
    page = here.path
    here.post(code=code_of(SECRET))
    assert browser_like(here).get(page).place == "/t/goal"


def test_going_back_to_the_password_starts_over_towards_the_same_goal(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).get("/t/demand")
    page = here.path
    here.give_password()
    here.get(page)
    assert here.place == "/login" and "Claims service" in here.answer.text
    assert here.give_password().post(code=code_of(SECRET)).place == "/t/goal"


def test_a_flow_that_is_too_old_starts_over_and_says_so(app: Flask, travel) -> None:
    make_person(secret=SECRET)
    here = browser(app).get("/account/profile")
    travel(flow.ABSOLUTE_S + 1)
    here.give_password()
    assert here.place == "/login" and "open for too long" in here.answer.text


def test_a_flow_lives_ten_minutes_in_redis_from_its_last_step(app: Flask) -> None:
    browser(app).open()
    keys = kv.client().keys(kv.key("flow", "*"))
    assert len(keys) == 1 and 590 < kv.client().ttl(keys[0]) <= 600


def test_a_finished_flow_is_never_revived(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).open().give_password()
    with app.test_request_context(headers={"Cookie": f"idp_browser={here.client.get_cookie('idp_browser').value}"}):
        found = flow.find(here.flow_id)
        assert found and flow.take(found) and not flow.take(found) and not flow.save(found)
        finished = flow.find(here.flow_id)
        assert finished and finished.finished and finished.sub is None


def test_20_threads_finish_one_flow_once(app: Flask) -> None:
    here = browser(app).open()
    with app.test_request_context(headers={"Cookie": f"idp_browser={here.client.get_cookie('idp_browser').value}"}):
        found = flow.find(here.flow_id)
    assert found and in_threads(20, app, lambda _: flow.take(found)).count(True) == 1


def test_attack_102_20_browsers_tabs_with_one_code_make_one_session(app: Flask) -> None:
    user = make_person(secret=SECRET)
    here = browser(app).open().give_password()
    cookie, csrf, path = here.client.get_cookie("idp_browser").value, here.csrf(), here.path
    code = code_of(SECRET)

    def submit(_: int) -> int:
        client = app.test_client()
        client.set_cookie("idp_browser", cookie)
        client.post(path, data={"csrf": csrf, "code": code})
        return client.get_cookie("idp_sso") is not None

    assert sum(in_threads(20, app, submit)) == 1
    assert len(sessions.of(user.sub)) == 1


def test_a_person_who_is_disabled_on_the_way_does_not_get_in(app: Flask) -> None:
    user = make_person(secret=SECRET)
    here = browser(app).open().give_password()
    users.disable(user.sub, reason="left", actor=None)
    db.session.commit()
    here.post(code=code_of(SECRET))
    assert here.place == "/login" and here.secret == "" and sessions.of(user.sub) == []


def test_a_password_that_is_replaced_on_the_way_counts_no_more(app: Flask) -> None:
    user = make_person(secret=SECRET)
    here = browser(app).open().give_password()
    password.set_password(user, NEW_PASSWORD, actor=user.sub)
    db.session.commit()
    here.post(code=code_of(SECRET))
    assert here.place == "/login" and "sign in again" in here.answer.text and here.secret == ""


def test_a_password_that_somebody_else_set_must_be_changed_last(app: Flask) -> None:
    user = make_person(secret=SECRET)
    raw = password.issue_temporary(user, actor="admin")
    db.session.commit()
    here = browser(app).get("/t/demand").give_password("alice", raw)
    here.post(code=code_of(SECRET))
    assert here.place == "/password/change" and here.secret == "", "no session before it is changed"
    assert here.post(new_password="short").answer.status_code == 400
    assert here.post(new_password=NEW_PASSWORD).place == "/t/goal"
    assert password.verify(user, NEW_PASSWORD) and not password.must_change(user)


def test_an_unsupported_browser_is_told_so_and_served(app: Flask) -> None:
    old = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"
    here = browser(app).get("/login")
    told = here.client.get(here.path, headers={"User-Agent": old})
    assert told.status_code == 200 and "do not test with this browser" in told.text
    assert "do not test with this browser" not in here.answer.text


def test_help_says_what_a_password_needs_and_which_browsers_work(app: Flask) -> None:
    page = app.test_client().get("/help")
    assert page.status_code == 200 and "Firefox" in page.text and "12" in page.text


def test_c7_the_time_of_a_failure_does_not_tell_who_exists(make_app, sqlite_url: str) -> None:
    app = make_app(sqlite_url, passwords={"bcrypt_cost": 8}, limits=GENEROUS)

    def once(identifier: str) -> None:
        identify(identifier, "Wrong-Horse-42-Battery")
        db.session.rollback()

    with app.test_request_context():
        make_person()
        assert 0.75 < cost.alike(lambda: once("alice"), lambda: once("nobody"), within=1.33) < 1.33


def test_a_reloaded_tab_after_a_wrong_password_is_the_sign_in_page_again(app: Flask) -> None:
    make_person(secret=SECRET)
    here = browser(app).open().give_password("alice", "wrong")
    assert here.answer.status_code == 401 and here.place == "/login/password"
    assert here.get(here.path).place == "/login"
    assert here.sign_in(secret=SECRET).secret
    assert browser(app).get("/login/password").place == "/login"


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_attack_143_without_room_for_a_hash_nothing_is_judged_counted_or_told(
    app: Flask, audit_trail, name: str
) -> None:
    user = make_person(secret=SECRET)
    here, before, pool = browser(app).open(), audit_trail.events(), password.pool()

    def counted() -> list[str]:
        return [key for of in ("{limits:password*", "spray*") for key in kv.client().scan_iter(kv.key(of))]

    running, queue, pool._running, pool.queue = pool._running, pool.queue, pool.concurrency, 0
    try:
        assert app.test_client().post("/login/password").status_code == 403, "a form without our token is refused first"
        for raw_password in (PASSWORD, "Wrong-Lantern-11-Horse"):
            here.open().give_password(name, raw_password)
            assert here.answer.status_code == 503 and here.answer.headers["Retry-After"]
            assert "alice" not in here.answer.text
    finally:
        pool._running, pool.queue = running, queue
    told = audit_trail.events()[len(before) :]
    assert counted() == [] and not [one for one in told if one.startswith(("password", "login", "limit"))], told
    assert password.state(user).failures == 0  # type: ignore[union-attr]
    here.open().give_password(name, "Wrong-Lantern-11-Horse")
    assert here.answer.status_code == 401 and counted(), "with room, it is"
