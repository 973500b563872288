"""/demo: codes and mails in demo mode; in every other mode there is no such page."""

from __future__ import annotations

import json
import re

import pyotp
import pytest

from idp import clock, mail
from idp.db import committing
from idp.demo import facts, page
from idp.demo.facts import Facts, Person

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def known(tmp_path, monkeypatch):
    path = tmp_path / "demo.json"
    people = (
        Person(username="ada@example.org", display_name="Ada Example", who="Biller", totp_secret=SECRET),
        Person(username="rn-1", display_name="Ned Example", who="Nurse"),
    )
    places = dict.fromkeys(
        ("issuer", "claims_url", "claims_resource", "patients_url", "patients_resource", "partner_url", "codes_url"),
        "http://localhost",
    )
    facts.save(path, Facts(**places, people=people, clients={}))
    monkeypatch.setenv("DEMO_FACTS", str(path))
    return path


@pytest.fixture
def shown(make_app, sqlite_url, known):
    app = make_app(sqlite_url, mode="demo")
    with app.app_context():
        yield app


def test_outside_the_demo_there_is_no_such_page(client, app):
    assert client.get("/demo").status_code == 404
    assert client.post("/demo/authenticator").status_code == 404
    with pytest.raises(RuntimeError):
        page.install(app)


def test_it_shows_the_code_that_the_phone_would_show(shown):
    with clock.freeze(clock.now()):
        text = shown.test_client().get("/demo").text
        codes = {pyotp.TOTP(SECRET).at(clock.now()), *re.findall(r"\b\d{6}\b", text)}
    assert "Ada Example" in text
    assert len(codes) == 1


def test_it_shows_the_mails_newest_first_and_as_text(shown):
    with committing():
        for subject in ("The older one", "The newer one"):
            mail.stage("ada@example.org", mail.Letter(subject, "<script>alert(1)</script>"))
    text = shown.test_client().get("/demo").text
    assert text.index("The newer one") < text.index("The older one")
    assert "<script>alert" not in text


def test_it_becomes_the_app_of_somebody_who_enrols(shown, known):
    browser = shown.test_client()
    text = browser.get("/demo").text
    assert "Ned Example has no authenticator app yet" in text
    csrf = re.search(r'name="csrf" value="([^"]+)"', text).group(1)
    form = {"csrf": csrf, "username": "rn-1", "secret": "jbsw y3dp-EHPK 3PXP jbswy3dpehpk3pxp"}
    assert browser.post("/demo/authenticator", data=form).status_code == 303
    assert json.loads(known.read_text())["people"][1]["totp_secret"] == SECRET
    assert known.stat().st_mode & 0o777 == 0o600
    assert "Ned Example has no" not in browser.get("/demo").text


@pytest.mark.parametrize("change", [{"csrf": "x"}, {"username": "nobody"}, {"secret": "not base 32!"}, {"secret": "1"}])
def test_it_takes_no_nonsense(shown, known, change):
    browser = shown.test_client()
    before = known.read_text()
    csrf = re.search(r'name="csrf" value="([^"]+)"', browser.get("/demo").text).group(1)
    answer = browser.post("/demo/authenticator", data={"csrf": csrf, "username": "rn-1", "secret": SECRET} | change)
    assert answer.status_code in (400, 403)
    assert known.read_text() == before


def test_without_facts_it_still_shows_mails(shown, monkeypatch, tmp_path):
    monkeypatch.setenv("DEMO_FACTS", str(tmp_path / "nothing.json"))
    assert shown.test_client().get("/demo").status_code == 200
