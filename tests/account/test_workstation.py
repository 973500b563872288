"""Shared workstations: marked by an administrator, sooner idle, quickly locked and switched, with no trace of the last person."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import sessions
from idp.authn import workstation
from idp.db import db
from idp.users import User
from tests.account.conftest import FIREFOX, SECRET, sid_of
from tests.authn.signing_in import Browser, browser, code_of, make_person, new_secret

MARK = "/admin/workstation"
ADMIN = new_secret()
BOB = new_secret()
Setup = Callable[..., Browser]


@pytest.fixture
def ward(app: Flask, user: User) -> Browser:
    """A browser on a ward, marked by an administrator who has left."""
    make_person("root", secret=ADMIN, roles=("administrator",))
    here = browser(app)
    here.client.environ_base["HTTP_USER_AGENT"] = FIREFOX
    here.sign_in("root", secret=ADMIN).get(MARK).post(f"{MARK}/mark")
    assert here.answer.status_code == 200 and "is a shared workstation now" in here.answer.text
    here.get("/").post("/workstation/switch")
    return here


def alice_on(ward: Browser) -> Browser:
    ward.get("/login").give_password().post(code=code_of(SECRET))
    assert ward.client.get("/").status_code == 200
    return ward


def cookies(one: Browser) -> set[str]:
    return {
        name for name in ("sso", "device", "trusted", "language", "ui_language") if one.client.get_cookie(f"idp_{name}")
    }


def test_only_administrators_mark_and_it_is_written_down(app: Flask, alice: Browser, audit_trail) -> None:
    assert alice.client.get(MARK).status_code == 403
    assert alice.client.post(f"{MARK}/mark", data={"csrf": alice.get("/").csrf()}).status_code == 403
    assert alice.client.get_cookie("idp_workstation") is None and "workstation.marked" not in audit_trail


def test_it_is_marked_and_unmarked(ward: Browser, travel, audit_trail) -> None:
    assert ward.client.get_cookie("idp_workstation")
    travel(60)
    ward.get("/login").give_password("root").post(code=code_of(ADMIN))
    ward.get(MARK).post(f"{MARK}/unmark")
    assert "ordinary one again" in ward.answer.text and ward.client.get_cookie("idp_workstation") is None
    assert {"workstation.marked", "workstation.unmarked"} <= set(audit_trail.events())


@pytest.mark.parametrize(
    "forged", ["x", "a" * 16 + ".1700000000." + "b" * 43, "a" * 16 + ".9999999999." + "b" * 43, "a" * 4000]
)
def test_a_forged_mark_is_none(app: Flask, alice: Browser, forged: str) -> None:
    alice.client.set_cookie("idp_workstation", forged)
    assert "Switch person" not in alice.get("/").answer.text
    assert alice.client.get("/workstation").status_code == 404
    for path in ("/workstation/lock", "/workstation/switch"):
        assert alice.client.post(path, data={"csrf": alice.csrf()}).status_code == 404
    assert alice.client.get("/").status_code == 200


def test_a_session_there_idles_out_sooner(ward: Browser, travel) -> None:
    alice_on(ward)
    travel(299)
    assert ward.client.get("/").status_code == 200
    travel(301)
    assert ward.client.get("/").status_code == 303


def test_nobody_is_remembered(ward: Browser, mailbox) -> None:
    alice_on(ward)
    assert cookies(ward) == {"sso"}
    ward.get("/").post("/workstation/switch")
    assert cookies(ward) == set() and "alice" not in ward.answer.text.lower()
    assert [mail.subject for mail in mailbox() if "new browser" in mail.subject] == []


def test_attack_78_a_switch_tells_the_browser_to_forget_and_ends_the_session_at_once(
    app: Flask, ward: Browser, user: User, audit_trail
) -> None:
    alice_on(ward)
    stolen = ward.secret
    page = ward.get("/")
    answer = ward.client.post("/workstation/switch", data={"csrf": page.csrf()})
    assert (answer.status_code, answer.headers["Clear-Site-Data"]) == (303, '"cache", "storage"')
    assert answer.headers["Cache-Control"] == "no-store" and "/login" in answer.headers["Location"]
    assert ward.client.get("/").status_code == 303 and sessions.of(user.sub) == []
    thief = app.test_client()
    thief.set_cookie("idp_sso", stolen)
    assert thief.get("/").status_code == 303
    ended = db.session.execute(sa.text("SELECT reason FROM audit_events WHERE event = 'session.ended'")).scalars().all()
    assert ended[-1] == "switched"


def test_a_plain_sign_out_leaves_no_trace_either(ward: Browser) -> None:
    alice_on(ward)
    page = ward.get("/end_session")
    answer = ward.client.post("/end_session", data={"csrf": page.csrf(), "decision": "sign_out"})
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"' and cookies(ward) == set()


def test_locked_opens_nothing_and_the_same_person_goes_on(ward: Browser, user: User, travel, audit_trail) -> None:
    alice_on(ward)
    sid, before = sid_of(ward), ward.secret
    ward.get("/account/sessions").post("/workstation/lock", back="/account/sessions")
    assert ward.place == "/login" and "This workstation is locked." in ward.answer.text
    assert "alice" not in ward.answer.text.lower() and "session.locked" in audit_trail
    assert [ward.client.get(path).status_code for path in ("/", "/account/data", "/account/sessions")] == [
        303,
        303,
        303,
    ]
    assert ward.client.get("/account/session").json == {"ended": True}
    assert [one.sid for one in sessions.of(user.sub)] == [sid]
    travel(30)
    ward.goals = ("/account/sessions",)
    ward.give_password().post(code=code_of(SECRET))
    assert ward.path == "/account/sessions" and ward.client.get("/account/sessions").status_code == 200
    assert sid_of(ward) == sid and ward.secret != before, "7.73"


def test_attack_124_another_person_ends_the_locked_session(ward: Browser, user: User) -> None:
    bob = make_person("bob", secret=BOB)
    alice_on(ward).get("/").post("/workstation/lock")
    ward.give_password("bob").post(code=code_of(BOB))
    assert sessions.of(user.sub) == [] and len(sessions.of(bob.sub)) == 1
    page = ward.get("/").answer.text
    assert "Hello, Bob" in page and "alice" not in page.lower()


def test_attack_120_a_locked_session_idles_out_however_often_the_page_is_loaded(
    ward: Browser, user: User, travel
) -> None:
    alice_on(ward).get("/").post("/workstation/lock")
    for _ in range(4):
        travel(100)
        ward.client.get("/login")
    assert sessions.of(user.sub) == []
    ward.get("/login").give_password().post(code=code_of(SECRET))
    assert ward.client.get("/").status_code == 200


def test_an_application_does_not_keep_a_locked_session_alive(ward: Browser, user: User, travel) -> None:
    alice_on(ward).get("/").post("/workstation/lock")
    sid = sessions.of(user.sub)[0].sid
    travel(200)
    assert sessions.keep(sid)
    travel(200)
    assert not sessions.keep(sid)


def test_attack_125_prompt_none_finds_nobody_at_a_locked_workstation(app: Flask, ward: Browser) -> None:
    from idp import clients

    made, _ = clients.create({"client_name": "rp", "redirect_uris": ["https://rp.example.org/cb"], "first_party": True})
    db.session.commit()
    alice_on(ward).get("/").post("/workstation/lock")
    answer = ward.client.get(
        "/authorize",
        query_string={
            "client_id": made.client_id, "response_type": "code", "scope": "openid", "prompt": "none", "state": "s",
            "redirect_uri": "https://rp.example.org/cb", "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        },
    )  # fmt: skip
    assert "error=login_required" in answer.headers["Location"]


def test_attack_76_lock_leads_back_to_pages_of_ours_only(ward: Browser, travel) -> None:
    for place in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        alice_on(ward)
        ward.get("/").post("/workstation/lock", back=place)
        assert ward.place == "/login"
        travel(30)
        ward.give_password().post(code=code_of(SECRET))
        assert ward.path == "/"
        ward.get("/").post("/workstation/switch")
        travel(30)


def test_attack_71_and_85_leaving_needs_our_form(ward: Browser) -> None:
    alice_on(ward)
    for path in ("/workstation/lock", "/workstation/switch"):
        assert ward.client.post(path).status_code == 403
        assert {ward.client.get(path).status_code, ward.client.head(path).status_code} == {405}
    assert ward.client.get("/").status_code == 200


def test_an_application_s_hint_does_not_tell_who_was_here(app: Flask, ward: Browser) -> None:
    with app.test_request_context(
        "/", headers={"Cookie": f"idp_workstation={ward.client.get_cookie('idp_workstation').value}"}
    ):
        assert workstation.is_shared() and workstation.idle_s(900) == 300 and workstation.idle_s(120) == 120
    page = ward.get("/workstation").answer.text
    assert ward.place == "/login" and 'value="' not in page.split('name="identifier"')[1].split(">")[0].replace(
        'value=""', ""
    )


@pytest.mark.parametrize("leaves", ["lock", "switch"])
def test_attacks_110_124_what_was_left_open_is_gone_with_its_person(ward: Browser, leaves: str) -> None:
    alice_on(ward).get("/account/security").post("/account/security/codes")
    assert ward.place == "/enrol/recovery-codes"
    left, before = ward.flow_id, ward.client.get_cookie("idp_browser").value
    ward.get("/").post(f"/workstation/{leaves}")
    assert ward.place == "/login" and ward.client.get_cookie("idp_browser").value != before
    for path in ("/enrol/recovery-codes", "/enrol/recovery-codes/file"):
        assert ward.get(f"{path}?flow={left}").place == "/login"
    ward.client.set_cookie("idp_browser", before)  # whoever kept the id does not get it back either
    ward.get("/login")
    for path in ("/enrol/recovery-codes", "/enrol/recovery-codes/file"):
        assert ward.get(f"{path}?flow={left}").place == "/login"
    ward.post(f"/enrol/recovery-codes?flow={left}", saved="1")
    assert ward.place == "/login" and ward.client.get("/").status_code == 303


def test_attack_110_an_idle_end_leaves_nothing_open(ward: Browser, travel) -> None:
    alice_on(ward).get("/account/security").post("/account/security/codes")
    left = ward.flow_id
    travel(301)
    assert ward.get(f"/enrol/recovery-codes?flow={left}").place == "/login"
    assert ward.client.get("/").status_code == 303


def test_attack_110_the_name_that_somebody_typed_is_gone(ward: Browser) -> None:
    ward.get("/login").post("/recover/begin", flow=ward.flow_id, identifier="private@example.org", lost="password")
    assert "private@example.org" in ward.get("/recover/password").answer.text
    alice_on(ward).get("/").post("/workstation/switch")
    assert "private@example.org" not in ward.get("/recover/password").answer.text
