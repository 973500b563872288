"""Attacks 88 to 97 of standards.md section 7.G, against the sign-in page, as a stranger would try them."""

from __future__ import annotations

import logging
import re

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import kv, mail, users
from idp.authn import identify, spray
from idp.authn.factors import password, totp
from idp.authn.identify import Known
from idp.db import committing, db
from tests.authn.signing_in import NEW_PASSWORD, PASSWORD, Browser, browser, code_of, make_person, new_secret
from tests.conftest import in_threads

SECRET = new_secret()
SPRAYED = "Summer-Breeze-2026!"
WIDE = {"address_per_minute": 10_000, "network_per_minute": 10_000, "global_per_minute": 10_000}


def elsewhere(app: Flask, number: int) -> Browser:
    """A browser at an address of its own, in a network of its own."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = f"203.0.{number % 256}.{number // 256 + 1}"
    return Browser(client)


def guess(here: Browser, name: str, raw: str = SPRAYED) -> int:
    """Try a password on a name; the status of the answer. A right one is 303 to the next step, shown as its page (200)."""
    return here.open().give_password(name, raw).answer.status_code


def alarms() -> list[str]:
    db.session.rollback()
    found = sa.text("SELECT reason FROM audit_events WHERE event = 'limit.spray_suspected' ORDER BY id")
    return list(db.session.scalars(found))


# --- 88: spraying -------------------------------------------------------------------------------------------------


@pytest.fixture
def sprayable(make_app, db_url):
    app = make_app(db_url, limits={**WIDE, "accounts_per_password": 5, "failing_accounts_per_hour": 10})
    with app.app_context():
        yield app
        db.session.rollback()


def test_attack_88_one_password_from_a_thousand_addresses_stops_after_a_few_accounts(sprayable: Flask) -> None:
    make_person("person7", raw_password=SPRAYED, secret=SECRET)
    answers = [guess(elsewhere(sprayable, number), f"person{number}") for number in range(8)]
    assert answers == [401] * 5 + [429] * 3, "whoever has it is among the rest"
    assert alarms() == ["same_password"], "once, not at every guess"
    other = elsewhere(sprayable, 9).open().give_password("person7", "Another-Guess-2026!")
    assert other.answer.status_code == 401, "another password of theirs is still judged"


def test_attack_88_an_account_may_repeat_itself_and_success_does_not_count(sprayable: Flask) -> None:
    make_person("alice", raw_password=SPRAYED, secret=SECRET)
    for number in range(4):
        assert guess(elsewhere(sprayable, number), f"person{number}") == 401
    for number in range(3):
        assert elsewhere(sprayable, 90 + number).open().give_password("alice", SPRAYED).place == "/login/totp"
    assert guess(elsewhere(sprayable, 5), "person5") == 401
    assert guess(elsewhere(sprayable, 5), "person5") == 401
    assert guess(elsewhere(sprayable, 6), "person6") == 429


def test_attack_88_90_the_owner_of_a_sprayed_password_gets_in_where_they_were_before(sprayable: Flask, travel) -> None:
    make_person("alice", raw_password=SPRAYED, secret=SECRET)
    own = elsewhere(sprayable, 200)
    own.open().give_password("alice", SPRAYED).post(code=code_of(SECRET))
    own.client.delete_cookie("idp_sso")
    for number in range(6):
        guess(elsewhere(sprayable, number), f"person{number}")
    assert own.open().give_password("alice", SPRAYED).place == "/login/totp"
    assert guess(elsewhere(sprayable, 201), "alice") == 429
    travel(spray.WINDOW_S + 1)


def test_attack_88_race_twenty_guesses_of_one_password_are_judged_five_times(sprayable: Flask) -> None:
    def work(number: int) -> bool:
        with sprayable.test_request_context(environ_base={"REMOTE_ADDR": f"203.0.{number}.1"}):
            return spray.count(SPRAYED, f"account{number}").allowed

    assert in_threads(20, sprayable, work).count(True) == 5
    assert alarms() == []  # nobody committed it here


def test_attack_88_unusually_many_failing_accounts_are_an_alarm_and_strangers_slow_down(make_app, sqlite_url) -> None:
    limits = {"failing_accounts_per_hour": 10, "address_per_minute": 20, "network_per_minute": 1000}
    app = make_app(sqlite_url, limits=limits)
    with app.app_context():
        for number in range(12):
            assert guess(elsewhere(app, number), f"person{number}", f"Guess-{number}-Lantern!") == 401
        assert alarms() == ["many_accounts"]
        stranger = elsewhere(app, 99)
        answers = [guess(stranger, f"other{number}", f"Other-{number}-Lantern!") for number in range(3)]
        assert answers == [401, 401, 429], "a tenth of the usual twenty"


def test_attack_88_redis_holds_no_password(sprayable: Flask) -> None:
    guess(elsewhere(sprayable, 1), "alice")
    kept = " ".join(str(key) for key in kv.client().scan_iter("*"))
    assert SPRAYED not in kept and "Summer" not in kept and "spray" in kept


# --- 90, 91, 93: lockout, counters, races ----------------------------------------------------------------------------


def test_attack_90_a_hundred_failures_do_not_shut_the_owner_out_of_their_device(make_app, sqlite_url, travel) -> None:
    app = make_app(sqlite_url, limits={**WIDE, "accounts_per_password": 500})
    with app.app_context():
        make_person(secret=SECRET)
        own = browser(app).sign_in(secret=SECRET)
        own.client.delete_cookie("idp_sso")
        stranger = elsewhere(app, 1)
        for number in range(100):
            assert guess(stranger, "alice", f"Guess-{number}-Lantern!") in (401, 429)
        assert own.open().give_password().place == "/login/totp", "the hard limit is not reached: refusals do not count"
        assert guess(stranger, "alice", PASSWORD) == 429
        travel(3601)
        assert elsewhere(app, 2).open().give_password().place == "/login/totp", "the wait is not for ever"


@pytest.mark.parametrize("spelling", ["ALICE", "Alice ", "\uff21lice", "alice\u00a0"])
def test_attack_91_no_spelling_of_a_name_has_a_counter_of_its_own(make_app, sqlite_url, spelling: str) -> None:
    app = make_app(sqlite_url, limits=WIDE)
    with app.app_context():
        make_person(secret=SECRET)
        for number in range(5):
            guess(elsewhere(app, number), "alice" if number % 2 else spelling, f"Guess-{number}-Lantern!")
        assert guess(elsewhere(app, 6), "alice", PASSWORD) == 429


def test_attack_91_success_on_ones_own_account_buys_no_guesses_on_anothers(make_app, sqlite_url) -> None:
    app = make_app(sqlite_url, limits={**WIDE, "address_per_minute": 12}, factors={"require_second": False})
    with app.app_context():
        make_person("alice")
        make_person("mallory", raw_password=NEW_PASSWORD)
        here, judged = elsewhere(app, 1), 0
        for number in range(8):
            judged += guess(here, "alice", f"Guess-{number}-Lantern!") == 401
            own = Browser(app.test_client())
            own.client.environ_base["REMOTE_ADDR"] = "203.0.1.1"
            own.open().give_password("mallory", NEW_PASSWORD)
        assert judged == 5, "the account's own limit; and the address ran out beside it"


def test_attack_93_five_hundred_guesses_at_once_get_the_free_attempts(make_app, db_url) -> None:
    app = make_app(db_url, limits={**WIDE, "accounts_per_password": 1000}, passwords={"hash_queue": 500})
    with app.app_context():
        make_person(secret=SECRET)

        def work(thread: int) -> int:
            judged = 0
            for number in range(25):
                address = {"REMOTE_ADDR": f"203.0.{thread}.{number + 1}"}
                with app.test_request_context(environ_base=address), committing():
                    outcome = identify.identify("alice", f"Guess-{thread}-{number}-Lantern!")
                    judged += not isinstance(outcome, Known) and outcome.reason != "limited"
            return judged

        assert sum(in_threads(20, app, work)) == 5
        assert password.state(users.find_by_login("alice")).failures == 5


# --- the hard limit (N-10, N-12) ---------------------------------------------------------------------------------------


def test_n10_at_the_hard_limit_the_password_is_dead_until_recovery_and_the_page_says_nothing_else(
    make_app, db_url
) -> None:
    app = make_app(db_url, factors={"failure_hard_limit": 6}, limits={**WIDE, "account_free_attempts": 100})
    with app.app_context():
        alice = make_person(secret=SECRET)
        told = {guess(elsewhere(app, number), "alice", f"Guess-{number}-Lantern!") for number in range(6)}
        assert told == {401} and not password.enrolled(alice)
        assert guess(elsewhere(app, 7), "alice", PASSWORD) == 401, "the right one, refused like a wrong one"
        here = browser(app)
        here.get("/recover/password").post(identifier="alice")
        link = re.search(r"/recover/password/new\?token=\S+", _mail()).group()
        here.get(link).post(new_password=NEW_PASSWORD)
        assert password.enrolled(alice)
        assert browser(app).open().give_password(raw_password=NEW_PASSWORD).place == "/login/totp"


def _mail() -> str:
    """Everything that waits in the outbox."""
    db.session.rollback()
    return "\n".join(mail.opened(row).text for row in db.session.scalars(sa.select(mail.OutgoingMail)))


def test_n12_failures_of_both_factors_disable_both(app: Flask) -> None:
    alice = make_person(secret=SECRET)
    for _ in range(50):
        with committing():
            password.verify(alice, SPRAYED)
            totp.verify(alice, {"code": _wrong()})
    assert not password.enrolled(alice) and not totp.enrolled(alice)


def _wrong() -> str:
    near = {code_of(SECRET, steps=step) for step in (-2, -1, 0, 1, 2)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


# --- 95, 97 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "' OR '1'='1",
        'alice"; DROP TABLE users; --',
        "*)(uid=*))(|(uid=*",
        "%s%n%(levelname)s{0}",
        "${jndi:ldap://x}",
        "alice\\",
        "{{7*7}}",
    ],
)
def test_attack_95_a_name_is_never_a_query_a_filter_or_a_format(app: Flask, name: str) -> None:
    make_person(secret=SECRET)
    here = browser(app).open().give_password(name, PASSWORD)
    assert here.answer.status_code == 401
    assert 'value="49"' not in here.answer.text
    assert here.open().give_password().place == "/login/totp", "nothing was dropped"


def test_attack_97_there_is_no_account_that_nobody_made(app: Flask) -> None:
    assert db.session.scalar(sa.text("SELECT count(*) FROM users")) == 0
    for name, raw in (
        ("admin", "admin"),
        ("administrator", "password"),
        ("root", "root"),
        ("idp", "idp"),
        ("test", "test"),
    ):
        assert guess(browser(app), name, raw) == 401


def test_attack_97_no_password_in_logs_pages_or_the_audit(app: Flask, caplog) -> None:
    make_person(secret=SECRET)
    here = browser(app).open()
    with caplog.at_level(logging.DEBUG):
        here.give_password("alice", SPRAYED)
        assert SPRAYED not in here.answer.text
        here.give_password(SPRAYED, SPRAYED)
        here.sign_in(secret=SECRET)
    assert SPRAYED not in caplog.text and PASSWORD not in caplog.text and SECRET not in caplog.text
    db.session.rollback()
    everything = str(db.session.execute(sa.text("SELECT * FROM audit_events")).all())
    assert SPRAYED not in everything and PASSWORD not in everything and SECRET not in everything
