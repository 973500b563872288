"""Everything that is held about a person, as a file for them."""

from __future__ import annotations

import json

import sqlalchemy as sa
from flask import Flask

from idp import audit, users
from idp.audit import Event
from idp.db import db
from idp.users import User
from tests.account.conftest import SECRET, make_client, sid_of
from tests.account.test_apps_page import allow, authorize
from tests.authn.signing_in import PASSWORD, Browser, code_of, make_codes, make_person

PAGE = "/account/data"
PATH = f"{PAGE}/download"


def taken(alice: Browser) -> tuple[dict, str]:
    alice.get(PAGE).post(PATH)
    assert alice.answer.status_code == 200
    assert alice.answer.headers["Content-Disposition"].startswith('attachment; filename="my-data-')
    assert alice.answer.headers["Cache-Control"] == "no-store"
    return json.loads(alice.answer.text), alice.answer.text


def test_it_holds_everything(alice: Browser, user: User) -> None:
    client = make_client("footpath")
    authorize(user, client, "claims.read")
    allow(user, client, "claims.read")
    users.update(user.sub, actor=None, nickname="Al")
    users.set_contact(user.sub, phone="+1 555 0100", actor=None)
    db.session.commit()
    found, _ = taken(alice)
    person = found["person"]
    assert (person["subject"], person["nickname"], person["phone_number"]) == (user.sub, "Al", "+1 555 0100")
    assert found["email_addresses"][0]["address"] == "alice@example.org" and found["password"]["changed_at"]
    assert [one["factor"] for one in found["second_steps"]] == ["totp"]
    assert [one["id"] for one in found["sessions"]] == [sid_of(alice)]
    assert found["permissions"][0]["scopes"] == ["claims.read"]
    assert found["authorizations"][0]["client_id"] == client.client_id
    count = db.session.scalar(sa.text("SELECT count(*) FROM audit_events WHERE subject = :sub"), {"sub": user.sub})
    assert len(found["record"]) == count and found["record"][0]["event"] == "data.downloaded"


def test_attack_97_and_134_no_secret_is_in_it(alice: Browser, user: User) -> None:
    codes = make_codes(user)
    secret = alice.secret.split(".")[1]
    _, text = taken(alice)
    hashes = db.session.execute(sa.text("SELECT * FROM passwords")).mappings().all()
    kept = [str(value) for row in hashes for name, value in row.items() if "hash" in name or name == "stamp"]
    assert kept
    for word in (PASSWORD, SECRET, secret, *codes, *kept, "sealed", "digest", "$2b$"):
        assert word not in text, word


def test_that_it_was_taken_is_written_down(alice: Browser, user: User, audit_trail) -> None:
    alice.get(PAGE)
    assert "data.downloaded" not in audit_trail
    taken(alice)
    assert audit_trail.events().count("data.downloaded") == 1


def test_years_of_record_come_whole(alice: Browser, user: User) -> None:
    for _ in range(1203):
        audit.record(Event.TOKEN_ISSUED, subject=user.sub, client_id="somebody")
    db.session.commit()
    found, _ = taken(alice)
    assert sum(one["event"] == "token.issued" for one in found["record"]) == 1203
    assert len({one["event_id"] for one in found["record"]}) == len(found["record"])


def test_asvs_7_5_3_an_old_proof_is_not_enough(alice: Browser, audit_trail, travel) -> None:
    for _ in range(2):
        travel(450)
        assert alice.client.get("/").status_code == 200
    travel(60)
    alice.get(PAGE).post(PATH)
    assert alice.place == "/login" and "data.downloaded" not in audit_trail
    alice.goals = (PAGE,)
    alice.give_password().post(code=code_of(SECRET))
    assert alice.path == f"{PAGE}?done=proved"
    found, _ = taken(alice)
    assert found["record"]


def test_attack_71_and_85_it_is_sent_for_our_form_only(alice: Browser, audit_trail) -> None:
    assert alice.client.get(PATH).status_code == 405 and alice.client.head(PATH).status_code == 405
    assert alice.client.post(PATH).status_code == 403
    assert "data.downloaded" not in audit_trail


def test_attack_126_it_holds_nobody_else(app: Flask, alice: Browser) -> None:
    bob = make_person("bob")
    _, text = taken(alice)
    assert bob.sub not in text and "bob@example.org" not in text
