"""Passkeys in a real browser, with Chromium's virtual authenticators: enrol, sign in without a password, after one, from the list of names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.chromium import needs_chromium
from tests.serving import Server, free_port, write_config

pytestmark = [pytest.mark.xdist_group("journey"), needs_chromium]
PASSWORD = "Blue-Otter-Runs-42"


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An installation at http://localhost in which everybody needs a second factor."""
    folder = tmp_path_factory.mktemp("passkeys")
    shutil.copy(migrated_sqlite, folder / "idp.db")
    file = write_config(
        folder,
        database_url=f"sqlite:///{folder / 'idp.db'}",
        redis_url=kv_url,
        port=free_port(),
        server={"workers": 1},
        factors={"require_second": True},
    )
    served = Server(file)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    people = folder / "people.csv"
    names = ("rosa", "piet", "kim", "lars", "noor", "vera", "ines")
    people.write_text("username,display_name,password_hash\n" + "".join(f"{n},{n.title()},{hashed}\n" for n in names))
    made = served.idp("user", "import", str(people))
    assert made.exit_code == 0, made.output
    yield served.start()
    served.stop()


class Window:
    """A fresh browser profile with one virtual authenticator; every complaint of the browser is a failure."""

    def __init__(self, chromium: Browser, server: Server, *, width: int = 1280) -> None:
        self.context = chromium.new_context(viewport={"width": width, "height": 800})
        self.context.set_default_timeout(60_000)
        self.page: Page = self.context.new_page()
        self.url = server.url
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda one: self.complaints.append(one.text) if one.type == "error" else None)
        self.devtools: CDPSession = self.context.new_cdp_session(self.page)
        self.authenticator = ""

    def plug_in(self, **traits: Any) -> None:
        """Give the browser an authenticator: of the platform, with user verification, unless told otherwise."""
        self.devtools.send("WebAuthn.enable", {"enableUI": False})
        usual = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        added = self.devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {**usual, **traits}})
        self.authenticator = added["authenticatorId"]

    def without_list_of_names(self) -> None:
        """From the next page on, be a browser whose list of user names offers no passkeys."""
        self.page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")

    def present(self, there: bool) -> None:
        """Let the person answer prompts, or not."""
        self.devtools.send(
            "WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": self.authenticator, "enabled": there}
        )

    def verified(self, there: bool) -> None:
        """Let fingerprints be recognised, or not."""
        self.devtools.send("WebAuthn.setUserVerified", {"authenticatorId": self.authenticator, "isUserVerified": there})

    def credentials(self) -> list[dict[str, Any]]:
        found = self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        return list(found["credentials"])

    def give_password(self, name: str) -> None:
        self.page.goto(f"{self.url}/login")
        self.page.get_by_label("Username or e-mail").fill(name)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in", exact=True).click()

    def save_codes(self) -> None:
        expect(self.page).to_have_url(re.compile("/enrol/recovery-codes"))
        self.page.get_by_role("checkbox").check()
        self.page.get_by_role("button", name=re.compile("Continue|Finish|Done")).click()

    def enrol(self, name: str) -> None:
        """The whole first sign-in with a password and a new passkey."""
        self.give_password(name)
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Protect your account")
        self.page.get_by_role("link", name="Set up a passkey").click()
        self.page.get_by_role("button", name="Create the passkey").click()
        self.save_codes()
        self.is_in(name)

    def is_in(self, name: str) -> None:
        expect(self.page).to_have_url(re.compile(re.escape(self.url) + r"/(\?.*)?$"))
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(name.title())

    def sign_out(self) -> None:
        self.context.clear_cookies()

    def fits(self) -> None:
        self.page.wait_for_load_state("load")
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), self.page.url


@pytest.fixture(params=[1280, 320])
def window(request: pytest.FixtureRequest, chromium: Browser, server: Server) -> Iterator[Window]:
    made = Window(chromium, server, width=request.param)
    yield made
    made.context.close()
    assert made.complaints == []


@pytest.fixture
def desk(chromium: Browser, server: Server) -> Iterator[Window]:
    """One width is enough where the page is not the point."""
    made = Window(chromium, server)
    yield made
    made.context.close()
    assert made.complaints == []


def person(window: Window, wide: str, narrow: str) -> str:
    return wide if window.page.viewport_size and window.page.viewport_size["width"] > 400 else narrow


def test_enrol_then_sign_in_without_a_password(window: Window) -> None:
    name = person(window, "rosa", "piet")
    window.plug_in()
    window.enrol(name)
    kept = window.credentials()
    assert len(kept) == 1 and kept[0]["isResidentCredential"] and kept[0]["rpId"] == "localhost"
    window.sign_out()
    window.without_list_of_names()  # it would sign in by itself, before or after the click
    window.page.goto(f"{window.url}/login")
    window.fits()
    window.page.get_by_role("button", name="Sign in with a passkey").click()
    window.is_in(name)


def test_a_password_and_then_the_passkey(desk: Window) -> None:
    desk.plug_in()
    desk.enrol("kim")
    desk.sign_out()
    desk.present(False)
    desk.give_password("kim")
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Use your passkey")
    expect(desk.page.get_by_role("button", name="Use my passkey")).to_be_focused()
    desk.present(True)
    desk.page.keyboard.press("Enter")
    desk.is_in("kim")


def test_the_list_of_user_names_offers_the_passkey(desk: Window) -> None:
    desk.plug_in()
    desk.enrol("lars")
    desk.sign_out()
    with desk.page.expect_request(re.compile("/login/passkey/sign-in")):
        desk.page.goto(f"{desk.url}/login")  # the virtual authenticator picks the one passkey there is
    desk.is_in("lars")


def test_a_prompt_that_is_closed_is_told_in_a_sentence_and_the_password_still_works(desk: Window) -> None:
    desk.plug_in()
    desk.enrol("noor")
    desk.sign_out()
    desk.present(False)
    desk.page.goto(f"{desk.url}/login")
    desk.verified(False)  # the finger is not recognised: the browser gives up
    desk.present(True)
    desk.page.get_by_role("button", name="Sign in with a passkey").click()
    expect(desk.page.get_by_role("alert")).to_contain_text("closed or timed out")
    desk.present(False)
    desk.verified(True)
    desk.page.get_by_label("Username or e-mail").fill("noor")
    desk.page.get_by_label("Password", exact=True).fill(PASSWORD)
    desk.page.get_by_role("button", name="Sign in", exact=True).click()
    expect(desk.page).to_have_url(re.compile("/login/passkey"))


HEARD = """
window.heard = [];
for (const name of ["signalUnknownCredential", "signalAllAcceptedCredentials", "signalCurrentUserDetails"])
  PublicKeyCredential[name] = async (facts) => { window.heard.push([name, facts]); };
"""


def all_heard(page: Page) -> dict[str, Any]:
    """What the page told the authenticators; the last of it is who the person is."""
    for _ in range(600):
        heard = dict(page.evaluate("window.heard"))
        if "signalCurrentUserDetails" in heard:
            return heard
        page.wait_for_timeout(50)
    raise AssertionError("the page says nothing")


def test_the_security_page_adds_names_and_removes_and_tells_the_authenticators(desk: Window) -> None:
    desk.page.add_init_script(HEARD)
    desk.plug_in()
    desk.enrol("ines")
    desk.page.goto(f"{desk.url}/account/security")
    desk.page.get_by_role("button", name="Add another passkey").click()
    desk.page.get_by_role("button", name="Create the passkey").click()
    expect(desk.page.get_by_role("alert")).to_contain_text("holds a passkey for your account already")
    desk.devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": desk.authenticator})
    desk.plug_in(transport="usb", hasResidentKey=False, hasUserVerification=False, isUserVerified=False)
    desk.page.get_by_role("button", name="Create the passkey").click()
    expect(desk.page).to_have_url(re.compile("/account/security"))
    expect(desk.page.get_by_text("Security key", exact=True)).to_be_visible()
    heard = all_heard(desk.page)
    assert len(heard["signalAllAcceptedCredentials"]["allAcceptedCredentialIds"]) == 2
    assert heard["signalCurrentUserDetails"]["name"] == "ines" and "signalUnknownCredential" not in heard

    desk.page.get_by_text("Rename, replace or remove").first.click()
    desk.page.get_by_role("link", name="Remove Passkey").click()
    desk.page.get_by_role("button", name=re.compile("Remove")).click()
    expect(desk.page.get_by_text("It is removed, and no longer signs you in.")).to_be_visible()
    heard = all_heard(desk.page)
    gone = heard["signalUnknownCredential"]
    assert gone["rpId"] == "localhost" and gone["credentialId"]
    assert gone["credentialId"] not in heard["signalAllAcceptedCredentials"]["allAcceptedCredentialIds"]


def test_a_browser_without_webauthn_gets_the_app(desk: Window) -> None:
    desk.page.add_init_script("delete window.PublicKeyCredential")
    desk.give_password("vera")
    desk.page.get_by_role("link", name="Set up a passkey").click()
    expect(desk.page.get_by_text("This browser cannot use passkeys")).to_be_visible()
    expect(desk.page.get_by_role("button", name="Create the passkey")).to_be_hidden()
    desk.page.get_by_role("link", name="Choose another way").click()
    desk.page.get_by_role("link", name="Set up an app").click()
    expect(desk.page).to_have_url(re.compile("/enrol/totp"))
