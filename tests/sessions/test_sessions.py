"""The SSO session: secrets that change, ends that are final, expiry that the server decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, Response, g
from flask.testing import FlaskClient

from idp import audit, clock, crypto, kv, sessions
from idp.db import db
from idp.sessions import store
from idp.web import edge
from tests.conftest import in_threads

TWO = {"acr": "urn:idp:acr:2fa", "amr": ("pwd", "otp", "mfa")}


@pytest.fixture
def app(app: Flask) -> Flask:
    """The application with three bare views around the front door of the room."""
    app.add_url_rule("/t/start/<sub>", "t_start", _start)
    app.add_url_rule("/t/renew", "t_renew", _renew)
    app.add_url_rule("/t/who", "t_who", _who)
    app.add_url_rule("/t/end", "t_end", _end)
    app.add_url_rule("/t/broken", "t_broken", _broken)
    return app


def _start(sub: str) -> str:
    return sessions.start(sub, auth_time=clock.now(), **TWO).sid


def _renew() -> str:
    session = sessions.current()
    renewed = session and sessions.renew(session, auth_time=clock.now(), **TWO)
    return renewed.sid if renewed else "-"


def _who() -> str:
    session = sessions.current()
    return session.sub if session else "-"


def _end() -> str:
    session = sessions.current()
    return str(sessions.end(session.sid, cause="user")) if session else "-"


def _broken() -> str:
    sessions.start("alice", auth_time=clock.now(), **TWO)
    raise RuntimeError("the view broke after it had started a session")


def secret(client: FlaskClient) -> str:
    cookie = client.get_cookie("idp_sso")
    return cookie.value if cookie else ""


@contextmanager
def heard() -> Iterator[list[dict[str, str]]]:
    """Gather what `ended` said."""
    said: list[dict[str, str]] = []

    def listen(_sender: object, **told: str) -> None:
        said.append(told)

    with sessions.ended.connected_to(listen):
        yield said


def made(sub: str = "alice") -> sessions.SsoSession:
    return sessions.start(sub, auth_time=clock.now(), **TWO)


# --- the cookie -----------------------------------------------------------------------------------------------


def test_n28_the_cookie_is_opaque_httponly_lax_and_for_the_whole_host(client: FlaskClient) -> None:
    answer = client.get("/t/start/alice")
    cookie = next(line for line in answer.headers.getlist("Set-Cookie") if line.startswith("idp_sso="))
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie and "Max-Age" not in cookie and "Expires" not in cookie
    assert len(secret(client).partition(".")[2]) >= 43  # 256 bits


def test_n28_attack_74_behind_https_the_cookie_is_secure_and_has_the_host_prefix(make_app, sqlite_url) -> None:
    app = make_app(sqlite_url, mode="production", server={"issuer": "https://id.example.org"})
    app.add_url_rule("/t/start/<sub>", "t_start", _start)
    answer = app.test_client().get("/t/start/alice", base_url="https://id.example.org")
    cookie = next(line for line in answer.headers.getlist("Set-Cookie") if line.startswith("__Host-idp_sso="))
    assert "Secure" in cookie.split("; ")


def test_redis_holds_neither_the_secret_nor_the_cookie(client: FlaskClient) -> None:
    client.get("/t/start/alice")
    sid, _, raw_secret = secret(client).partition(".")
    kept = kv.client().hgetall(kv.key("sso", "s", sid))
    assert kept["secret_digest"] == crypto.digest(raw_secret)
    assert raw_secret not in "".join([*kept, *kept.values()])


@pytest.mark.parametrize("forged", ["", "x", ".", "sid.", ".secret", "ü.ü", "a" * 3000, "{sid}.wrong", "{sid}"])
def test_a_cookie_that_we_did_not_make_is_nobody(client: FlaskClient, forged: str) -> None:
    sid = client.get("/t/start/alice").text
    client.set_cookie("idp_sso", forged.format(sid=sid) if "{" in forged else forged)
    assert client.get("/t/who").text == "-"


def test_attack_73_every_step_up_has_a_new_secret_and_the_old_one_is_dead_at_once(client: FlaskClient, app) -> None:
    client.set_cookie("idp_sso", "planted.secret")
    sid = client.get("/t/start/alice").text
    before = secret(client)
    assert before != "planted.secret"
    assert client.get("/t/renew").text == sid, "the public sid stays"
    after = secret(client)
    thief = app.test_client()
    thief.set_cookie("idp_sso", before)
    assert (after != before, client.get("/t/who").text, thief.get("/t/who").text) == (True, "alice", "-")


def test_starting_a_session_ends_the_one_that_this_browser_had(client: FlaskClient) -> None:
    first = client.get("/t/start/alice").text
    with heard() as said:
        second = client.get("/t/start/bob").text
    assert said == [{"sub": "alice", "sid": first, "cause": "replaced"}]
    assert client.get("/t/who").text == "bob" and first != second


def test_attack_119_a_stolen_secret_is_dead_after_the_end(client: FlaskClient, app) -> None:
    client.get("/t/start/alice")
    stolen = secret(client)
    assert client.get("/t/end").text == "True"
    thief = app.test_client()
    thief.set_cookie("idp_sso", stolen)
    assert (secret(client), thief.get("/t/who").text) == ("", "-")


def test_attack_124_the_end_in_one_browser_leaves_another_alone(app) -> None:
    first, second = app.test_client(), app.test_client()
    first.get("/t/start/alice")
    second.get("/t/start/alice")
    first.get("/t/end")
    assert second.get("/t/who").text == "alice"


def test_no_session_survives_an_answer_whose_events_were_not_committed(client: FlaskClient, app) -> None:
    assert client.get("/t/broken").status_code == 500
    assert secret(client) == ""
    assert sessions.of("alice") == []


def test_no_session_survives_a_commit_that_failed(client: FlaskClient, monkeypatch) -> None:
    def fail() -> None:
        monkeypatch.undo()
        raise RuntimeError("the database went away at the commit")

    monkeypatch.setattr(edge, "commit_work", fail)
    assert client.get("/t/start/alice").status_code == 500
    assert (secret(client), sessions.of("alice")) == ("", [])


# --- expiry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("idle_s", "alive"), [(899, True), (900, False), (86400, False)])
def test_n28_x12_attack_120_a_session_ends_after_idling(client: FlaskClient, travel, idle_s: int, alive: bool) -> None:
    client.get("/t/start/alice")
    travel(idle_s)
    assert client.get("/t/who").text == ("alice" if alive else "-")


def test_using_a_session_slides_its_idle_limit_but_not_its_absolute_end(client: FlaskClient, travel) -> None:
    client.get("/t/start/alice")
    for _ in range(53):  # 53 × 800 s = 11 h 47 min
        travel(800)
        assert client.get("/t/who").text == "alice"
    travel(800)
    assert client.get("/t/who").text == "-", "twelve hours are over, however busy the session was"


def reasons(sid: str) -> list[str | None]:
    """Why a session ended, as the audit has it."""
    db.session.commit()
    return [entry.reason for entry in audit.search(audit.Query(sid=sid, event="session.ended")).entries]


def test_o44_an_expired_session_is_told_and_written_down_when_its_browser_comes_back(
    client: FlaskClient, travel
) -> None:
    sid = client.get("/t/start/alice").text
    travel(900)
    with heard() as said:
        client.get("/t/who")
        client.get("/t/who")
        assert sessions.sweep() == 0
    assert (reasons(sid), said) == (["idle"], [{"sub": "alice", "sid": sid, "cause": "idle"}])


def test_o44_the_sweep_ends_sessions_whose_browser_does_not_come_back(app, travel) -> None:
    idle, busy = made(), made()
    travel(600)
    assert sessions.keep(busy.sid)
    travel(301)
    with heard() as said:
        assert [sessions.sweep(), sessions.sweep()] == [1, 0]
    assert said == [{"sub": "alice", "sid": idle.sid, "cause": "idle"}]
    assert (reasons(idle.sid), reasons(busy.sid)) == (["idle"], [])
    assert [one.sid for one in sessions.of("alice")] == [busy.sid]
    travel(600)
    assert sessions.sweep() == 1 and reasons(busy.sid) == ["idle"]


def test_o44_the_sweep_finds_the_absolute_end_of_a_busy_session(app, travel) -> None:
    session = made()
    for _ in range(53):
        travel(800)
        assert sessions.keep(session.sid) and sessions.sweep() == 0
    travel(800)
    assert not sessions.keep(session.sid), "nothing moves the absolute end"
    assert sessions.sweep() == 1 and reasons(session.sid) == ["absolute"]


def test_o44_a_session_that_redis_let_go_still_ends_visibly(app) -> None:
    session = made()
    kv.client().delete(kv.key("sso", "s", session.sid))
    with clock.travel(901), heard() as said:
        assert sessions.sweep() == 1
    assert said == [{"sub": "alice", "sid": session.sid, "cause": "idle"}]


def test_keeping_revives_nothing(app, travel) -> None:
    ended, idle = made(), made()
    sessions.end(ended.sid, cause="user")
    travel(900)
    assert not sessions.keep(ended.sid) and not sessions.keep(idle.sid) and not sessions.keep("unknown")
    assert sessions.of("alice") == []


def test_a_session_that_was_ended_on_purpose_is_not_swept(app, travel) -> None:
    sessions.end(made().sid, cause="user")
    travel(901)
    assert sessions.sweep() == 0


def test_20_sweeps_at_once_end_each_session_once(app) -> None:
    wanted = {made().sid for _ in range(5)}
    db.session.commit()
    with clock.travel(901):
        found = in_threads(20, app, lambda _: [one.sid for one in store.expire_due(limit=100)])
    assert sorted(sid for sids in found for sid in sids) == sorted(wanted)


def test_an_expired_session_is_not_listed(app, travel) -> None:
    made()
    travel(901)
    assert sessions.of("alice") == []


# --- ending ---------------------------------------------------------------------------------------------------


def test_end_all_spares_the_one_that_the_person_is_working_in(app) -> None:
    mine, *others = made(), made(), made()
    with heard() as said:
        assert sessions.end_all("alice", cause="password_changed", except_sid=mine.sid) == 2
    assert {told["sid"] for told in said} == {other.sid for other in others}
    assert [one.sid for one in sessions.of("alice")] == [mine.sid]


def test_of_lists_only_the_sessions_of_that_person_with_the_last_used_first(app, travel) -> None:
    first = made()
    travel(5)
    second = made()
    made("bob")
    assert [one.sid for one in sessions.of("alice")] == [second.sid, first.sid]


def test_ending_twice_is_heard_and_written_once(app) -> None:
    session = made()
    with heard() as said:
        assert [sessions.end(session.sid, cause="user") for _ in range(2)] == [True, False]
    db.session.commit()
    ended = audit.search(audit.Query(sid=session.sid, event="session.ended")).entries
    assert (len(said), len(ended)) == (1, 1)


def test_20_threads_end_one_session_and_one_of_them_is_heard(app) -> None:
    session = made()
    db.session.commit()
    assert sum(in_threads(20, app, lambda _: store.remove(session.sid) is not None)) == 1


def test_20_threads_renew_one_session_and_one_secret_is_left(app) -> None:
    session = made()
    db.session.commit()

    def renew(number: int) -> bool:
        return store.change(session, secret_digest=f"digest-{number}")

    results = in_threads(20, app, renew)
    assert results.count(True) == 1
    assert store.touch(session.sid, f"digest-{results.index(True)}") is not None


def test_no_touch_or_renewal_revives_a_session_that_is_being_ended(app) -> None:
    session = made()
    db.session.commit()

    def meddle(number: int) -> None:
        if number == 7:
            store.remove(session.sid)
            return
        for _ in range(50):
            store.touch(session.sid, session.secret_digest)
            store.choose(session)

    in_threads(20, app, meddle)
    assert kv.client().exists(kv.key("sso", "s", session.sid)) == 0
    assert store.touch(session.sid, session.secret_digest) is None


def test_start_renewal_and_end_are_in_the_audit(client: FlaskClient, audit_trail) -> None:
    client.get("/t/start/alice")
    client.get("/t/renew")
    client.get("/t/end")
    assert audit_trail.events() == ["session.started", "session.renewed", "session.ended"]


# --- Redis ----------------------------------------------------------------------------------------------------


def test_redis_away_means_a_clear_503_and_not_nobody(make_app, sqlite_url) -> None:
    app = make_app(sqlite_url, redis={"url": "unix:///nowhere/valkey.sock"})
    app.add_url_rule("/t/who", "t_who", _who)
    client = app.test_client()
    client.set_cookie("idp_sso", "sid.secret")
    answer = client.get("/t/who")
    assert answer.status_code == 503 and "Retry-After" in answer.headers


def test_a_request_asks_redis_once(app, monkeypatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(store, "touch", lambda sid, _digest: asked.append(sid))
    with app.test_request_context(headers={"Cookie": "idp_sso=sid.secret"}):
        sessions.current()
        sessions.current()
        assert "sso_session" in g
    assert asked == ["sid"]


def test_the_answer_of_a_view_can_be_any_response(app) -> None:
    app.add_url_rule("/t/response", "t_response", lambda: (_start("alice"), Response("ok", 303))[1])
    client = app.test_client()
    assert client.get("/t/response").status_code == 303 and secret(client)


def test_end_all_is_told_once_also_when_no_session_was_left(app) -> None:
    said: list[dict[str, object]] = []

    def listen(_sender: object, **told: object) -> None:
        said.append(told)

    with sessions.all_ended.connected_to(listen):
        made()
        assert [sessions.end_all("alice", cause="user_disabled") for _ in range(2)] == [1, 0]
    assert said == [{"sub": "alice", "cause": "user_disabled", "except_sid": None}] * 2


def test_x12_each_session_keeps_the_limits_that_its_person_was_given(app, travel) -> None:
    short = sessions.start("alice", auth_time=clock.now(), idle_s=300, absolute_s=1000, **TWO)
    usual = made("bob")
    travel(299)
    assert sessions.keep(short.sid)
    assert [found.idle_s for found in sessions.of("alice")] == [300]
    travel(299)
    assert sessions.keep(short.sid) and sessions.sweep() == 0
    travel(301)
    assert sessions.sweep() == 1 and reasons(short.sid) == ["idle"]
    assert sessions.keep(usual.sid)


def test_x12_an_absolute_end_of_ones_own_comes_however_busy_the_session_is(app, travel) -> None:
    short = sessions.start("alice", auth_time=clock.now(), absolute_s=1000, **TWO)
    travel(800)
    assert sessions.keep(short.sid)
    travel(200)
    assert not sessions.keep(short.sid) and sessions.sweep() == 1 and reasons(short.sid) == ["absolute"]


def test_a_session_from_before_limits_of_ones_own_has_the_general_ones(app, travel) -> None:
    old = made()
    kv.client().hdel(kv.key("sso", "s", old.sid), "idle_s")
    assert [found.idle_s for found in sessions.of("alice")] == [900]
    travel(901)
    assert not sessions.keep(old.sid) and sessions.sweep() == 1
