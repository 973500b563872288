"""What a stranger can make us write, remember and tell (attacks 41, 53, 56, 133, 141)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from idp import clients, kv, limits
from idp.config import settings
from idp.config.schema import Limits
from idp.db import db
from idp.oauth import patience, refusals
from tests.conftest import in_threads
from tests.oauth.conftest import basic

WRITTEN = refusals.PER_ATTEMPT * Limits().address_per_minute
ELSEWHERE = {"REMOTE_ADDR": "198.51.100.7"}
UNKNOWN = "correct-horse-battery-staple"


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


def whole_trail() -> str:
    rows = db.session.execute(sa.text("SELECT * FROM audit_events")).all()
    db.session.rollback()
    return repr(rows)


def ask(client, path, **form):
    return client.post(path, data={"grant_type": "x"} | form)


# --- strangers (attack 141) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/token", "/par", "/introspect", "/revoke"])
def test_attack_141_a_stranger_fills_no_trail(client, audit_trail, path):
    answers = [ask(client, path, client_id=f"nobody-{number}") for number in range(WRITTEN + 30)]
    assert {answer.status_code for answer in answers[:WRITTEN]} <= {400, 401}
    assert {answer.status_code for answer in answers[WRITTEN:]} == {429}
    assert int(answers[-1].headers["Retry-After"]) > 0 and answers[-1].get_json()["error"]
    events = audit_trail.events()
    assert len(events) == WRITTEN + 1 and events.count("limit.exceeded") == 1


def test_attack_141_the_budget_is_one_for_all_doors(client, audit_trail):
    """/authorize, /token and the others share it, so that six doors are not six budgets."""
    statuses = []
    for number in range(WRITTEN // 2 + 10):
        statuses.append(client.get(f"/authorize?client_id=nobody{number}").status_code)
        statuses.append(ask(client, "/token").status_code)
    assert statuses[0] == 400 and statuses[-2:] == [429, 429]
    assert len(audit_trail.events()) == WRITTEN + 1


def test_attack_141_registration_too(client, audit_trail):
    answers = [client.post("/register", json={}) for _ in range(WRITTEN + 10)]
    assert answers[0].status_code == 401 and answers[-1].status_code == 429
    assert len(audit_trail.events()) == WRITTEN + 1


def test_attack_141_others_and_later_are_served(client, rp, travel):
    for _ in range(WRITTEN + 1):
        last = ask(client, "/token")
    assert last.status_code == 429
    assert client.post("/token", data={"grant_type": "x"}, environ_base=ELSEWHERE).status_code == 400
    travel(refusals.WINDOW_S + 1)
    assert ask(client, "/token").status_code == 400


def test_attack_141_a_client_that_proved_itself_is_told_what_is_wrong(client, rp, audit_trail):
    for _ in range(WRITTEN + 10):
        ask(client, "/token")
    statuses = {rp.refresh("gone").status for _ in range(WRITTEN + 10)}
    assert statuses == {400}
    assert len(audit_trail.events()) < 2 * WRITTEN + 10


def test_attack_141_parked_requests_of_an_address_are_bounded(app, rp):
    most = limits.VISITS_OF_ADDRESS * settings().limits.address_per_minute
    path = rp.authorize().request.full_path
    statuses = [app.test_client().get(path).status_code for _ in range(most + 5)]
    assert statuses[0] == 303 and statuses[-1] == 429
    assert app.test_client().get(path, environ_base=ELSEWHERE).status_code == 303
    assert len(list(kv.client().scan_iter(kv.key("authz:*")))) <= most + 1


def test_attack_141_parked_requests_of_a_browser_are_bounded(rp):
    statuses = [
        rp.authorize().status_code for _ in range(limits.VISITS_OF_BROWSER * settings().limits.address_per_minute + 5)
    ]
    assert statuses[0] == 303 and statuses[-1] == 429


# --- wrong secrets (attack 41) ------------------------------------------------------------------------------------


def test_attack_41_while_the_limit_is_exceeded_nothing_is_judged(rp, travel, audit_trail):
    right, rp.raw_secret = rp.raw_secret, "wrong"
    statuses = [rp.refresh("x").status for _ in range(patience.FAILURES + 2)]
    assert statuses == [401] * patience.FAILURES + [429] * 2
    rp.raw_secret = right
    answer = rp.refresh("x")
    assert answer.status == 429 and 0 < int(answer.response.headers["Retry-After"]) <= patience.WINDOW_S
    assert audit_trail.events().count("limit.exceeded") == 1
    travel(patience.WINDOW_S + 1)
    assert rp.refresh("x").error == "invalid_grant"


def test_attack_41_a_stranger_elsewhere_locks_nobody_out(client, rp):
    header = {"Authorization": basic(rp.client.client_id, "wrong")}
    for _ in range(patience.FAILURES + 5):
        client.post("/token", data={"grant_type": "refresh_token"}, headers=header, environ_base=ELSEWHERE)
    assert rp.refresh("x").error == "invalid_grant"


def test_attack_41_at_once_no_more_guesses_are_answered(app, rp):
    header = {"Authorization": basic(rp.client.client_id, "wrong")}

    def guess(_number):
        return [
            app.test_client().post("/token", data={"grant_type": "refresh_token"}, headers=header).status_code
            for _ in range(3)
        ]

    statuses = [status for batch in in_threads(20, app, guess) for status in batch]
    assert statuses.count(401) == patience.FAILURES and statuses.count(429) == 60 - patience.FAILURES


@pytest.mark.parametrize("listed", [patience.LISTED, 0], ids=["read in one go", "asked one by one"])
def test_attack_41_another_worker_knows_within_a_second_who_is_over(app, rp, monkeypatch, listed):
    monkeypatch.setattr(patience, "LISTED", listed)
    right, rp.raw_secret = rp.raw_secret, "wrong"
    assert [rp.refresh("x").status for _ in range(patience.FAILURES)] == [401] * patience.FAILURES
    rp.raw_secret = right
    app.extensions["idp.patience"] = patience._Known()  # of a process that saw none of it
    assert rp.refresh("x").status == 429


def test_attack_41_a_list_that_was_read_before_the_limit_was_reached_is_not_kept(app, rp, monkeypatch):
    """A slow reader: the limit is reached while its answer is on the way."""
    right, rp.raw_secret = rp.raw_secret, "wrong"
    for _ in range(patience.FAILURES - 1):
        rp.refresh("x")
    read = limits.exhausted

    def slowly(name, *, most):
        answer = read(name, most=most)
        monkeypatch.setattr(limits, "exhausted", read)
        assert rp.refresh("x").status == 401
        return answer

    monkeypatch.setattr(limits, "exhausted", slowly)
    app.extensions["idp.patience"] = patience._Known()
    rp.refresh("x")
    rp.raw_secret = right
    assert rp.refresh("x").status == 429


def test_clients_that_prove_themselves_are_looked_up_together(app, rp):
    """However many clients there are: who is over is one question a second, and it is the same for all."""
    with app.app_context():
        made = [
            clients.create({"client_name": "M", "grant_types": ["client_credentials"], "scope": ""}) for _ in range(20)
        ]
        db.session.commit()
        for client, _ in made:
            clients.get(client.client_id)
    rp.refresh("x")
    calls = kv.client().info("commandstats")["cmdstat_zrangebyscore"]["calls"]
    for client, secret in made:
        header = {"Authorization": basic(client.client_id, secret)}
        assert app.test_client().post("/token", data={"grant_type": "refresh_token"}, headers=header).status_code == 400
    assert kv.client().info("commandstats")["cmdstat_zrangebyscore"]["calls"] <= calls + 2


# --- names (attack 133) -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/token", "/par", "/introspect", "/revoke"])
def test_attack_133_a_name_that_is_no_client_s_is_kept_as_a_digest(client, path):
    ask(client, path, client_id=UNKNOWN)
    ask(client, path, client_id=UNKNOWN, grant_type="authorization_code", code="c", client_secret="s")
    client.post(path, data={"grant_type": "refresh_token"}, headers={"Authorization": basic(UNKNOWN, "x")})
    client.get(f"/authorize?client_id={UNKNOWN}")
    trail = whole_trail()
    assert UNKNOWN not in trail and refusals.named(UNKNOWN) in trail


def test_attack_133_a_registered_name_is_kept(rp, client):
    client.post("/token", data={"grant_type": "x", "client_id": rp.client.client_id})
    assert rp.client.client_id in whole_trail()
    assert refusals.named(rp.client.client_id) == rp.client.client_id and refusals.named("") is None
    assert clients.find(UNKNOWN) is None


# --- a replaced refresh token (attacks 53, 56) --------------------------------------------------------------------


def test_attack_53_the_person_is_told_once(rp, alice, signed_in, mailbox, audit_trail):
    first = rp.sign_in()
    second = rp.refresh(first.refresh_token)
    for token in (first, first, second, first):
        assert rp.refresh(token.refresh_token).error == "invalid_grant"
    (mail,) = mailbox()
    assert mail.recipient == "alice@example.org" and "Claims" in mail.subject and "Alice Adams" in mail.body
    assert first.refresh_token not in mail.body
    assert audit_trail.events().count("token.refresh_reused") == 1


def test_attack_56_of_twenty_at_once_the_person_hears_once(app, rp, signed_in, mailbox, audit_trail):
    raw_token = rp.sign_in().refresh_token
    answers = in_threads(20, app, lambda _number: rp.refresh(raw_token).status)
    assert sorted(answers) == [200] + [400] * 19
    assert len(mailbox()) == 1 and audit_trail.events().count("token.refresh_reused") == 1


# --- the wrong method ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke", "/par", "/device_authorization", "/register"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_attack_85_a_wrong_method_is_told_in_json(client, path, method):
    answer = client.open(path, method=method, headers={"Accept": "text/html"})
    assert answer.status_code == 405 and answer.get_json()["error"] == "method_not_allowed"
    assert "POST" in answer.headers["Allow"] and answer.headers["Cache-Control"] == "no-store"
