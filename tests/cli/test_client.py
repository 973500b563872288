"""`idp client`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from idp import clients, clock
from idp.db import committing, db
from idp.oauth import backchannel
from tests.cli.conftest import Idp

Answer = Callable[..., Any]
CREATE = ("client", "create", "--name", "Claims", "--redirect-uri", "https://claims.example.org/cb")


def test_131_a_secret_is_shown_once(idp: Idp, answer: Answer, inside: Flask) -> None:
    made = answer(*CREATE, "--scope", "openid profile", "--first-party")
    secret = made["client_secret"]
    assert clients.get(made["client_id"]).check_secret(secret)
    assert (made["client_name"], made["first_party"]) == ("Claims", True)
    for words in (("show", made["client_id"]), ("list",)):
        for output in (idp("client", *words).output, json.dumps(answer("client", *words))):
            assert made["client_id"] in output
            assert secret not in output
            assert "digest" not in output


def test_what_the_application_needs_comes_first(idp: Idp, answer: Answer) -> None:
    discovery = "http://localhost:8000/.well-known/openid-configuration"
    lines = idp(*CREATE, "--client-id", "claims").stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["client", "id"], ["client", "secret"]]
    assert lines[2].split() == ["discovery", discovery]
    assert lines[3] == "" and "redirect uris" in "".join(lines[4:])
    assert lines[-1].startswith("Next: ") and "https://claims.example.org/cb, exactly" in lines[-1]
    assert answer(*CREATE, "--client-id", "other")["discovery"] == discovery
    machine = idp("client", "create", "--name", "M", "--grant-type", "client_credentials", "--scope", "x").output
    assert "exactly" not in machine and "the secret" in machine
    assert "Next:" not in idp("client", "rotate-secret", "claims", "--yes").output


def test_a_scope_that_nobody_has_is_pointed_out(idp: Idp) -> None:
    assert "no token will hold them: claims.raed" in idp(*CREATE, "--scope", "openid claims.raed").output
    assert "no token will hold" not in idp(*CREATE, "--scope", "openid profile").output


def test_create_from_json_on_standard_input(answer: Answer, inside: Flask) -> None:
    raw_secret = "a-secret-of-the-former-system-that-is-long"
    metadata = {
        "client_id": "patients", "client_secret": raw_secret, "client_name": "Patients",
        "redirect_uris": ["https://patients.example.org/cb"],
    }  # fmt: skip
    made = answer("client", "create", "--from-json", "-", input=json.dumps(metadata))
    assert made["client_id"] == "patients"
    assert clients.get("patients").check_secret(raw_secret)


def test_create_from_a_file_with_options_on_top(answer: Answer, tmp_path: Path) -> None:
    file = tmp_path / "client.json"
    file.write_text('{"client_name": "From file", "redirect_uris": ["https://rp.example.org/cb"]}')
    assert answer("client", "create", "--from-json", str(file), "--name", "From option")["client_name"] == "From option"


def test_a_public_client_has_no_secret(answer: Answer) -> None:
    words = ("client", "create", "--name", "App", "--type", "native", "--auth-method", "none",
             "--redirect-uri", "http://127.0.0.1/cb")  # fmt: skip
    assert "client_secret" not in answer(*words)


def test_what_is_wrong_is_named(idp: Idp) -> None:
    bad = '{"client_name": "X", "redirect_uri": "https://rp.example.org/cb"}'
    assert "redirect_uri" in idp("client", "create", "--from-json", "-", input=bad, fails=1).output
    assert "not JSON" in idp("client", "create", "--from-json", "-", input="{", fails=1).output
    assert "one JSON object" in idp("client", "create", "--from-json", "-", input="[]", fails=1).output
    assert (
        "client_id must be text"
        in idp("client", "create", "--from-json", "-", input='{"client_id": 7}', fails=1).output
    )


def test_the_same_id_twice(idp: Idp) -> None:
    idp(*CREATE, "--client-id", "claims")
    assert "exists already" in idp(*CREATE, "--client-id", "claims", fails=1).output


def test_rotate_secret_asks_and_keeps_the_old_one_for_a_while(idp: Idp, answer: Answer, inside: Flask) -> None:
    first = answer(*CREATE, "--client-id", "claims")["client_secret"]
    idp("client", "rotate-secret", "claims", input="n\n", fails=1)
    second = answer("client", "rotate-secret", "claims", "--yes")["client_secret"]
    third = answer("client", "rotate-secret", "claims", "--overlap", "0", "--yes")["client_secret"]
    client = clients.get("claims")
    assert [client.check_secret(raw) for raw in (first, second, third)] == [False, False, True]


def test_delete_asks_by_name(idp: Idp, answer: Answer, events: Callable[[], list[tuple[str, str | None]]]) -> None:
    idp(*CREATE, "--client-id", "claims")
    asked = idp("client", "delete", "claims", input="n\n", fails=1)
    assert "Claims" in asked.output
    assert answer("client", "list")["total"] == 1
    assert answer("client", "delete", "claims", "--yes") == {"client_id": "claims", "deleted": True}
    assert answer("client", "list") == {"clients": [], "total": 0}
    assert [name for name, actor in events() if str(actor).startswith("cli:")] == ["client.created", "client.deleted"]
    assert "no such client" in idp("client", "delete", "claims", "--yes", fails=1).output


def test_o40_deliveries_of_logout_tokens_can_be_seen(idp: Idp, answer: Answer, inside: Flask) -> None:
    now = clock.now()
    with committing():
        for client_id, outcome in (("claims", "waiting"), ("patients", "failed")):
            db.session.add(backchannel.DeliveryRow(
                client_id=client_id, sub="u1", sid="s1", cause="logout", outcome=outcome, attempts=2,
                last_error="HTTP 503", created_at=now, next_attempt_at=now,
            ))  # fmt: skip
    assert [one["client_id"] for one in answer("client", "deliveries")["deliveries"]] == ["patients", "claims"]
    assert [one["sid"] for one in answer("client", "deliveries", "claims")["deliveries"]] == ["s1"]
    (failed,) = answer("client", "deliveries", "--outcome", "failed")["deliveries"]
    assert (failed["client_id"], failed["attempts"], failed["next_attempt_at"]) == ("patients", 2, None)
    shown = idp("client", "deliveries").output
    assert "HTTP 503" in shown and "waiting" in shown
    assert "nothing" not in shown and "anything" in idp("client", "deliveries", "nobody").output
