"""What a person changes of themselves, and what only the organisation does."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import users
from idp.config import schema
from idp.db import db
from idp.users import User
from tests.authn.signing_in import Browser

PAGE = "/account/profile"


def reread(user: User) -> User:
    db.session.expire_all()
    return users.get_by_sub(user.sub)


def test_it_is_shown_and_saved(alice: Browser, user: User) -> None:
    page = alice.get(PAGE).answer.text
    assert "Kept by your organisation" in page and "physician" in page and 'name="nickname"' in page
    alice.post(PAGE, nickname="Al", birthdate="1980-04-23", phone="+1 555 0100", locality="Larkfield", website="")
    assert "Your profile is saved." in alice.answer.text and 'value="1980-04-23"' in alice.answer.text
    kept = reread(user)
    assert kept.traits == {"nickname": "Al", "birthdate": "1980-04-23"}
    assert kept.contact == {
        "phone_number": "+1 555 0100",
        "phone_number_verified": False,
        "address": {"formatted": "Larkfield", "locality": "Larkfield"},
    }


def test_the_audit_holds_the_names_of_fields_and_nothing_of_what_they_say(alice: Browser, user: User) -> None:
    alice.get(PAGE).post(PAGE, nickname="Confidential", phone="+1 555 0199")
    rows = db.session.execute(
        sa.text("SELECT details, actor FROM audit_events WHERE event = 'user.updated' ORDER BY id")
    ).all()
    assert [json.loads(row.details)["fields"] for row in rows] == [["nickname"], ["contact"]]
    assert {row.actor for row in rows} == {user.sub} and "Confidential" not in str(rows)


def test_what_was_wrong_is_said_and_nothing_else_is_lost(alice: Browser, user: User) -> None:
    alice.get(PAGE).post(PAGE, nickname="Al", birthdate="23.4.1980", phone="555")
    assert alice.answer.status_code == 400 and "1980-04-23" in alice.answer.text
    assert 'value="Al"' in alice.answer.text and 'aria-invalid="true"' in alice.answer.text
    assert reread(user).traits is None


def test_a_wrong_telephone_number_saves_nothing_at_all(alice: Browser, user: User) -> None:
    alice.get(PAGE).post(PAGE, nickname="Al", phone="555")
    assert alice.answer.status_code == 400 and "begins with +" in alice.answer.text
    assert (reread(user).traits, user.contact) == (None, None)


@pytest.mark.parametrize("name", ["npi", "roles", "display_name", "family_name", "status", "username", "sub", "x"])
def test_attack_127_a_form_with_a_field_of_the_organisation_is_refused_whole(
    alice: Browser, user: User, audit_trail, name: str
) -> None:
    alice.get(PAGE).post(PAGE, nickname="Al", **{name: "1234567893"})
    assert alice.answer.status_code == 403 and "Only your organisation" in alice.answer.text
    kept = reread(user)
    assert (kept.npi, kept.roles, kept.display_name, kept.traits) == (None, ["physician"], "Alice", None)
    assert "request.refused" in audit_trail


def test_attack_71_and_85_it_is_changed_by_our_form_only(alice: Browser, user: User) -> None:
    assert alice.client.post(PAGE, data={"nickname": "Al"}).status_code == 403
    assert alice.client.get(f"{PAGE}?nickname=Al").status_code == 200
    assert alice.client.head(PAGE).status_code == 405 and reread(user).traits is None


def test_a_verified_number_stays_verified_until_it_changes(alice: Browser, user: User) -> None:
    users.set_contact(user.sub, phone="+1 555 0100", phone_verified=True, actor=None)
    db.session.commit()
    alice.get(PAGE).post(PAGE, phone="+1 555 0100", locality="Larkfield")
    assert (reread(user).contact or {})["phone_number_verified"] is True
    alice.post(PAGE, phone="+1 555 0101", locality="Larkfield")
    assert (reread(user).contact or {})["phone_number_verified"] is False


def test_w8_language_and_zone_are_followed_at_once_and_at_the_next_sign_in(alice: Browser, user: User) -> None:
    alice.get(PAGE).post(PAGE, locale="es", zoneinfo="America/Chicago")
    assert 'lang="es"' in alice.answer.text
    home = alice.client.get("/").text
    assert "data-zoned" in home and (" CST" in home or " CDT" in home)
    assert (reread(user).locale, user.zoneinfo) == ("es", "America/Chicago")


def test_w8_a_person_s_language_is_spoken_where_the_browser_has_no_choice(
    app: Flask, alice: Browser, user: User
) -> None:
    user.locale = "es-MX"
    db.session.commit()
    answer = alice.client.get("/", headers={"Accept-Language": "en"})
    assert answer.headers["Content-Language"] == "es"
    alice.get(PAGE).post(PAGE, locale="es")
    assert reread(user).locale == "es-MX"


def test_an_unknown_zone_is_refused_and_one_that_vanished_is_utc(alice: Browser, user: User) -> None:
    alice.get(PAGE).post(PAGE, zoneinfo="Mars/Olympus")
    assert alice.answer.status_code == 400
    user.zoneinfo = "Mars/Olympus"
    db.session.commit()
    assert " UTC</time>" in alice.client.get("/").text


class TestWhereNamesAreThePersonsOwn:
    @pytest.fixture
    def setup(self) -> dict[str, object]:
        return {"accounts": {"own_fields": ("display_name", "given_name")}}

    def test_they_may_change_them_and_nothing_else(self, alice: Browser, user: User) -> None:
        alice.get(PAGE).post(PAGE, display_name="Dr. Alice", given_name="Alice")
        assert reread(user).display_name == "Dr. Alice"
        assert alice.get(PAGE).post(PAGE, nickname="Al").answer.status_code == 403


class TestWhereNothingIsThePersonsOwn:
    @pytest.fixture
    def setup(self) -> dict[str, object]:
        return {"accounts": {"own_fields": ()}}

    def test_there_is_no_form(self, alice: Browser) -> None:
        page = alice.get(PAGE).answer.text
        assert 'name="nickname"' not in page and "Yours to change" not in page


def test_every_field_that_can_be_opened_is_one_of_the_form() -> None:
    from idp.account.profile import FIELDS
    from idp.config.checks import _OWN_FIELDS

    assert {field.setting or field.name for field in FIELDS} == _OWN_FIELDS
    assert set(schema.Accounts().own_fields) <= _OWN_FIELDS
