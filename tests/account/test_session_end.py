"""How long a session lasts, as an open page hears it; and staying."""

from __future__ import annotations

from flask import Flask

from idp import sessions
from idp.users import User
from tests.account.conftest import sid_of
from tests.authn.signing_in import Browser

PATH = "/account/session"


def test_asking_does_not_use_the_session_and_staying_does(alice: Browser, travel) -> None:
    travel(600)
    assert alice.client.get(PATH).json["idle_left_s"] in (299, 300)
    travel(200)
    assert alice.client.get(PATH).json["idle_left_s"] in (99, 100)
    answer = alice.client.post(PATH, data={"csrf": alice.csrf()})
    assert answer.json["idle_left_s"] in (899, 900) and answer.headers["Cache-Control"] == "no-store"
    travel(901)
    assert alice.client.get(PATH).json == {"ended": True}
    assert alice.client.post(PATH, data={"csrf": alice.csrf()}).json == {"ended": True}


def test_attack_120_staying_never_moves_the_absolute_end(alice: Browser, travel) -> None:
    for _ in range(53):
        travel(800)
        left = alice.client.post(PATH, data={"csrf": alice.csrf()}).json
    assert left["left_s"] == left["idle_left_s"] <= 800
    travel(800)
    assert alice.client.post(PATH, data={"csrf": alice.csrf()}).json == {"ended": True}


def test_attack_119_a_page_that_is_open_hears_of_a_remote_sign_out(alice: Browser) -> None:
    sessions.end(sid_of(alice), cause="user")
    assert alice.client.get(PATH).json == {"ended": True}


def test_attack_71_and_81_staying_needs_our_token_and_tells_strangers_nothing(app: Flask, alice: Browser) -> None:
    assert alice.client.post(PATH).status_code == 403
    stranger = app.test_client()
    stranger.set_cookie("idp_sso", f"{sid_of(alice)}.guessed")
    answer = stranger.get(PATH, headers={"Origin": "https://evil.example"})
    assert answer.json == {"ended": True} and answer.mimetype == "application/json"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_w3_the_page_knows_what_the_server_knows(alice: Browser, user: User) -> None:
    page = alice.get("/").answer.text
    assert 'data-idle-left="900"' in page or 'data-idle-left="899"' in page
    assert "js/session.js" in page and "After 15 minutes without a click" in page
