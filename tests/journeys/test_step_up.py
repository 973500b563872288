"""«Release payment» in the claims service: an old proof is not enough, the provider says why it asks, and one payment leaves once."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from idp import embedded
from tests.chromium import needs_chromium
from tests.journeys.test_story_browser import fits, sign_in
from tests.journeys.wire import RunningDemo

pytestmark = pytest.mark.xdist_group("demo")

OLD_S = 400


def let_time_pass(demo: RunningDemo, username: str) -> None:
    """Make the last proof of a person older than the five minutes that a release allows."""
    store = redis.Redis.from_url(embedded.url_for(demo.var / "valkey"), decode_responses=True)
    told = demo.idp("--json", "user", "show", username)
    sub = json.loads(told.stdout)["sub"]
    aged = 0
    for key in store.scan_iter("*sso:s:*"):
        if store.hget(key, "sub") == sub:
            store.hset(key, "auth_time", f"{time.time() - OLD_S:.6f}")
            aged += 1
    assert aged
    store.close()


def events_of(demo: RunningDemo, username: str) -> list[dict]:
    told = demo.idp("--json", "audit", "tail", "--user", username, "-n", "500")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_an_old_proof_is_asked_for_again_with_the_reason_and_the_payment_leaves_once(demo, phones, browser):
    ilona, home = demo.person("ilona"), demo.facts["claims_url"]
    browser.sign_in(browser.open(home), ilona, phones["ilona"])
    let_time_pass(demo, ilona["username"])
    claim = browser.open(f"{home}/claims/CLM-20414")
    asked = browser.submit(claim, "/release")
    assert urlsplit(asked.url).path == "/login" and asked.url.startswith(demo.facts["issuer"])
    said = asked.words()
    assert "Why am I asked again?" in said and "Claims service needs a proof of the last 5 minutes" in said
    assert "Release one payment" in said and "claim: CLM-20414" in said and "amount: 157.50 USD" in said
    assert ilona["username"] in said

    done = browser.sign_in(asked, ilona, phones["ilona"])
    assert done.url.startswith(f"{home}/claims/CLM-20414?done=")
    assert "The payment of $157.50 has been released." in done.text and "Who released this payment" in done.text
    assert "has been released" not in browser.open(done.url).text, "said once"
    assert browser.open(f"{home}/claims/CLM-20414").text.count("/release") == 0, "nothing left to release"

    told = [event["event"] for event in events_of(demo, ilona["username"])]
    walked = iter(told[len(told) - 1 - told[::-1].index("step_up.required") :])
    wanted = ("password.verified", "factor.verified", "session.renewed", "login.succeeded", "authorization.granted")
    assert all(event in walked for event in wanted), told


CLAIM_OF = {"desktop": "CLM-20424", "phone": "CLM-20416", "no JavaScript": "CLM-20409"}  # each window pays its own


@pytest.fixture(params=["desktop", "phone", "no JavaScript"])
def window(request: pytest.FixtureRequest, chromium: Chromium) -> Iterator[Page]:
    context = chromium.new_context(
        viewport={"width": 320, "height": 640} if request.param == "phone" else {"width": 1280, "height": 800},
        java_script_enabled=request.param != "no JavaScript",
        color_scheme="dark" if request.param == "phone" else "light",
    )
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@needs_chromium
def test_whoever_is_asked_again_in_a_browser_reads_why_and_may_turn_back(demo, phones, window, request):
    marisol, home = demo.person("marisol"), demo.facts["claims_url"]
    claim = CLAIM_OF[request.node.callspec.params["window"]]
    window.goto(home)
    sign_in(window, marisol, phones["marisol"])
    expect(window).to_have_url(f"{home}/dashboard")
    let_time_pass(demo, marisol["username"])

    window.goto(f"{home}/claims/{claim}")
    window.get_by_role("button", name=re.compile("Release")).click()
    expect(window.get_by_role("heading", name="Why am I asked again?")).to_be_visible()
    expect(window.get_by_text(f"claim: {claim}")).to_be_visible()
    expect(window.get_by_label("Username or e-mail")).to_have_value(marisol["username"])
    fits(window)
    window.goto(f"{home}/claims/{claim}")  # turning back: nothing happened
    expect(window.get_by_text("Payment released")).to_have_count(0)

    window.get_by_role("button", name=re.compile("Release")).click()
    window.get_by_label("Password", exact=True).fill(marisol["password"])
    window.get_by_role("button", name="Sign in", exact=True).click()
    expect(window.get_by_role("heading", name="Why am I asked again?")).to_be_visible()
    window.get_by_label("Code from your authenticator app").fill(phones["marisol"].code())
    window.get_by_role("button", name="Continue").click()
    expect(window.get_by_role("status").filter(has_text="has been released.")).to_be_visible()
    fits(window)
