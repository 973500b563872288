"""Invitations: one link, once, to a first password, a second step and the application that the person came for."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, clients, clock, users
from idp.authn.factors import password, recovery_code, totp
from idp.db import committing, db
from idp.errors import BadInput, Conflict
from idp.joining import invitations
from idp.joining.invitations import Invitation
from idp.users import User
from tests.authn.signing_in import NEW_PASSWORD, PASSWORD, Browser, code_of, key_on, make_person
from tests.conftest import in_threads

DOOR = "https://claims.example.org/start"


@pytest.fixture
def claims(app: Flask) -> str:
    """An application that says where it begins a sign-in."""
    with committing():
        client, _ = clients.create(
            {
                "client_name": "Claims service",
                "redirect_uris": ["https://claims.example.org/cb"],
                "initiate_login_uri": DOOR,
                "first_party": True,
            },
            actor="test",
        )
        return client.client_id


def make_invited(username: str = "new", *, client_id: str | None = None, **fields: Any) -> User:
    with committing():
        user = users.create(
            username=username, display_name="Noor Ebele", emails=(f"{username}@example.org",), actor="test", **fields
        )
        invitations.invite(user, actor="test", return_to_client=client_id)
    return user


def link_of(mail: Any) -> str:
    found = re.search(r"http://localhost(/invitation\?token=\S+)", mail.body)
    assert found, mail.body
    return found[1]


def browser(app: Flask) -> Browser:
    return Browser(app.test_client(), goals=("/t/goal", "/", "/start"))


def opened(app: Flask, mailbox: Any) -> Browser:
    return browser(app).get(link_of(mailbox()[-1]))


def enrol_app(here: Browser) -> Browser:
    """Set up an authenticator app and save the recovery codes."""
    if here.place == "/enrol":  # which kind of second step: the person follows the link to the app
        here.get(f"/enrol/totp?flow={here.flow_id}")
    assert here.place == "/enrol/totp", here.path
    here.post(code=code_of(key_on(here.answer.text)))
    assert here.place == "/enrol/recovery-codes", here.path
    return here.post(saved="yes")


# --- the way in ----------------------------------------------------------------------------------------------


def test_from_the_mail_to_the_application_that_the_person_was_invited_to(
    app: Flask, claims: str, mailbox, audit_trail
) -> None:
    user = make_invited(client_id=claims)
    assert [one.recipient for one in mailbox()] == ["new@example.org"]
    assert "Claims service" in mailbox()[0].body and user.email is None and not password.enrolled(user)
    here = opened(app, mailbox)
    assert here.path == "/invitation", "attack 80: the token is out of the address"
    assert "Noor Ebele" in here.answer.text and "new@example.org" in here.answer.text
    here = enrol_app(here.post(new_password=PASSWORD))
    assert here.path == f"{DOOR}?iss=http%3A%2F%2Flocalhost"
    db.session.expire_all()
    assert password.verify(user, PASSWORD) and totp.enrolled(user) and recovery_code.enrolled(user)
    assert user.email == "new@example.org", "the link that came back proves the address"
    events = audit_trail.events()
    for event in ("invitation.sent", "invitation.accepted", "email.verified", "password.set", "login.succeeded"):
        assert event in events
    assert mailbox()[1].subject == "Your account is set up"


def test_without_an_application_it_leads_to_ones_own_account(app: Flask, mailbox) -> None:
    make_invited()
    assert enrol_app(opened(app, mailbox).post(new_password=PASSWORD)).path == "/"


def test_w4_the_rules_are_named_and_a_bad_password_spends_nothing(app: Flask, mailbox) -> None:
    make_invited()
    here = opened(app, mailbox)
    assert 'data-rule="length"' in here.answer.text and "rules.js" in here.answer.text
    for bad in ("", "short", "no capital letters 1"):
        assert here.post(new_password=bad).answer.status_code == 400
        assert "does not fit yet" in here.answer.text
    assert here.post(new_password=PASSWORD).place.startswith("/enrol")


def test_an_invited_person_cannot_come_in_another_way(app: Flask, mailbox) -> None:
    make_invited()
    there = Browser(app.test_client()).open().give_password("new", "")
    assert there.answer.status_code == 401
    Browser(app.test_client()).get("/recover/password").post(identifier="new@example.org")
    Browser(app.test_client()).get("/recover/username").post(email="new@example.org")
    assert [one.subject for one in mailbox()] == ["You are invited to set up your account"], (
        "an unproved address gets no way in"
    )


# --- the username --------------------------------------------------------------------------------------------


class TestChoosing:
    @pytest.fixture
    def setup(self) -> dict[str, Any]:
        return {"accounts": {"choose_username": True}}

    def test_the_username_may_be_chosen(self, app: Flask, mailbox) -> None:
        user = make_invited()
        here = opened(app, mailbox).post(username="noor.ebele", new_password=PASSWORD)
        assert here.place.startswith("/enrol")
        db.session.expire_all()
        assert user.username == "noor.ebele" and users.find_by_login("new@example.org") == user

    @pytest.mark.parametrize("wrong", ["a b", "x", "аdmin", "taken", "Noor\u202eEbele"])
    def test_a_username_that_cannot_be_is_explained_and_spends_nothing(self, app: Flask, mailbox, wrong: str) -> None:
        make_person("taken")
        user = make_invited()
        here = opened(app, mailbox).post(username=wrong, new_password=PASSWORD)
        assert here.answer.status_code == 400 and "aria-invalid" in here.answer.text
        db.session.expire_all()
        assert not password.enrolled(user) and user.email is None and user.username == "new"
        assert here.post(username="noor", new_password=PASSWORD).place.startswith("/enrol")

    def test_attack_115_of_addresses_only_the_invited_one_can_be_the_username(self, app: Flask, mailbox) -> None:
        user = make_invited()
        here = opened(app, mailbox).post(username="chief@hospital.example", new_password=PASSWORD)
        assert here.answer.status_code == 400 and "only if it is one of yours" in here.answer.text
        db.session.expire_all()
        assert not password.enrolled(user) and user.username == "new"
        assert here.post(username="new@example.org", new_password=PASSWORD).place.startswith("/enrol")
        db.session.expire_all()
        assert user.username == "new@example.org"

    def test_the_password_must_not_be_the_username_that_is_being_chosen(self, app: Flask, mailbox) -> None:
        make_invited()
        here = opened(app, mailbox).post(username="lantern-window-77", new_password="Lantern-Window-77")
        assert here.answer.status_code == 400 and "Do not use your username" in here.answer.text


def test_where_it_may_not_be_chosen_a_sent_username_is_ignored(app: Flask, mailbox) -> None:
    user = make_invited()
    assert 'name="username"' not in opened(app, mailbox).answer.text
    opened(app, mailbox).post(username="admin", new_password=PASSWORD)
    db.session.expire_all()
    assert user.username == "new"


# --- the link ------------------------------------------------------------------------------------------------


def test_attack_118_a_mail_scanner_spends_nothing(app: Flask, mailbox) -> None:
    make_invited()
    for _ in range(3):
        assert "Welcome" in opened(app, mailbox).answer.text
    assert opened(app, mailbox).post(new_password=PASSWORD).place.startswith("/enrol")


def test_attack_110_a_link_works_once(app: Flask, mailbox, audit_trail) -> None:
    user = make_invited()
    first, second = opened(app, mailbox), opened(app, mailbox)
    assert first.post(new_password=PASSWORD).place.startswith("/enrol")
    dead = second.post(new_password=NEW_PASSWORD)
    assert dead.answer.status_code == 400 and "was used already" in dead.answer.text
    assert password.verify(user, PASSWORD)


def test_attack_110_of_20_threads_with_one_link_one_sets_the_password(app: Flask, mailbox) -> None:
    user = make_invited()
    token = link_of(mailbox()[-1]).partition("token=")[2]

    def accept(number: int) -> bool:
        found = invitations.look(token)
        done = found.state == invitations.WAITING and invitations.accept(found, f"Another-Lantern-{number:02}-Window")
        db.session.commit()
        return done

    results = in_threads(20, app, accept)
    assert results.count(True) == 1 and results.count(False) == 19
    db.session.expire_all()
    assert password.verify(user, f"Another-Lantern-{results.index(True):02}-Window")
    found = audit.search(audit.Query(event="invitation.accepted")).entries
    assert len(found) == 1


def test_attack_110_of_a_link_and_its_withdrawal_at_once_one_wins(app: Flask, mailbox) -> None:
    user = make_invited()
    token, sub = link_of(mailbox()[-1]).partition("token=")[2], user.sub

    def race(number: int) -> bool:
        if number % 2:
            done = invitations.revoke(users.get_by_sub(sub), actor="test")
        else:
            found = invitations.look(token)
            done = found.state == invitations.WAITING and invitations.accept(found, PASSWORD)
        db.session.commit()
        return done

    results = in_threads(20, app, race)
    assert results.count(True) == 1 and not [one for one in results if isinstance(one, Exception)]
    db.session.expire_all()
    assert password.enrolled(user) == any(results[::2])


def test_attack_110_a_link_that_is_sent_again_kills_the_older_one(app: Flask, mailbox) -> None:
    user = make_invited()
    with committing():
        invitations.invite(user, actor="test")
    older, newer = (browser(app).get(link_of(one)) for one in mailbox())
    assert "only the newest link works" in older.answer.text
    assert newer.post(new_password=PASSWORD).place.startswith("/enrol")


def test_attack_110_an_expired_link_can_be_had_anew_at_the_same_address_only(app: Flask, mailbox, travel) -> None:
    make_invited()
    old = link_of(mailbox()[-1])
    travel(7 * 86400 + 1)
    here = browser(app).get(old)
    assert "this one is older" in here.answer.text and "Send me a new invitation" in here.answer.text
    assert here.post("/invitation/again").answer.status_code == 200
    assert [one.recipient for one in mailbox()] == ["new@example.org"] * 2
    assert opened(app, mailbox).post(new_password=PASSWORD).place.startswith("/enrol")


def test_attack_112_an_expired_link_floods_nobody(app: Flask, mailbox) -> None:
    user = make_invited()
    statuses = []
    for _ in range(5):
        with committing():
            db.session.execute(sa.update(Invitation).values(expires_at=clock.now()))
        statuses.append(opened(app, mailbox).post("/invitation/again").answer.status_code)
    assert statuses == [200, 200, 200, 429, 429]
    assert [one.recipient for one in mailbox()] == [user.emails[0].address] * 4


def test_attack_110_a_link_dies_with_its_withdrawal_its_address_and_its_person(app: Flask, mailbox) -> None:
    for username, end in (
        ("revoked", lambda user: invitations.revoke(user, actor="test")),
        ("moved", lambda user: users.remove_email(user.sub, user.emails[0].id, actor="test")),
        ("gone", lambda user: users.disable(user.sub, reason="left", actor="test")),
    ):
        user = make_invited(username)
        with committing():
            end(user)
        here = opened(app, mailbox)
        assert "was taken back" in here.answer.text
        assert here.post(new_password=PASSWORD).answer.status_code in (400, 403)
        assert not password.enrolled(user)


def test_attack_115_an_address_that_somebody_proved_meanwhile_stays_theirs(app: Flask, mailbox) -> None:
    with committing():
        invited = users.create(username="twin", display_name="Twin", emails=("shared@example.org",), actor="test")
        invitations.invite(invited, actor="test")
    here = opened(app, mailbox)
    owner = make_person("owner", emails=("shared@example.org",))
    refused = here.post(new_password=PASSWORD)
    assert refused.answer.status_code == 400 and "belongs to somebody" in refused.answer.text
    db.session.expire_all()
    assert users.find_by_login("shared@example.org") == owner and not password.enrolled(invited)


def test_attack_111_the_link_names_the_configured_issuer(app: Flask, mailbox) -> None:
    make_invited()
    client = app.test_client()
    assert client.get(link_of(mailbox()[-1]), headers={"Host": "evil.example.com"}).status_code == 400
    assert "evil" not in mailbox()[-1].body


def test_c32_only_the_digest_is_kept(app: Flask, mailbox) -> None:
    user = make_invited()
    token = link_of(mailbox()[-1]).partition("token=")[2]
    found = invitations.find(user)
    assert found and token not in str(vars(found)) and len(token) == 43


@pytest.mark.parametrize("forged", ["", "x", "x" * 43, "ü" * 20, "x" * 5000])
def test_forged_links_say_what_to_do_next(app: Flask, forged: str) -> None:
    here = browser(app).get("/invitation", query_string={"token": forged})
    assert "does not work" in here.answer.text and "only the newest link works" in here.answer.text
    assert here.get("/recover/password").post("/invitation/again").answer.status_code == 400


def test_attack_71_the_forms_need_our_token(app: Flask) -> None:
    client = app.test_client()
    for path in ("/invitation", "/invitation/again"):
        assert client.post(path, data={"new_password": PASSWORD}).status_code == 403


# --- inviting ------------------------------------------------------------------------------------------------


def test_who_can_sign_in_or_cannot_be_written_to_is_not_invited(app: Flask) -> None:
    make_person("has-password")
    make_person("nowhere", raw_password=None, emails=())
    gone = make_person("gone", raw_password=None)
    users.disable(gone.sub, reason="left", actor=None)
    for name in ("has-password", "nowhere", "gone"):
        user = users.find_by_login(name)
        assert user
        with pytest.raises(Conflict):
            invitations.invite(user, actor="test")
    db.session.rollback()
    with pytest.raises(BadInput):
        invitations.invite(make_person("new", raw_password=None), actor="test", return_to_client="nobody")


def test_old_invitations_are_forgotten(app: Flask, travel) -> None:
    user = make_invited()
    assert [one.sub for one, _ in invitations.waiting()] == [user.sub]
    travel(38 * 86400)
    with committing():
        assert invitations.prune() == 1
    assert invitations.find(user) is None
