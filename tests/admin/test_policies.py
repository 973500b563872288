"""/admin/policy: what people owe, where it departs from NIST, and whose password falls short (X-6)."""

from __future__ import annotations

import pytest
from flask import Flask

from idp import audit
from idp.authn.factors import password
from idp.config import RolePolicy
from idp.db import committing
from tests.authn.signing_in import Browser, browser, make_person, new_secret

SECRET = new_secret()


@pytest.fixture
def setup() -> dict[str, object]:
    table = RolePolicy(roles=("physician",), idle_s=1800, preset="nist_800_63b_4")
    return {"policies": (table,)}


def signed_in(app: Flask, *roles: str) -> Browser:
    make_person("staff", roles=roles, secret=SECRET)
    return browser(app).sign_in("staff", secret=SECRET)


@pytest.mark.parametrize("role", ["administrator", "auditor"])
def test_x6_the_staff_reads_the_rules_of_every_role_and_where_they_depart(app: Flask, role: str) -> None:
    text = signed_in(app, role).client.get("/admin/policy").text
    assert "Roles: physician" in text and "Everybody else" in text and "after 30 minutes without use" in text
    assert text.count("Departs from NIST SP 800-63B-4") == 1 and "Kinds of characters are demanded" in text
    assert "Nobody’s." in text


def test_people_below_their_policy_are_named_and_the_look_is_written_down(app: Flask) -> None:
    here, lacking = signed_in(app, "auditor"), make_person("lacking")
    with committing():
        password.issue_temporary(lacking, actor="desk")
    text = here.client.get("/admin/policy").text
    assert (
        "lacking" in text and "must choose a new password" in text and "staff" not in text.split("falls short</h2>")[-1]
    )
    looked = audit.search(audit.Query(event="user.looked_up")).entries
    assert [entry.reason for entry in looked] == ["password_report"]


def test_the_help_desk_and_everybody_else_do_not_see_it(app: Flask) -> None:
    assert signed_in(app, "help_desk").client.get("/admin/policy").status_code == 403
