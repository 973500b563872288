"""audit.record: fields (L-1), one transaction (L-3), cleaning (attack 132), no secrets (attack 134)."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp import audit, clock
from idp.audit import Event, SecretRefused
from idp.audit.text import DETAILS_BYTES, canonical, clean, details_json, guard
from idp.db import committing, db
from idp.db import session as unit
from tests.conftest import in_threads


def only_entry():
    return audit.search().entries[0]


def test_l_1_a_row_has_every_field(app):
    with (
        app.test_request_context("/", headers={"User-Agent": "Firefox"}, environ_base={"REMOTE_ADDR": "192.0.2.7"}),
        committing(),
    ):
        audit.record(
            Event.LOGIN_SUCCEEDED, subject="s1", actor="a1", client_id="claims", sid="x", reason="fresh", acr="urn:2",
            amr=("pwd", "otp", "mfa"), step=2,
        )  # fmt: skip
    entry = only_entry()
    assert (entry.subject, entry.actor, entry.client_id, entry.sid) == ("s1", "a1", "claims", "x")
    assert (entry.event, entry.outcome, entry.reason) == ("login.succeeded", "success", "fresh")
    assert (entry.acr, entry.amr, entry.details) == ("urn:2", ("pwd", "otp", "mfa"), {"step": 2})
    assert (entry.address, entry.user_agent) == ("192.0.2.7", "Firefox")
    assert entry.request_id
    assert uuid.UUID(entry.event_id).version == 7
    assert abs(entry.time - clock.now()) < timedelta(seconds=10)
    assert entry.sentence == "A person signed in."


def test_outside_of_a_request_the_request_fields_are_empty(app):
    with committing():
        audit.record(Event.SERVER_STARTED)
    assert (only_entry().address, only_entry().user_agent, only_entry().request_id) == (None, None, None)


@pytest.mark.parametrize(
    ("event", "given", "kept"),
    [
        (Event.LOGIN_FAILED, None, "failure"),
        (Event.LOGIN_SUCCEEDED, None, "success"),
        (Event.AUDIT_VERIFIED, "failure", "failure"),
    ],
)
def test_an_event_knows_its_usual_outcome(app, event, given, kept):
    with committing():
        audit.record(event, outcome=given)
    assert only_entry().outcome == kept


def test_an_outcome_that_is_no_outcome_is_refused(app):
    with pytest.raises(ValueError, match="success or failure"):
        audit.record(Event.LOGIN_FAILED, outcome="maybe")


def test_l_3_an_event_goes_with_the_transaction_that_made_it(app):
    with pytest.raises(RuntimeError), committing():
        audit.record(Event.USER_CREATED, subject="s1")
        raise RuntimeError
    assert audit.search().entries == ()


def test_l_3_others_see_an_event_only_after_the_commit(app):
    audit.record(Event.USER_CREATED, subject="s1")
    assert audit.search().entries == ()
    db.session.commit()
    assert len(audit.search().entries) == 1


def test_the_events_of_a_request_are_written_in_one_trip(app, monkeypatch):
    sent, write = [], unit.write
    monkeypatch.setattr(unit, "write", lambda lines, rows: (sent.append(list(rows)), write(lines, rows)))
    statements = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    audit.record(Event.SESSION_PRESENTED, subject="s1")
    audit.record(Event.AUTHORIZATION_GRANTED, subject="s1")
    assert not db.session.new and not db.session().in_transaction()
    db.session.commit()
    assert [len(rows) for rows in sent] == [2]
    assert [statement for statement in statements if "audit_events" in statement] == []
    newest_first = [entry.event for entry in audit.search().entries]
    assert newest_first == ["authorization.granted", "session.presented"]


def test_twenty_writers_lose_nothing(app):
    def work(number):
        with committing():
            audit.record(Event.TOKEN_ISSUED, client_id=f"c{number}")

    assert in_threads(20, app, work) == [None] * 20
    assert {entry.client_id for entry in audit.search().entries} == {f"c{n}" for n in range(20)}


@pytest.mark.parametrize(
    "name",
    [
        "password", "new_password", "client_secret", "secret", "code", "totp_code", "token", "access_token", "refreshToken",
        "otp", "pin", "code_verifier", "client_assertion", "cookie", "authorization", "private_key", "id_token_hint",
        "SECRET", "api_key", "recovery_codes",
    ],
)  # fmt: skip
def test_attack_134_a_detail_that_is_named_like_a_secret_is_refused(name):
    with pytest.raises(SecretRefused):
        guard(name, "hunter2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_type", "at+jwt"),
        ("token_family", "f1"),
        ("password_expired", True),
        ("recovery_codes_count", 10),
        ("secret_age_s", 5),
        ("kid", "k"),
        ("encoded", "x"),
        ("pinned_page", "x"),
        ("grant_type", "authorization_code"),
    ],
)
def test_a_detail_about_a_secret_is_welcome(name, value):
    guard(name, value)


def test_attack_134_nothing_of_a_refused_event_is_stored(app):
    with pytest.raises(SecretRefused), committing():
        audit.record(Event.LOGIN_FAILED, password="hunter2-in-the-clear")
    with pytest.raises(SecretRefused), committing():
        audit.record(Event.LOGIN_FAILED, form={"inner": {"otp": "123456"}})
    assert db.session.execute(sa.text("SELECT count(*) FROM audit_events")).scalar() == 0


def test_attack_134_values_that_look_like_tokens_or_keys_are_removed():
    raw = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"
    kept = details_json({"hint": f"Bearer {raw}", "file": "-----BEGIN PRIVATE KEY-----\nMC4"})
    assert raw not in kept
    assert "MC4" not in kept
    assert kept.count("[removed") == 2


@pytest.mark.parametrize(
    "evil",
    [
        "a\r\nlogin.succeeded",
        "a\x1b[2J",
        "a\u2028b",
        "a\u2029b",
        "a\u202eb",
        "a\x00b",
        "a\ud800b",
        "a\u200fb",
        "\ufeffa",
    ],
)
def test_attack_132_what_could_forge_a_line_is_escaped(evil):
    kept = clean(evil, 100)
    assert kept.isprintable()
    assert re.search(r"\\u\{[0-9a-f]+\}", kept)
    kept.encode()


def test_attack_132_harmless_text_of_any_script_stays():
    assert clean("Zoë Müller 東京 🙂", 100) == "Zoë Müller 東京 🙂"


def test_attack_132_a_hostile_user_agent_is_one_short_line(app):
    agent = "Moz\x1b[31m\u202e" + "A" * 2000
    with app.test_request_context("/", environ_base={"HTTP_USER_AGENT": agent}), committing():
        audit.record(Event.LOGIN_FAILED, reason="x\ny", subject="s\r\n", detail="a\u2028b" + "z" * 100_000)
    entry = only_entry()
    assert len(entry.user_agent) <= 512
    assert entry.user_agent.isprintable()
    assert (entry.reason, entry.subject) == ("x\\u{a}y", "s\\u{d}\\u{a}")
    assert len(entry.details["detail"]) <= 512


def test_details_are_bounded_and_say_when_something_was_dropped():
    kept = details_json({f"f{n}": "é" * 500 for n in range(50)})
    assert len(kept.encode()) <= DETAILS_BYTES
    assert json.loads(kept)["truncated"] is True
    assert json.loads(kept)["f0"]


def test_details_take_plain_facts_only():
    kept = json.loads(
        details_json({"when": clock.now(), "event": Event.KEY_CREATED, "set": {"b", "a"}, "float": 1.5, "big": 2**60})
    )
    assert kept["set"] == ["a", "b"]
    assert (kept["event"], kept["float"], kept["big"]) == ("key.created", "1.5", str(2**60))
    assert kept["when"].endswith("Z")


def test_details_do_not_nest_without_end():
    deep: dict = {}
    for _ in range(50):
        deep = {"in": deep}
    assert "…" in details_json(deep)


def test_l_6_the_canonical_form_is_the_one_of_rfc_8785():
    assert canonical({"b": [1, None, True], "a": 'é"\\\n\x1f\x7f', "ä": "€"}) == (
        '{"a":"é\\"\\\\\\n\\u001f\x7f","b":[1,null,true],"ä":"€"}'.encode()
    )


def test_every_event_reads_noun_past_verb_and_explains_itself():
    for event in Event:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", event.value), event
        assert event.sentence.endswith("."), event
        assert event.ocsf // 100 in (3001, 3002, 3004, 3005), event
        assert event.outcome in ("success", "failure"), event
    assert len({event.sentence for event in Event}) == len(Event)


def test_an_unknown_event_name_is_found_to_be_unknown():
    assert Event.named("login.failed") is Event.LOGIN_FAILED
    assert Event.named("login.teleported") is None


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE audit_events SET outcome = 'success' WHERE seq = 2",
        "UPDATE audit_events SET hash = 'x' WHERE seq = 2",
        "UPDATE audit_events SET seq = NULL WHERE seq = 2",
        "UPDATE audit_events SET subject = 'other' WHERE seq IS NULL",
        "UPDATE audit_events SET subject = 'other', seq = 99, hash = 'x', prev_hash = 'y' WHERE seq IS NULL",
        "DELETE FROM audit_events WHERE seq = 2",
        "DELETE FROM audit_events WHERE seq IS NULL",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_checkpoints SET hash = 'x'",
        "DELETE FROM audit_keys",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET seq = 0",
    ],
)
def test_attack_128_the_application_itself_cannot_rewrite_history(app, recorded, attempt):
    recorded(3)
    recorded(1, sealed=False)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.engine.begin() as connection:
        connection.execute(sa.text(attempt))


def test_attack_128_truncate_is_refused_on_postgresql(app, recorded):
    recorded(1)
    statement = "TRUNCATE audit_events" if db.engine.dialect.name == "postgresql" else "DELETE FROM audit_events"
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.engine.begin() as connection:
        connection.execute(sa.text(statement))


def test_attack_138_without_the_trail_the_change_does_not_happen(app, attacker):
    attacker("ALTER TABLE audit_events RENAME TO elsewhere")
    with pytest.raises(sa.exc.DBAPIError), committing():
        audit.record(Event.USER_CREATED, subject="s1")
