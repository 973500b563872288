"""OpenID Connect Back-Channel Logout 1.0: who is told, what, when, and how often (O-38 to O-41, O-44, attacks 123, 124)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from flask.testing import FlaskClient

from idp import audit, clients, clock, keys, sessions, users
from idp.db import committing, db
from idp.oauth import backchannel
from tests.conftest import ISSUER
from tests.oauth.conftest import claims_of, header_of
from tests.oauth.receiver import Receiver, elapsed_s, listening

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def db_url(sqlite_url):
    """But for the race, which has a module of its own, nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as one:
        yield one


@pytest.fixture
def told(make_rp, receiver):
    """An application that wants to be told."""
    return make_rp(client_name="Told", backchannel_logout_uri=receiver.uri)


def deliver() -> int:
    db.session.commit()
    return backchannel.deliver_pending()


def rows(**which) -> list[backchannel.Delivery]:
    db.session.commit()
    return backchannel.search(**which)


def outcomes(**which) -> list[str]:
    return [row.outcome for row in rows(**which)]


def sign_out(client: FlaskClient, answer) -> None:
    assert client.get(f"/end_session?id_token_hint={answer.id_token}").status_code == 303


def reasons(event: str) -> list[str | None]:
    db.session.commit()
    return [entry.reason for entry in audit.search(audit.Query(event=event)).entries]


# --- the logout token ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_o39_the_logout_token_is_what_the_specification_says(make_rp, receiver, client, alice, sign_in_as, alg):
    session = sign_in_as(alice)
    rp = make_rp(backchannel_logout_uri=receiver.uri, id_token_signed_response_alg=alg)
    answer = rp.sign_in()
    sign_out(client, answer)
    assert deliver() == 1
    assert receiver.content_types == ["application/x-www-form-urlencoded"]
    assert [list(form) for form in receiver.forms] == [["logout_token"]]
    (raw_token,) = receiver.tokens
    claims, id_token = claims_of(raw_token), claims_of(answer.id_token)
    assert header_of(raw_token)["typ"] == "logout+jwt" and header_of(raw_token)["alg"] == alg
    assert set(claims) == {"iss", "aud", "iat", "exp", "jti", "sub", "sid", "events"}, "and no nonce"
    assert claims["events"] == {EVENT: {}}
    assert (claims["iss"], claims["aud"]) == (ISSUER, rp.client.client_id)
    assert (claims["sub"], claims["sid"]) == (id_token["sub"], id_token["sid"]) == (alice.sub, session.sid)
    assert claims["exp"] - claims["iat"] == 120 and claims["jti"]
    assert keys.verify(raw_token, typ="logout+jwt", audience=rp.client.client_id, unexpired=True) == claims


def test_o39_a_logout_token_passes_for_nothing_else(told, receiver, client, alice, sign_in_as):
    sign_in_as(alice)
    sign_out(client, told.sign_in())
    deliver()
    (raw_token,) = receiver.tokens
    assert client.get(f"/end_session?id_token_hint={raw_token}").status_code == 400
    assert told.userinfo(raw_token).status_code == 401
    assert told.introspect(raw_token).get_json() == {"active": False}


def test_o32_a_pairwise_client_hears_the_subject_that_it_knows(make_rp, receiver, client, alice, sign_in_as):
    sign_in_as(alice)
    answer = make_rp(backchannel_logout_uri=receiver.uri, subject_type="pairwise").sign_in()
    sign_out(client, answer)
    deliver()
    (raw_token,) = receiver.tokens
    assert claims_of(raw_token)["sub"] == claims_of(answer.id_token)["sub"] != alice.sub


def test_o38_discovery_says_so(client):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True


# --- who is told --------------------------------------------------------------------------------------------------


def test_everybody_who_took_part_is_told_once_and_nobody_else(make_rp, told, receiver, client, alice, sign_in_as):
    sign_in_as(alice)
    first, again = told.sign_in(), told.sign_in()
    assert first.id_token and again.id_token
    stranger = make_rp(client_name="Stranger", backchannel_logout_uri=receiver.uri)
    make_rp(client_name="Silent").sign_in()
    unredeemed = make_rp(client_name="Took a code", backchannel_logout_uri=receiver.uri)
    unredeemed.code()
    sign_out(client, again)
    assert deliver() == 2
    heard = {claims_of(token)["aud"] for token in receiver.tokens}
    assert heard == {told.client.client_id, unredeemed.client.client_id} and stranger.client.client_id not in heard
    assert deliver() == 0, "once"


def test_attack_124_the_other_browser_stays_signed_in(make_rp, receiver, app, client, alice, sign_in_as):
    here = sign_in_as(alice)
    elsewhere = app.test_client()
    there = sign_in_as(alice, browser=elsewhere)
    rp = make_rp(backchannel_logout_uri=receiver.uri)
    answer = rp.sign_in()
    rp.http = elsewhere
    still = rp.sign_in(scope="openid")
    sign_out(client, answer)
    deliver()
    assert [claims_of(token)["sid"] for token in receiver.tokens] == [here.sid] != [there.sid]
    assert rp.refresh(still.refresh_token).status == 200
    assert "code" in rp.callback(prompt="none")


def _disable(sub: str, _sid: str) -> None:
    users.disable(sub, reason="left", actor="cli:test")


CAUSES: dict[str, Callable[[str, str], object]] = {
    "user": lambda sub, sid: sessions.end(sid, cause="user"),
    "logout": lambda sub, sid: sessions.end(sid, cause="logout"),
    "user_disabled": _disable,
    "password_changed": lambda sub, sid: sessions.end_all(sub, cause="password_changed"),
    "password_reset": lambda sub, sid: sessions.end_all(sub, cause="password_reset"),
    "password_replaced": lambda sub, sid: sessions.end_all(sub, cause="password_replaced"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_o44_every_cause_tells_each_application_once(make_rp, told, receiver, alice, sign_in_as, cause):
    session = sign_in_as(alice)
    told.sign_in()
    make_rp(client_name="Second", backchannel_logout_uri=receiver.uri).sign_in()
    with committing():
        CAUSES[cause](alice.sub, session.sid)
    assert deliver() == 2 and deliver() == 0
    assert {claims_of(token)["sid"] for token in receiver.tokens} == {session.sid}
    assert len({claims_of(token)["aud"] for token in receiver.tokens}) == 2
    assert {row.cause for row in rows()} == {cause}


def test_o44_somebody_else_signing_in_here_tells_the_applications_of_the_first(told, receiver, app, alice, bob):
    app.add_url_rule("/t/start/<sub>", "t_start", lambda sub: _started(sub))
    told.http.get(f"/t/start/{alice.sub}")
    told.sign_in()
    told.http.get(f"/t/start/{bob.sub}")
    assert deliver() == 1 and claims_of(receiver.tokens[0])["sub"] == alice.sub


def _started(sub: str) -> str:
    return sessions.start(sub, acr="urn:idp:acr:2fa", amr=("pwd", "otp"), auth_time=clock.now()).sid


@pytest.mark.parametrize(("wait_s", "cause"), [(901, "idle"), (43201, "absolute")])
def test_o44_o41_expiry_tells_the_applications_and_spares_offline_access(
    told, receiver, alice, sign_in_as, travel, wait_s, cause
):
    session = sign_in_as(alice)
    bound, offline = told.sign_in(), told.sign_in(scope="openid offline_access")
    travel(wait_s)
    with committing():
        assert sessions.sweep() == 1
    assert deliver() == 1
    assert claims_of(receiver.tokens[0])["sid"] == session.sid and rows()[0].cause == cause
    assert reasons("session.ended") == [cause]
    assert told.refresh(bound.refresh_token).error == "invalid_grant"
    if cause == "idle":
        assert told.refresh(offline.refresh_token).status == 200


def test_x12_an_application_that_works_for_the_person_keeps_the_session(told, receiver, alice, sign_in_as, travel):
    sign_in_as(alice)
    answer = told.sign_in()
    for _ in range(3):
        travel(600)
        answer = told.refresh(answer.refresh_token)
        assert answer.status == 200
        with committing():
            assert sessions.sweep() == 0
    assert "code" in told.callback(prompt="none")
    assert deliver() == 0


def test_x12_offline_access_keeps_no_session(told, alice, sign_in_as, travel):
    sign_in_as(alice)
    answer = told.sign_in(scope="openid offline_access")
    travel(600)
    assert told.refresh(answer.refresh_token).status == 200
    travel(600)
    with committing():
        assert sessions.sweep() == 1


def test_a_change_that_is_rolled_back_tells_nobody(told, alice, sign_in_as):
    session = sign_in_as(alice)
    told.sign_in()
    backchannel.stage(sub=alice.sub, sid=session.sid, cause="user")
    db.session.rollback()
    assert rows() == []


def test_staging_twice_is_as_good_as_once(told, alice, sign_in_as):
    session = sign_in_as(alice)
    told.sign_in()
    with committing():
        staged = [backchannel.stage(sub=alice.sub, sid=session.sid, cause=cause) for cause in ("user", "idle")]
    assert staged == [1, 0] and len(rows()) == 1


# --- how it is delivered ------------------------------------------------------------------------------------------


@pytest.fixture
def one_waits(told, client, alice, sign_in_as):
    """A delivery that is due."""
    sign_in_as(alice)
    sign_out(client, told.sign_in())
    assert outcomes() == ["waiting"]


@pytest.mark.parametrize("status", [200, 204])
def test_o40_200_and_204_are_done(one_waits, receiver, status):
    receiver.status = status
    assert deliver() == 1 and outcomes() == ["delivered"]
    (row,) = rows(outcome="delivered")
    assert row.attempts == 1 and row.finished_at is not None and row.last_error is None
    assert reasons("logout.delivered") == [None]


def test_o40_400_is_not_tried_again(one_waits, receiver, travel):
    receiver.status, receiver.body = 400, b'{"error":"invalid_request",\r\n"error_description":"no such session"}'
    assert deliver() == 0 and outcomes() == ["failed"]
    assert reasons("logout.failed") == ['HTTP 400 {"error":"invalid_request", "error_description":"no such session"}']
    travel(86400)
    assert deliver() == 0 and len(receiver.tokens) == 1


@pytest.mark.parametrize("status", [201, 302, 404, 429, 500, 503])
def test_o40_anything_else_is_tried_again_later_with_a_fresh_token(one_waits, receiver, travel, status):
    receiver.status = status
    assert deliver() == 0 and outcomes() == ["waiting"]
    assert rows()[0].last_error == f"HTTP {status}" and reasons("logout.failed") == []
    assert deliver() == 0 and len(receiver.tokens) == 1, "not before its time; and a redirect leads nowhere"
    receiver.status = 200
    travel(40)
    assert deliver() == 1 and outcomes() == ["delivered"]
    first, second = (claims_of(token) for token in receiver.tokens)
    assert first["jti"] != second["jti"] and second["iat"] > first["iat"]


def test_attack_123_retries_are_bounded_and_wait_longer_each_time(one_waits, receiver, travel):
    receiver.status = 500
    for attempt in range(1, backchannel.MAX_ATTEMPTS + 1):
        deliver()
        assert len(receiver.tokens) == attempt
        travel(backchannel.wait_s(attempt) * 1.3)
    assert outcomes() == ["failed"] and reasons("logout.failed") == ["HTTP 500"]
    travel(86400)
    assert deliver() == 0 and len(receiver.tokens) == backchannel.MAX_ATTEMPTS
    assert [backchannel.wait_s(n) // 30 for n in (1, 2, 3)] == [pytest.approx(2**n, rel=0.3) for n in (0, 1, 2)]


def test_attack_123_what_is_a_day_old_is_given_up(one_waits, receiver, travel):
    receiver.status = 503
    travel(86401)
    assert deliver() == 0 and outcomes() == ["failed"]


def test_an_application_that_is_gone_is_not_told(one_waits, told):
    with committing():
        clients.delete(told.client.client_id, actor="cli:test")
    assert deliver() == 0 and outcomes() == ["failed"]
    assert reasons("logout.failed") == ["it is not registered for this any more"]


def test_o40_attack_123_one_dead_of_five_delays_neither_the_person_nor_the_others(make_rp, client, alice, sign_in_as):
    sign_in_as(alice)
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as dead:
        dead_uri = f"http://127.0.0.1:{dead.getsockname()[1]}/never-answers"
        living = [stack.enter_context(listening()) for _ in range(4)]
        answer = None
        for number, uri in enumerate([dead_uri, *(one.uri for one in living)]):
            answer = make_rp(client_name=f"App {number}", backchannel_logout_uri=uri).sign_in()
        sign_out(client, answer)
        assert outcomes() == ["waiting"] * 5, "she waits for none of them"
        began = time.monotonic()
        assert deliver() == 4
        assert elapsed_s(began) < 30, "all at once, five seconds at most"
        assert [len(one.tokens) for one in living] == [1, 1, 1, 1]
    assert sorted(outcomes()) == ["delivered"] * 4 + ["waiting"]
    assert rows(outcome="waiting")[0].last_error


def test_attack_123_a_closed_port_is_trouble_of_its_own_only(make_rp, told, receiver, client, alice, sign_in_as):
    sign_in_as(alice)
    with socket.create_server(("127.0.0.1", 0)) as closing:
        closed = f"http://127.0.0.1:{closing.getsockname()[1]}/"
    make_rp(client_name="Closed", backchannel_logout_uri=closed).sign_in()
    sign_out(client, told.sign_in())
    assert deliver() == 1 and len(receiver.tokens) == 1
    assert "ConnectError" in (rows(outcome="waiting")[0].last_error or "")


def test_attack_123_the_backlog_of_one_application_leaves_room_for_the_others(told, receiver, make_rp, alice):
    other = make_rp(client_name="Other", backchannel_logout_uri=receiver.uri)
    with committing():
        for number, rp in enumerate([told] * 30 + [other]):
            _waiting(rp.client.client_id, f"sid-{number}", alice.sub)
    assert backchannel.deliver_pending(batch=25) == 21
    heard = [claims_of(token)["aud"] for token in receiver.tokens]
    assert heard.count(told.client.client_id) == backchannel.SHARE and heard.count(other.client.client_id) == 1


def _waiting(client_id: str, sid: str, sub: str) -> None:
    now = clock.now()
    db.session.add(
        backchannel.DeliveryRow(
            client_id=client_id, sub=sub, sid=sid, cause="user", created_at=now, next_attempt_at=now
        )
    )


def test_finished_deliveries_are_forgotten_after_a_week_and_waiting_ones_are_not(one_waits, told, alice, travel):
    deliver()
    with committing():
        _waiting(told.client.client_id, "another", alice.sub)
    travel(backchannel.KEPT.total_seconds() + 1)
    with committing():
        assert backchannel.prune() == 1
    assert [row.sid for row in rows()] == ["another"]


# --- registration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri", ["ftp://rp.example.org/", "http://rp.example.org/", "https://rp.example.org/#x", "nonsense"]
)
def test_a_logout_address_that_nobody_could_trust_is_not_registered(app, make_rp, uri):
    with pytest.raises(clients.InvalidMetadata):
        make_rp(backchannel_logout_uri=uri)
