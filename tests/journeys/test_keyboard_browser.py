"""The keyboard alone, against a running server: whoever cannot use a mouse signs in, gets back in and looks after their account (2.1.1).

At every stop of the Tab key the focus can be seen and is on the screen (2.4.7, 2.4.11); axe-core looks at each page on the way.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from idp import config, create_app, users
from idp.authn.factors import password, totp
from idp.db import db
from tests.chromium import needs_chromium
from tests.journeys.wire import Phone
from tests.pages.test_axe import AXE, violations
from tests.serving import Server, free_port, write_config

pytestmark = [pytest.mark.xdist_group("journey"), needs_chromium]
PASSWORD, SECRET = "Correct-Horse-42-Battery", pyotp.random_base32()
STOP = """() => { const e = document.activeElement, s = getComputedStyle(e), box = e.getBoundingClientRect();
  return [s.outlineStyle, parseFloat(s.outlineWidth) >= 2, box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth] }"""


@dataclass
class Keys:
    """Somebody at a keyboard; the mouse is unplugged."""

    page: Page
    url: str

    def open(self, path: str) -> Keys:
        self.page.goto(f"{self.url}{path}")
        return self

    def to(self, wanted: Locator) -> Keys:
        """Press Tab until this has the focus, and look at every stop on the way."""
        for _ in range(60):
            if wanted.evaluate("(e) => e === document.activeElement"):
                return self
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement !== document.body"):
                assert self.page.evaluate(STOP) == ["solid", True, True], self.page.evaluate(
                    "document.activeElement.outerHTML"
                )
        raise AssertionError(f"the Tab key does not lead to {wanted}")

    def type(self, text: str) -> Keys:
        self.page.keyboard.type(text)
        return self

    def press(self, key: str) -> Keys:
        self.page.keyboard.press(key)
        return self

    def enter(self) -> Keys:
        """Press Enter, and be on the next page: its heading may be the same."""
        with self.page.expect_navigation(timeout=60_000):
            self.page.keyboard.press("Enter")
        return self

    def at(self, heading: str | re.Pattern[str]) -> Keys:
        """Arrive at a page, on which axe-core finds nothing."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        assert violations(self.page) == []
        return self

    def field(self, name: str) -> Locator:
        return self.page.locator(f"#{name}")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True).locator("visible=true")


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An installation for all tests here: each of them has a person of its own."""
    folder = tmp_path_factory.mktemp("keyboard")
    url = f"sqlite:///{shutil.copy(migrated_sqlite, folder / 'idp.db')}"
    file = write_config(folder, database_url=url, redis_url=kv_url, port=free_port(), server={"workers": 1})
    app = create_app(config.load(file, {}))
    with app.app_context():
        for name, roles in (("alice", ("administrator", "help_desk")), ("bruno", ()), ("carla", ())):
            person = users.create(username=name, display_name=name.title(), emails=[f"{name}@example.org"], roles=roles)
            password.set_password(person, PASSWORD, actor=person.sub)
            if name == "alice":
                totp.bind(person, SECRET, actor=None)
        db.session.commit()
        db.engine.dispose()
    running = Server(file).start()
    yield running
    running.stop()


@pytest.fixture
def window(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.add_init_script(AXE)
    yield context
    context.close()


@pytest.fixture
def keys(server: Server, window: BrowserContext) -> Keys:
    return Keys(window.new_page(), server.url)


def test_2_1_1_sign_in_with_a_code_and_look_after_the_account(keys: Keys) -> None:
    phone = Phone(SECRET)
    keys.open("/").at("Sign in")
    expect(keys.field("identifier")).to_be_focused()
    keys.type("alice").to(keys.field("password")).type("wrong").enter().at("Sign in")
    expect(keys.field("problem")).to_be_focused()
    keys.to(keys.link("Check what you typed")).press("Enter")
    expect(keys.field("identifier")).to_be_focused()
    keys.press("ControlOrMeta+a").type("alice").to(keys.field("password")).type(PASSWORD).enter().at("Enter your code")
    expect(keys.field("code")).to_be_focused()
    keys.type("000000").enter().at("Enter your code")
    keys.to(keys.field("code")).type(phone.code()).enter().at("Hello, Alice")
    keys.to(keys.link("Sign-in and security")).enter().at("Sign-in and security")
    keys.to(keys.page.locator("summary").filter(has_text="Rename, replace or remove")).press("Enter")
    keys.to(keys.page.locator("input[name=label]")).press("ControlOrMeta+a").type("Blue phone").enter()
    keys.at("Sign-in and security")
    expect(keys.page.get_by_text("Blue phone").first).to_be_visible()
    keys.to(keys.button("Get new recovery codes")).enter().at("Save your recovery codes")
    keys.to(keys.field("saved")).press(" ").to(keys.page.locator("main button[type=submit]")).enter().at(
        "Sign-in and security"
    )
    for path, heading in (
        ("/account/profile", "Profile"),
        ("/account/emails", "E-mail addresses"),
        ("/account/sessions", "Where you are signed in"),
        ("/account/apps", "Applications"),
        ("/account/activity", "Activity"),
        ("/account/data", "My data"),
        ("/admin/", re.compile(".")),
        ("/admin/people", re.compile(".")),
        ("/admin/policy", re.compile(".")),
        ("/admin/recovery", re.compile(".")),
    ):
        keys.open(path).at(heading)
    keys.to(keys.page.get_by_role("link", name="Sign out", exact=True).locator("visible=true")).enter()
    keys.to(keys.button("Sign out")).enter()
    expect(keys.page.get_by_role("heading", level=1)).to_have_text("You are signed out")


def test_2_1_1_a_first_second_step(keys: Keys) -> None:
    keys.open("/").at("Sign in")
    expect(keys.field("identifier")).to_be_focused()
    keys.type("bruno").to(keys.field("password")).type(PASSWORD).enter().at("Hello, Bruno")
    keys.open("/account/security").to(keys.button("Add an authenticator app")).enter()
    keys.at("Set up your authenticator app")
    raw_key = "".join(keys.page.locator("#key span").all_inner_texts())
    keys.to(keys.button("Copy the key")).press("Enter")
    keys.to(keys.field("code")).type(Phone(raw_key).code()).enter().at("Save your recovery codes")
    keys.to(keys.field("saved")).press(" ").to(keys.page.locator("main button[type=submit]")).enter().at(
        "Sign-in and security"
    )


def test_2_1_1_a_forgotten_password_is_asked_for(keys: Keys) -> None:
    keys.open("/").at("Sign in").press("Tab").press("Tab")
    keys.to(keys.page.get_by_text("Forgot password?")).enter().at("Forgot your password?")
    keys.to(keys.field("identifier")).type("carla").enter()
    keys.at("Look in your mail")


def test_2_4_1_the_skip_link_is_the_first_stop_and_leads_past_the_menu(keys: Keys) -> None:
    keys.open("/help").press("Tab")
    skip = keys.page.locator(".skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    keys.press("Enter").press("Tab")
    assert keys.page.evaluate("document.activeElement.closest('main, footer') !== null")
