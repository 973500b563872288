"""The pages in Chromium, under our own CSP: reflow at 320 px, targets, keyboard, and what the small scripts add."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jinja2 import Environment
from playwright.sync_api import Browser, Page, expect

from tests.chromium import needs_chromium
from tests.pages.samples import CODES
from tests.pages.visitor import QUIET, Visitor, Walker

pytestmark = [pytest.mark.xdist_group("browser"), needs_chromium]


@pytest.fixture
def visitor(chromium: Browser, pages: Environment) -> Iterator[Visitor]:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    made = Visitor(context, pages)
    yield made
    assert made.complaints == []
    context.close()


@pytest.fixture
def plain_visitor(chromium: Browser, pages: Environment) -> Iterator[Visitor]:
    """Somebody without JavaScript."""
    context = chromium.new_context(java_script_enabled=False)
    yield Visitor(context, pages)
    context.close()


@pytest.fixture(scope="module")
def walker(chromium: Browser, pages: Environment) -> Iterator[Walker]:
    """Somebody on a phone who goes from page to page."""
    with Walker.on(chromium, pages, viewport={"width": 320, "height": 640}) as made:
        yield made


LOOK = """() => {
  for (const panel of document.querySelectorAll("details")) panel.open = true;
  const exempt = [...document.querySelectorAll(".mail a, .notice a, p > a")]; // links in running text
  const small = [...document.querySelectorAll("a, button, input:not([type=hidden]):not([readonly]), summary")]
    .filter((e) => e.checkVisibility() && !e.matches(".skip") && !exempt.includes(e))
    .filter((e) => { const box = e.getBoundingClientRect(); return box.height < 24 || box.width < 24 });
  return [document.documentElement.scrollWidth, small.map((e) => e.outerHTML.slice(0, 80))] }"""


@pytest.mark.parametrize(("template", "variant"), QUIET)
def test_1_4_10_and_2_5_8_everything_fits_at_320_px_and_can_be_hit(walker: Walker, template: str, variant: str) -> None:
    walker.complaints.clear()
    assert walker.open(template, variant).evaluate(LOOK) == [320, []]
    assert walker.complaints == []


def test_1_4_12_wider_text_spacing_loses_nothing(visitor: Visitor) -> None:
    visitor.window.set_viewport_size({"width": 320, "height": 640})
    window = visitor.open("login.html", "error")
    window.evaluate("""() => { const s = new CSSStyleSheet(); s.replaceSync(
      '* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-block-end: 2em !important }');
      document.adoptedStyleSheets = [s]; }""")
    assert window.evaluate("document.documentElement.scrollWidth") == 320


def test_2_1_1_sign_in_by_keyboard_alone(visitor: Visitor) -> None:
    window = visitor.open("login.html")
    expect(window.locator("#identifier")).to_be_focused()
    window.keyboard.type("maren")
    window.keyboard.press("Tab")
    window.keyboard.type("Correct horse 1!")
    window.keyboard.press("Enter")
    expect(window.get_by_text("taken")).to_be_visible()
    assert visitor.posts == ["csrf=token&identifier=maren&password=Correct+horse+1%21"]


def test_2_4_7_the_focus_is_visible(visitor: Visitor) -> None:
    window = visitor.open("login.html")
    for _ in range(4):
        window.keyboard.press("Tab")
        ring = window.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid"


def test_w4_the_error_summary_has_the_focus_and_leads_to_the_field(visitor: Visitor) -> None:
    window = visitor.open("login.html", "error")
    expect(window.locator("#problem")).to_be_focused()
    window.get_by_role("link", name="Check what you typed").click()
    expect(window.locator("#identifier")).to_be_focused()


def test_w7_without_javascript_the_same_form_works(plain_visitor: Visitor) -> None:
    window = plain_visitor.open("login.html")
    expect(window.locator(".reveal")).to_be_hidden()
    window.fill("#identifier", "maren")
    window.fill("#password", "secret")
    window.click("button[type=submit]")
    expect(window.get_by_text("taken")).to_be_visible()
    assert plain_visitor.posts == ["csrf=token&identifier=maren&password=secret"]


def test_n7_show_and_hide_the_password(visitor: Visitor) -> None:
    window = visitor.open("login.html")
    button = window.get_by_role("button", name="Show password")
    button.click()
    expect(window.locator("#password")).to_have_attribute("type", "text")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(window.locator("#password-status")).to_have_text("Your password is shown.")
    button.click()
    expect(window.locator("#password")).to_have_attribute("type", "password")


def test_a_shown_password_is_masked_again_before_it_is_sent(visitor: Visitor) -> None:
    window = visitor.open("login.html")
    window.fill("#identifier", "maren")
    window.fill("#password", "secret")
    window.get_by_role("button", name="Show password").click()
    window.evaluate("document.querySelector('form').addEventListener('submit', (e) => e.preventDefault())")
    window.keyboard.press("Tab")
    window.keyboard.press("Enter")
    expect(window.locator("#password")).to_have_attribute("type", "password")


def test_password_rules_are_ticked_while_typing(visitor: Visitor) -> None:
    window = visitor.open("password_change.html", "error")
    status = window.locator("#new_password-rules-status")
    window.locator("#new_password").press_sequentially("Abcdefgh1")
    expect(status).to_contain_text(
        "Still needed: At least 12 characters; up to 256, spaces welcome. At least 1 special"
    )
    assert _met(window) == ["upper", "lower", "digit"]
    window.locator("#new_password").press_sequentially("jk ")
    expect(status).to_contain_text("Every rule that can be checked here is met")
    assert _met(window) == ["length", "upper", "lower", "digit", "special"]
    window.locator("#new_password").fill("Aa1!" + "x" * 253)
    assert _met(window) == ["upper", "lower", "digit", "special"]


def _met(window: Page) -> list[str | None]:
    return [item.get_attribute("data-rule") for item in window.locator(".rules .met").all()]


def test_a_second_click_sends_nothing_twice(visitor: Visitor) -> None:
    window = visitor.open("factor_totp.html")
    window.evaluate("document.querySelector('form').action = '/slow'")  # answers 204: the page stays
    window.fill("#code", "123 456")
    button = window.get_by_role("button", name="Continue")
    with window.expect_response("**/slow"):
        button.click()
    expect(button).to_have_attribute("aria-busy", "true")
    button.click()
    with window.expect_response("**/static/idp.css"):
        window.evaluate("fetch('/static/idp.css', {cache: 'reload'})")  # comes after whatever the click sent
    assert visitor.posts == ["csrf=token&code=123+456"]


def test_a_code_is_pasted_whole(visitor: Visitor) -> None:
    window = visitor.open("factor_totp.html")
    window.evaluate("navigator.clipboard.writeText('123 456')")
    window.locator("#code").press("ControlOrMeta+v")
    expect(window.locator("#code")).to_have_value("123 456")


def test_recovery_codes_can_be_copied_and_saved(visitor: Visitor) -> None:
    window = visitor.open("recovery_codes.html")
    window.get_by_role("button", name="Copy").click()
    expect(window.locator("#codes-status")).to_have_text("Codes copied.")
    assert window.evaluate("navigator.clipboard.readText()").split() == CODES
    link = window.get_by_role(
        "link", name="Save as a file"
    )  # journeys/test_lost_phone_browser.py saves it from a server
    assert (link.get_attribute("href") or "").startswith("/enrol/recovery-codes/file?flow=")
    assert link.get_attribute("download") is not None
    expect(window.get_by_role("button", name="Print")).to_be_visible()


def test_form_post_goes_by_itself_even_with_a_field_named_submit(visitor: Visitor) -> None:
    visitor.open("form_post.html")
    expect(visitor.window.get_by_text("taken")).to_be_visible()
    assert visitor.posts == ["code=c1&state=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E&submit=x"]


def test_form_post_without_javascript_has_a_button(plain_visitor: Visitor) -> None:
    window = plain_visitor.open("form_post.html")
    window.get_by_role("button", name="Continue").click()
    expect(window.get_by_text("taken")).to_be_visible()


def test_demo_codes_are_fetched_anew_when_they_run_out(visitor: Visitor) -> None:
    visitor.window.clock.install(time=0)
    visitor.window.clock.pause_at(1000)
    window = visitor.open("demo_mailbox.html")
    window.clock.run_for(5_000)
    expect(window.locator("[data-seconds-left]").first).to_have_text("12")
    with window.expect_navigation():
        window.clock.run_for(13_000)
    expect(window.locator("[data-seconds-left]").first).to_have_text("17")
