"""Changing a person: names, roles, addresses (attacks 112, 115, 127; the audit says what changed without saying it)."""

import json

import pytest
import sqlalchemy as sa

from idp import users
from idp.db import committing, db
from idp.errors import BadInput, Conflict, NotFound
from tests.conftest import in_threads


@pytest.fixture
def alice(app):
    with committing():
        return users.create(
            username="alice", display_name="Alice", emails=["alice@example.org"], email_verified=True, roles=["nurse"]
        )


def details_of(event):
    rows = db.session.execute(sa.text("SELECT details FROM audit_events WHERE event = :e ORDER BY id"), {"e": event})
    return [json.loads(row.details) for row in rows]


def test_an_update_says_which_fields_changed_and_not_to_what(alice):
    users.update(
        alice.sub, actor="_admin", family_name="Meyer", display_name="Alice", locale="es-MX", zoneinfo="America/Chicago"
    )
    assert details_of("user.updated") == [{"fields": ["family_name", "locale", "zoneinfo"]}]
    assert (alice.family_name, alice.locale) == ("Meyer", "es-MX")


def test_an_update_without_a_difference_is_no_event(alice):
    users.update(alice.sub, actor=None, display_name=" Alice ")
    assert details_of("user.updated") == []


@pytest.mark.parametrize("field", ["roles", "status", "sub", "id", "username", "emails", "is_admin"])
def test_attack_127_no_other_field_can_be_assigned(alice, field):
    with pytest.raises(BadInput):
        users.update(alice.sub, actor=alice.sub, **{field: "administrator"})


@pytest.mark.parametrize(
    ("field", "value"), [("npi", "1234567890"), ("locale", "x y"), ("zoneinfo", "../etc/passwd"), ("display_name", "")]
)
def test_values_that_cannot_be_used_are_refused(alice, field, value):
    with pytest.raises(BadInput) as refused:
        users.update(alice.sub, actor=None, **{field: value})
    assert field in refused.value.fields


def test_h35_an_npi_belongs_to_one_person(alice):
    users.create(username="bob", display_name="Bob", npi="1234567893")
    with pytest.raises(Conflict, match="NPI"):
        users.update(alice.sub, actor=None, npi="1234567893")
    assert alice.npi is None


def test_a_rename_keeps_the_subject_and_frees_the_old_name(alice):
    before = alice.sub
    users.rename(alice.sub, "Alice.Meyer", actor="_admin")
    assert users.find_by_login("alice.meyer").sub == before
    assert users.find_by_login("alice") is None
    other = users.create(username="alice", display_name="Another Alice")
    assert other.sub != before  # H-29
    with pytest.raises(Conflict, match="taken"):
        users.rename(before, "ALICE", actor=None)


def test_roles_are_granted_and_revoked_with_before_and_after(alice):
    users.set_roles(alice.sub, ["physician", "nurse"], actor="_admin")
    users.set_roles(alice.sub, ["physician"], actor="_admin")
    users.set_roles(alice.sub, ["physician"], actor="_admin")
    assert details_of("role.granted") == [{"role": "physician", "before": ["nurse"], "after": ["nurse", "physician"]}]
    assert details_of("role.revoked") == [{"role": "nurse", "before": ["nurse", "physician"], "after": ["physician"]}]
    assert users.get_by_sub(alice.sub).roles == ["physician"]


def test_attack_115_a_second_address_counts_once_it_is_verified(alice):
    email = users.add_email(alice.sub, "Alice+work@example.com", actor=alice.sub)
    assert users.find_by_login("alice+work@example.com") is None
    users.verify_email(alice.sub, email.id)
    assert users.find_by_login("ALICE+work@example.com") is alice
    assert users.find_by_login("alice@example.com") is None
    assert alice.email == "alice@example.org"


def test_attack_115_only_the_first_to_verify_an_address_gets_it(alice):
    bob = users.create(username="bob", display_name="Bob", emails=["shared@example.org"])
    ours = users.add_email(alice.sub, "shared@example.org", actor=alice.sub)
    users.verify_email(bob.sub, bob.emails[0].id)
    with pytest.raises(Conflict, match="belongs to somebody"):
        users.verify_email(alice.sub, ours.id)
    assert users.find_by_login("shared@example.org") is bob
    assert [email.verified_at is not None for email in alice.emails] == [True, False]


def test_an_address_cannot_be_verified_that_is_somebodys_username(alice):
    users.create(username="bob@example.org", display_name="Bob")
    email = users.add_email(alice.sub, "BOB@example.org", actor=None)
    with pytest.raises(Conflict):
        users.verify_email(alice.sub, email.id)


def test_race_of_twenty_to_verify_one_address_has_one_winner(app, alice):
    people = []
    with committing():
        for number in range(20):
            other = users.create(username=f"user{number}", display_name="x", emails=["shared@example.org"])
            people.append((other.sub, other.emails[0].id))

    def work(number):
        with committing():
            return users.verify_email(*people[number]).id

    results = in_threads(20, app, work)
    assert [type(result) for result in results].count(int) == 1
    assert {type(r) for r in results if not isinstance(r, int)} == {Conflict}


def test_the_primary_address_is_verified_and_only_one(alice):
    email = users.add_email(alice.sub, "second@example.org", actor=None)
    with pytest.raises(Conflict):
        users.make_primary(alice.sub, email.id, actor=None)
    users.verify_email(alice.sub, email.id)
    users.make_primary(alice.sub, email.id, actor=None)
    assert alice.email == "second@example.org"
    assert [entry.is_primary for entry in alice.emails] == [False, True]


def test_a_removed_address_opens_nothing(alice):
    second = users.add_email(alice.sub, "second@example.org", actor=None, verified=True)
    with pytest.raises(Conflict):
        users.remove_email(alice.sub, alice.emails[0].id, actor=None)
    users.remove_email(alice.sub, second.id, actor=None)
    assert users.find_by_login("second@example.org") is None
    assert [entry.address for entry in alice.emails] == ["alice@example.org"]


def test_attack_126_the_address_of_another_person_is_not_there(alice):
    bob = users.create(username="bob", display_name="Bob", emails=["bob@example.org"])
    for change in (users.verify_email, users.make_primary, users.remove_email):
        with pytest.raises(NotFound):
            change(alice.sub, bob.emails[0].id, actor=alice.sub)


def test_the_same_address_twice_is_a_conflict(alice):
    with pytest.raises(Conflict):
        users.add_email(alice.sub, "ALICE@example.org", actor=None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["alice", "bob", "zoë"]),
        ("ALI", ["alice"]),
        ("zoë", ["zoë"]),
        ("Robert", ["bob"]),
        ("example.org", ["alice"]),
        ("1234567893", ["bob"]),
        ("%", []),
        ("_", []),
        ("\x00", []),
    ],
)
def test_search_by_username_name_address_and_npi(alice, text, found):
    users.create(username="bob", display_name="Robert", npi="1234567893")
    users.create(username="Zoë", display_name="Zoë")
    assert [user.canonical_username for user in users.search(text).items] == found


def test_search_by_role_and_status_in_pages(alice):
    for number in range(5):
        users.create(username=f"user{number}", display_name="x", roles=["nurse"])
    users.disable(users.find_by_login("user3").sub, reason="x", actor=None)
    page = users.search(role="nurse", status="active", limit=2, offset=2)
    assert page.total == 5
    assert [user.username for user in page.items] == ["user1", "user2"]
