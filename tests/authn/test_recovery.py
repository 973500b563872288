"""Forgotten passwords and usernames: the same answer for everybody, links that work once, no way around the second factor."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from idp import audit, kv, sessions, users
from idp.authn import recovery
from idp.authn.factors import password
from idp.db import db
from idp.users import User
from tests import cost
from tests.authn.signing_in import NEW_PASSWORD, PASSWORD, Browser, browser, code_of, make_person, new_secret
from tests.conftest import ISSUER, in_threads

SECRET = new_secret()


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(secret=SECRET)


def ask(app: Flask, identifier: str = "alice") -> Browser:
    return browser(app).get("/recover/password").post(identifier=identifier)


def link_of(mail: Any) -> str:
    found = re.search(re.escape(ISSUER) + r"(/recover/password/new\?token=[\w-]{43})\n", mail.body)
    assert found, "a link of the configured issuer, alone on its line"
    return found[1]


def test_c32_the_whole_way(app: Flask, user: User, mailbox, audit_trail) -> None:
    signed_in = browser(app).sign_in(secret=SECRET)
    assert signed_in.secret and "on its way" in ask(app).answer.text
    here = browser(app).get(link_of(mailbox()[-1]))
    assert here.path == "/recover/password/new", "attack 80: the token is out of the address"
    here.post(new_password=NEW_PASSWORD)
    assert here.place == "/recover/password/done" and "password is changed" in here.answer.text
    assert here.secret == "" and sessions.of(user.sub) == [], "nobody is signed in by it, everybody is out"
    assert password.verify(user, NEW_PASSWORD) and not password.verify(user, PASSWORD)
    assert {"recovery.requested", "recovery.completed", "password.changed", "session.ended"} <= set(
        audit_trail.events()
    )


def test_n25_attack_113_the_second_factor_is_still_asked_for(app: Flask, user: User, mailbox) -> None:
    ask(app)
    here = browser(app).get(link_of(mailbox()[-1])).post(new_password=NEW_PASSWORD)
    assert here.open().give_password("alice", NEW_PASSWORD).place == "/login/totp"
    assert here.post(code=code_of(SECRET)).place == "/recover/review", "the app was enrolled lately: was it you?"
    assert here.post(answer="mine").path == "/" and here.secret


def test_n26_every_verified_address_hears_of_it(app: Flask, mailbox) -> None:
    make_person(emails=("alice@example.org", "second@example.com"))
    ask(app)
    assert [mail.recipient for mail in mailbox()] == ["alice@example.org"], "the link goes to one"
    browser(app).get(link_of(mailbox()[-1])).post(new_password=NEW_PASSWORD)
    told = [mail.recipient for mail in mailbox() if mail.subject == "Your password was changed"]
    assert sorted(told) == ["alice@example.org", "second@example.com"]


def answers(app: Flask, *names: str) -> set[tuple[int, str]]:
    return {
        (here.answer.status_code, here.answer.text.partition("request_id")[0])
        for here in (ask(app, name) for name in names)
    }


def test_attack_86_the_answer_does_not_tell_who_exists(app: Flask, user: User, mailbox) -> None:
    gone = make_person("gone")
    users.disable(gone.sub, reason="left", actor=None)
    make_person("unreachable", emails=())
    db.session.commit()
    seen = {re.sub(r'"[^"]*"', "", text) for _, text in answers(app, "alice", "nobody", "gone", "unreachable")}
    assert len(seen) == 1
    assert [mail.recipient for mail in mailbox()] == ["alice@example.org"]


def test_attack_86_the_work_is_the_same_for_somebody_and_nobody(app: Flask, user: User) -> None:
    def once(identifier: str) -> None:
        recovery.request_password(identifier)
        db.session.rollback()

    assert 0.5 < cost.alike(lambda: once("alice"), lambda: once("nobody"), within=2) < 2


def test_an_unknown_name_is_kept_only_as_a_digest(app: Flask, mailbox) -> None:
    ask(app, "My-Secret-Passw0rd")
    entries = audit.search(audit.Query(event="recovery.requested")).entries
    assert [entry.outcome for entry in entries] == ["failure"] and "ecret" not in str(entries)
    assert mailbox() == []


def test_attack_115_mail_goes_to_the_stored_address_and_not_to_the_typed_one(app: Flask, mailbox) -> None:
    make_person("ali", emails=("Ali@example.org",))
    ask(app, "ALI@EXAMPLE.ORG")
    ask(app, "al\u0131@example.org")
    ask(app, "ali+x@example.org")
    assert [mail.recipient for mail in mailbox()] == ["Ali@example.org"]


def test_attack_111_the_host_of_a_request_is_never_in_the_link(app: Flask, user: User, mailbox) -> None:
    here = browser(app).get("/recover/password")
    data = {"csrf": here.csrf(), "identifier": "alice"}
    forged = here.client.post("/recover/password", data=data, headers={"Host": "evil.example.com"})
    forwarded = here.client.post("/recover/password", data=data, headers={"X-Forwarded-Host": "evil.example.com"})
    assert (forged.status_code, forwarded.status_code) == (400, 303)
    assert ["evil" in mail.body for mail in mailbox()] == [False]


def test_attack_118_a_mail_scanner_spends_nothing(app: Flask, user: User, mailbox) -> None:
    ask(app)
    link = link_of(mailbox()[-1])
    for _ in range(3):
        assert "Choose a new password" in browser(app).get(link).answer.text
    assert browser(app).get(link).post(new_password=NEW_PASSWORD).place == "/recover/password/done"


def test_attack_110_a_link_works_once(app: Flask, user: User, mailbox) -> None:
    ask(app)
    first, second = (browser(app).get(link_of(mailbox()[-1])) for _ in range(2))
    assert first.post(new_password=NEW_PASSWORD).place == "/recover/password/done"
    assert "no longer works" in second.post(new_password="Yet-Another-Kettle-93-Lamp").answer.text
    assert password.verify(user, NEW_PASSWORD)


def test_attack_90_a_strangers_requests_spoil_no_link_and_lock_nobody_out(app: Flask, user: User, mailbox) -> None:
    ask(app)
    for _ in range(5):
        assert "on its way" in ask(app).answer.text
    links = [link_of(mail) for mail in mailbox()]
    assert len(links) == 3
    assert all("Choose a new password" in browser(app).get(link).answer.text for link in links)


def test_attack_110_one_used_link_ends_the_others(app: Flask, user: User, mailbox) -> None:
    ask(app)
    ask(app)
    older, newer = (browser(app).get(link_of(mail)) for mail in mailbox())
    assert older.post(new_password=NEW_PASSWORD).place == "/recover/password/done"
    assert "no longer works" in newer.post(new_password="Yet-Another-Kettle-93-Lamp").answer.text
    assert "no longer works" in browser(app).get(link_of(mailbox()[1])).answer.text


def test_attack_110_of_more_than_three_live_links_the_oldest_dies(app: Flask, user: User) -> None:
    with app.test_request_context():
        tokens = [recovery._issue(user) for _ in range(4)]
        assert [recovery.find(token) is not None for token in tokens] == [False, True, True, True]


def test_attack_110_a_link_dies_when_the_password_changes(app: Flask, user: User, mailbox) -> None:
    ask(app)
    password.set_password(user, NEW_PASSWORD, actor=user.sub)
    db.session.commit()
    assert "no longer works" in browser(app).get(link_of(mailbox()[-1])).answer.text


def test_attack_110_a_link_dies_after_15_minutes(app: Flask, user: User) -> None:
    ask(app)
    lives = [kv.client().ttl(key) for key in kv.client().keys(kv.key("recovery", "*"))]
    assert len(lives) == 2 and all(890 < life <= 900 for life in lives)


def test_attack_110_of_20_threads_with_one_token_one_replaces_the_password(app: Flask, user: User) -> None:
    with app.test_request_context():
        raw_token = recovery._issue(user)
    db.session.commit()

    def redeem(number: int) -> bool:
        ticket = recovery.find(raw_token)
        done = ticket is not None and recovery.finish(ticket, f"Another-Lantern-{number:02}-Window")
        db.session.commit()
        return done

    assert in_threads(20, app, redeem).count(True) == 1


def test_c32_the_token_itself_is_not_in_redis(app: Flask, user: User, mailbox) -> None:
    ask(app)
    token = link_of(mailbox()[-1]).partition("token=")[2]
    keys = kv.client().keys(kv.key("recovery", "*"))
    kept = [f"{key}={kv.client().lrange(key, 0, -1)}" for key in keys if kv.client().type(key) == "list"]
    kept += [f"{key}={kv.client().get(key)}" for key in keys if kv.client().type(key) == "string"]
    assert len(kept) == 2 and not any(token in one for one in kept)


@pytest.mark.parametrize("forged", ["", "x", "x" * 43, "ü" * 20, "x" * 5000])
def test_forged_links_say_that_they_do_not_work(app: Flask, forged: str) -> None:
    here = browser(app).get("/recover/password/new", query_string={"token": forged})
    assert "no longer works" in here.answer.text


def test_a_new_password_must_keep_the_policy_and_the_link_survives_a_bad_one(app: Flask, user: User, mailbox) -> None:
    ask(app)
    here = browser(app).get(link_of(mailbox()[-1]))
    for bad in ("", "short", PASSWORD, "alice-Alice-1234"):
        assert here.post(new_password=bad).answer.status_code == 400
    assert here.post(new_password=NEW_PASSWORD).place == "/recover/password/done"


def test_attack_112_a_mailbox_is_not_flooded_and_nobody_learns_whose_it_is(
    app: Flask, user: User, mailbox, travel
) -> None:
    for name in ("alice", "nobody", "alice@example.org"):
        assert [ask(app, name).answer.status_code for _ in range(4)] == [200] * 4, "attack 86: no limit can be seen"
    assert len(mailbox()) == 3
    for _ in range(4):
        remind(app, "alice@example.org")
    assert len(mailbox()) == 6
    travel(901)
    ask(app)
    assert len(mailbox()) == 7


def test_recovery_lifts_the_wait_on_the_password_and_on_nothing_else(app: Flask, user: User, mailbox) -> None:
    for _ in range(6):
        locked = browser(app).open().give_password("alice", "guess")
    assert locked.answer.status_code == 429
    browser(app).open().give_password("alice@example.org", "guess")
    ask(app)
    here = browser(app).get(link_of(mailbox()[-1])).post(new_password=NEW_PASSWORD)
    assert here.open().give_password("alice", NEW_PASSWORD).place == "/login/totp"
    assert browser(app).open().give_password("alice@example.org", NEW_PASSWORD).place == "/login/totp"


def test_attack_71_recovery_forms_need_our_token(app: Flask) -> None:
    client = app.test_client()
    for path in ("/recover/password", "/recover/username", "/recover/password/new"):
        assert (
            client.post(path, data={"identifier": "alice", "email": "a", "new_password": NEW_PASSWORD}).status_code
            == 403
        )


def test_an_empty_field_is_named(app: Flask) -> None:
    assert ask(app, " ").answer.status_code == 400


# --- usernames ------------------------------------------------------------------------------------------------


def remind(app: Flask, email: str) -> Browser:
    return browser(app).get("/recover/username").post(email=email)


def test_a_forgotten_username_goes_to_the_verified_address(app: Flask, user: User, mailbox, audit_trail) -> None:
    pages = {
        re.sub(r'"[^"]*"', "", remind(app, who).answer.text.partition("request")[0])
        for who in ("alice@example.org", "x@example.org")
    }
    assert len(pages) == 1
    assert [(mail.recipient, "\nalice\n" in mail.body) for mail in mailbox()] == [("alice@example.org", True)]
    assert "username.reminded" in audit_trail


def test_a_username_is_no_address(app: Flask, user: User, mailbox) -> None:
    remind(app, "alice")
    assert mailbox() == []
