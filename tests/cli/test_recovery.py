"""`idp recovery`: the same rules as on the pages, for operators."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from idp import users
from idp.authn import recovery_temporary
from idp.cli import base
from tests.cli.conftest import Idp

TOLD = ("--reason", "Phone stolen", "--proof", "in_person", "--note", "Staff card")
Answer = Callable[..., Any]


@pytest.fixture
def config_file(config_file):
    """Without a cool-off: a command cannot wait."""
    config_file.write_text(config_file.read_text() + "\n[recovery]\ncool_off_s = 0\n")
    return config_file


@pytest.fixture
def ada(answer: Answer) -> Any:
    return answer("user", "create", "ada", "--name", "Ada", "--email", "ada@example.org", "--email-verified")


def become(monkeypatch: Any, name: str) -> None:
    """Run commands as another user of the machine, as the kernel tells."""
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: SimpleNamespace(pw_name=name))


def test_attack_117_one_operator_is_not_two_by_another_environment(
    answer: Answer, idp: Idp, ada: Any, monkeypatch
) -> None:
    case = answer("recovery", "open", "ada", *TOLD)
    assert case["opened_by"] == f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER", "SUDO_UID"):
        monkeypatch.setenv(name, "4711")
    assert "cannot approve it" in idp("recovery", "approve", case["case"], fails=1).output


def test_a_user_without_a_name_is_a_number(monkeypatch) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert base.actor() == f"cli:uid-{os.getuid()}"


def test_the_whole_way_needs_two_operators(answer: Answer, idp: Idp, ada: Any, inside, events, monkeypatch) -> None:
    become(monkeypatch, "kim")
    case = answer("recovery", "open", "ada", *TOLD)
    assert case["stands"] == "open" and case["opened_by"] == "cli:kim"
    assert "cannot approve it" in idp("recovery", "approve", case["case"], fails=1).output
    assert idp("recovery", "issue", case["case"], fails=1).output
    become(monkeypatch, "lee")
    assert answer("recovery", "approve", case["case"])["stands"] == "ready"
    made = answer("recovery", "issue", case["case"])
    assert recovery_temporary.redeem(users.find_by_sub(ada["sub"]), made["temporary_code"])
    told = [(event, actor) for event, actor in events() if event.startswith("recovery_case")]
    assert told == [
        ("recovery_case.opened", "cli:kim"),
        ("recovery_case.approved", "cli:lee"),
        ("recovery_case.code_issued", "cli:lee"),
        ("recovery_case.used", ada["sub"]),
    ]


def test_deny_stop_list_and_show(answer: Answer, idp: Idp, ada: Any) -> None:
    first = answer("recovery", "open", "ada", *TOLD)["case"]
    assert "already" in idp("recovery", "open", "ada", *TOLD, fails=1).output
    assert answer("recovery", "deny", first, "--reason", "not her")["stands"] == "denied"
    second = answer("recovery", "open", ada["sub"], *TOLD)["case"]
    assert [one["case"] for one in answer("recovery", "list")["cases"]] == [second]
    assert answer("recovery", "stop", second, "--reason", "found it")["stands"] == "stopped"
    assert [one["case"] for one in answer("recovery", "list", "--show", "closed")["cases"]] == [second, first]
    assert "Phone stolen" in idp("recovery", "show", second).output
    assert "There is no such case" in idp("recovery", "list").output
    assert idp("recovery", "show", "none", fails=1).output


def test_nobody_of_that_name(idp: Idp) -> None:
    assert "nobody called eve" in idp("recovery", "open", "eve", *TOLD, fails=1).output


def test_a_case_says_how_the_identity_was_checked(idp: Idp, ada: Any) -> None:
    idp("recovery", "open", "ada", "--reason", "x", "--proof", "birthday", "--note", "x", fails=2)
    assert "reason is missing" in idp("recovery", "open", "ada", "--reason", " ", *TOLD[2:], fails=1).output
