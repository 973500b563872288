"""Chromium: two people of the help desk let a physician back in who lost her phone and her codes (four eyes, ASVS 2.3.5)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from idp import config, create_app
from idp.db import db
from tests.authn.signing_in import PASSWORD, make_codes, make_person, new_secret
from tests.chromium import needs_chromium
from tests.journeys.wire import Phone
from tests.serving import Server, free_port, write_config

pytestmark = [pytest.mark.xdist_group("journey"), needs_chromium]

SECRETS = {name: new_secret() for name in ("priya", "sol", "ilona")}


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An installation without a cool-off, with two people of the help desk and a physician."""
    folder = tmp_path_factory.mktemp("help-desk")
    shutil.copy(migrated_sqlite, folder / "idp.db")
    file = write_config(
        folder,
        database_url=f"sqlite:///{folder / 'idp.db'}",
        redis_url=kv_url,
        port=free_port(),
        server={"workers": 1},
        factors={"require_second": True},
        recovery={"cool_off_s": 0},
        support={"phone": "+1 555 0142"},
    )
    app = create_app(config.load(file, {}))
    with app.app_context():
        for name, secret in SECRETS.items():
            user = make_person(name, secret=secret, roles=() if name == "ilona" else ("help_desk",))
            make_codes(user)
        db.session.remove()
        db.engine.dispose()
    served = Server(file)
    yield served.start()
    served.stop()


@pytest.fixture
def open_window(chromium: Browser) -> Iterator:
    """Open windows of people who share no cookie; the browser may complain of none of the pages."""
    opened, complaints = [], []

    def window(*, phone: bool = False) -> Page:
        size = {"width": 320, "height": 640} if phone else {"width": 1280, "height": 800}
        context = chromium.new_context(viewport=size, java_script_enabled=not phone)
        context.set_default_timeout(60_000)
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield window
    for context in opened:
        context.close()
    assert complaints == []


def give_password(page: Page, name: str, url: str) -> None:
    page.goto(url)
    page.get_by_label("Username or e-mail").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def at_the_desk(page: Page, name: str, url: str) -> Page:
    give_password(page, name, url)
    page.get_by_label("Code from your authenticator app").fill(Phone(SECRETS[name]).code())
    page.get_by_role("button", name="Continue").click()
    return page


def test_two_people_of_the_help_desk_let_a_third_back_in(server: Server, open_window) -> None:
    priya = at_the_desk(open_window(), "priya", f"{server.url}/admin/")
    expect(priya.get_by_role("heading", name="Looking after others")).to_be_visible()
    priya.get_by_role("link", name=re.compile("Find a person")).first.click()
    priya.get_by_label("Username, e-mail address or NPI").fill("ilona@example.org")
    priya.get_by_role("button", name="Find").click()
    priya.get_by_role("link", name="Open a recovery case").click()
    priya.get_by_label("What happened?").fill("Her bag was stolen, with the phone and the list of codes")
    priya.get_by_label("Called back on the number in the staff directory").check()
    priya.get_by_label("What did you see or hear?").fill("Extension 417; she answered")
    priya.get_by_role("button", name="Open the case").click()
    expect(priya.get_by_text("Whoever opened a case cannot approve it")).to_be_visible()
    case = priya.url

    sol = at_the_desk(open_window(), "sol", f"{server.url}/admin/recovery?show=waiting")
    sol.get_by_role("link", name="Ilona").click()
    expect(sol.get_by_text("Her bag was stolen")).to_be_visible()
    sol.get_by_role("button", name="I have checked it and agree").click()
    expect(sol.get_by_text("Ready for a code")).to_be_visible()

    priya.goto(case)
    priya.get_by_role("button", name="Make the temporary code").click()
    code = priya.locator(".otp").inner_text()
    sol.reload()
    expect(sol.locator(".otp")).to_have_count(0)

    ilona = open_window(phone=True)
    give_password(ilona, "ilona", f"{server.url}/login")
    ilona.get_by_text("No access to your app?").click()
    ilona.get_by_role("link", name="I cannot use my second step").click()
    assert ilona.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ilona.get_by_role("textbox", name="Temporary code").fill(code.lower().replace("-", " "))
    ilona.locator("form", has=ilona.locator("#temporary")).get_by_role("button", name="Continue").click()
    ilona.wait_for_url(re.compile("/enrol"))
    enrol_an_app(ilona)
    expect(ilona.get_by_role("heading", name="Was it you?")).to_be_visible()
    ilona.get_by_role("button", name="All of this is mine").click()
    expect(ilona.get_by_role("heading", name=re.compile("Hello|Ilona"))).to_be_visible()

    priya.reload()
    expect(priya.locator(".lead").get_by_text("Used")).to_be_visible()
    trail = server.idp("audit", "tail", "--event", "recovery_case.*")
    for event in ("opened", "approved", "code_issued", "used"):
        assert f"recovery_case.{event}" in trail.output


def enrol_an_app(page: Page) -> None:
    if "/enrol/totp" not in page.url:
        page.goto(page.url.replace("/enrol?", "/enrol/totp?"))
    secret = "".join(re.findall(r"\b[A-Z2-7]{4}\b", page.locator(".secret").inner_text()))
    page.locator("#code").fill(Phone(secret).code())
    page.locator("form", has=page.locator("#code")).locator("button[type=submit]").click()
    page.locator("#saved").check()
    page.locator("form", has=page.locator("#saved")).locator("button[type=submit]").click()
