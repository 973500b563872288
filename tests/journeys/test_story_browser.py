"""The story of the house in a real browser, with JavaScript and without, on a phone's width too."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.chromium import needs_chromium

pytestmark = [pytest.mark.xdist_group("demo"), needs_chromium]


@pytest.fixture(params=["desktop", "phone", "no JavaScript"])
def window(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A fresh browser profile; every complaint of the browser about a page is a failure."""
    context = chromium.new_context(
        viewport={"width": 320, "height": 640} if request.param == "phone" else {"width": 1280, "height": 800},
        java_script_enabled=request.param != "no JavaScript",
        color_scheme="dark" if request.param == "phone" else "light",
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert not complaints


def sign_in(page: Page, person: dict, phone) -> None:
    """Fill in what is asked, as a person would: by the labels."""
    page.get_by_label("Username or e-mail").fill(person["username"])
    page.get_by_label("Password", exact=True).fill(person["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Code from your authenticator app").fill(phone.code())
    page.get_by_role("button", name="Continue").click()


def fits(page: Page) -> None:
    """Nothing sticks out to the side, once the stylesheet is there."""
    page.wait_for_load_state("load")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


def test_one_sign_in_two_services_one_sign_out(demo, phones, window):
    facts, marisol = demo.facts, demo.person("marisol")

    window.goto(facts["claims_url"])
    expect(window).to_have_url(re.compile(re.escape(facts["issuer"]) + "/login"))
    sign_in(window, marisol, phones["marisol"])
    expect(window).to_have_url(f"{facts['claims_url']}/dashboard")
    expect(window.get_by_role("heading", level=1)).to_have_text("Hello, Marisol Quint")
    expect(window.get_by_role("link", name="CLM-20431")).to_be_visible()
    fits(window)

    window.get_by_role("link", name="Open the patient service").first.click()
    expect(window).to_have_url(f"{facts['patients_url']}/dashboard")
    expect(window.get_by_role("heading", level=1)).to_have_text("Hello, Marisol Quint")
    window.get_by_role("link", name="Miriam Kessler").last.click()
    expect(window.get_by_text("Wound care, follow-up")).to_be_visible()

    window.goto(f"{facts['claims_url']}/dashboard")
    window.get_by_role("link", name="Call the patient service with this token").click()
    expect(window.get_by_text("Refused because of «aud»")).to_be_visible()
    expect(window.get_by_role("row", name=re.compile("aud.*does not fit"))).to_be_visible()
    window.get_by_role("link", name=re.compile("ID token instead of access token")).click()
    expect(window.get_by_text("Refused because of «typ»")).to_be_visible()
    fits(window)

    window.get_by_role("button", name="Sign out").click()
    expect(window.get_by_role("heading", name="You are signed out")).to_be_visible()
    window.wait_for_timeout(1200)
    window.goto(facts["patients_url"])
    expect(window).to_have_url(re.compile(re.escape(facts["issuer"]) + "/login"))


def test_a_third_party_is_allowed_with_a_click(demo, phones, chromium):
    context: BrowserContext = chromium.new_context()
    page = context.new_page()
    page.goto(demo.facts["partner_url"])
    page.get_by_role("link", name="Connect with your clinic account").click()
    sign_in(page, demo.person("edda"), phones["edda"])
    expect(page.get_by_role("heading", level=1)).to_have_text("Allow Footpath Study?")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text("Thank you, Edda Brandt")).to_be_visible()
    context.close()
