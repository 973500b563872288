"""People: creating, finding, disabling; who may be called what (H-29, H-34, W-9, F-14, attacks 91, 95, 115, 119, 130)."""

import re

import pytest
import sqlalchemy as sa

from idp import clients, sessions, users
from idp.clock import now
from idp.db import committing, db
from idp.errors import BadInput, Conflict, NotFound
from tests.conftest import in_threads


def person(username="alice", **more):
    with committing():
        return users.create(username=username, display_name=more.pop("display_name", "Alice Meyer"), **more)


def test_a_person_is_kept_as_given(app, audit_trail):
    alice = person(
        "Alice.M",
        given_name="Alice",
        family_name="Meyer",
        emails=["Alice@Example.org", "alice@example.com", "ALICE@example.org"],
        roles=["physician", "biller", "physician"],
        npi="1234567893",
        email_verified=True,
    )
    assert (alice.username, alice.canonical_username) == ("Alice.M", "alice.m")
    assert alice.roles == ["biller", "physician"]
    assert alice.email == "Alice@example.org"
    assert alice.verified_emails == ["Alice@example.org", "alice@example.com"]
    assert alice.npi == "1234567893"
    assert alice.is_active
    assert audit_trail.events() == ["user.created"]


def test_h29_f14_subjects_are_random_and_can_never_be_a_client_id(app):
    subs = {person(f"user{number}").sub for number in range(20)}
    assert len(subs) == 20
    for sub in subs:
        assert len(re.sub("[^A-Za-z0-9_-]", "", sub[1:])) * 6 >= 160
        with pytest.raises(BadInput):
            clients.create({"redirect_uris": ["https://rp.example.org/cb"], "client_name": "Posing"}, client_id=sub)


def test_the_trail_names_the_subject_and_nothing_personal(app):
    alice = person(emails=["alice@example.org"], given_name="Alice", npi="1234567893")
    rows = db.session.execute(sa.text("SELECT subject, details FROM audit_events")).all()
    assert [row.subject for row in rows] == [alice.sub]
    assert not any(word in rows[0].details.lower() for word in ("alice", "meyer", "example.org", "1234567893"))


@pytest.mark.parametrize(
    "typed", ["alice", "ALICE", " alice ", "ａｌｉｃｅ", "ali\u200bce", "alice@example.org", "Alice@EXAMPLE.org"]
)
def test_attack_91_every_spelling_of_a_name_finds_its_person(app, typed):
    alice = person(emails=["alice@example.org"], email_verified=True)
    assert users.find_by_login(typed) is alice


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "alic",
        "аlice",
        "' OR 1=1 --",
        "%",
        "alice%s",
        "al\x00ice2",
        "\ud800",
        "x" * 100_000,
        "strasse@example.org",
        "*)(uid=*",
    ],
)
def test_attack_95_115_nonsense_and_lookalikes_find_nobody(app, typed):
    person()
    person("straße@example.org", display_name="Jo", emails=["straße@example.org"], email_verified=True)
    assert users.find_by_login(typed) is None
    assert users.find_by_sub(typed) is None


def test_attack_115_an_unverified_address_is_no_name_and_blocks_nobody(app):
    person("mallory", emails=["alice@example.org"])
    assert users.find_by_login("alice@example.org") is None
    alice = person("alice", emails=["alice@example.org"], email_verified=True)
    assert users.find_by_login("alice@example.org") is alice


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"username": "ALICE"}, "username is taken"),
        ({"username": "Alice@Example.org"}, "username is taken"),
        ({"username": "bob", "emails": ["alice@EXAMPLE.org"], "email_verified": True}, "address belongs"),
        ({"username": "bob", "npi": "1234567893"}, "NPI belongs"),
    ],
)
def test_one_name_one_address_one_npi_belong_to_one_person(app, second, says):
    person("alice", emails=["alice@example.org"], email_verified=True, npi="1234567893")
    with pytest.raises(Conflict, match=says):
        users.create(display_name="Bob", **second)
    users.create(username="carol", display_name="Carol")  # the session is usable after the refusal
    db.session.commit()
    assert users.search().total == 2


def test_w4_all_that_is_wrong_is_told_at_once(app):
    with pytest.raises(BadInput) as refused:
        users.create(
            username="а b",
            display_name=" ",
            given_name="x" * 101,
            emails=["nonsense"],
            roles=["Physician!"],
            npi="1234567890",
        )
    assert set(refused.value.fields) == {"username", "display_name", "given_name", "email", "roles", "npi"}


@pytest.mark.parametrize("name", ["Alice\r\nBcc: x", "Al\x00ice", "Alice\u202egnp", "Al\ud800ice", "A\u2028B"])
def test_attack_132_144_names_without_control_characters(app, name):
    with pytest.raises(BadInput):
        users.create(username="alice", display_name=name)


def test_race_of_twenty_for_one_username_has_one_winner(app):
    def work(number):
        with committing():
            return users.create(username=("Alice", "ALICE", "alice")[number % 3], display_name=f"Alice {number}").sub

    results = in_threads(20, app, work)
    assert [type(result) for result in results].count(str) == 1
    assert {str(r) for r in results if not isinstance(r, str)} == {"This username is taken."}
    assert users.search().total == 1


def test_race_between_a_username_and_the_same_address_has_one_winner(app):
    def work(number):
        with committing():
            if number % 2:
                return users.create(username="alice@example.org", display_name="One").sub
            return users.create(
                username=f"user{number}", display_name="Two", emails=["alice@example.org"], email_verified=True
            ).sub

    results = in_threads(10, app, work)
    assert [type(result) for result in results].count(str) == 1
    assert {type(r) for r in results if not isinstance(r, str)} == {Conflict}


def test_h34_attack_119_a_disabled_person_has_no_session_left(app, audit_trail):
    alice = person()
    with app.test_request_context():
        sessions.start(alice.sub, acr="urn:idp:acr:1fa", amr=("pwd",), auth_time=now())
    assert len(sessions.of(alice.sub)) == 1
    with committing():
        users.disable(alice.sub, reason="left the clinic", actor="_admin")
    assert sessions.of(alice.sub) == []
    assert not users.get_by_sub(alice.sub).is_active
    assert users.get_by_sub(alice.sub).status_reason == "left the clinic"
    assert audit_trail.events()[-2:] == ["user.disabled", "session.ended"]


def test_disabling_and_enabling_twice_writes_one_event_each(app, audit_trail):
    alice = person()
    for _ in range(2):
        with committing():
            users.disable(alice.sub, reason="leave", actor="_admin")
    for _ in range(2):
        with committing():
            users.enable(alice.sub, actor="_admin")
    assert audit_trail.events() == ["user.created", "user.disabled", "user.enabled"]
    assert users.get_by_sub(alice.sub).status_reason is None


def test_disabling_wants_a_reason_and_a_person(app):
    alice = person()
    with pytest.raises(BadInput):
        users.disable(alice.sub, reason=" ", actor=None)
    with pytest.raises(NotFound):
        users.disable("_nobody", reason="x", actor=None)


def test_attack_130_the_last_active_administrator_stays(app):
    ada, bob = person("ada", roles=["administrator"]), person("bob", roles=["administrator"])
    with committing():
        users.disable(bob.sub, reason="leave", actor=ada.sub)
    with pytest.raises(Conflict, match="last active administrator"):
        users.disable(ada.sub, reason="leave", actor=ada.sub)
    with pytest.raises(Conflict, match="last active administrator"):
        users.set_roles(ada.sub, ["physician"], actor=ada.sub)
    assert users.active_administrators() == 1


def test_attack_130_race_two_administrators_cannot_remove_each_other(app):
    subs = [person(name, roles=["administrator"]).sub for name in ("ada", "bob", "cyd", "dan")]

    def work(number):
        with committing():
            if number % 2:
                return users.set_roles(subs[number % 4], [], actor=None).sub
            return users.disable(subs[number % 4], reason="race", actor=None).sub

    in_threads(20, app, work)
    db.session.rollback()
    assert users.active_administrators() == 1
