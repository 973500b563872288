"""`idp policy`, `idp report passwords`, `idp passwords corpus build` (X-6, X-12, issue «who is below the policy»)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from idp import config, create_app, users
from idp.authn.factors import password
from idp.authn.factors.password_table import Password
from idp.db import committing, db
from tests.authn.signing_in import PASSWORD, make_person, new_secret
from tests.cli.conftest import Idp

TABLES = """
[[policies]]
roles = ["physician", "nurse"]
idle_s = 1800
[[policies]]
roles = ["administrator"]
preset = "nist_800_63b_4"
factors = ["passkey"]
min_acr = "urn:idp:acr:phr"
"""


@pytest.fixture
def tables(config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + TABLES)


def test_every_policy_is_shown_with_its_rules(answer: Callable[..., Any], idp: Idp, tables: None) -> None:
    told = {entry["for"]: entry for entry in answer("policy", "show")}
    assert list(told) == ["everybody else", "physician, nurse", "administrator"]
    assert told["physician, nurse"]["idle_s"] == 1800 and told["administrator"]["factors"] == ["passkey"]
    assert told["administrator"]["deviations"] == []
    text = idp("policy", "show").output
    assert "At least 1 digit." in text and "composition (3.1.1.2)" in text


def test_the_least_acr_is_what_a_sign_in_can_end_with(answer: Callable[..., Any], config_file: Path) -> None:
    told = answer("policy", "show")[0]
    assert (told["second_factor"], told["least_acr"]) == ("required", "urn:idp:acr:2fa")
    plain = config_file.read_text()
    for line, second, least in (
        ("trusted_device_s = 86400", "required", "urn:idp:acr:1fa"),
        ("require_second = false", "optional", "urn:idp:acr:1fa"),
        ('min_acr = "urn:idp:acr:phr"', "required", "urn:idp:acr:phr"),
    ):
        config_file.write_text(f"{plain}\n[factors]\n{line}\n")
        told = answer("policy", "show")[0]
        assert (told["second_factor"], told["least_acr"]) == (second, least), line


def test_x6_check_says_in_words_where_policies_depart_and_fails(idp: Idp, answer: Callable[..., Any]) -> None:
    told = answer("policy", "check", fails=1)
    assert told["nist_compliant"] is False
    assert [found["name"] for found in told["policies"][0]["deviations"]] == ["composition"]
    assert "NIST: SHALL NOT" in idp("policy", "check", fails=1).output


def test_x6_a_compliant_installation_is_told_so(idp: Idp, config_file: Path, answer: Callable[..., Any]) -> None:
    config_file.write_text(config_file.read_text().replace("[passwords]", '[passwords]\npreset = "nist_800_63b_4"'))
    assert "No policy departs" in idp("policy", "check").output
    assert answer("policy", "check")["nist_compliant"] is True


def test_the_report_names_people_and_what_is_wrong_and_nobody_else(
    idp: Idp, answer: Callable[..., Any], inside: Flask
) -> None:
    make_person("fine", secret=new_secret())
    make_person("lacking")
    old = make_person("old", secret=new_secret())
    make_person("none", raw_password=None, secret=new_secret())
    gone = make_person("gone")
    with committing():
        users.disable(gone.sub, reason="left", actor=None)
        password.issue_temporary(old, actor="desk")
        row = db.session.get(Password, old.id)
        row.cost, row.judged_policy, row.failing = 9, "earlier", "length digit"
    told = answer("report", "passwords")
    assert {entry["username"]: entry["findings"] for entry in told["people"]} == {
        "lacking": ["no_second_factor"],
        "old": ["must_change", "below_policy", "older_rules", "weak_hash"],
    }
    assert told["people"][1]["failing"] == ["length", "digit"] and told["counts"]["weak_hash"] == 1
    text = idp("report", "passwords").output
    assert "lacking" in text and "owes a second factor" in text and "fine" not in text


def test_the_report_knows_passwords_that_were_never_judged(answer: Callable[..., Any], inside: Flask) -> None:
    alice = make_person(raw_password=None, secret=new_secret())
    digest = hashlib.sha256(b"x").hexdigest()
    with committing():
        password.import_hash(alice, f"pbkdf2_sha256$600000$salt${_base64(digest)}")
    assert answer("report", "passwords")["people"][0]["findings"] == ["never_judged", "weak_hash"]


def _base64(digest: str) -> str:
    import base64

    return base64.b64encode(bytes.fromhex(digest)).decode()


def test_an_empty_report_says_so(idp: Idp, inside: Flask) -> None:
    assert "Nobody falls short." in idp("report", "passwords").output


def test_a_corpus_is_built_named_in_the_settings_and_used(
    idp: Idp, answer: Callable[..., Any], inside: Flask, config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "list").write_text(f"{PASSWORD}\nanother\n")
    out = tmp_path / "corpus"
    assert answer("passwords", "corpus", "build", str(tmp_path / "list"), str(out)) == {
        "count": 2, "lines": "plaintext", "file": str(out),
    }  # fmt: skip
    idp("passwords", "corpus", "build", "-", str(out), input=hashlib.sha1(PASSWORD.encode()).hexdigest())
    assert "names no file" not in idp("config", "check").output
    text = config_file.read_text().replace("[passwords]", f'[passwords]\nbreach_corpus = "{out}"')
    config_file.write_text(text)
    with create_app(config.load(config_file, {})).app_context():
        alice = make_person(raw_password=None)
        assert [violation.rule for violation in password.violations(alice, PASSWORD)] == ["blocklist"]


def test_a_corpus_of_nonsense_and_a_missing_one_are_explained(idp: Idp, config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("")
    told = idp("passwords", "corpus", "build", str(tmp_path / "list"), str(tmp_path / "out"), fails=1).output
    assert "not one line" in told and not (tmp_path / "out").exists()
    config_file.write_text(config_file.read_text().replace("[passwords]", '[passwords]\nbreach_corpus = "gone"'))
    assert "idp passwords corpus build" in idp("config", "check", fails=2).output
