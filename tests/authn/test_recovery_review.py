"""The question after a recovery cannot be answered by what it asks about, and takes no way back in away (attacks 110, 114, 117)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from idp import audit, clock, users
from idp.authn import factors, recovery, recovery_review
from idp.authn.factors import password, totp
from idp.db import db
from idp.errors import Unavailable
from idp.users import User
from tests.authn.signing_in import (
    NEW_PASSWORD,
    PASSWORD,
    Browser,
    browser,
    code_of,
    make_codes,
    make_person,
    new_secret,
)
from tests.authn.test_passkey_pages import give_passkey, use_passkey
from tests.authn.test_recovery_factor import recovered
from tests.conftest import in_threads

SECRET = new_secret()
MONTH_S = 31 * 86400


@pytest.fixture
def user(app: Flask, travel: Any) -> User:
    """Somebody who has had their app and address for longer than a recovery asks about."""
    found = make_person(secret=SECRET)
    travel(MONTH_S)
    return found


def plant_address(user: User, address: str = "evil@example.com", *, primary: bool = True) -> int:
    """Add a proved address that may not recover yet, as an open session can. Commits."""
    email = users.add_email(user.sub, address, actor=user.sub, verified=True)
    email.recovers_at = clock.now() + timedelta(hours=72)
    if primary:
        users.make_primary(user.sub, email.id, actor=user.sub)
    db.session.commit()
    return email.id


def answer(here: Browser, *unknown: str) -> Browser:
    data = {"csrf": here.csrf(), "unknown": list(unknown), "answer": "remove"}
    here.answer = here.client.post(here.path, data=data)
    return here._follow()


def in_by_app(app: Flask, secret: str = SECRET) -> Browser:
    here = browser(app).open().give_password("alice", NEW_PASSWORD)
    return here.get(f"/login/totp?flow={here.flow_id}").post(code=code_of(secret))


def test_attack_117_a_planted_passkey_does_not_answer_the_question_about_itself(
    app: Flask, user: User, mailbox: Any, audit_trail: Any
) -> None:
    planted = give_passkey(user)
    recovered(app, mailbox)
    thief = use_passkey(browser(app).open(), planted)
    assert thief.place == "/recover/review" and "another way to sign in" in thief.answer.text
    assert 'name="unknown"' not in thief.answer.text, "they are not even told what there is"
    assert thief.post(answer="mine").answer.status_code == 403
    assert answer(thief, f"totp:{factors.authenticators(user)[-1].public_id}").answer.status_code == 403
    assert thief.secret == "" and totp.enrolled(user) and recovery_review.owed(user)
    assert "recovery.refused" in audit_trail.events()
    owner = in_by_app(app)
    assert owner.place == "/recover/review" and owner.answer.text.count('name="unknown"') == 1
    answer(owner, next(f"passkey:{one.public_id}" for one in factors.authenticators(user) if one.factor == "passkey"))
    assert owner.path == "/" and owner.secret
    again = use_passkey(browser(app).open(), planted)
    assert again.answer.status_code == 401 and again.secret == ""


def test_attack_117_a_planted_app_does_not_answer_where_an_older_one_is_left(
    app: Flask, user: User, mailbox: Any
) -> None:
    planted = new_secret()
    totp.bind(user, planted, actor=user.sub, label="Other")
    db.session.commit()
    recovered(app, mailbox)
    here = in_by_app(app, planted)
    assert here.place == "/recover/review" and "another way to sign in" in here.answer.text
    assert here.post(answer="again").place == "/login" and "something that you had before" in here.answer.text
    assert here.give_password("alice", NEW_PASSWORD).place == "/login/totp", "the proofs so far are forgotten"
    assert 'name="unknown"' in here.post(code=code_of(SECRET)).answer.text


def test_attack_117_who_has_nothing_older_answers_with_the_new_password(app: Flask, mailbox: Any) -> None:
    make_person(secret=SECRET)
    recovered(app, mailbox)
    assert 'name="unknown"' in in_by_app(app).answer.text, "no dead end in somebody's first weeks"


def test_attack_117_a_planted_passkey_alone_does_not_answer_even_where_nothing_is_older(
    app: Flask, user: User, mailbox: Any
) -> None:
    planted = give_passkey(user)
    totp.remove(user, totp.authenticators(user)[0].public_id, actor=user.sub)
    db.session.commit()
    recovered(app, mailbox)
    assert "another way to sign in" in use_passkey(browser(app).open(), planted).answer.text


def test_attack_117_older_recovery_codes_answer(app: Flask, user: User, mailbox: Any, travel: Any) -> None:
    codes = make_codes(user)
    travel(MONTH_S)
    totp.remove(user, totp.authenticators(user)[0].public_id, actor=user.sub)
    give_passkey(user)
    recovered(app, mailbox)
    here = browser(app).open().give_password("alice", NEW_PASSWORD)
    here.get(f"/login/recovery_code?flow={here.flow_id}").post(code=codes[0])
    assert here.place == "/enrol/recovery-codes", "new ones first"
    here.post(saved="1")
    assert here.place == "/recover/review" and 'name="unknown"' in here.answer.text


# --- addresses ------------------------------------------------------------------------------------------------


def test_attack_114_the_only_address_that_lets_back_in_is_not_taken_away(app: Flask, mailbox: Any) -> None:
    person = make_person(secret=SECRET)
    old_id = person.emails[0].id
    new_id = plant_address(person)
    recovered(app, mailbox)
    here = in_by_app(app)
    assert answer(here, f"address:{old_id}").answer.status_code == 409
    assert "has to stay" in here.answer.text and here.answer.text.count(" checked>") == 1
    assert answer(here, f"address:{old_id}", f"address:{new_id}").answer.status_code == 409, "nor both"
    db.session.expire_all()
    assert len(person.verified_emails) == 2 and recovery_review.owed(person), (
        "nothing is changed, and it is still asked"
    )
    assert answer(here, f"address:{new_id}").path == "/"
    db.session.expire_all()
    assert (person.email, person.recovery_email) == ("alice@example.org", "alice@example.org")


def test_attack_114_the_address_that_goes_hears_of_it_too(app: Flask, user: User, mailbox: Any) -> None:
    new_id = plant_address(user)
    recovered(app, mailbox)
    answer(in_by_app(app), f"address:{new_id}")
    told = sorted(mail.recipient for mail in mailbox()[-2:])
    assert told == ["alice@example.org", "evil@example.com"]


def test_attack_114_while_the_question_is_open_no_link_goes_to_an_address_that_it_is_about(
    app: Flask, user: User, mailbox: Any, travel: Any
) -> None:
    plant_address(user)
    travel(73 * 3600)
    recovery_review.owe(user)
    db.session.commit()
    assert user.recovery_email == "evil@example.com"
    browser(app).get("/recover/password").post(identifier="alice")
    assert mailbox()[-1].recipient == "alice@example.org"


# --- the link -------------------------------------------------------------------------------------------------


def test_attack_110_a_link_survives_when_no_hash_can_be_made(
    app: Flask, user: User, mailbox: Any, monkeypatch: Any
) -> None:
    browser(app).get("/recover/password").post(identifier="alice")
    link = re.search(r"(/recover/password/new\?token=[\w-]{43})\n", mailbox()[-1].body)
    assert link
    here = browser(app).get(link[1])

    def full(*_args: Any, **_kwargs: Any) -> Any:
        raise Unavailable

    with monkeypatch.context() as busy:
        busy.setattr(password, "set_password", full)
        here.post(new_password=NEW_PASSWORD)
        assert here.answer.status_code == 503
    assert password.verify(user, PASSWORD)
    db.session.commit()
    here.get("/recover/password/new").post(new_password=NEW_PASSWORD)
    assert here.place == "/recover/password/done" and password.verify(user, NEW_PASSWORD)


def test_attack_110_of_20_threads_with_two_links_one_replaces_the_password(app: Flask, user: User) -> None:
    with app.test_request_context():
        raw_tokens = [recovery._issue(user) for _ in range(2)]
    db.session.commit()

    def redeem(number: int) -> bool:
        ticket = recovery.find(raw_tokens[number % 2])
        done = ticket is not None and recovery.finish(ticket, f"Another-Lantern-{number:02}-Window")
        db.session.commit()
        return done

    assert in_threads(20, app, redeem).count(True) == 1
    assert len(audit.search(audit.Query(event="recovery.completed")).entries) == 1
