"""audit.seal: gapless numbers, one sealer at a time, writers never wait (house rule 2; L-6, L-8; attack 139)."""

from __future__ import annotations

import hashlib
import importlib
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp import audit, clock
from idp.audit import Event, checkpoints
from idp.config import settings
from idp.db import committing, db
from tests.conftest import in_threads

sealing = importlib.import_module("idp.audit.seal")  # the package shows the function of that name


def numbers():
    return [entry.seq for entry in audit.tail(limit=500)]


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_events_are_numbered_from_one_without_gaps(app, recorded):
    recorded(7)
    recorded(5)
    assert numbers() == list(range(1, 13))
    assert audit.seal() == 0


def test_l_6_each_hash_covers_the_one_before_and_the_canonical_event(app, recorded):
    recorded(2)
    with db.engine.connect() as connection:
        first, second = connection.execute(sa.text("SELECT * FROM audit_events ORDER BY seq")).mappings().all()
    assert first["prev_hash"] == "0" * 64
    assert second["prev_hash"] == first["hash"]
    entry = audit.tail()[1]
    covered = {
        "acr": None, "actor": None, "address": None, "amr": ["pwd", "otp"], "client_id": None, "details": {"number": 1},
        "event": "login.succeeded", "event_id": entry.event_id, "outcome": "success", "reason": None, "request_id": None,
        "id": entry.id, "seq": 2, "sid": None, "subject": "s1", "time": entry.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "user_agent": None, "v": 2,
    }  # fmt: skip
    independent = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert second["hash"] == hashlib.sha256(bytes.fromhex(first["hash"]) + independent).hexdigest()


def test_many_batches_make_one_chain(app, recorded, monkeypatch):
    monkeypatch.setattr(sealing, "BATCH", 10)
    recorded(35)
    assert numbers() == list(range(1, 36))
    assert audit.verify().ok


def test_a_late_commit_is_numbered_later(app, recorded):
    if db.engine.dialect.name == "sqlite":  # one writer at a time: the later writer is also the later row
        recorded(2)
        assert numbers() == [1, 2]
        return
    late = db.engine.connect()
    late.execute(
        sa.text(
            "INSERT INTO audit_events (event_id, time, event, outcome, amr, details)"
            " VALUES ('late', now(), 'login.failed', 'failure', '', '{}')"
        )
    )
    recorded(2)
    late.commit()
    late.close()
    assert audit.seal() == 1
    assert [entry.event_id == "late" for entry in audit.tail()] == [False, False, True]
    assert audit.verify().ok


def test_writers_do_not_wait_for_a_sealer_on_postgresql(app, recorded):
    if db.engine.dialect.name != "postgresql":
        assert sealing.BATCH <= 500  # SQLite has one writer: a batch bounds how long it is kept
        return
    recorded(1)
    with db.engine.begin() as connection:
        connection.execute(sa.text("SELECT * FROM audit_head FOR UPDATE"))
        connection.execute(sa.text("SELECT * FROM audit_events FOR UPDATE"))
        db.session.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
        audit.record(Event.LOGIN_FAILED)
        db.session.commit()


def test_twenty_sealers_and_writers_at_once_make_one_gapless_chain(app):
    def work(number):
        for _ in range(3):
            with committing():
                audit.record(Event.TOKEN_ISSUED, client_id=f"c{number}")
            audit.seal()

    assert in_threads(20, app, work) == [None] * 20
    assert numbers() == list(range(1, 61))
    report = audit.verify()
    assert report.ok, report
    assert report.events == 60


def test_a_head_that_moved_stops_the_sealer(app, recorded):
    recorded(1)
    with pytest.raises(sealing.ChainMoved), db.engine.begin() as connection:
        head = connection.execute(sa.select(sealing.HEAD)).mappings().one()
        sealing._move(connection, {**head, "hash": "f" * 64}, seq=2)


def test_l_8_every_seal_ends_with_a_signed_checkpoint_in_table_and_file(app, recorded, checkpoint_file):
    recorded(3)
    recorded(4)
    written = lines(checkpoint_file)
    assert [line["seq"] for line in written] == [3, 7]
    assert written == list(checkpoints.stored())
    keys = audit.public_keys()
    assert all(checkpoints.genuine("checkpoint", line, keys) for line in written)
    assert checkpoint_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("setup", [{"audit": {"checkpoint_events": 4}}])
def test_l_8_a_long_seal_signs_a_checkpoint_every_so_many_events(app, recorded, checkpoint_file):
    recorded(10)
    assert [line["seq"] for line in lines(checkpoint_file)] == [4, 8, 10]


def test_a_checkpoint_file_that_missed_some_is_brought_up_to_date(app, recorded, checkpoint_file):
    recorded(2)
    first = checkpoint_file.read_bytes()
    recorded(2)
    checkpoint_file.write_bytes(first + b'{"seq": 4, "ha')  # the machine stopped while writing
    recorded(2)
    assert [line["seq"] for line in lines(checkpoint_file)] == [2, 4, 6]


def test_a_checkpoint_file_that_cannot_be_written_does_not_stop_the_sealer(app, recorded, checkpoint_file, caplog):
    checkpoint_file.mkdir()
    recorded(2)
    assert numbers() == [1, 2]
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("setup", [{"audit": {"checkpoint_file": ""}}])
def test_without_a_file_sealing_works_and_verification_warns(app, recorded):
    recorded(2)
    report = audit.verify()
    assert report.ok
    assert any("no checkpoint file" in warning for warning in report.warnings)


def test_there_is_one_checkpoint_key_and_its_private_half_is_sealed(app, recorded):
    recorded(2)
    recorded(2)
    with db.engine.connect() as connection:
        (row,) = connection.execute(sa.text("SELECT * FROM audit_keys")).mappings().all()
    assert bytes(row["sealed_private"]).startswith(b"s1.")
    signer = checkpoints.ready_signer()
    assert signer.private_key.private_bytes_raw() not in bytes(row["sealed_private"])
    assert "private" not in repr(audit.export("jsonl"))


def test_attack_139_a_clock_that_was_set_back_is_written_down_once(app, recorded):
    recorded(2)
    with clock.freeze(clock.now() - timedelta(hours=1)):
        recorded(2)
        audit.seal()
        recorded(1)
    names = [entry.event for entry in audit.tail()]
    assert names.count(Event.CLOCK_STEPPED_BACK) == 1
    anomaly = next(entry for entry in audit.tail() if entry.event == Event.CLOCK_STEPPED_BACK)
    assert 3500 < anomaly.details["seconds"] < 3700
    assert numbers() == list(range(1, 7))
    assert audit.verify().ok


def test_an_idle_sealer_takes_no_lock(app, recorded):
    recorded(1)
    statements = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    audit.seal()
    assert statements
    assert not any("FOR UPDATE" in s or s.startswith(("UPDATE", "INSERT")) for s in statements)


def test_the_interval_is_a_setting(app):
    assert settings().audit.seal_interval_s > 0
