"""Where a person is signed in, and signing out there."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from idp import oauth, sessions, users
from idp.db import db
from idp.users import User
from tests.account.conftest import SECRET, make_client, sid_of
from tests.authn.signing_in import Browser, browser, code_of, make_person, new_secret

PAGE = "/account/sessions"
Elsewhere = Callable[..., Browser]


def test_it_tells_device_way_address_and_applications(
    app: Flask, alice: Browser, user: User, elsewhere: Elsewhere
) -> None:
    other = elsewhere()
    session = next(one for one in sessions.of(user.sub) if one.sid == sid_of(other))
    client = make_client("footpath")
    asked = oauth.resources.Asked(("openid",), ())
    oauth.tokens.open_family(session, client_id=client.client_id, granted=asked, claims={}, offline=False)
    db.session.commit()
    page = alice.get(PAGE).answer.text
    assert "Firefox on Linux" in page and "This browser" in page and "Safari on iPad" in page
    assert "Password and code" in page and "127.0.0.1" in page and "footpath" in page
    assert page.index("Firefox on Linux") < page.index("Safari on iPad")


def test_attack_119_signing_out_elsewhere_counts_at_once(
    alice: Browser, user: User, elsewhere: Elsewhere, audit_trail
) -> None:
    other = elsewhere()
    assert other.client.get("/").status_code == 200
    alice.get(PAGE).post(f"{PAGE}/end", sid=sid_of(other))
    assert alice.answer.status_code == 200 and "That browser is signed out." in alice.answer.text
    assert other.client.get("/").status_code == 303 and alice.client.get("/").status_code == 200
    assert [one.sid for one in sessions.of(user.sub)] == [sid_of(alice)]
    assert "session.ended" in audit_trail


def test_attack_119_a_disabled_person_is_nobody_here_at_once(alice: Browser, user: User) -> None:
    users.disable(user.sub, reason="left", actor=None)
    db.session.commit()
    assert {alice.client.get(path).status_code for path in ("/", PAGE, "/account/apps")} == {303}


def test_attack_119_and_124_all_others_end_and_this_one_stays(
    app: Flask, alice: Browser, user: User, elsewhere: Elsewhere
) -> None:
    one, two = elsewhere(), elsewhere()
    theirs = new_secret()
    bob = make_person("bob", secret=theirs)
    stranger = elsewhere("bob", theirs)
    alice.get(PAGE).post(f"{PAGE}/end-others")
    assert "Every other browser is signed out." in alice.answer.text
    assert [browser.client.get("/").status_code for browser in (one, two, stranger, alice)] == [303, 303, 200, 200]
    assert len(sessions.of(bob.sub)) == 1


def test_attack_124_signing_out_one_browser_leaves_the_others(alice: Browser, elsewhere: Elsewhere) -> None:
    one, two = elsewhere(), elsewhere()
    alice.get(PAGE).post(f"{PAGE}/end", sid=sid_of(one))
    assert [browser.client.get("/").status_code for browser in (one, two, alice)] == [303, 200, 200]


def test_attack_126_somebody_elses_session_is_as_unknown_as_none(
    app: Flask, alice: Browser, elsewhere: Elsewhere
) -> None:
    theirs = new_secret()
    bob = make_person("bob", secret=theirs)
    other = elsewhere("bob", theirs)
    statuses = [
        alice.get("/").post(f"{PAGE}/end", sid=sid).answer.status_code for sid in (sid_of(other), "no-such-session", "")
    ]
    assert statuses == [404, 404, 404] and len(sessions.of(bob.sub)) == 1
    assert sid_of(other) not in alice.get(PAGE).answer.text


def test_asvs_7_5_2_after_a_quarter_of_an_hour_a_fresh_proof_comes_first(
    alice: Browser, user: User, elsewhere: Elsewhere, travel
) -> None:
    other = elsewhere()
    for _ in range(2):
        travel(450)
        assert alice.client.get("/").status_code == other.client.get("/").status_code == 200
    alice.get(PAGE).post(f"{PAGE}/end", sid=sid_of(other))
    assert alice.place == "/login" and len(sessions.of(user.sub)) == 2
    alice.goals = (PAGE,)
    alice.give_password().post(code=code_of(SECRET))
    assert alice.path == f"{PAGE}?done=proved"
    alice.get(alice.path).post(f"{PAGE}/end", sid=sid_of(other))
    assert other.client.get("/").status_code == 303


def test_attack_73_a_planted_session_cookie_is_replaced_at_sign_in(app: Flask, user: User) -> None:
    victim = browser(app)
    victim.client.set_cookie("idp_sso", "planted.secret")
    victim.open().give_password()
    before = victim.secret
    victim.post(code=code_of(SECRET))
    assert victim.secret not in ("planted.secret", before) and victim.client.get(PAGE).status_code == 200


def test_attack_78_and_79_pages_are_never_stored_and_have_no_twins(alice: Browser) -> None:
    for path in (PAGE, "/account/apps", "/account/activity", "/account/profile", "/account/data"):
        answer = alice.client.get(path)
        assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store", path
        assert "ETag" not in answer.headers
        assert {alice.client.get(path + odd).status_code for odd in ("/x.css", ";a.css", ".json")} == {404}


def test_attack_85_get_and_head_end_nothing(alice: Browser, user: User) -> None:
    for method in ("get", "head", "put", "delete"):
        for path in (f"{PAGE}/end", f"{PAGE}/end-others", "/account/apps/revoke"):
            assert getattr(alice.client, method)(f"{path}?sid={sid_of(alice)}").status_code == 405
    assert alice.client.head(PAGE).status_code == 405
    assert len(sessions.of(user.sub)) == 1


def test_attack_120_a_forged_cookie_age_does_not_outlive_the_idle_limit(app: Flask, alice: Browser, travel) -> None:
    alice.client.set_cookie("idp_sso", alice.secret, max_age=10**9)
    travel(901)
    assert alice.client.get(PAGE).status_code == 303


def test_attack_121_more_sessions_are_allowed_and_all_are_shown(
    alice: Browser, user: User, elsewhere: Elsewhere
) -> None:
    others = [elsewhere() for _ in range(4)]
    page = alice.get(PAGE).answer.text
    assert len(sessions.of(user.sub)) == 5 and all(sid_of(one) in page for one in others)
