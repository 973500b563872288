"""`idp audit`, `idp keys`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import keys
from idp.db import db
from tests.cli.conftest import Idp

Answer = Callable[..., Any]


@pytest.fixture
def ada(answer: Answer) -> str:
    """Somebody about whom there are events."""
    return str(answer("user", "create", "ada", "--name", "Ada Example")["sub"])


def forge(statement: str) -> None:
    """Change the trail as somebody with the database's files would: without the triggers."""
    for name in db.session.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        db.session.execute(sa.text(f"DROP TRIGGER {name}"))
    db.session.execute(sa.text(statement))
    db.session.commit()


def test_tail_filters_and_names_people(idp: Idp, answer: Answer, ada: str) -> None:
    answer("client", "create", "--name", "X", "--redirect-uri", "https://rp.example.org/cb")
    shown = answer("audit", "tail", "--user", "ada")
    assert {entry["subject"] for entry in shown} == {ada}
    assert shown[0]["event"] == "user.created"
    assert shown[0]["sentence"] == "An account was created."
    assert [entry["event"] for entry in answer("audit", "tail", "--event", "client.*")] == ["client.created"]
    assert answer("audit", "tail", "--since", "2h", "--until", "1h") == []
    assert len(answer("audit", "tail", "-n", "1")) == 1
    line = next(line for line in idp("audit", "tail").output.splitlines() if "user.created" in line)
    assert "user=ada" in line
    assert "by=cli:" in line


def test_a_line_fits_the_terminal_and_json_has_all_of_it(
    idp: Idp, answer: Answer, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "left the clinic; " * 11
    answer("user", "disable", "ada", "--reason", reason.strip(), "--yes")
    for columns, width in (("80", 120), ("150", 150)):
        monkeypatch.setenv("COLUMNS", columns)
        lines = idp("audit", "tail").output.splitlines()
        assert max(map(len, lines)) <= width
        cut = next(line for line in lines if "user.disabled" in line)
        assert len(cut) == width and cut.endswith("…")
        assert "user=ada reason=left the clinic" in cut
    assert answer("audit", "tail", "--event", "user.disabled")[0]["reason"] == reason.strip()


@pytest.mark.parametrize(
    ("uid", "said", "kept"),
    [(0, "1000", "1000"), (0, "", None), (0, "root; rm", None), (0, "9" * 20, None), (1000, "1001", None)],
)
def test_117_who_became_root_is_told_beside_the_actor(
    answer: Answer, ada: str, monkeypatch: pytest.MonkeyPatch, uid: int, said: str, kept: str | None
) -> None:
    monkeypatch.setattr("os.getuid", lambda: uid)
    monkeypatch.setenv("SUDO_UID", said)
    answer("user", "disable", "ada", "--reason", "left", "--yes")
    entry = answer("audit", "tail", "--event", "user.disabled")[0]
    assert entry["details"].get("sudo_uid") == kept
    assert entry["actor"].startswith("cli:")


def test_reading_is_written_down(answer: Answer, ada: str) -> None:
    answer("audit", "tail", "--event", "login.*")
    entry = answer("audit", "tail", "--event", "audit.searched")[0]
    assert entry["details"] == {"filters": {"event": "login.*"}}
    assert entry["actor"].startswith("cli:")


@pytest.mark.parametrize("words", [("--event", "no.such"), ("--since", "yesterday-ish"), ("-n", "0")])
def test_a_filter_that_cannot_be_meant(idp: Idp, words: tuple[str, ...]) -> None:
    idp("audit", "tail", *words, fails=1 if words[0] == "--event" else 2)


def test_verify_is_clean(idp: Idp, answer: Answer, ada: str) -> None:
    report = answer("audit", "verify")
    assert report["ok"] is True
    assert report["events"] >= 1
    assert "The trail is whole" in idp("audit", "verify").output


def test_135_verify_names_the_first_bad_event_and_exits_1(idp: Idp, answer: Answer, ada: str, inside: Flask) -> None:
    answer("user", "disable", "ada", "--reason", "test", "--yes")
    idp("audit", "seal")
    seq = next(entry["seq"] for entry in answer("audit", "tail") if entry["event"] == "user.disabled")
    forge(f"UPDATE audit_events SET reason = 'another' WHERE seq = {seq}")
    report = answer("audit", "verify", fails=1)
    assert (report["ok"], report["first_bad_seq"]) == (False, seq)
    assert f"broken at event {seq}" in idp("audit", "verify", fails=1).output


def test_135_a_tail_that_was_cut_off_is_seen_with_a_copy_of_the_checkpoints(
    idp: Idp, answer: Answer, ada: str, inside: Flask, tmp_path: Path
) -> None:
    answer("user", "disable", "ada", "--reason", "test", "--yes")
    idp("audit", "seal")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((tmp_path / "checkpoints.jsonl").read_bytes())
    forge("DELETE FROM audit_events WHERE seq > 1")
    assert answer("audit", "verify", "--checkpoints", str(copy), fails=1)["ok"] is False


def test_export_verifies_offline_with_the_public_keys_alone(
    idp: Idp, answer: Answer, ada: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, public = tmp_path / "trail.jsonl", tmp_path / "keys.json"
    made = answer("audit", "export", "-o", str(file))
    assert made["manifest"]["count"] == len(file.read_text().splitlines()) - 1
    assert Path(made["manifest_file"]).exists()
    public.write_text(idp("audit", "public-keys").stdout)
    monkeypatch.setenv("IDP_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert answer("audit", "verify", str(file), "--public-keys", str(public))["ok"] is True
    file.write_text(file.read_text().replace("user.created", "user.deleted"))
    assert answer("audit", "verify", str(file), "--public-keys", str(public), fails=1)["ok"] is False
    public.write_text("[]")
    assert "public-keys" in idp("audit", "verify", str(file), "--public-keys", str(public), fails=1).output


def test_export_to_standard_output_is_nothing_but_the_export(idp: Idp, ada: str) -> None:
    lines = [json.loads(line) for line in idp("audit", "export", "--event", "user.created").stdout.splitlines()]
    assert [line["event"] for line in lines[:-1]] == ["user.created"]
    assert lines[-1]["manifest"]["filters"] == {"event": "user.created"}
    assert idp("audit", "export", "--format", "csv").stdout.startswith("seq,time,event")


def test_seal_says_how_many(answer: Answer, ada: str) -> None:
    assert answer("audit", "seal")["sealed"] >= 1
    assert answer("audit", "seal")["sealed"] == 0


def test_keys_are_listed_and_rotated(idp: Idp, answer: Answer, inside: Flask) -> None:
    assert "idp serve" in idp("keys", "list").output
    keys.ensure()
    db.session.commit()
    before = {key["alg"]: key["kid"] for key in answer("keys", "list")["keys"] if key["status"] == "active"}
    assert set(before) == {"ES256", "RS256"}
    idp("keys", "rotate", "--alg", "ES256", input="n\n", fails=1)
    answer("keys", "rotate", "--alg", "ES256", "--yes")
    found = answer("keys", "list")["keys"]
    after = {key["alg"]: key["kid"] for key in found if key["status"] == "active"}
    assert after["RS256"] == before["RS256"]
    assert after["ES256"] != before["ES256"]
    assert next(key["status"] for key in found if key["kid"] == before["ES256"]) == "retiring"


def test_60_no_listing_shows_private_halves(idp: Idp, inside: Flask) -> None:
    keys.ensure()
    db.session.commit()
    for words in (("keys", "list"), ("keys", "list", "--json"), ("audit", "public-keys")):
        output = idp(*words).output
        assert "sealed" not in output
        assert "private" not in output.lower()


def test_tail_follows_until_it_is_interrupted(ada: str, config_file: Path) -> None:
    words = [sys.executable, "-c", "from idp.cli import main; main()", "--config", str(config_file)]
    listens = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # we may run where it is ignored
    )
    listening = [sys.executable, "-c", listens + words[2], *words[3:]]
    with subprocess.Popen(
        [*listening, "audit", "tail", "-f", "--json"], stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        seen = [json.loads(following.stdout.readline())["event"]]
        while seen[-1] != "audit.searched":
            seen.append(json.loads(following.stdout.readline())["event"])
        subprocess.run([*words, "user", "disable", ada, "--reason", "test", "--yes"], check=True, capture_output=True)
        assert json.loads(following.stdout.readline())["event"] == "user.disabled"
        following.send_signal(signal.SIGINT)
        assert following.wait(60) == 0
    assert seen[0] == "user.created"


def test_a_reader_that_goes_away_is_no_error(ada: str, config_file: Path) -> None:
    idp = f"{sys.executable} -c 'from idp.cli import main; main()' --config {config_file}"
    done = subprocess.run(f"{idp} audit export | head -c 1", shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_a_compromised_key_is_withdrawn_at_once(idp: Idp, answer: Answer, inside: Flask) -> None:
    keys.ensure()
    db.session.commit()
    kid = next(key["kid"] for key in answer("keys", "list")["keys"] if key["alg"] == "ES256")
    idp("keys", "withdraw", kid, input="n\n", fails=1)
    left = answer("keys", "withdraw", kid, "--yes")["keys"]
    assert kid not in [key["kid"] for key in left]
    assert {key["alg"] for key in left if key["status"] == "active"} == {"ES256", "RS256"}
    assert "no such key" in idp("keys", "withdraw", kid, "--yes", fails=1).output
