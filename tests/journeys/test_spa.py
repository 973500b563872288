"""A single-page application signs in from a real browser with oidc-client-ts: a public client, PKCE, CORS and silent renewal."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import needs_chromium
from tests.journeys.test_foreign_clients import HERE, register
from tests.journeys.test_story_browser import sign_in

pytestmark = [pytest.mark.xdist_group("demo"), needs_chromium]


class Files(SimpleHTTPRequestHandler):
    """A web server with nothing but files, and the narrowest content policy with which the library works."""

    def __init__(self, *arguments: Any, issuer: str, **named: Any) -> None:
        self.issuer = issuer
        super().__init__(*arguments, **named)

    def end_headers(self) -> None:
        self.send_header(
            "Content-Security-Policy",
            f"default-src 'none'; script-src 'self'; img-src data:; connect-src 'self' {self.issuer}; "
            f"frame-src 'self' {self.issuer}; frame-ancestors 'self'",
        )
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application with its library, outside the checkout."""
    if not shutil.which("npm"):
        pytest.skip("npm is missing: oidc-client-ts was not tried")
    folder = tmp_path_factory.mktemp("spa") / "files"
    shutil.copytree(HERE / "spa", folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        pytest.skip(f"oidc-client-ts could not be installed: {done.stderr[-300:]}")
    return folder


@pytest.fixture
def serve(demo, installed: Path) -> Iterator[Callable[..., str]]:
    """Start the application as a public client with this metadata; tells its address."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Files, directory=str(installed), issuer=demo.facts["issuer"])
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://localhost:{server.server_port}/"

    def start(**metadata: Any) -> str:
        client = register(
            demo,
            client_name="Ward Board",
            redirect_uris=[address],
            post_logout_redirect_uris=[address],
            token_endpoint_auth_method="none",
            **metadata,
        )
        assert "client_secret" not in client
        settings = {key: client[key] for key in ("client_id", "scope")} | {"authority": demo.facts["issuer"]}
        (installed / "settings.json").write_text(json.dumps(settings))
        return address

    yield start
    server.shutdown()
    server.server_close()


@pytest.fixture
def window(chromium) -> Iterator[Page]:
    """A fresh browser profile."""
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def shown(page: Page, sentence: str) -> dict[str, Any]:
    """Wait for what the application says, and read the details below it."""
    expect(page.get_by_role("status")).to_have_text(sentence)
    return json.loads(page.locator("pre").inner_text() or "{}")


def leave_for_the_provider(page: Page, address: str, person: dict[str, Any], phone: Any) -> None:
    """From the application's button through the provider's questions."""
    page.goto(address)
    shown(page, "Nobody is signed in")
    press(page, "Sign in")
    sign_in(page, person, phone)


def test_a_single_page_application_renews_with_a_refresh_token(demo, phones, window, serve):
    address = serve(grant_types=["authorization_code", "refresh_token"], scope="openid profile email offline_access")
    edda = demo.person("edda")
    leave_for_the_provider(window, address, edda, phones["edda"])
    expect(window.get_by_role("heading", level=1)).to_have_text("Allow Ward Board?")
    window.get_by_role("button", name="Allow").click()

    first = shown(window, "Signed in")
    assert window.url == address
    assert first["profile"]["email"] == edda["email"], "UserInfo was not read through CORS"
    assert first["has_refresh_token"] is True
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    press(window, "Renew")
    second = shown(window, "Renewed")
    assert second["access_token"] != first["access_token"]
    assert second["profile"]["sub"] == first["profile"]["sub"]
    assert not [url for url in asked if "/authorize" in url], "a frame was used although there is a refresh token"

    press(window, "Sign out")
    shown(window, "Signed out")
    assert window.url == address
    asked.clear()
    press(window, "Renew")
    assert shown(window, "Refused: login_required") == {}
    assert [url for url in asked if "prompt=none" in url]


def test_a_single_page_application_asks_in_a_hidden_frame_and_is_answered(demo, phones, window, serve):
    """Without a refresh token the library asks with prompt=none, and reads the answer off the frame that came back.

    The answer is no: any program can listen at a loopback port, so that no earlier yes counts there (RFC 8252 section 8.6). But it
    is another no than to a browser that the provider does not know, so the frame was let in and its cookie was seen.
    """
    address = serve(grant_types=["authorization_code"], scope="openid profile")
    leave_for_the_provider(window, address, demo.person("jonas"), phones["jonas"])
    window.get_by_role("button", name="Allow").click()
    assert shown(window, "Signed in")["has_refresh_token"] is False
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))

    press(window, "Renew")
    assert shown(window, "Refused: consent_required") == {}
    assert [url for url in asked if "prompt=none" in url], "no frame was used"

    window.context.clear_cookies()
    press(window, "Renew")
    assert shown(window, "Refused: login_required") == {}
