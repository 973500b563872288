"""A person's own addresses and username: proved by a link, told to everybody, and never a quick way to take an account over."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, kv, users
from idp.db import committing, db
from idp.errors import Conflict
from idp.users import User, addresses
from tests.authn.signing_in import NEW_PASSWORD, Browser, make_person
from tests.authn.signing_in import browser as new_browser
from tests.conftest import in_threads

PAGE = "/account/emails"
COOLDOWN_S = 72 * 3600


@pytest.fixture
def setup() -> dict[str, Any]:
    return {"factors": {"require_second": False}}


@pytest.fixture
def alice(app: Flask) -> User:
    return make_person("alice")


@pytest.fixture
def here(app: Flask, alice: User) -> Browser:
    """Alice, signed in a moment ago."""
    return signed_in(app, "alice")


def signed_in(app: Flask, username: str) -> Browser:
    found = new_browser(app).sign_in(username)
    found.goals = ()
    return found.get(PAGE)


def link_of(mail: Any) -> str:
    found = re.search(r"http://localhost(/account/emails/confirm\?token=\S+)", mail.body)
    assert found, mail.body
    return found[1]


def added(here: Browser, mailbox: Any, address: str = "second@example.com") -> Browser:
    here.get(PAGE).post(f"{PAGE}/add", email=address)
    return here.get(link_of(mailbox()[-1])).post("/account/emails/confirm")


def id_of(user: User, address: str) -> str:
    db.session.expire_all()
    return str(next(one.id for one in user.emails if one.address == address))


# --- adding --------------------------------------------------------------------------------------------------


def test_an_address_is_added_by_a_link_and_every_address_is_told(
    here: Browser, alice: User, mailbox, audit_trail
) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    assert here.place == PAGE and "on its way" in here.answer.text and "Not confirmed yet" in here.answer.text
    assert [one.recipient for one in mailbox()] == ["second@example.com"]
    assert users.find_by_login("second@example.com") is None, "good for nothing yet"
    here.get(link_of(mailbox()[-1]))
    assert here.path == "/account/emails/confirm", "attack 80: the token is out of the address"
    assert "second@example.com" in here.answer.text
    here.post("/account/emails/confirm")
    assert here.place == PAGE and "The address is yours now" in here.answer.text
    db.session.expire_all()
    assert users.find_by_login("second@example.com") == alice
    told = [one.recipient for one in mailbox() if one.subject == "An e-mail address was added to your account"]
    assert sorted(told) == ["alice@example.org", "second@example.com"]
    assert "/recover/password" in mailbox()[-1].body and {"email.changed", "email.verified"} <= set(
        audit_trail.events()
    )


def test_making_it_primary_and_removing_the_old_one_is_told_to_both(
    here: Browser, alice: User, mailbox, travel: Callable[[float], None]
) -> None:
    added(here, mailbox)
    here.post(f"{PAGE}/primary", id=id_of(alice, "second@example.com"))
    assert "primary address now" in here.answer.text
    db.session.expire_all()
    assert alice.email == "second@example.com"
    told = [one.recipient for one in mailbox() if "another primary" in one.subject]
    assert sorted(told) == ["alice@example.org", "second@example.com"]
    travel(COOLDOWN_S + 1)
    there = signed_in_again(here)
    there.post(f"{PAGE}/remove", id=id_of(alice, "alice@example.org"))
    assert "is removed" in there.answer.text
    told = [one.recipient for one in mailbox() if "was removed" in one.subject]
    assert sorted(told) == ["alice@example.org", "second@example.com"]
    db.session.expire_all()
    assert [one.address for one in alice.emails] == ["second@example.com"]


def signed_in_again(here: Browser) -> Browser:
    fresh = Browser(here.client).open().give_password("alice")
    fresh.goals = ()
    return fresh.get(PAGE)


def test_the_only_address_stays(here: Browser, alice: User) -> None:
    here.post(f"{PAGE}/remove", id=id_of(alice, "alice@example.org"))
    assert here.answer.status_code == 409 and "your only address" in here.answer.text


@pytest.mark.parametrize(
    "wrong", ["", "alice", "a b@example.org", "second@example.com\r\nBcc: eve@example.com", "alice@example.org"]
)
def test_what_cannot_be_an_address_is_explained(here: Browser, mailbox, wrong: str) -> None:
    here.post(f"{PAGE}/add", email=wrong)
    assert here.answer.status_code in (400, 409) and 'id="problem"' in here.answer.text
    assert mailbox() == []


def test_more_than_five_addresses_nobody_needs(here: Browser, alice: User) -> None:
    with committing():
        for number in range(4):
            users.add_email(alice.sub, f"n{number}@example.org", actor="test")
    assert "Add an address" not in here.get(PAGE).answer.text
    assert here.post(f"{PAGE}/add", email="n9@example.org").answer.status_code == 409


def test_attack_112_mails_that_one_person_causes_are_counted(here: Browser, alice: User, mailbox) -> None:
    here.post(f"{PAGE}/add", email="victim@example.com")
    statuses = [
        here.get(PAGE).post(f"{PAGE}/send", id=id_of(alice, "victim@example.com")).answer.status_code for _ in range(7)
    ]
    assert statuses == [200] * 5 + [429] * 2 and len(mailbox()) == 6


# --- a fresh proof -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["emails/add", "emails/send", "emails/primary", "emails/remove", "username"])
def test_attack_114_an_old_session_changes_nothing(app: Flask, here: Browser, mailbox, travel, action: str) -> None:
    text = here.answer.text
    travel(890)
    assert here.client.get("/").status_code == 200
    travel(11)
    csrf = re.search(r'name="csrf" value="([^"]+)"', text)[1]  # type: ignore[index]
    sent = here.client.post(
        f"/account/{action}", data={"csrf": csrf, "email": "e@example.com", "id": "1", "username": "eve"}
    )
    assert (sent.status_code, mailbox()) in ((303, []), (404, []))
    assert sent.status_code == 404 or "/login" in sent.headers["Location"]


def test_attack_71_the_forms_need_our_token_and_a_session(app: Flask, here: Browser) -> None:
    for path in ("emails/add", "emails/send", "emails/primary", "emails/remove", "emails/confirm", "username"):
        assert here.client.post(f"/account/{path}", data={"email": "e@example.com"}).status_code == 403
    assert new_browser(app).get(PAGE).place == "/login"


def test_attack_126_somebody_elses_addresses_are_as_unknown_as_none(app: Flask, here: Browser) -> None:
    bob = make_person("bob", emails=("bob@example.org", "bob2@example.org"))
    for action in ("send", "primary", "remove"):
        for address_id in (str(bob.emails[1].id), "999999", "x", ""):
            assert here.get(PAGE).post(f"{PAGE}/{action}", id=address_id).answer.status_code == 404
    db.session.expire_all()
    assert len(bob.emails) == 2


# --- attack 114: taking an account over by way of its address ------------------------------------------------


def ask_recovery(app: Flask, name: str = "alice") -> None:
    new_browser(app).get("/recover/password").post(identifier=name)


def test_attack_114_a_new_address_receives_no_way_back_in_for_72_hours(
    app: Flask, here: Browser, alice: User, mailbox, travel
) -> None:
    added(here, mailbox, "evil@example.com")
    here.post(f"{PAGE}/primary", id=id_of(alice, "evil@example.com"))
    before = len(mailbox())
    for name in ("alice", "evil@example.com", "alice@example.org"):
        ask_recovery(app, name)
    assert [one.recipient for one in mailbox()[before:]] == ["alice@example.org"] * 3
    assert "lets you back into your account only from this time on" in here.get(PAGE).answer.text
    travel(COOLDOWN_S - 60)
    ask_recovery(app)
    assert mailbox()[-1].recipient == "alice@example.org"
    travel(120)
    ask_recovery(app)
    assert mailbox()[-1].recipient == "evil@example.com", "after that it is as good as any"


def test_attack_114_the_last_address_that_lets_back_in_cannot_be_removed_meanwhile(
    app: Flask, here: Browser, alice: User, mailbox
) -> None:
    added(here, mailbox, "evil@example.com")
    here.post(f"{PAGE}/primary", id=id_of(alice, "evil@example.com"))
    here.post(f"{PAGE}/remove", id=id_of(alice, "alice@example.org"))
    assert here.answer.status_code == 409 and "your only way back in" in here.answer.text
    ask_recovery(app)
    assert mailbox()[-1].recipient == "alice@example.org", "so the owner gets the account back"


def test_attack_114_the_owner_of_the_old_address_takes_the_account_back_and_the_new_one_away(
    app: Flask, here: Browser, alice: User, mailbox
) -> None:
    added(here, mailbox, "evil@example.com")
    here.post(f"{PAGE}/primary", id=id_of(alice, "evil@example.com"))
    ask_recovery(app)
    link = re.search(r"http://localhost(/recover/password/new\?token=\S+)", mailbox()[-1].body)
    assert link and mailbox()[-1].recipient == "alice@example.org"
    new_browser(app).get(link[1]).post(new_password=NEW_PASSWORD)
    here.goals = ("/",)
    assert here.get(PAGE).place == "/login", "the thief is out"
    owner = new_browser(app).open().give_password("alice", NEW_PASSWORD)
    assert owner.place == "/recover/review" and "evil@example.com" in owner.answer.text
    owner.post(answer="remove", unknown=f"address:{id_of(alice, 'evil@example.com')}")
    db.session.expire_all()
    assert users.find_by_login("evil@example.com") is None and alice.email == "alice@example.org"


class TestWithoutWaiting:
    @pytest.fixture
    def setup(self) -> dict[str, Any]:
        return {"factors": {"require_second": False}, "accounts": {"email_cooldown_hours": 0}}

    def test_the_wait_is_a_setting(self, app: Flask, here: Browser, alice: User, mailbox) -> None:
        added(here, mailbox)
        here.post(f"{PAGE}/primary", id=id_of(alice, "second@example.com"))
        ask_recovery(app)
        assert mailbox()[-1].recipient == "second@example.com"


# --- attack 115: addresses that are somebody else's ----------------------------------------------------------


def test_attack_115_an_address_of_somebody_else_gets_a_word_and_nobody_sees_that_it_exists(
    app: Flask, here: Browser, alice: User, mailbox
) -> None:
    bob = make_person("bob")
    pages = set()
    for address in ("bob@example.org", "nobody@example.org"):
        here.get(PAGE).post(f"{PAGE}/add", email=address)
        pages.add(re.sub(r'"[^"]*"', "", here.answer.text.replace(address, "X").partition("request")[0]))
        here.post(f"{PAGE}/remove", id=id_of(alice, address))
    assert len(pages) == 1
    assert [(one.recipient, one.subject) for one in mailbox()] == [
        ("bob@example.org", "Somebody wants to use your e-mail address"),
        ("nobody@example.org", "Confirm your new e-mail address"),
    ]
    assert "token" not in mailbox()[0].body and users.find_by_login("bob@example.org") == bob


def test_attack_115_whoever_proves_an_address_first_has_it(app: Flask, here: Browser, mailbox) -> None:
    here.post(f"{PAGE}/add", email="shared@example.org")
    link = link_of(mailbox()[-1])
    bob = make_person("bob", emails=("Shared@example.org",))
    here.get(link).post("/account/emails/confirm")
    assert here.answer.status_code == 409 and "belongs to somebody" in here.answer.text
    assert users.find_by_login("shared@example.org") == bob


@pytest.mark.parametrize(
    "address", ["bıll@example.org", "bill+x@example.org", "ＢＩＬＬ@example.org", "bill@exampıe.org"]
)
def test_attack_115_addresses_that_only_look_alike_are_different_people(
    app: Flask, here: Browser, mailbox, address: str
) -> None:
    bill = make_person("bill")
    here.get(PAGE).post(f"{PAGE}/add", email=address)
    assert users.find_by_login("bill@example.org") == bill
    for one in mailbox():
        same = users.canonical_username(one.recipient) == "bill@example.org"
        assert one.subject == (
            "Somebody wants to use your e-mail address" if same else "Confirm your new e-mail address"
        )


def test_attack_115_a_link_proves_an_address_only_for_who_asked_for_it(app: Flask, here: Browser, mailbox) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    link = link_of(mailbox()[-1])
    make_person("bob")
    there = signed_in(app, "bob").get(link)
    assert "belongs to another account" in there.answer.text
    csrf = there.get(PAGE).csrf()
    assert there.client.post("/account/emails/confirm", data={"csrf": csrf}).status_code == 400
    assert users.find_by_login("second@example.com") is None
    assert "address is yours" in here.get(link).post("/account/emails/confirm").answer.text


def test_a_link_that_is_opened_signed_out_leads_through_the_sign_in(app: Flask, here: Browser, mailbox) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    there = new_browser(app)
    there.goals = ()
    assert there.get(link_of(mailbox()[-1])).place == "/login"
    there.give_password("alice")
    assert there.place == "/account/emails/confirm" and "Yes, this address is mine" in there.answer.text


# --- the link ------------------------------------------------------------------------------------------------


def test_attack_118_a_mail_scanner_spends_nothing(app: Flask, here: Browser, mailbox) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    for _ in range(3):
        new_browser(app).get(link_of(mailbox()[-1]))
        here.get(link_of(mailbox()[-1]))
    assert "address is yours" in here.post("/account/emails/confirm").answer.text


def test_attack_110_a_link_works_once_and_only_the_newest_does(here: Browser, alice: User, mailbox) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    here.post(f"{PAGE}/send", id=id_of(alice, "second@example.com"))
    older, newer = (link_of(one) for one in mailbox())
    assert "only the newest one does" in here.get(older).answer.text
    assert "address is yours" in here.get(newer).post("/account/emails/confirm").answer.text
    assert "no longer works" in here.get(newer).answer.text


def test_attack_110_a_link_dies_with_its_address(here: Browser, alice: User, mailbox) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    here.post(f"{PAGE}/remove", id=id_of(alice, "second@example.com"))
    assert (
        "belongs to another account" in here.get(link_of(mailbox()[-1])).answer.text
        or "no longer works" in here.answer.text
    )


def test_attack_110_of_20_threads_with_one_link_one_proves_the_address(
    app: Flask, here: Browser, alice: User, mailbox
) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    token = link_of(mailbox()[-1]).partition("token=")[2]
    sub = alice.sub

    def confirm(_: int) -> bool:
        ticket = addresses.find(token)
        done = ticket is not None and addresses.confirm(users.get_by_sub(sub), ticket)
        db.session.commit()
        return done

    results = in_threads(20, app, confirm)
    assert results.count(True) == 1 and results.count(False) == 19, results
    assert len(audit.search(audit.Query(event="email.verified")).entries) == 1


def test_attack_115_of_20_people_who_prove_one_address_at_once_one_has_it(app: Flask, mailbox) -> None:
    subs = [make_person(f"p{number}", raw_password=None, emails=()).sub for number in range(20)]
    with committing():
        for sub in subs:
            addresses.ask(users.get_by_sub(sub), "shared@example.org")
    tokens = [link_of(one).partition("token=")[2] for one in mailbox()]

    def confirm(number: int) -> bool:
        ticket = addresses.find(tokens[number])
        try:
            done = ticket is not None and addresses.confirm(users.get_by_sub(subs[number]), ticket)
        except Conflict:
            db.session.rollback()
            return False
        db.session.commit()
        return done

    results = in_threads(20, app, confirm)
    assert results.count(True) == 1 and results.count(False) == 19, results
    proved = sa.select(sa.func.count()).select_from(users.UserEmail).where(users.UserEmail.verified_at.is_not(None))
    assert db.session.scalar(proved) == 1


def test_c32_only_the_digest_is_kept_and_for_a_day(here: Browser, mailbox) -> None:
    here.post(f"{PAGE}/add", email="second@example.com")
    token = link_of(mailbox()[-1]).partition("token=")[2]
    keys = kv.client().keys(kv.key("email", "*"))
    assert len(keys) == 2 and len(token) == 43
    assert not [key for key in keys if token in f"{key}{kv.client().get(key)}"]
    assert all(86300 < kv.client().ttl(key) <= 86400 for key in keys), "N-24"


# --- the username --------------------------------------------------------------------------------------------


def test_a_username_is_the_organisations_unless_a_setting_says_otherwise(here: Browser, alice: User) -> None:
    assert 'name="username"' not in here.get(PAGE).answer.text
    assert here.post("/account/username", username="eve").answer.status_code == 404
    db.session.expire_all()
    assert alice.username == "alice"


class TestChoosing:
    @pytest.fixture
    def setup(self) -> dict[str, Any]:
        return {"factors": {"require_second": False}, "accounts": {"choose_username": True}}

    def test_a_username_is_changed_and_every_address_is_told(
        self, here: Browser, alice: User, mailbox, audit_trail
    ) -> None:
        here.post("/account/username", username="alice.new")
        assert "Your username is changed" in here.answer.text
        db.session.expire_all()
        assert alice.username == "alice.new" and users.find_by_login("alice") is None
        assert [(one.recipient, one.subject) for one in mailbox()] == [
            ("alice@example.org", "Your username was changed")
        ]
        assert "alice.new" in mailbox()[0].body and "user.updated" in audit_trail

    @pytest.mark.parametrize("wrong", ["", "x", "a b", "аlice", "bob", "bob@example.org", "alice\u202e"])
    def test_what_cannot_be_a_username_is_explained(self, app: Flask, here: Browser, alice: User, wrong: str) -> None:
        make_person("bob")
        here.post("/account/username", username=wrong)
        assert here.answer.status_code in (400, 409) and 'aria-invalid="true"' in here.answer.text
        db.session.expire_all()
        assert alice.username == "alice"

    def test_attack_115_an_address_is_a_username_only_if_it_is_ones_own_and_proved(
        self, app: Flask, here: Browser, alice: User, mailbox
    ) -> None:
        here.post(f"{PAGE}/add", email="second@example.com")
        for wrong in ("chief@hospital.example", "second@example.com"):
            here.get(PAGE).post("/account/username", username=wrong)
            assert here.answer.status_code == 400 and "only if it is one of yours" in here.answer.text
        assert users.find_by_login("chief@hospital.example") is None
        here.get(PAGE).post("/account/username", username="Alice@example.org")
        db.session.expire_all()
        assert alice.username == "Alice@example.org"

    def test_attack_86_usernames_are_not_tried_out_in_numbers(self, here: Browser) -> None:
        statuses = [here.get(PAGE).post("/account/username", username="x").answer.status_code for _ in range(12)]
        assert statuses == [400] * 10 + [429] * 2

    def test_the_same_username_is_no_change(self, here: Browser, mailbox) -> None:
        here.post("/account/username", username="alice")
        assert mailbox() == []
