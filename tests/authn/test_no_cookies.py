"""A browser that keeps no cookies is told so, instead of being led in circles."""

from __future__ import annotations

from flask import Flask

from idp import kv
from tests.authn.signing_in import browser, make_person


def test_a_browser_without_cookies_reads_that_they_are_needed(app: Flask) -> None:
    forgetful = app.test_client(use_cookies=False)
    answer = forgetful.get("/")
    for _ in range(3):
        if answer.status_code != 303:
            break
        answer = forgetful.get(answer.headers["Location"])
    assert answer.status_code == 400 and "Cookies are needed" in answer.text
    assert len(kv.client().keys(kv.key("flow", "*"))) == 1, "no flow for every round"


def test_it_can_go_on_as_soon_as_it_keeps_them(app: Flask) -> None:
    make_person()
    forgetful = app.test_client(use_cookies=False)
    here = browser(app).get(forgetful.get("/login").headers["Location"])
    assert here.answer.status_code == 400
    assert here.get("/").give_password().place == "/enrol"


def test_a_kept_address_of_an_old_flow_leads_to_a_new_one(app: Flask) -> None:
    here = browser(app).get("/login?flow=long-gone")
    assert here.answer.status_code == 200 and "open for too long" in here.answer.text
