"""`idp user`."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from flask import Flask
from sqlalchemy import select

from idp import mail, users
from idp.authn import recovery
from idp.authn.factors import password
from idp.cli import main
from idp.db import db
from tests.cli.conftest import Idp

Answer = Callable[..., Any]
ADA = ("user", "create", "ada", "--name", "Dr. Ada Example", "--email", "ada@example.org", "--email-verified")


def found(login: str) -> users.User:
    user = users.find_by_login(login)
    assert user is not None
    return user


def verified(login: str, raw: str) -> bool:
    accepted = bool(password.verify(users.find_by_login(login), raw))
    db.session.rollback()
    return accepted


def test_create_prints_a_one_time_password_that_works(answer: Answer, inside: Flask) -> None:
    made = answer(*ADA, "--role", "physician", "--role", "administrator", "--npi", "1234567893")
    assert made["username"] == "ada"
    assert made["roles"] == ["administrator", "physician"]
    assert (made["npi"], made["email"], made["status"]) == ("1234567893", "ada@example.org", "active")
    assert len(made["one_time_password"]) >= 20
    assert verified("ada", made["one_time_password"])
    assert verified("ada@example.org", made["one_time_password"])


def test_attack_117_no_command_takes_a_password_from_an_operator() -> None:
    def options(command: click.Command) -> Iterator[str]:
        for inner in getattr(command, "commands", {}).values():
            yield from options(inner)
        yield from (option for parameter in command.params for option in parameter.opts)

    assert [option for option in options(main.get_command(click.Context(main), "user")) if "password" in option] == []


def test_attack_117_a_forgotten_password_is_chosen_by_its_person(idp: Idp, answer: Answer, inside: Flask) -> None:
    first = answer(*ADA)["one_time_password"]
    idp("user", "password", "ada", input="n\n", fails=1)
    sent = answer("user", "password", "ada", "--yes")
    assert sent["sent"] and "one_time_password" not in sent and "token" not in str(sent)
    mails = db.session.scalars(select(mail.OutgoingMail)).all()
    link = re.search(r"token=([\w-]{43})", mail.opened(mails[-1]).text)
    assert [one.recipient for one in mails] == ["ada@example.org"]
    ticket = recovery.find(link[1])
    assert ticket is not None and ticket.user.username == "ada"
    assert verified("ada", first), "until they choose another"


def test_who_has_no_address_is_handed_a_one_time_password(answer: Answer, inside: Flask) -> None:
    first = answer("user", "create", "rn-1", "--name", "Nurse One")["one_time_password"]
    second = answer("user", "password", "rn-1", "--yes")["one_time_password"]
    assert (verified("rn-1", first), verified("rn-1", second)) == (False, True)
    assert password.must_change(found("rn-1")), "it is good for choosing another, and for no session"


def test_create_names_every_field_that_is_wrong(idp: Idp) -> None:
    result = idp("user", "create", "ada", "--name", "Ada", "--npi", "1234567890", "--email", "nonsense", fails=1)
    assert "npi" in result.output
    assert "nonsense" in result.output or "email" in result.output


def test_the_cli_is_the_actor(answer: Answer, events: Callable[[], list[tuple[str, str | None]]]) -> None:
    sub = answer(*ADA)["sub"]
    answer("user", "disable", sub, "--reason", "left the house", "--yes")
    answer("user", "enable", "ada")
    found = events()
    for event in ("user.created", "user.disabled", "user.enabled"):
        assert [actor for name, actor in found if name == event] == [found[0][1]]
    assert str(found[0][1]).startswith("cli:")


def test_list_and_show(idp: Idp, answer: Answer) -> None:
    answer(*ADA, "--role", "physician")
    answer("user", "create", "bo", "--name", "Bo Example", "--role", "nurse")
    everybody = answer("user", "list")
    assert [user["username"] for user in everybody["users"]] == ["ada", "bo"]
    assert everybody["total"] == 2
    assert [user["username"] for user in answer("user", "list", "--role", "nurse")["users"]] == ["bo"]
    assert answer("user", "list", "ada@ex")["total"] == 1
    assert answer("user", "show", "ada@example.org") == everybody["users"][0]
    shown = idp("user", "list").output.splitlines()
    assert shown[0].split() == ["USERNAME", "DISPLAY", "NAME", "EMAIL", "ROLES", "NPI", "STATUS"]
    assert shown[1].index("Dr. Ada") == shown[0].index("DISPLAY") == shown[2].index("Bo")


def test_an_empty_list_says_what_to_do(idp: Idp) -> None:
    assert "idp user create" in idp("user", "list").output


def test_somebody_who_is_not_there(idp: Idp) -> None:
    for words in (("show", "nobody"), ("enable", "nobody"), ("disable", "nobody", "--reason", "x", "--yes")):
        assert "idp user list" in idp("user", *words, fails=1).output


def test_disable_asks_first_and_ends_on_no(idp: Idp, answer: Answer) -> None:
    answer(*ADA)
    idp("user", "disable", "ada", "--reason", "test", input="n\n", fails=1)
    idp("user", "disable", "ada", "--reason", "test", input="", fails=1)
    assert answer("user", "show", "ada")["status"] == "active"
    idp("user", "disable", "ada", "--reason", "test", input="y\n")
    assert answer("user", "show", "ada")["status"] == "disabled"


def test_130_the_last_administrator_stays(idp: Idp, answer: Answer) -> None:
    answer(*ADA, "--role", "administrator")
    assert "last active administrator" in idp("user", "disable", "ada", "--reason", "x", "--yes", fails=1).output


def test_132_a_name_that_steers_the_terminal_is_spelled_out(idp: Idp, answer: Answer, inside: Flask) -> None:
    answer(*ADA)
    found("ada").display_name = "Ada\x1b[2J\nroot"  # as a row from elsewhere could have it
    db.session.commit()
    output = idp("user", "list").output
    assert "\x1b" not in output
    assert "Ada\\x1b[2J\\nroot" in output


# --- import ------------------------------------------------------------------------------------------------------

LINES = """username,display_name,email,email_verified,roles,password_hash
cy,Cy Example,cy@example.org,true,nurse,$2b$04$abcdefghijklmnopqrstuuLQn3iuhaYBxbLQ0RgVN8KKJ9mVFeu0m
=evil,Evil Example,,,,
dee,Dee Example,dee@example.org,true,biller,
"""


def people_file(tmp_path: Path, text: str = LINES) -> str:
    file = tmp_path / "people.csv"
    file.write_text(text)
    return os.fspath(file)


def test_import_reports_every_line_and_imports_the_good_ones(answer: Answer, tmp_path: Path) -> None:
    told = answer("user", "import", people_file(tmp_path), fails=1)
    assert told["counts"] == {"created": 2, "refused": 1}
    assert [(line["number"], line["outcome"]) for line in told["lines"]] == [
        (2, "created"),
        (3, "refused"),
        (4, "created"),
    ]
    assert told["lines"][1]["reason"]
    assert [user["username"] for user in answer("user", "list")["users"]] == ["cy", "dee"]


def test_import_dry_run_changes_nothing(idp: Idp, answer: Answer, tmp_path: Path) -> None:
    output = idp("user", "import", people_file(tmp_path), "--dry-run", fails=1).output
    assert "Dry run, nothing was changed: 2 created, 1 refused." in output
    assert "line 3: refused" in output
    assert answer("user", "list")["total"] == 0


def test_import_again_leaves_people_alone_or_updates_them(answer: Answer, tmp_path: Path) -> None:
    good = "username,display_name,roles\ndee,Dee Example,biller\n"
    assert answer("user", "import", people_file(tmp_path, good))["counts"] == {"created": 1}
    changed = people_file(tmp_path, good.replace("Dee Example", "Dee Changed"))
    assert answer("user", "import", changed)["counts"] == {"exists": 1}
    assert answer("user", "show", "dee")["display_name"] == "Dee Example"
    assert answer("user", "import", changed, "--update")["counts"] == {"updated": 1}
    assert answer("user", "show", "dee")["display_name"] == "Dee Changed"


def test_import_writes_a_report_that_a_spreadsheet_can_open(idp: Idp, tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    idp("user", "import", people_file(tmp_path), "--report", str(report), fails=1)
    rows = list(csv.reader(report.open()))
    assert rows[0] == ["line", "username", "outcome", "reason"]
    assert [row[2] for row in rows[1:]] == ["created", "refused", "created"]
    assert rows[2][1].startswith("'=")


def test_import_of_something_else_is_one_line(idp: Idp, tmp_path: Path) -> None:
    assert "username" in idp("user", "import", people_file(tmp_path, "name;age\nx;1\n"), fails=1).output
    idp("user", "import", str(tmp_path / "missing.csv"), fails=2)


def test_what_is_known_of_a_person_is_changed_by_name(answer: Answer, idp: Idp, inside: Flask) -> None:
    answer(*ADA)
    update = ("user", "update", "ada")
    made = answer(*update, "--nickname", "Lady", "--birthdate", "1950-12-10", "--zone", "America/New_York")
    assert (made["traits"], made["zoneinfo"]) == ({"nickname": "Lady", "birthdate": "1950-12-10"}, "America/New_York")
    assert answer(*update, "--nickname", "")["traits"] == {"birthdate": "1950-12-10"}
    assert "1980-04-23" in idp(*update, "--birthdate", "yesterday", fails=1).output
    assert "Nothing to change" in idp(*update, fails=1).output
