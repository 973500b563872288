"""Importing people: a report per line, no line spoils another, safe against size, NUL and formulas (attacks 95, 136, 144)."""

import io

import pytest
import sqlalchemy as sa

from idp import users
from idp.authn.factors import password
from idp.db import committing, db
from idp.errors import BadInput
from tests import cost

HEADER = "username,display_name,given_name,family_name,email,email_verified,roles,npi,password_hash,status\n"


def load(text, **options):
    raw = text if isinstance(text, bytes) else text.encode()
    with committing():
        return list(users.import_csv(io.BytesIO(raw), hashes=password, actor="cli", **options))


def outcomes(lines):
    return [line.outcome for line in lines]


def test_a_good_line_becomes_a_person(app, audit_trail):
    text = HEADER + (
        '"Alice.M","Dr. Meyer, Alice",Alice,Meyer,Alice@Example.org|alice@example.com,yes,physician biller,1234567893,,\n'
        "bob,,Bob,Baker,bob@example.org,,,,,disabled\n"
    )
    lines = load(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert [(line.number, line.username, line.outcome) for line in lines] == [
        (2, "Alice.M", "created"),
        (3, "bob", "created"),
    ]
    alice, bob = users.find_by_login("alice@example.com"), users.find_by_login("bob")
    assert (alice.display_name, alice.npi, alice.roles) == ("Dr. Meyer, Alice", "1234567893", ["biller", "physician"])
    assert alice.email == "Alice@Example.org".replace("Example", "example")
    assert (bob.display_name, bob.status, bob.email) == ("Bob Baker", "disabled", None)
    assert users.find_by_login("bob@example.org") is None
    assert audit_trail.events() == ["user.imported", "user.imported"]


def test_only_the_username_is_obligatory_and_semicolons_are_understood(app):
    lines = load("roles;username\nnurse biller;alice\n;bob\n\n")
    assert outcomes(lines) == ["created", "created"]
    assert users.find_by_login("alice").roles == ["biller", "nurse"]


@pytest.mark.parametrize(
    "header", ["", "display_name\n", "username,shoe_size\n", "username,username\n", "\x00\n", "\ud7ff\n", "x" * 20_000]
)
def test_a_header_that_cannot_be_used_says_what_can(app, header):
    with pytest.raises(BadInput, match="username,"):
        load(header + "alice\n")


BAD_LINES = {
    "unknown NPI": ("eve,,,,,,,1234567890,,", "check digit"),
    "no username": (",Eve,,,,,,,,", "2 to 64"),
    "confusable": ("аdmin,,,,,,,,,", "scripts"),
    "open quote": ('eve,"Eve,,,,,,,,', "not CSV"),
    "stray quote": ('eve,"Eve"x,,,,,,,,', "not CSV"),
    "too many columns": ("eve,,,,,,,,,,,", "columns"),
    "not UTF-8": (b"eve,\xff\xfe,,,,,,,,", "not UTF-8"),
    "NUL": (b"eve,E\x00ve,,,,,,,,", "NUL"),
    "long": (b"eve," + b"x" * 20_000 + b",,,,,,,,", "longer"),
    "formula": ('eve,"=HYPERLINK(1)",,,,,,,,', "formula"),
    "formula with tab": ('eve,,"+1",,,,,,,', "formula"),
    "flag": ("eve,,,,,maybe,,,,", "true or false"),
    "status": ("eve,,,,,,,,,retired", "active or disabled"),
    "role": ("eve,,,,,,Super Admin,,,", "role"),
    "address": ("eve,,,,eve,,,,,", "e-mail"),
    "unknown hash": ("eve,,,,,,,,md5$a$b,", "Supported: bcrypt, argon2"),
    "plain password": ("eve,,,,,,,,hunter2,", "Supported"),
    "lone surrogate": ("eve,,\ud800".encode("utf-8", "surrogatepass"), "not UTF-8"),
}


def test_no_bad_line_spoils_another(app):
    body = bytearray(HEADER.encode())
    for number, (raw, _) in enumerate(BAD_LINES.values()):
        body += (raw if isinstance(raw, bytes) else raw.encode()) + b"\n"
        body += f"good{number},,,,,,,,,\n".encode()
    lines = load(bytes(body))
    assert [line.number for line in lines] == list(range(2, 2 + 2 * len(BAD_LINES)))
    assert outcomes(lines) == ["refused", "created"] * len(BAD_LINES)
    for line, (name, (_, says)) in zip(lines[::2], BAD_LINES.items(), strict=True):
        assert says in line.reason, name
    assert users.search().total == len(BAD_LINES)
    assert users.find_by_login("eve") is None


def test_collisions_within_the_file_and_with_people_are_refused(app):
    users.create(
        username="carol", display_name="Carol", emails=["c@example.org"], email_verified=True, npi="1245319599"
    )
    text = HEADER + (
        "alice,,,,a@example.org,true,,1234567893,,\n"
        "ALICE,,,,,,,,,\n"
        "bob,,,,A@example.org,true,,,,\n"
        "dave,,,,,,,1234567893,,\n"
        "erin,,,,c@example.org,true,,,,\n"
        "a@example.org,,,,,,,,,\n"
        "fay,,,,,,,1245319599,,\n"
        "gus,,,,c@example.org,false,,,,\n"
    )
    lines = load(text)
    assert outcomes(lines) == ["created", *["refused"] * 6, "created"]
    assert "line 2" in lines[1].reason
    assert "somebody" in lines[4].reason
    assert "NPI" in lines[6].reason


def test_a_dry_run_reports_the_same_and_changes_nothing(app, audit_trail):
    text = HEADER + "alice,,,,,,,,,\nalice,,,,,,,,,\nbob,,,,,,,1,,\n"
    dry = load(text, dry_run=True)
    assert users.search().total == 0
    assert audit_trail.events() == []
    assert load(text) == dry


def test_a_second_run_leaves_people_as_they_are(app, audit_trail):
    text = HEADER + "alice,Alice,,,,,nurse,,,\n"
    load(text)
    lines = load(text.replace("Alice", "Eve"))
    assert outcomes(lines) == ["exists"]
    assert users.find_by_login("alice").display_name == "Alice"
    assert audit_trail.events() == ["user.imported"]


def test_an_update_changes_what_is_different_and_keeps_what_is_empty(app):
    load(HEADER + "alice,Alice,Alice,Meyer,a@example.org,true,nurse,1234567893,,\n")
    update = HEADER + "ALICE,Alice Moor,,Moor,b@example.org,true,physician,,,disabled\n"
    assert outcomes(load(update, update_existing=True)) == ["updated"]
    alice = users.find_by_login("alice")
    assert (alice.username, alice.display_name, alice.given_name, alice.family_name) == (
        "alice",
        "Alice Moor",
        "Alice",
        "Moor",
    )
    assert (alice.npi, alice.roles, alice.status) == ("1234567893", ["physician"], "disabled")
    assert alice.verified_emails == ["a@example.org", "b@example.org"]
    assert outcomes(load(update, update_existing=True)) == ["exists"]


def test_an_update_that_collides_is_refused_alone(app):
    load(HEADER + "alice,,,,,,,1234567893,,\nbob,,,,,,,,,\n")
    lines = load(HEADER + "bob,,,,,,,1234567893,,\nalice,Alicia,,,,,,,,\n", update_existing=True)
    assert outcomes(lines) == ["refused", "updated"]
    assert users.find_by_login("bob").npi is None


def test_attack_130_an_import_cannot_disable_the_last_administrator(app):
    load(HEADER + "ada,,,,,,administrator,,,\n")
    lines = load(HEADER + "ada,,,,,,,,,disabled\n", update_existing=True)
    assert "last active administrator" in lines[0].reason
    assert users.find_by_login("ada").is_active


def test_without_a_keeper_of_hashes_a_hash_is_refused(app):
    raw = (HEADER + "alice,,,,,,,,{SSHA}xzWj8EWSVORK/NxhYVlw8mj2HozRunfO,\nbob,,,,,,,,,\n").encode()
    with committing():
        lines = list(users.import_csv(io.BytesIO(raw)))
    assert outcomes(lines) == ["refused", "created"]


def test_a_foreign_hash_is_kept_and_opens_the_account(app, audit_trail):
    load(HEADER + "alice,,,,,,,,{SSHA}xzWj8EWSVORK/NxhYVlw8mj2HozRunfO,\n")
    assert audit_trail.events() == ["user.imported", "password.imported"]
    alice = users.find_by_login("alice")
    assert password.verify(alice, "correct horse")
    assert password.state(alice).scheme == "bcrypt-hmac-sha256"


def test_somebody_else_creating_the_same_people_meanwhile_spoils_only_those(app, monkeypatch):
    """The batch collides after it looked: every line is tried again alone."""
    original, calls = users.people.add, []

    def add(people):
        calls.append(len(people))
        if len(calls) == 1:
            raise sa.exc.IntegrityError("insert", {}, Exception("somebody was faster"))
        original(people)

    monkeypatch.setattr(users.people, "add", add)
    assert outcomes(load(HEADER + "alice,,,,,,,,,\nbob,,,,,,,,,\n")) == ["created", "created"]
    assert calls == [2, 1, 1]


def test_thousands_of_lines_are_quick_and_come_one_by_one(app):
    """2000 lines take about two seconds on an idle core; the bound only catches what grows with the square."""
    body = HEADER + "".join(
        f"user{n},User {n},User,{n},user{n}@example.org,true,nurse,,{{SSHA}}xzWj8EWSVORK/NxhYVlw8mj2HozRunfO,\n"
        for n in range(2_000)
    )
    seen = 0
    with cost.within(60):
        for seen, line in enumerate(users.import_csv(io.BytesIO(body.encode()), hashes=password), start=1):
            assert line.outcome == "created"
            if seen % 200 == 0:
                db.session.commit()
    assert seen == users.search().total == 2_000
