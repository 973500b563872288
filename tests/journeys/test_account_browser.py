"""A person's own pages in a real browser against a real server: signing out elsewhere, and leaving a shared workstation."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from idp import clock, config, create_app, crypto, users
from idp.authn.factors import password
from idp.db import db
from tests.chromium import needs_chromium
from tests.serving import Server, free_port, write_config

pytestmark = [pytest.mark.xdist_group("journey"), needs_chromium]
PASSWORDS = {
    "alice": "Correct-Horse-42-Battery",
    "bruno": "Another-Lantern-77-Window",
    "carla": "Harbor-Lamp-77-Violin",
}


@dataclass
class Desk:
    """A running server with three people, and the mark that makes a browser a shared workstation."""

    server: Server
    mark: str

    def sign_in(self, page: Page, name: str) -> None:
        """Fill in what is asked, and end on one's own page."""
        page.goto(f"{self.server.url}/")
        page.locator("#identifier").fill(name)
        page.locator("#password").fill(PASSWORDS[name])
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Hello, {name.title()}")


@pytest.fixture(scope="module")
def desk(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("account")
    url = f"sqlite:///{shutil.copy(migrated_sqlite, folder / 'idp.db')}"
    file = write_config(folder, database_url=url, redis_url=kv_url, port=free_port(), server={"workers": 1})
    app = create_app(config.load(file, {}))
    with app.app_context():
        for name, raw_password in PASSWORDS.items():
            person = users.create(username=name, display_name=name.title(), emails=[f"{name}@example.org"])
            password.set_password(person, raw_password, actor=person.sub)
        db.session.commit()
        sealed = crypto.mac("workstation", f"{'w' * 16}|{clock.epoch()}")
        mark = f"{'w' * 16}.{clock.epoch()}.{sealed}"
        db.engine.dispose()
    running = Server(file).start()
    yield Desk(running, mark)
    running.stop()


def test_the_list_of_sessions_signs_out_another_browser_at_once(desk: Desk, chromium: Browser) -> None:
    here, there = chromium.new_context(), chromium.new_context()
    mine, other = here.new_page(), there.new_page()
    desk.sign_in(mine, "carla")
    desk.sign_in(other, "carla")
    mine.reload()
    mine.get_by_role("link", name="You are signed in on one other browser.").click()
    expect(mine.get_by_role("heading", level=1)).to_have_text("Where you are signed in")
    mine.get_by_role("button", name="Sign out: Chrome on Linux").click()
    expect(mine.get_by_role("status").filter(has_text="That browser is signed out.")).to_be_visible()
    other.goto(f"{desk.server.url}/account/sessions")
    expect(other).to_have_url(re.compile("/login"))
    mine.reload()
    expect(mine.get_by_role("heading", level=1)).to_have_text("Where you are signed in")
    here.close()
    there.close()


def test_attack_78_at_a_shared_workstation_the_back_button_shows_nothing_of_the_last_person(
    desk: Desk, chromium: Browser
) -> None:
    ward = chromium.new_context()
    ward.add_cookies([{"name": "idp_workstation", "value": desk.mark, "url": desk.server.url}])
    page = ward.new_page()
    desk.sign_in(page, "alice")
    page.get_by_role("link", name="Where you are signed in").first.click()
    page.get_by_role("button", name="Switch person").click()
    expect(page.get_by_text("The last person is signed out")).to_be_visible()
    for _ in range(2):
        page.go_back()
        expect(page.locator("#identifier")).to_be_visible()
        assert "alice" not in page.content().lower()
    names = {cookie["name"] for cookie in ward.cookies()}
    assert {"idp_workstation"} <= names and not names & {"idp_sso", "idp_device", "idp_trusted", "idp_ui_language"}
    desk.sign_in(page, "bruno")
    assert "alice" not in page.content().lower()
    ward.close()


def test_a_locked_workstation_is_opened_by_its_person_where_they_were(desk: Desk, chromium: Browser) -> None:
    ward = chromium.new_context(viewport={"width": 320, "height": 640})
    ward.add_cookies([{"name": "idp_workstation", "value": desk.mark, "url": desk.server.url}])
    page = ward.new_page()
    desk.sign_in(page, "alice")
    page.goto(f"{desk.server.url}/account/apps")
    page.keyboard.press("Alt+Shift+L")
    expect(page.get_by_text("This workstation is locked.")).to_be_visible()
    assert "alice" not in page.content().lower()
    page.locator("#identifier").fill("alice")
    page.locator("#password").fill(PASSWORDS["alice"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(f"{desk.server.url}/account/apps")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    ward.close()
