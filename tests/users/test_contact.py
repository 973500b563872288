"""How a person can be reached: telephone number and postal address (OIDC Core 5.1, 5.1.1)."""

from __future__ import annotations

import pytest

from idp import users
from idp.db import committing, db
from idp.errors import BadInput, NotFound

HOME = {"street_address": "4 Alder Street", "locality": "Larkfield", "postal_code": "43001", "country": "US"}


@pytest.fixture
def sub(app):
    with committing():
        return users.create(username="alice", display_name="Alice").sub


def contact(sub):
    db.session.expire_all()
    return users.get_by_sub(sub).contact


def test_it_is_kept_as_claims(app, sub, audit_trail):
    with committing():
        users.set_contact(sub, phone="+1 (555) 0100;ext=12", address=HOME, actor="cli")
    kept = contact(sub)
    assert kept["phone_number"] == "+1 (555) 0100;ext=12" and kept["phone_number_verified"] is False
    assert kept["address"]["formatted"] == "4 Alder Street\nLarkfield, 43001\nUS"
    assert "region" not in kept["address"] and "user.updated" in audit_trail


def test_it_is_replaced_as_a_whole(app, sub):
    with committing():
        users.set_contact(sub, phone="+1 555 0100", phone_verified=True, address=HOME, actor=None)
        users.set_contact(sub, phone="+49 30 1234567", actor=None)
    assert contact(sub) == {"phone_number": "+49 30 1234567", "phone_number_verified": False}
    with committing():
        users.set_contact(sub, actor=None)
    assert contact(sub) is None


def test_nothing_is_written_down_when_nothing_changes(app, sub, audit_trail):
    with committing():
        users.set_contact(sub, actor=None)
    assert "user.updated" not in audit_trail


@pytest.mark.parametrize("phone", ["555 0100", "+0 555 0100", "+1", "x", "+1 555 <b>", "+" + "1" * 40])
def test_a_number_is_international(app, sub, phone):
    with pytest.raises(BadInput) as refused:
        users.set_contact(sub, phone=phone, actor=None)
    assert "phone" in refused.value.fields


@pytest.mark.parametrize("address", [{"planet": "Mars"}, {"locality": "x" * 201}, {"region": "a\nb"}])
def test_an_address_has_its_members_and_no_others(app, sub, address):
    with pytest.raises(BadInput):
        users.set_contact(sub, address=address, actor=None)


def test_there_must_be_somebody(app):
    with pytest.raises(NotFound):
        users.set_contact("_nobody", actor=None)
