"""audit.export: signed exports that prove themselves elsewhere (L-11; attacks 136, 137)."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import pytest

from idp import audit
from idp.audit import Event, Query, checkpoints
from idp.db import committing
from idp.errors import BadInput


def exported(format="jsonl", query=None):
    with committing():
        export = audit.export(format, query, actor="officer")
    return export, b"".join(export)


def check(content, checkpoint_lines=(), keys=None):
    lines = content.splitlines(keepends=True)
    return audit.verify_export(lines, public_keys=keys or audit.public_keys(), checkpoint_lines=checkpoint_lines)


def test_l_11_json_lines_end_with_a_signed_manifest_and_verify_offline(app, recorded, checkpoint_file):
    recorded(4)
    recorded(6)
    export, content = exported()
    *events, last = [json.loads(line) for line in content.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, 11))
    manifest = last["manifest"]
    assert manifest == export.manifest
    assert (manifest["count"], manifest["first_seq"], manifest["last_seq"]) == (10, 1, 10)
    assert (manifest["first_hash"], manifest["last_hash"]) == (events[0]["hash"], events[-1]["hash"])
    report = check(content, checkpoint_file.read_bytes().splitlines(keepends=True))
    assert (report.ok, report.events, report.checkpoints) == (True, 10, 2)


def test_the_export_itself_is_audited(app, recorded):
    recorded(3)
    exported(query=Query(subject="s1"))
    entry = audit.search().entries[0]
    assert (entry.event, entry.actor) == ("audit.exported", "officer")
    assert entry.details == {"events": 1, "filters": {"subject": "s1"}, "format": "jsonl", "upto_seq": 3}


def without(content, number):
    lines = content.splitlines(keepends=True)
    return b"".join(lines[:number] + lines[number + 1 :])


@pytest.mark.parametrize(
    ("tamper", "seq"),
    [
        (lambda content: content.replace(b'"subject":"s4"', b'"subject":"s5"'), 5),
        (lambda content: without(content, 4), 5),
        (lambda content: without(content, 0), 2),
        (lambda content: without(content, 9), 10),
        (lambda content: without(content, 10), 11),
        (lambda content: content + content.splitlines(keepends=True)[0], 11),
        (lambda content: content.replace(b'"count":10', b'"count":11'), 1),
        (lambda content: content.replace(b'"filters":{}', b'"filters":{"subject":"x"}'), 1),
        (lambda content: b"nonsense\n" + content, 1),
        (lambda content: b'{"seq":1}\n' + content, 1),
    ],
)
def test_l_11_a_changed_export_is_noticed(app, recorded, tamper, seq):
    recorded(10)
    _, content = exported()
    assert tamper(content) != content
    report = check(tamper(content))
    assert not report.ok
    assert report.first_bad_seq in (seq, 1)


def test_l_11_an_export_of_a_rewritten_chain_contradicts_the_checkpoint_file(app, recorded, checkpoint_file):
    recorded(5)
    other = json.loads(checkpoint_file.read_bytes())
    signer = checkpoints.ready_signer()
    forged = signer.signed("checkpoint", {**other, "hash": "e" * 64, "signature": None})
    del forged["signature"]
    statement = signer.signed("checkpoint", forged)
    _, content = exported()
    report = check(content, [json.dumps(statement).encode() + b"\n"])
    assert not report.ok
    assert "computed anew" in report.problem


def test_l_11_a_filtered_export_verifies_with_its_gaps(app, recorded, checkpoint_file):
    recorded(10)
    with committing():
        audit.record(Event.LOGIN_FAILED, subject="s3")
    audit.seal()
    export, content = exported(query=Query(subject="s3"))
    assert export.manifest["count"] == 2
    report = check(content, checkpoint_file.read_bytes().splitlines(keepends=True))
    assert (report.ok, report.events) == (True, 2)
    assert not check(without(content, 0)).ok


def test_a_key_that_is_not_the_installations_proves_nothing(app, recorded):
    recorded(3)
    _, content = exported()
    assert not check(content, keys={"other": "AAAA"}).ok


def test_l_11_csv_is_rfc_4180_with_its_manifest_beside(app, recorded, tmp_path):
    recorded(3, reason='say "hi", then')
    with committing():
        export = audit.export("csv")
    beside = export.save(tmp_path / "out.csv")
    content = (tmp_path / "out.csv").read_bytes()
    assert content.count(b"\r\n") == 4
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [row["seq"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["reason"] == 'say "hi", then'
    manifest = json.loads(beside.read_bytes())
    assert manifest["content_sha256"] == hashlib.sha256(content).hexdigest()
    assert checkpoints.genuine("manifest", manifest, audit.public_keys())
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "|", "＝"])
def test_attack_136_a_cell_cannot_be_a_formula(app, recorded, start):
    recorded(1, reason=f"{start}cmd|' /C calc'!A0")
    _, content = exported("csv")
    (row,) = csv.DictReader(io.StringIO(content.decode(), newline=""))
    assert row["reason"] == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize("start", ["\t", "\r", "\n", "\0"])
def test_attack_136_control_characters_never_reach_a_cell(app, recorded, start):
    recorded(1, reason=f"{start}=1+1")
    _, content = exported("csv")
    (row,) = csv.DictReader(io.StringIO(content.decode(), newline=""))
    assert row["reason"].startswith("\\u{")


def test_l_11_ocsf_has_what_the_schema_requires(app, recorded):
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": "192.0.2.9", "HTTP_USER_AGENT": "x"}), committing():
        audit.record(Event.LOGIN_SUCCEEDED, subject="s1", sid="sid", amr=("pwd", "otp", "mfa"), acr="urn:2")
        audit.record(Event.REFRESH_TOKEN_REUSED, client_id="claims")
        audit.record(Event.CLIENT_CREATED, client_id="claims")
        audit.record(Event.ROLE_GRANTED, subject="s1", role="nurse")
        audit.record(Event.LOGIN_FAILED, reason="wrong password")
    audit.seal()
    export, content = exported("ocsf")
    login, reuse, client, role, failed = [json.loads(line) for line in content.splitlines()]
    for event in (login, reuse, client, role, failed):
        assert {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"} <= set(event)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["user"]["uid"]
    assert (login["type_uid"], login["status_id"], login["is_mfa"]) == (300201, 1, True)
    assert login["src_endpoint"] == {"ip": "192.0.2.9"}
    assert login["session"] == {"uid": "sid"}
    assert (reuse["severity_id"], reuse["status_id"]) == (4, 2)
    assert client["entity"] == {"type": "client", "uid": "claims"}
    assert role["privileges"] == ["nurse"]
    assert (failed["status_id"], failed["status_detail"]) == (2, "wrong password")
    assert login["time"] > 1_600_000_000_000
    assert export.manifest["count"] == 5


def test_attack_137_an_unknown_format_is_refused(app):
    with pytest.raises(BadInput):
        audit.export("xlsx")


def test_an_export_ends_where_the_chain_ended_when_it_was_asked_for(app, recorded):
    recorded(3)
    with committing():
        export = audit.export()
    recorded(3)
    content = b"".join(export)
    assert export.manifest["count"] == 3
    assert check(content).ok
    assert export.filename == "audit-3.jsonl"
