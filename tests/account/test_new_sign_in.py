"""A sign-in in a new browser is told by mail (ASVS 6.3.5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from idp.users import User
from tests.account.conftest import SECRET
from tests.authn.signing_in import Browser, browser

Elsewhere = Callable[..., Browser]


def told(mailbox) -> list:
    return [mail for mail in mailbox() if "new browser" in mail.subject]


def test_the_first_sign_in_ever_is_not_told_and_the_next_browser_is(
    alice: Browser, user: User, elsewhere: Elsewhere, mailbox
) -> None:
    assert told(mailbox) == []
    elsewhere()
    found = told(mailbox)
    assert [mail.recipient for mail in found] == ["alice@example.org"]
    assert "Safari on iPad" in found[0].body and "127.0.0.1" in found[0].body and "/account/not-me" in found[0].body


def test_a_browser_that_is_known_is_not_told_again(alice: Browser, travel, mailbox) -> None:
    travel(901)
    alice.sign_in(secret=SECRET)
    assert told(mailbox) == []


def test_a_step_up_in_a_new_browser_is_no_second_sign_in(alice: Browser, elsewhere: Elsewhere, travel, mailbox) -> None:
    other = elsewhere()
    travel(400)
    other.get("/account/password")
    assert len(told(mailbox)) == 1


def test_only_proved_addresses_are_told(app: Flask, alice: Browser, user: User, elsewhere: Elsewhere, mailbox) -> None:
    from idp import users
    from idp.db import db

    users.add_email(user.sub, "unproved@example.org", actor=None)
    users.add_email(user.sub, "second@example.org", actor=None, verified=True)
    db.session.commit()
    elsewhere()
    assert {mail.recipient for mail in told(mailbox)} == {"alice@example.org", "second@example.org"}


class TestWhereItIsSwitchedOff:
    @pytest.fixture
    def setup(self) -> dict[str, object]:
        return {"accounts": {"new_device_notice": False}}

    def test_nobody_is_told(self, alice: Browser, elsewhere: Elsewhere, mailbox) -> None:
        elsewhere()
        assert told(mailbox) == []


def test_attack_86_a_wrong_password_in_a_new_browser_tells_nothing(app: Flask, alice: Browser, mailbox) -> None:
    browser(app).open().give_password("alice", "wrong")
    assert told(mailbox) == []
