"""The warning before a session ends, in Chromium: in time, announced, extended by one click, and never on the page's own count alone (W-3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from jinja2 import Environment
from playwright.sync_api import Browser, Page, Route, expect

from tests.chromium import needs_chromium
from tests.pages.conftest import STATIC
from tests.pages.samples import CASES, COMMON
from tests.pages.visitor import HOST, TYPES

pytestmark = [pytest.mark.xdist_group("browser"), needs_chromium]

# What the page asks, and the bodies it reads: so that a test can wait until the page has dealt with every answer.
REMEMBER_QUESTIONS = """const asked = [], ask = window.fetch, read = Response.prototype.json;
  const kept = (promise) => (asked.push(promise), promise);
  window.fetch = (...question) => kept(ask(...question));
  Response.prototype.json = function () { return kept(read.call(this)); };
  const turn = () => new Promise((done) => { // of the event loop; a timer would wait for the test's clock
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(null);
  });
  window.allIsHandled = async () => {
    for (let seen = -1; seen < asked.length; ) {
      seen = asked.length;
      await Promise.allSettled(asked);
      await turn();
    }
  };"""


class Account:
    """The page «My data» of somebody whose session we decide about: 900 s idle, 12 h in all, as the sample says.

    The page's clock stands still, but for `after`: however slow the machine is, no second passes that a test did not spend.
    """

    def __init__(self, window: Page, pages: Environment) -> None:
        self.window, self.pages = window, pages
        self.left: dict[str, Any] = {"idle_left_s": 900, "left_s": 43200}
        self.asked: list[str] = []
        self.frame: dict[str, Any] = {}
        window.clock.install(time=0)
        window.clock.pause_at(1000)
        window.add_init_script(REMEMBER_QUESTIONS)
        window.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/account/session":
            self.asked.append(route.request.method)
            if route.request.method == "POST":
                assert 'name="csrf"\r\n\r\ntoken' in (route.request.post_data or "")
                self.left = {**self.left, "idle_left_s": 900}
            route.fulfill(body=json.dumps(self.left), content_type="application/json")
        elif path.startswith("/static/"):
            file = STATIC / path.removeprefix("/static/")
            route.fulfill(body=file.read_bytes(), content_type=TYPES[file.suffix])
        else:
            values = {**COMMON, **CASES["account_data.html", "first"], **self.frame}
            route.fulfill(body=self.pages.get_template("account_data.html").render(**values), content_type="text/html")

    def open(self) -> Account:
        self.window.goto(f"{HOST}/account/data")
        return self

    def after(self, seconds: int, **left: Any) -> Account:
        """These seconds later, once the page has planned anew by each answer: its timers count from there."""
        self.left = left
        self.window.clock.run_for(seconds * 1000)
        self.window.evaluate("allIsHandled()")
        return self


@pytest.fixture
def account(chromium: Browser, pages: Environment) -> Iterator[Account]:
    context = chromium.new_context()
    yield Account(context.new_page(), pages)
    context.close()


def test_w3_it_warns_in_time_and_one_click_extends(account: Account) -> None:
    window = account.open().window
    expect(window.locator("#session-end")).to_be_hidden()
    account.after(770, idle_left_s=130, left_s=42000)
    assert account.asked == []
    account.after(15, idle_left_s=115, left_s=42000)
    expect(window.get_by_role("alert")).to_contain_text("You will be signed out soon.")
    assert account.asked == ["GET"]
    window.get_by_role("link", name="Stay signed in").click()
    expect(window.locator("#session-end")).to_be_hidden()
    expect(window.locator("#session-extended")).to_have_text("You stay signed in.")
    assert account.asked == ["GET", "POST"]


def test_w3_another_tab_that_is_busy_spares_the_warning(account: Account) -> None:
    window = account.open().window
    account.after(785, idle_left_s=890, left_s=42000)
    expect(window.locator("#session-end")).to_be_hidden()
    account.after(775, idle_left_s=110, left_s=41000)
    expect(window.get_by_role("alert")).to_be_visible()


def test_w3_the_end_is_said_and_nothing_stays_on_the_page(account: Account) -> None:
    window = account.open().window
    account.after(785, idle_left_s=115, left_s=42000)
    expect(window.get_by_role("alert")).to_be_visible()
    account.after(120, ended=True)
    expect(window.get_by_role("alert")).to_contain_text("Your session has ended, and you are signed out.")
    expect(window.get_by_role("link", name="Sign in again")).to_be_focused()
    expect(window.get_by_role("heading", name="My data")).to_have_count(0)
    expect(window).to_have_title("Signed out")


def test_w3_the_absolute_end_cannot_be_put_off_and_is_told(account: Account) -> None:
    window = account.open().window
    account.after(785, idle_left_s=90, left_s=90)
    expect(window.get_by_role("alert")).to_contain_text("cannot be made longer")
    expect(window.get_by_role("link", name="Stay signed in")).to_be_hidden()


def test_w3_a_server_that_does_not_answer_is_asked_again_and_nobody_is_frightened(account: Account) -> None:
    window = account.open().window
    window.route("**/account/session", lambda route: route.abort())
    account.after(785)
    expect(window.locator("#session-end")).to_be_hidden()
    window.unroute("**/account/session")
    account.after(15, idle_left_s=90, left_s=42000)
    expect(window.get_by_role("alert")).to_be_visible()


def test_nobody_signed_in_is_warned_of_nothing(account: Account) -> None:
    account.frame = {"frame": None}
    window = account.open().window
    expect(window.locator("#session-end")).to_have_count(0)
    account.after(1000, ended=True)
    assert account.asked == []
