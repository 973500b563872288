"""OpenID Connect Session Management 1.0: off by default, and what it does where it is on (O-43)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Route

from idp.crypto import base64url
from tests.chromium import needs_chromium
from tests.conftest import ISSUER
from tests.oauth.conftest import SEALING_KEY
from tests.oauth.receiver import Receiver, listening

COOKIE = "idp_op_state"


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def setup(request):
    """Switched on, but for the tests that say otherwise."""
    on = "off_by_default" not in request.node.name
    return {"secrets": {"sealing_keys": (SEALING_KEY,)}, "oauth": {"session_management": on}}


def state_cookie(response) -> str | None:
    """The Set-Cookie header of the browser state."""
    lines = response.headers.getlist("Set-Cookie")
    return next((line for line in lines if line.split("=")[0].removeprefix("__Secure-") == COOKIE), None)


def value_of(cookie: str) -> str:
    return cookie.split(";")[0].partition("=")[2]


def expected(client_id: str, origin: str, state: str, salt: str) -> str:
    """The formula of section 3.2, with the hash that our frame uses."""
    return base64url(hashlib.sha256(f"{client_id} {origin} {state} {salt}".encode()).digest()) + f".{salt}"


def test_o43_off_by_default(rp, client, alice, sign_in_as):
    sign_in_as(alice)
    answer = rp.authorize()
    assert "session_state" not in answer.location and state_cookie(answer) is None
    assert "check_session_iframe" not in client.get("/.well-known/openid-configuration").get_json()
    assert client.get("/check_session").status_code == 404


def test_o43_discovery_names_the_frame(client):
    found = client.get("/.well-known/openid-configuration").get_json()["check_session_iframe"]
    assert found == f"{ISSUER}/check_session" and client.get("/check_session").status_code == 200


@pytest.mark.parametrize(
    ("redirect_uri", "origin"),
    [
        ("https://rp.example.org/cb", "https://rp.example.org"),
        ("https://rp.example.org:443/cb", "https://rp.example.org"),
        ("https://rp.example.org:8443/cb?x=1", "https://rp.example.org:8443"),
        ("http://[::1]:3000/cb", "http://[::1]:3000"),
    ],
)
def test_o43_session_state_binds_client_origin_and_browser_state(make_rp, alice, sign_in_as, redirect_uri, origin):
    sign_in_as(alice)
    rp = make_rp(redirect_uris=[redirect_uri])
    response = rp.authorize()
    told = rp.callback()["session_state"]
    state = value_of(state_cookie(response) or "")
    assert told == expected(rp.client.client_id, origin, state, told.partition(".")[2])
    assert " " not in told and told.isascii()
    assert rp.callback()["session_state"] != told, "a fresh salt each time"


def test_o43_a_form_post_answer_and_prompt_none_carry_it_and_an_error_does_not(rp, alice, sign_in_as, client):
    assert "session_state" not in rp.callback(prompt="none")
    sign_in_as(alice)
    assert "session_state" in rp.callback(prompt="none")
    assert "session_state" in rp.callback(response_mode="form_post")


def test_o43_a_native_app_has_no_origin_and_no_session_state(make_rp, alice, sign_in_as):
    sign_in_as(alice)
    app = make_rp(
        application_type="native",
        redirect_uris=["org.example.app:/cb"],
        token_endpoint_auth_method="none",
        first_party=False,
        scope="openid",
    )
    answer = app.authorize(scope="openid")
    assert "session_state" not in (answer.location or "")


def test_o43_the_cookie_goes_to_that_page_only_and_says_nothing(rp, client, alice, sign_in_as):
    session = sign_in_as(alice)
    cookie = state_cookie(rp.authorize()) or ""
    assert {"Path=/check_session", "Secure", "SameSite=None"} <= set(cookie.split("; "))
    assert "HttpOnly" not in cookie and "Domain" not in cookie
    assert session.sid not in cookie and alice.sub not in cookie
    assert value_of(state_cookie(rp.authorize()) or "") == value_of(cookie), "the same while the session lasts"


def test_o43_the_state_goes_with_the_session(rp, client, alice, sign_in_as):
    sign_in_as(alice)
    before = value_of(state_cookie(rp.authorize()) or "")
    hint = rp.sign_in().id_token
    gone = state_cookie(client.get(f"/end_session?id_token_hint={hint}")) or ""
    assert value_of(gone) == "" and "Max-Age=0" in gone and "Path=/check_session" in gone
    sign_in_as(alice)
    assert value_of(state_cookie(rp.authorize()) or "") != before


def test_o43_expiry_takes_the_state_too_when_the_browser_comes_back(rp, client, alice, sign_in_as, travel):
    sign_in_as(alice)
    rp.authorize()
    travel(901)
    assert value_of(state_cookie(client.get("/end_session")) or "x=y") == ""


def test_o43_only_this_page_may_be_framed_and_it_knows_nobody(client, alice, sign_in_as):
    page = client.get("/check_session")
    policy = page.headers["Content-Security-Policy"]
    assert "frame-ancestors https: http://localhost:*" in policy and "script-src 'self'" in policy
    assert "X-Frame-Options" not in page.headers
    sign_in_as(alice)
    assert client.get("/check_session").data == page.data
    for path in ("/signed-out", "/end_session"):
        other = client.get(path)
        assert "frame-ancestors 'none'" in other.headers["Content-Security-Policy"]
        assert other.headers["X-Frame-Options"] == "DENY"


def test_o43_in_production_no_plain_http_site_may_frame_it(make_app, sqlite_url):
    app = make_app(sqlite_url, mode="production", server={"issuer": "https://id.example.org"},
                   oauth={"session_management": True})  # fmt: skip
    page = app.test_client().get("/check_session", base_url="https://id.example.org")
    assert page.headers["Content-Security-Policy"].endswith("frame-ancestors https:")
    assert 'data-cookie="__Secure-idp_op_state"' in page.get_data(as_text=True)


# --- in Chromium --------------------------------------------------------------------------------------------------

ASKING = b"""<!doctype html><iframe src="http://localhost/check_session"></iframe><script>
const frame = document.querySelector("iframe");
window.ask = (message) => new Promise((resolve) => {
  addEventListener("message", (event) => resolve([event.origin, event.data]), { once: true });
  frame.contentWindow.postMessage(message, "http://localhost");
});
</script>"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(body=ASKING) as one:
        yield one


@pytest.fixture
def browser(chromium: Browser) -> Iterator[BrowserContext]:
    # a page that a test answers has no address of its own, and Chromium asks before it lets that look at loopback
    context = chromium.new_context(permissions=["local-network-access"])
    yield context
    context.close()


@needs_chromium
def test_o43_attack_84_the_frame_answers_whoever_asks_rightly_and_nobody_else(
    make_rp, client, alice, sign_in_as, receiver, browser
):
    sign_in_as(alice)
    here = receiver.origin.replace("127.0.0.1", "localhost")  # of our site: frames in others get no cookies
    rp = make_rp(redirect_uris=[f"{here}/cb"])
    state = value_of(state_cookie(rp.authorize()) or "")
    told, client_id = rp.callback()["session_state"], rp.client.client_id

    def answer(route: Route) -> None:
        found = client.get(route.request.url.removeprefix(ISSUER))
        headers = {name: value for name, value in found.headers.items() if name.lower() != "set-cookie"}
        route.fulfill(status=found.status_code, headers=headers, body=found.get_data())

    browser.route(f"{ISSUER}/**", answer)
    window = browser.new_page()
    window.goto(f"{here}/page")

    def ask(message: object) -> str:
        origin, said = window.evaluate("(message) => window.ask(message)", message)
        assert origin == ISSUER
        return str(said)

    assert ask(f"{client_id} {told}") == "changed", "no cookie, nobody is signed in"
    cookie = {"name": COOKIE, "value": state, "domain": urlsplit(ISSUER).hostname, "path": "/check_session"}
    browser.add_cookies([{**cookie, "secure": True, "sameSite": "None"}])  # type: ignore[list-item]
    assert ask(f"{client_id} {told}") == "unchanged"
    assert ask(f"other {told}") == "changed"
    salt = told.partition(".")[2]
    elsewhere = expected(client_id, "https://rp.example.org", state, salt)
    assert ask(f"{client_id} {elsewhere}") == "changed", "made for another origin"
    for junk in ("", "x", f"{client_id} nonsense", {"a": 1}, f"{client_id} {told} more", None):
        assert ask(junk) == "error"
