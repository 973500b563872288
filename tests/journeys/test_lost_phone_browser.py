"""Chromium: a phone is lost, a recovery code lets its owner in, a new app takes the place of the old one; and a browser that is trusted."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from playwright.sync_api import Browser, Page, expect

from idp.authn.factors import totp
from tests.authn.signing_in import CODE
from tests.journeys.test_passkey_browser import PASSWORD, Window, pytestmark  # noqa: F401  a mark is used by its name
from tests.serving import Server, free_port, write_config


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An installation in which everybody needs a second factor and may trust a browser for two weeks."""
    folder = tmp_path_factory.mktemp("lost-phone")
    shutil.copy(migrated_sqlite, folder / "idp.db")
    file = write_config(
        folder,
        database_url=f"sqlite:///{folder / 'idp.db'}",
        redis_url=kv_url,
        port=free_port(),
        server={"workers": 1},
        factors={"require_second": True, "trusted_device_s": 14 * 86400},
    )
    served = Server(file)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    people = folder / "people.csv"
    names = ("lena", "omar", "ruth", "emil")
    people.write_text("username,display_name,password_hash\n" + "".join(f"{n},{n.title()},{hashed}\n" for n in names))
    made = served.idp("user", "import", str(people))
    assert made.exit_code == 0, made.output
    yield served.start()
    served.stop()


@pytest.fixture
def open_window(chromium: Browser, server: Server) -> Iterator:
    """Open windows of a width; none of them may have a complaint in the end."""
    made: list[Window] = []

    def opened(width: int) -> Window:
        made.append(Window(chromium, server, width=width))
        return made[-1]

    yield opened
    for window in made:
        window.context.close()
        assert window.complaints == []


def read_key(page: Page) -> str:
    return re.sub(r"\s", "", page.locator("#key").inner_text())


def code(secret: str, *, steps: int = 0) -> str:
    return totp.code_at(secret, int(time.time()) // totp.STEP_S + steps)


def enrol_app(window: Window, name: str) -> tuple[str, list[str]]:
    """The whole first sign-in with an app; returns its key and the recovery codes, read from the file that was saved."""
    page = window.page
    window.give_password(name)
    page.get_by_role("link", name="Set up an app").click()
    window.fits()
    secret = read_key(page)
    page.get_by_label("Code from the app").fill(code(secret))
    page.get_by_label("Name of this app").fill("My old phone")
    page.get_by_role("button", name="Confirm and continue").click()
    expect(page).to_have_url(re.compile("/enrol/recovery-codes"))
    window.fits()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as a file").click()
    assert saved.value.suggested_filename == "idp-recovery-codes.txt"
    codes = CODE.findall(Path(saved.value.path()).read_text(encoding="utf-8"))
    assert codes == CODE.findall(page.locator("#codes").inner_text())
    window.save_codes()
    window.is_in(name)
    return secret, codes


def open_actions(page: Page, name: str) -> None:
    page.locator("li", has_text=name).locator("summary").click()


@pytest.mark.parametrize(("name", "width"), [("lena", 1280), ("omar", 320)])
def test_lost_phone_recovery_code_new_app(open_window, name: str, width: int) -> None:
    window = open_window(width)
    page = window.page
    old, codes = enrol_app(window, name)

    window.sign_out()
    window.give_password(name)
    page.locator("summary", has_text="No access to your app?").click()
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill(codes[0].lower())
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("main")).to_contain_text("You have just used a recovery code")
    assert not set(CODE.findall(page.locator("#codes").inner_text())) & set(codes)
    window.save_codes()
    window.is_in(name)
    expect(page.locator("main")).to_contain_text("Signed in: Password and recovery code")

    page.goto(f"{window.url}/account/security")
    window.fits()
    open_actions(page, "My old phone")
    page.get_by_role("button", name="Replace My old phone").click()
    new = read_key(page)
    page.get_by_label("Code from the app").fill(code(new))
    page.get_by_label("Name of this app").fill("My new phone")
    page.get_by_role("button", name="Confirm and continue").click()
    expect(page).to_have_url(re.compile("/account/security"))
    expect(page.locator("main")).to_contain_text("the old one is gone")
    expect(page.locator("main")).to_contain_text("My new phone")
    expect(page.locator("main")).not_to_contain_text("My old phone")

    window.sign_out()
    window.give_password(name)
    page.get_by_label("Code from your authenticator app").fill(code(old, steps=1))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("This code is not right")
    page.get_by_label("Code from your authenticator app").fill(code(new, steps=1))
    page.get_by_role("button", name="Continue").click()
    window.is_in(name)
    window.complaints[:] = [
        one for one in window.complaints if "401" not in one
    ]  # the wrong code, as Chromium tells of it


@pytest.mark.parametrize(("name", "width"), [("ruth", 1280), ("emil", 320)])
def test_a_trusted_browser_is_asked_for_the_password_alone_until_its_person_ends_that(
    open_window, name: str, width: int
) -> None:
    window = open_window(width)
    page = window.page
    secret, _ = enrol_app(window, name)

    def sign_in_again() -> None:
        window.context.clear_cookies(name="idp_sso")
        window.give_password(name)

    sign_in_again()
    page.get_by_label("Code from your authenticator app").fill(code(secret, steps=1))
    page.get_by_label("Do not ask for a code on this browser for 14 days").check()
    window.fits()
    page.get_by_role("button", name="Continue").click()
    window.is_in(name)

    sign_in_again()
    window.is_in(name)
    expect(page.locator("main")).to_contain_text("Password, on a browser that you trust")

    page.goto(f"{window.url}/account/security")
    expect(page.locator("main")).to_contain_text("This browser")
    page.get_by_role("button", name=re.compile("^Ask again on")).click()
    expect(page.locator("main")).to_contain_text("That browser asks for your second step again.")
    sign_in_again()
    expect(page).to_have_url(re.compile("/login/totp"))
