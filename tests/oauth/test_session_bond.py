"""No family outlives the sign-in that it began with because it was committed a moment too late (attacks 55, 119)."""

from __future__ import annotations

import contextvars
import time
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
import redis
import sqlalchemy as sa

from idp import sessions
from idp.db import committing, db
from idp.oauth import tokens
from tests.conftest import in_threads
from tests.oauth.test_device import decide, poll, start, tv  # noqa: F401 - a fixture
from tests.oauth.test_legacy import LEGACY

OFFLINE = "openid offline_access"


@pytest.fixture
def setup(setup):
    return setup | {"oauth": {"allow_legacy": True}}


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def ends_first(app, alice, monkeypatch):
    """Let every session of alice end, committed, after a request has read hers and before it writes the family."""

    def arm(*, cause="password_reset", sid=None):
        def late(session, **facts):
            contextvars.Context().run(end)
            return real(session, **facts)

        def end():
            with app.app_context(), committing():
                sessions.end(sid, cause=cause) if sid else sessions.end_all(alice.sub, cause=cause)

        real = tokens.open_family
        monkeypatch.setattr(tokens, "open_family", late)

    return arm


def reasons():
    """Why each family ended, None for one that lives."""
    found = db.session.execute(sa.select(tokens.FamilyRow.revoked_because)).scalars().all()
    db.session.rollback()
    return list(found)


@pytest.mark.parametrize("scope", ["openid", OFFLINE])
@pytest.mark.parametrize("cause", ["password_reset", "user"])
def test_attack_55_a_code_that_was_late_is_worth_nothing(rp, signed_in, ends_first, scope, cause, audit_trail):
    ends_first(cause=cause)
    code = rp.code(scope=scope)
    answer = rp.redeem(code)
    assert answer.status == 400 and answer.error == "invalid_grant" and answer.access_token is None
    assert reasons() == ["session_ended"]
    assert audit_trail.events().count("token.revoked") == 1
    assert rp.redeem(code).error == "invalid_grant"
    assert reasons() == ["session_ended"]


def test_attack_119_one_session_that_is_ended_elsewhere_issues_nothing_more(rp, signed_in, ends_first):
    ends_first(cause="user", sid=signed_in.sid)
    assert rp.redeem(rp.code()).error == "invalid_grant"


def test_the_code_of_an_offline_family_is_good_while_the_session_lives_and_its_tokens_after_it(rp, signed_in):
    answer = rp.sign_in(scope=OFFLINE)
    with committing():
        sessions.end(signed_in.sid, cause="logout")
    assert rp.userinfo(answer.access_token).status_code == 200
    assert rp.refresh(answer.refresh_token).status == 200


def test_a_locked_session_keeps_what_applications_have(rp, signed_in, app):
    code, raw = rp.code(), rp.sign_in().refresh_token
    with app.test_request_context(), committing():
        assert sessions.lock(signed_in)
    assert rp.redeem(code).status == 200
    assert rp.refresh(raw).status == 200


@pytest.mark.parametrize("scope", ["openid", OFFLINE])
def test_attack_55_a_device_that_was_allowed_too_late_gets_nothing(tv, client, signed_in, ends_first, scope):  # noqa: F811
    started = start(tv, scope=scope)
    ends_first()
    assert decide(client, started.user_code).status_code == 200
    assert poll(tv, started).error == "invalid_grant"
    assert reasons() == ["session_ended"]


@pytest.mark.parametrize("kind", ["id_token", "id_token token", "code id_token token"])
def test_attack_55_no_token_leaves_by_the_browser_too_late(make_rp, signed_in, ends_first, kind):
    old = make_rp(**LEGACY, defaults={"code_challenge": None, "code_challenge_method": None})
    ends_first()
    told = dict(parse_qsl(urlsplit(old.authorize(response_type=kind).location).fragment))
    assert told["error"] == "login_required"
    assert not {"code", "id_token", "access_token"} & set(told)
    assert reasons() == ["session_ended"]


def test_f9_an_online_refresh_needs_the_session(rp, signed_in, app, travel, audit_trail):
    raw = rp.sign_in().refresh_token
    travel(app.extensions["idp.settings"].sessions.idle_s + 1)  # idle, and no sweep has come by yet
    assert rp.refresh(raw).error == "invalid_grant"
    assert reasons() == ["session_ended"]
    assert "token.revoked" in audit_trail
    with committing():
        assert sessions.sweep() == 1
    assert reasons() == ["session_ended"]


def test_o41_an_offline_refresh_does_not(rp, signed_in, app, travel):
    raw = rp.sign_in(scope=OFFLINE).refresh_token
    travel(app.extensions["idp.settings"].sessions.idle_s + 1)
    assert rp.refresh(raw).status == 200


def test_redis_away_at_the_question_means_503_and_no_token(rp, signed_in, monkeypatch):
    def away(_sid):
        raise redis.ConnectionError

    raw, code = rp.sign_in().refresh_token, rp.code()
    monkeypatch.setattr(sessions.browser.store, "is_alive", away)
    monkeypatch.setattr(sessions.browser.store, "keep", away)
    for answer in (rp.redeem(code), rp.refresh(raw)):
        assert answer.status == 503 and answer.access_token is None
    assert reasons() == [None, None]
    monkeypatch.undo()
    assert rp.refresh(raw).status == 200, "the rotation was undone with the rest"


def test_machines_and_resources_ask_for_no_session(make_rp, rp, signed_in, monkeypatch):
    def never(_sid):
        raise AssertionError

    token = rp.sign_in().access_token
    machine = make_rp(
        grant_types=["client_credentials"], redirect_uris=[], post_logout_redirect_uris=[], scope="claims.read"
    )
    monkeypatch.setattr(sessions, "is_alive", never)
    monkeypatch.setattr(sessions, "keep", never)
    assert machine.token(grant_type="client_credentials").status == 200
    assert rp.introspect(token).get_json()["active"] is True


@pytest.mark.parametrize(
    ("cause", "scope"), [("user", "openid"), ("password_reset", "openid"), ("password_reset", OFFLINE)]
)
def test_attack_55_119_whoever_asks_in_a_loop_while_everything_ends_is_left_with_nothing(
    app, rp, alice, signed_in, cause, scope
):
    """Five threads ask for codes; two of them redeem at once, the others when all is over. None holds a living token then."""
    cookie = rp.http.get_cookie("idp_sso", domain="localhost")
    until = time.monotonic() + 40
    tokens_out, codes_out = [], []  # of all threads

    def work(number):
        if number == 5:
            while (len(tokens_out) < 2 or len(codes_out) < 6) and time.monotonic() < until:
                time.sleep(0.01)
            with committing():
                sessions.end_all(alice.sub, cause=cause)
            return None
        browser = app.test_client()
        browser.set_cookie("idp_sso", cookie.value, domain="localhost")
        return loop(replace(rp, http=browser), redeems=number < 2)

    def loop(thief, *, redeems):
        while time.monotonic() < until:
            told = dict(parse_qsl(urlsplit(thief.authorize(scope=scope).location).query))
            if "code" not in told:
                return
            if not redeems:
                codes_out.append(told["code"])
            elif (answer := thief.redeem(told["code"])).status == 200:
                tokens_out.append(answer)
            else:
                assert answer.error == "invalid_grant"
        raise AssertionError("the session never ended")

    results = in_threads(6, app, work)
    assert not [found for found in results if isinstance(found, Exception)], results
    assert {rp.redeem(code).error for code in codes_out} == {"invalid_grant"}
    for answer in tokens_out:
        assert rp.userinfo(answer.access_token).status_code == 401
        assert rp.refresh(answer.refresh_token).error == "invalid_grant"
    assert None not in reasons()
