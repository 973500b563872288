"""openid-client registers itself, shows a code like a screen on a ward, and is let in from a browser (RFC 7591, RFC 8628)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.journeys.test_foreign_clients import HERE, Program, openid_client  # noqa: F401 — a fixture

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def device(openid_client: Path) -> Path:  # noqa: F811
    """The program beside the installed library."""
    return Path(shutil.copy(HERE / "openid-client" / "device.mjs", openid_client.parent))


def test_openid_client_registers_itself_and_is_let_in_from_a_browser(demo, phones, browser, device):
    made = demo.idp("client", "registration-token", "create", "--json")
    assert made.returncode == 0, made.stderr
    program = Program(device)
    shown = program.tell(issuer=demo.facts["issuer"], initial_access_token=json.loads(made.stdout)["token"])
    page = browser.open(shown["verification_uri_complete"])
    assert shown["user_code"] in page.text
    jonas = demo.person("jonas")
    page = browser.sign_in(browser.submit(page, "/device"), jonas, phones["jonas"])
    assert "Ward Screen" in page.words() and shown["user_code"] in page.words()
    assert "Device connected" in browser.submit(page, "/device/confirm", decision="allow").words()
    told = program.tell(go="on")
    assert told["userinfo"]["sub"] == told["claims"]["sub"] and told["rotated"] is True
    assert "registration.refused" not in demo.idp("audit", "tail").stdout
