"""Chromium: a forgotten username and a forgotten password come back by mail, and the second step is asked for as before (N-25)."""

from __future__ import annotations

import email
import email.policy
import re
from pathlib import Path

import bcrypt
import pytest
from playwright.sync_api import expect

from tests.chromium import needs_chromium
from tests.hall.test_mail import Server as MailServer
from tests.journeys.test_invitation_browser import mails, server, window  # noqa: F401  fixtures
from tests.journeys.test_lost_phone_browser import code, read_key
from tests.journeys.test_passkey_browser import PASSWORD, Window
from tests.ops.test_server import until
from tests.serving import Server

pytestmark = [pytest.mark.xdist_group("journey"), needs_chromium]
ADDRESS = "mara@example.org"
NEW = "Harbor-Lamp-77-Violin"
LINK = re.compile(r"http://localhost:\d+/\S+token=\S+")


@pytest.fixture
def mara(server: Server, tmp_path: Path) -> str:  # noqa: F811
    """Somebody with an assigned name and a verified address."""
    people = tmp_path / "people.csv"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    people.write_text(
        f"username,display_name,email,email_verified,password_hash\nrn-20417,Mara,{ADDRESS},true,{hashed}\n"
    )
    made = server.idp("user", "import", str(people))
    assert made.exit_code == 0, made.output
    return "rn-20417"


def read_mail(kept: MailServer, subject: str) -> str:
    """The text of the mail with this subject, once it is there."""

    def found() -> list[str]:
        parsed = [email.message_from_bytes(content, policy=email.policy.default) for _, content in kept.got]
        return [one.get_body(("plain",)).get_content() for one in parsed if subject in one["Subject"]]  # type: ignore[union-attr]

    until(lambda: bool(found()), within_s=90)
    return found()[-1]


def test_forgotten_username_and_password_with_a_second_step(window: Window, mara: str, mails: MailServer) -> None:  # noqa: F811
    page = window.page
    window.give_password(mara)
    page.get_by_role("link", name="Set up an app").click()
    secret = read_key(page)
    page.get_by_label("Code from the app").fill(code(secret))
    page.get_by_role("button", name="Confirm and continue").click()
    window.save_codes()
    window.is_in("mara")
    window.sign_out()

    page.goto(f"{window.url}/recover/username")
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.get_by_role("button", name="Send my username").click()
    window.fits()
    assert mara in read_mail(mails, "Your username")

    page.goto(f"{window.url}/recover/password")
    page.get_by_label("Username").fill(mara)
    page.get_by_role("button", name="Send me a link").click()
    window.fits()
    link = LINK.search(read_mail(mails, "Choose a new password"))
    assert link is not None
    page.goto(link[0])
    assert "token" not in page.url, "moved out of the address"
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_role("button", name="Save new password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your password is changed")
    window.fits()

    page.goto(f"{window.url}/login")
    page.get_by_label("Username or e-mail").fill(mara)
    page.get_by_label("Password", exact=True).fill(NEW)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Code from your authenticator app").fill(code(secret, steps=1))
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/recover/review"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Was it you?")
