"""From an invitation to a passkey, in a real browser: the mail, a password, a passkey, recovery codes, and next time no password."""

from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Browser, expect

from tests.chromium import needs_chromium
from tests.hall.test_mail import Server as MailServer
from tests.journeys.test_passkey_browser import PASSWORD, Window
from tests.serving import Server, free_port, write_config

pytestmark = [pytest.mark.xdist_group("journey"), needs_chromium]


@pytest.fixture
def mails() -> Iterator[MailServer]:
    """A mail server that keeps what it is given."""
    kept, port = MailServer(), free_port()
    controller = Controller(kept, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    kept.port = port  # type: ignore[attr-defined]
    yield kept
    controller.stop()


@pytest.fixture
def server(migrated_sqlite: Path, kv_url: str, tmp_path: Path, mails: MailServer) -> Iterator[Server]:
    """An installation that sends its mail there."""
    shutil.copy(migrated_sqlite, tmp_path / "idp.db")
    file = write_config(
        tmp_path,
        database_url=f"sqlite:///{tmp_path / 'idp.db'}",
        redis_url=kv_url,
        port=free_port(),
        server={"workers": 1},
        factors={"require_second": True},
        mail={"smtp_host": "127.0.0.1", "smtp_port": mails.port, "smtp_tls": "none"},  # type: ignore[attr-defined]
    )
    served = Server(file)
    yield served.start()
    served.stop()


@pytest.fixture
def window(chromium: Browser, server: Server) -> Iterator[Window]:
    made = Window(chromium, server, width=320)
    yield made
    made.context.close()


def test_from_the_mail_to_a_sign_in_without_a_password(
    server: Server, window: Window, mails: MailServer, tmp_path: Path
) -> None:
    door = f"{server.url}/help"  # stands in for the application's own first page
    claims = {"client_name": "Claims", "client_uri": door, "redirect_uris": ["https://claims.example.org/cb"]}
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    made = server.idp("client", "create", "--from-json", str(tmp_path / "claims.json"), "--json")
    assert made.exit_code == 0, made.output
    client_id = json.loads(made.stdout)["client_id"]
    invited = server.idp("user", "create", "noor@example.org", "--name", "Noor", "--invite", "--client", client_id)
    assert invited.exit_code == 0, invited.output
    window.plug_in()
    window.page.goto(link_in(window, mails))
    expect(window.page).to_have_url(f"{server.url}/invitation")  # attack 80: the token is out of the address
    expect(window.page.get_by_role("heading", level=1)).to_have_text("Welcome, Noor")
    window.fits()
    window.page.get_by_label("New password", exact=True).fill(PASSWORD)
    window.page.get_by_role("button", name="Continue").click()
    window.page.get_by_role("link", name="Set up a passkey").click()
    window.page.get_by_role("button", name="Create the passkey").click()
    window.save_codes()
    expect(window.page).to_have_url(door)
    window.sign_out()
    with window.page.expect_request(re.compile("/login/passkey/sign-in")):
        window.page.goto(f"{server.url}/login")  # the list of names offers the passkey, and there is but one
    window.is_in("noor")
    assert window.complaints == []


def link_in(window: Window, mails: MailServer) -> str:
    """Wait for the mail; return the link of its text."""
    for _ in range(900):
        if mails.got:
            break
        window.page.wait_for_timeout(100)
    recipients, raw = mails.got[-1]
    assert recipients == ["noor@example.org"]
    body = email.message_from_bytes(raw, policy=email.policy.default).get_body(("plain",))
    found = re.search(r"http://localhost:\d+/invitation\?token=[\w-]{43}", body.get_content() if body else "")
    assert found, raw
    return found[0]
