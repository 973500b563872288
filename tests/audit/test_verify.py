"""audit.verify: whatever is done to the trail is noticed and the first bad event is named (L-6, L-8; attack 135)."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from idp import audit, crypto
from idp.audit import Event, checkpoints
from idp.audit.chain import EVENTS, facts, link
from idp.config import settings
from idp.db import committing, db


def verified():
    report = audit.verify()
    db.session.commit()
    return report


def test_an_untouched_chain_is_believed_and_the_check_itself_is_audited(app, recorded, audit_trail):
    recorded(10)
    report = verified()
    assert (report.ok, report.events, report.checkpoints, report.first_bad_seq) == (True, 10, 2, None)  # table and file
    assert Event.AUDIT_VERIFIED in audit_trail
    assert report.warnings == ()


def test_an_empty_trail_is_fine(app):
    report = verified()
    assert (report.ok, report.events) == (True, 0)


def test_events_that_wait_are_counted(app, recorded):
    recorded(3)
    recorded(2, sealed=False)
    report = verified()
    assert (report.ok, report.events, report.unsealed) == (True, 3, 2)


@pytest.mark.parametrize(
    "edit",
    [
        "outcome = 'failure'",
        "subject = 'somebody else'",
        "time = (SELECT time FROM audit_events WHERE seq = 1)",
        "details = '{\"number\": 99}'",
        "details = 'not json'",
        "amr = 'pwd'",
        "event_id = 'other'",
        "address = '192.0.2.1'",
        "hash = prev_hash",
    ],
)
def test_attack_135_an_edited_event_is_named(app, recorded, attacker, edit):
    recorded(10)
    attacker(f"UPDATE audit_events SET {edit} WHERE seq = 5")
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 5)
    assert "event 5" in report.problem


@pytest.mark.parametrize(
    "edit",
    [
        'details = \'{"number":99,"number":4}\'',  # the last one counts, for us; a filter may read the first
        "details = ' {\"number\":4}'",
        "details = '{\"n\\u0075mber\":4}'",
        "amr = 'pwd  otp'",
        "amr = ' pwd otp'",
        "id = -7",
        "id = 1000",
    ],
)
def test_attack_135_an_edit_that_means_the_same_is_named(app, recorded, attacker, edit):
    recorded(10)
    attacker(f"UPDATE audit_events SET {edit} WHERE seq = 5".replace(":", "\\:"))  # no bound value
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 5)
    assert audit.verify_tail(7).first_bad_seq == 5


def seal_as_before(recorded, attacker):
    """Make a chain whose hashes leave `id` out, as versions before did."""
    recorded(6)
    if db.engine.dialect.name == "postgresql":
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER audit_events_no_update ON audit_events")
    attacker("DELETE FROM audit_checkpoints")
    rewrite_from(1, version=1)
    Path(settings().audit.checkpoint_file).unlink()


def test_events_that_were_sealed_without_their_id_are_still_believed(app, recorded, attacker):
    seal_as_before(recorded, attacker)
    recorded(4)
    report = verified()
    assert (report.ok, report.events) == (True, 10), report.problem
    out = list(audit.export())
    assert [json.loads(line).get("v") for line in out[:-1]] == [1] * 6 + [2] * 4
    assert audit.verify_export(out, public_keys=audit.public_keys()).ok


def test_attack_135_an_id_that_no_hash_covers_must_be_possible(app, recorded, attacker):
    seal_as_before(recorded, attacker)
    attacker("UPDATE audit_events SET id = -7 WHERE seq = 5")
    assert verified().first_bad_seq == 5


def test_attack_135_a_deleted_event_is_named(app, recorded, attacker):
    recorded(10)
    attacker("DELETE FROM audit_events WHERE seq = 5")
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 5)
    assert "missing" in report.problem


def test_attack_135_a_deleted_first_event_is_named(app, recorded, attacker):
    recorded(3)
    attacker("DELETE FROM audit_events WHERE seq = 1")
    assert verified().first_bad_seq == 1


def test_attack_135_a_deleted_event_whose_number_was_closed_up_is_named(app, recorded, attacker):
    recorded(10)
    attacker(
        "DELETE FROM audit_events WHERE seq = 5",
        "UPDATE audit_events SET seq = -seq WHERE seq > 5",
        "UPDATE audit_events SET seq = -seq - 1 WHERE seq < 0",
    )
    assert verified().first_bad_seq == 5


def test_attack_135_reordered_events_are_named(app, recorded, attacker):
    recorded(10)
    attacker(
        "UPDATE audit_events SET seq = -1 WHERE seq = 4",
        "UPDATE audit_events SET seq = 4 WHERE seq = 7",
        "UPDATE audit_events SET seq = 7 WHERE seq = -1",
    )
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 4)


def test_attack_135_an_inserted_event_is_named(app, recorded, attacker):
    recorded(10)
    attacker(
        "UPDATE audit_events SET seq = -seq WHERE seq >= 5",
        "UPDATE audit_events SET seq = -seq + 1 WHERE seq < 0",
        "INSERT INTO audit_events (event_id, time, event, outcome, amr, details, seq, prev_hash, hash)"
        " SELECT 'new', time, event, outcome, amr, details, 5, prev_hash, hash FROM audit_events WHERE seq = 4",
    )
    assert verified().first_bad_seq == 5


def test_attack_135_an_event_inserted_beyond_the_end_is_named(app, recorded, attacker):
    recorded(3)
    attacker(
        "INSERT INTO audit_events (event_id, time, event, outcome, amr, details, seq, prev_hash, hash)"
        " SELECT 'new', time, event, outcome, amr, details, 9, prev_hash, hash FROM audit_events WHERE seq = 3"
    )
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 4)
    assert "beyond the end" in report.problem


def test_attack_135_a_cut_tail_is_noticed(app, recorded, attacker):
    recorded(10)
    attacker("DELETE FROM audit_events WHERE seq > 7")
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 8)
    assert "cut off" in report.problem


def test_attack_135_a_tail_cut_with_all_its_traces_is_noticed_thanks_to_the_file_alone(
    app, recorded, attacker, checkpoint_file
):
    recorded(7)
    recorded(3)
    head = "(SELECT hash FROM audit_events WHERE seq = 7)"
    attacker(
        "DELETE FROM audit_events WHERE seq > 7",
        "DELETE FROM audit_checkpoints WHERE seq > 7",
        f"UPDATE audit_head SET seq = 7, checkpoint_seq = 7, hash = {head}",
    )
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 8)
    assert "knows 10 events, 7 are left" in report.problem
    recorded(20)  # life goes on: new events take the numbers of the lost ones
    report = verified()
    assert not report.ok
    assert report.first_bad_seq == 8
    checkpoint_file.unlink()
    assert verified().ok  # which is why the file must be shipped elsewhere


def test_a_copy_of_the_checkpoint_file_can_be_used(app, recorded, attacker, checkpoint_file, tmp_path):
    recorded(7)
    copy = tmp_path / "elsewhere.jsonl"
    copy.write_bytes(checkpoint_file.read_bytes())
    checkpoint_file.unlink()
    attacker(
        "DELETE FROM audit_events",
        "DELETE FROM audit_checkpoints",
        f"UPDATE audit_head SET seq = 0, checkpoint_seq = 0, hash = '{'0' * 64}'",
    )
    assert audit.verify().ok
    assert audit.verify(checkpoint_file=copy).first_bad_seq == 1


def rewrite_from(seq, **form):
    """Compute the chain anew, as somebody can who owns the database but no private key."""
    with db.engine.begin() as connection:
        rows = connection.execute(sa.select(EVENTS).order_by(EVENTS.c.seq)).mappings().all()
        hash_ = rows[seq - 2]["hash"] if seq > 1 else "0" * 64
        for row in rows[seq - 1 :]:
            before, hash_ = hash_, link(hash_, facts(row, **form))
            connection.execute(sa.update(EVENTS).where(EVENTS.c.id == row["id"]).values(prev_hash=before, hash=hash_))
        connection.execute(sa.text("UPDATE audit_head SET hash = :hash"), {"hash": hash_})


@pytest.fixture
def forged(app, recorded, attacker):
    recorded(4)
    recorded(6)
    attacker("UPDATE audit_events SET subject = 'innocent' WHERE seq = 6")
    if db.engine.dialect.name == "postgresql":
        with db.engine.begin() as connection:
            for name in ("no_update", "no_delete", "no_truncate"):
                connection.exec_driver_sql(f"DROP TRIGGER audit_events_{name} ON audit_events")
    rewrite_from(6)


def test_attack_135_a_chain_that_was_computed_anew_contradicts_its_checkpoint(forged):
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 5)  # the first event after the last checkpoint that fits
    assert "computed anew" in report.problem
    assert "5 to 10" in report.problem


def test_attack_135_a_checkpoint_signed_by_another_key_is_forged(forged, attacker):
    with db.engine.begin() as connection:
        hash_ = connection.execute(sa.text("SELECT hash FROM audit_head")).scalar()
    attacker("UPDATE audit_checkpoints SET hash = :hash WHERE seq = 10", hash=hash_)
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 10)
    assert "forged" in report.problem


def test_attack_135_a_foreign_key_with_good_signatures_is_not_ours(forged, attacker, checkpoint_file):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes_raw()
    signer = checkpoints.Signer(checkpoints._kid(raw), private)
    with db.engine.begin() as connection:
        hash_ = connection.execute(sa.text("SELECT hash FROM audit_head")).scalar()
    signed = signer.signed("checkpoint", {"v": 1, "seq": 10, "hash": hash_, "at": "2026-01-01T00:00:00.000000Z"})
    assert checkpoints.genuine("checkpoint", signed, {signer.kid: crypto.base64url(raw)})
    attacker(
        "UPDATE audit_checkpoints SET hash = :hash, kid = :kid, at = :at, signature = :signature WHERE seq = 10",
        **{name: signed[name] for name in ("hash", "kid", "at", "signature")},
    )
    attacker(
        "INSERT INTO audit_keys SELECT :kid, :public_key, sealed_private, created_at FROM audit_keys",
        kid=signer.kid,
        public_key=crypto.base64url(raw),
    )
    checkpoint_file.unlink()
    report = verified()
    assert not report.ok
    assert "not ours" in report.problem


def test_a_checkpoint_cannot_pass_for_a_manifest(app, recorded):
    recorded(1)
    (checkpoint,) = checkpoints.stored()
    assert checkpoints.genuine("checkpoint", checkpoint, audit.public_keys())
    assert not checkpoints.genuine("manifest", checkpoint, audit.public_keys())


def test_attack_135_a_changed_line_of_the_checkpoint_file_is_forged(app, recorded, checkpoint_file):
    recorded(4)
    statement = json.loads(checkpoint_file.read_bytes())
    checkpoint_file.write_text(json.dumps({**statement, "seq": 3}) + "\n")
    report = verified()
    assert (report.ok, report.first_bad_seq) == (False, 3)
    assert "forged" in report.problem


@pytest.mark.parametrize("damage", [b"\n{}\n", b"\nnonsense\n", b'\n{"seq":"7","hash":"x","at":"x"}\n', b"\n[]\n"])
def test_a_damaged_checkpoint_file_is_named(app, recorded, checkpoint_file, damage):
    recorded(4)
    checkpoint_file.write_bytes(checkpoint_file.read_bytes().rstrip() + damage)
    report = verified()
    assert not report.ok
    assert "damaged in line 2" in report.problem


def test_half_a_last_line_is_a_crash_and_no_forgery(app, recorded, checkpoint_file):
    recorded(4)
    with checkpoint_file.open("ab") as file:
        file.write(b'{"seq": 9')
    assert verified().ok


def test_verification_goes_on_while_the_chain_grows(app, recorded, monkeypatch):
    verifying = importlib.import_module("idp.audit.verify")  # the package shows the function of that name
    recorded(10)
    monkeypatch.setattr(verifying, "_PAGE", 3)
    original, grown = verifying._readable, []

    def growing(row):
        if len(grown) < 3:
            grown.append(row)
            recorded(2)
        return original(row)

    monkeypatch.setattr(verifying, "_readable", growing)
    report = audit.verify()
    assert report.ok, report.problem
    assert report.events == 10


def test_a_failed_verification_is_audited_as_a_failure(app, recorded, attacker):
    recorded(3)
    attacker("DELETE FROM audit_events WHERE seq = 2")
    with committing():
        audit.verify(actor="cli")
    entry = audit.search().entries[0]
    assert (entry.event, entry.outcome, entry.actor) == ("audit.verified", "failure", "cli")
    assert entry.details["first_bad_seq"] == 2


def test_the_tail_alone_can_be_verified_in_bounded_time(app, recorded, attacker):
    recorded(30)
    recorded(5)
    report = audit.verify_tail(10)
    assert (report.ok, report.events, report.checkpoints) == (True, 10, 2)
    attacker("UPDATE audit_events SET subject = 'x' WHERE seq = 20")
    assert audit.verify_tail(10).ok
    attacker("UPDATE audit_events SET subject = 'x' WHERE seq = 33")
    assert audit.verify_tail(10).first_bad_seq == 33
    assert audit.verify().first_bad_seq == 20
    assert audit.verify_tail().first_bad_seq == 20
