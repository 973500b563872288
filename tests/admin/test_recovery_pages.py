"""The help desk's pages: find a person, open a case, agree to it, make the code (7.117, ASVS 2.3.5)."""

from __future__ import annotations

import pytest
from flask import Flask

from idp import audit, kv
from idp.authn import recovery_case
from idp.db import db
from idp.users import User
from tests.authn.signing_in import CODE, Browser, browser, make_person, new_secret

SECRET = new_secret()
TOLD = {"reason": "Phone stolen", "proof": "video", "proof_note": "Staff card, her face"}


@pytest.fixture
def setup() -> dict[str, object]:
    return {"recovery": {"cool_off_s": 0}}


@pytest.fixture
def user(app: Flask) -> User:
    return make_person(npi="1234567893")


def at_the_desk(app: Flask, username: str, role: str = "help_desk") -> Browser:
    secret = new_secret()
    make_person(username, roles=(role,), secret=secret)
    return browser(app).sign_in(username, secret=secret)


def opened(here: Browser, user: User) -> str:
    """Open a case through the pages; the address of its page."""
    here.get(f"/admin/people/{user.sub}/recover").post(**TOLD, factors="remove")
    assert here.place.startswith("/admin/recovery/"), here.answer.text
    return here.place


def shown_code(here: Browser) -> str:
    found = CODE.search(here.answer.text)
    return found[0] if found else ""


def test_attack_117_two_people_let_a_third_one_in(app: Flask, user: User) -> None:
    priya, sol = at_the_desk(app, "priya"), at_the_desk(app, "sol")
    priya.get("/admin/people").post(text="alice@example.org")
    assert priya.place == f"/admin/people/{user.sub}" and "Open a recovery case" in priya.answer.text
    case = opened(priya, user)
    assert "Whoever opened a case cannot approve it" in priya.answer.text and "agree</button>" not in priya.answer.text
    assert priya.post(case, action="approve").answer.status_code == 403
    sol.get("/admin/recovery?show=waiting")
    assert "Alice" in sol.answer.text and case in sol.answer.text
    assert "I have checked it and agree" in sol.get(case).answer.text
    sol.post(action="approve")
    assert "Ready for a code" in sol.answer.text and shown_code(sol) == ""
    priya.get(case).post(action="issue")
    code = shown_code(priya)
    assert code and shown_code(priya.get(case)) == code, "a reloaded page shows it again, for five minutes"
    assert shown_code(sol.get(case)) == "", "in the browser that made it, and nowhere else"
    assert priya.post(action="hide").answer.status_code == 200 and shown_code(priya) == ""
    here = browser(app).open().give_password()
    assert here.place.startswith("/enrol"), "alice had no second step at all"


def test_the_code_is_sealed_where_it_waits_and_gone_after_five_minutes(app: Flask, user: User) -> None:
    priya, sol = at_the_desk(app, "priya"), at_the_desk(app, "sol")
    case = opened(priya, user)
    sol.get(case).post(action="approve")
    priya.get(case).post(action="issue")
    code = shown_code(priya)
    keys = kv.client().keys(kv.key("admin", "code", "*"))
    assert len(keys) == 1 and 0 < kv.client().ttl(keys[0]) <= 300
    assert code and code not in str(kv.client().get(keys[0]))


@pytest.mark.parametrize("typed", ["alice", "ALICE@example.org", "1234567893"])
def test_a_person_is_found_by_the_whole_name_address_or_npi(app: Flask, user: User, typed: str) -> None:
    here = at_the_desk(app, "priya").get("/admin/people").post(text=typed)
    assert here.place == f"/admin/people/{user.sub}"
    looks = audit.search(audit.Query(event="user.looked_up")).entries
    assert [(one.subject, one.outcome) for one in looks] == [(user.sub, "success")]


def test_a_part_of_a_name_finds_nobody_and_is_written_down_without_it(app: Flask, user: User) -> None:
    here = at_the_desk(app, "priya").get("/admin/people").post(text="ali")
    assert here.answer.status_code == 404 and "Check the spelling" in here.answer.text
    looks = audit.search(audit.Query(event="user.looked_up")).entries
    assert [one.outcome for one in looks] == ["failure"] and "'ali'" not in str(looks)


def test_a_directory_cannot_be_copied_one_by_one(app: Flask, user: User) -> None:
    here = at_the_desk(app, "priya").get("/admin/people")
    statuses = [
        here.client.post("/admin/people", data={"csrf": here.csrf(), "text": f"x{n}"}).status_code for n in range(61)
    ]
    assert statuses == [404] * 60 + [429]


def test_what_is_missing_in_a_case_is_named_at_its_field(app: Flask, user: User) -> None:
    here = (
        at_the_desk(app, "priya").get(f"/admin/people/{user.sub}/recover").post(reason=" ", proof="", proof_note="Card")
    )
    assert here.answer.status_code == 400
    assert "reason is missing" in here.answer.text and 'value="Card"' in here.answer.text
    assert recovery_case.search().total == 0


def test_a_second_case_of_one_person_is_refused(app: Flask, user: User) -> None:
    priya = at_the_desk(app, "priya")
    opened(priya, user)
    priya.get(f"/admin/people/{user.sub}/recover").post(**TOLD)
    assert priya.answer.status_code == 409 and "There is a case for this person already" in priya.answer.text


def test_deny_and_stop_want_a_reason(app: Flask, user: User) -> None:
    priya, sol = at_the_desk(app, "priya"), at_the_desk(app, "sol")
    case = opened(priya, user)
    assert sol.get(case).post(action="deny", reason="").answer.status_code == 400
    assert "Denied" in sol.post(case, action="deny", reason="Not her voice").answer.text
    again = opened(priya, user)
    sol.get(again).post(action="approve")
    assert "Stopped" in priya.get(again).post(action="stop", reason="She found her phone").answer.text
    assert priya.get("/admin/people").post(again, action="issue").answer.status_code == 409


def test_attack_117_an_auditor_looks_on(app: Flask, user: User) -> None:
    case = opened(at_the_desk(app, "priya"), user)
    auditor = at_the_desk(app, "quinn", "auditor").get(case)
    assert auditor.answer.status_code == 200 and "agree</button>" not in auditor.answer.text
    for action in ("approve", "deny", "stop", "issue"):
        assert auditor.post(case, action=action, reason="x").answer.status_code == 403
    assert auditor.client.get("/admin/people").status_code == 403


def test_attack_125_a_case_is_not_for_people_without_the_role(app: Flask, user: User) -> None:
    case = opened(at_the_desk(app, "priya"), user)
    nurse = at_the_desk(app, "nurse", "nurse")
    for path in (
        case,
        "/admin/recovery",
        "/admin/people",
        f"/admin/people/{user.sub}",
        f"/admin/people/{user.sub}/recover",
    ):
        assert nurse.client.get(path).status_code == 403
    nurse.get("/")
    assert nurse.post(case, action="approve").answer.status_code == 403
    assert recovery_case.get(case.rpartition("/")[2]).stands == "open"


def test_attack_71_the_forms_need_our_token(app: Flask, user: User) -> None:
    priya = at_the_desk(app, "priya")
    case = opened(priya, user)
    for path in (case, "/admin/people", f"/admin/people/{user.sub}/recover"):
        assert priya.client.post(path, data={"action": "deny", "reason": "x", **TOLD}).status_code == 403


def test_unknown_addresses_and_actions(app: Flask, user: User) -> None:
    priya = at_the_desk(app, "priya")
    for path in ("/admin/recovery/none", "/admin/people/none", "/admin/people/none/recover"):
        assert priya.client.get(path).status_code == 404
    assert priya.get(opened(priya, user)).post(action="dance").answer.status_code == 400
    assert priya.client.get("/admin/recovery?show=x&from=-3").status_code == 200


def test_a_case_of_an_administrator_needs_one(app: Flask) -> None:
    chief, sol = at_the_desk(app, "chief", "administrator"), at_the_desk(app, "sol")
    lost = make_person("boss", roles=("administrator",))
    case = opened(at_the_desk(app, "priya"), lost)
    assert "An administrator has to agree" in sol.get(case).answer.text
    assert "Ready for a code" in chief.get(case).post(action="approve").answer.text
    db.session.rollback()
