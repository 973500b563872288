"""`idp user invite` and its sisters: who is invited, who is waited for, and who may not be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from idp.db import committing
from idp.joining import requests
from tests.cli.conftest import Idp

Answer = Callable[..., Any]


def invited(answer: Answer) -> list[tuple[str, str]]:
    return [(one["username"], one["state"]) for one in answer("user", "invitations")["invitations"]]


def test_create_invite_send_again_and_take_back(idp: Idp, answer: Answer) -> None:
    made = answer("user", "create", "noor@example.org", "--name", "Noor Ebele", "--invite")
    assert made["invitation"]["address"] == "noor@example.org" and "one_time_password" not in made
    assert made["emails"] == [{"address": "noor@example.org", "verified": False, "primary": True}]
    assert invited(answer) == [("noor@example.org", "waiting")]
    answer("user", "invite", "noor@example.org")
    assert invited(answer) == [("noor@example.org", "waiting")]
    idp("user", "revoke-invitation", "noor@example.org")
    assert invited(answer) == []
    assert "no invitation" in idp("user", "revoke-invitation", "noor@example.org", fails=1).stderr
    assert "Nobody is being waited for" in idp("user", "invitations").stdout


def test_who_has_a_password_is_not_invited(idp: Idp, answer: Answer) -> None:
    answer("user", "create", "ada@example.org", "--name", "Ada")
    assert "has a password already" in idp("user", "invite", "ada@example.org", fails=1).stderr
    create = ("user", "create", "x@example.org", "--name", "X", "--invite")
    assert "no such application" in idp(*create, "--client", "nobody", fails=1).stderr
    idp("user", "show", "x@example.org", fails=1)  # nothing is created half-way


def test_an_import_invites_who_is_new_and_says_who_could_not_be(idp: Idp, answer: Answer, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("username,display_name,email\nnoor,Noor,noor@example.org\nodd,Odd,\n")
    assert "invited" not in answer("user", "import", str(file), "--invite", "--dry-run") and invited(answer) == []
    done = answer("user", "import", str(file), "--invite")
    assert done["invited"] == {"noor": "invited", "odd": "This person has no e-mail address."}
    assert invited(answer) == [("noor", "waiting")]


def test_requests_for_an_account_are_listed_and_decided(idp: Idp, answer: Answer, inside: Flask) -> None:
    for number in range(2):
        proof = requests.Proof(f"n{number}@example.org", f"n{number}@example.org")
        with committing():
            requests.ask(requests._issue(proof), proof, display_name=f"Number {number}", note="")
    first, second = (one["public_id"] for one in answer("user", "requests")["requests"])
    assert answer("user", "approve", first)["username"] == "n0@example.org"
    assert invited(answer) == [("n0@example.org", "waiting")]
    assert answer("user", "deny", second, "--reason", "Unknown here.")["status"] == "denied"
    assert "decided this already" in idp("user", "deny", second, "--reason", "x", fails=1).stderr
    assert "no such request" in idp("user", "approve", "nonsense", fails=1).stderr
    assert "Nobody is waiting" in idp("user", "requests").stdout
