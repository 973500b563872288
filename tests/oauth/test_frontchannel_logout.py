"""OpenID Connect Front-Channel Logout 1.0: applications that hear of a sign-out in the person's browser (O-38, O-42)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Route

from idp import clients
from tests.chromium import needs_chromium
from tests.conftest import ISSUER
from tests.oauth.conftest import csrf_in
from tests.oauth.receiver import Receiver, listening

BYE = "https://rp.example.org/bye"
FRONT = "https://rp.example.org/front?from=idp"


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


def frames_in(response) -> list[str]:
    page = response.get_data(as_text=True)
    return [html.unescape(found) for found in re.findall(r'<iframe src="([^"]+)"', page)]


def sign_out(client, answer, **params):
    return client.get(f"/end_session?{urlencode({'id_token_hint': answer.id_token} | params)}")


def test_o38_discovery_says_so(client):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["frontchannel_logout_supported"] is True
    assert document["frontchannel_logout_session_supported"] is True


def test_o42_each_application_is_opened_with_iss_and_sid(make_rp, client, alice, sign_in_as):
    session = sign_in_as(alice)
    first = make_rp(frontchannel_logout_uri=FRONT, frontchannel_logout_session_required=True)
    second = make_rp(
        client_name="Second",
        redirect_uris=["https://second.example.org/cb"],
        frontchannel_logout_uri="https://second.example.org/out",
    )
    make_rp(client_name="Took no part", frontchannel_logout_uri="https://rp.example.org/never").client  # noqa: B018
    second.sign_in()
    page = sign_out(client, first.sign_in(), post_logout_redirect_uri=BYE, state="a&b")
    assert page.status_code == 200
    opened = [urlsplit(frame) for frame in frames_in(page)]
    assert sorted(parts.netloc + parts.path for parts in opened) == ["rp.example.org/front", "second.example.org/out"]
    for parts in opened:
        said = parse_qs(parts.query)
        assert (said.pop("iss"), said.pop("sid")) == ([ISSUER], [session.sid])
        assert said in ({}, {"from": ["idp"]}), "the query that was registered stays, and nothing else is added"
    assert first.callback(prompt="none")["error"] == "login_required"


def test_o42_the_page_may_frame_those_origins_only_and_is_framed_by_nobody(make_rp, client, alice, sign_in_as):
    sign_in_as(alice)
    page = sign_out(client, make_rp(frontchannel_logout_uri=FRONT).sign_in())
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["frame-src"] == "https://rp.example.org"
    assert policy["frame-ancestors"] == "'none'" and policy["script-src"] == "'self'"
    assert "frame-src" not in client.get("/signed-out").headers["Content-Security-Policy"]
    assert 'sandbox="allow-scripts allow-same-origin"' in page.get_data(as_text=True), "it cannot take the window away"


def test_o42_o34_the_way_back_is_a_link_that_needs_no_script(make_rp, client, alice, sign_in_as):
    sign_in_as(alice)
    answer = make_rp(frontchannel_logout_uri=FRONT).sign_in()
    page = sign_out(client, answer, post_logout_redirect_uri=BYE, state="s 1").get_data(as_text=True)
    assert f'<a class="button" href="{BYE}?state=s+1" data-onward>Back to Claims</a>' in page


def test_o35_o42_without_a_way_back_the_page_stays(make_rp, client, alice, sign_in_as):
    sign_in_as(alice)
    page = sign_out(client, make_rp(frontchannel_logout_uri=FRONT).sign_in())
    assert frames_in(page) and "data-onward" not in page.get_data(as_text=True)


def test_o42_o37_who_was_asked_and_said_yes_tells_the_applications_too(make_rp, client, alice, sign_in_as):
    sign_in_as(alice)
    make_rp(frontchannel_logout_uri=FRONT).sign_in()
    form = {"csrf": csrf_in(client.get("/end_session")), "decision": "sign_out"}
    assert len(frames_in(client.post("/end_session", data=form))) == 1


def test_o42_where_nobody_wants_it_the_browser_goes_straight_on(rp, client, alice, sign_in_as):
    sign_in_as(alice)
    assert sign_out(client, rp.sign_in(), post_logout_redirect_uri=BYE).location == BYE


def test_o42_a_second_sign_out_opens_nothing(make_rp, client, alice, sign_in_as):
    sign_in_as(alice)
    answer = make_rp(frontchannel_logout_uri=FRONT).sign_in()
    sign_out(client, answer)
    assert sign_out(client, answer, post_logout_redirect_uri=BYE).location == BYE


@pytest.mark.parametrize(
    "uri",
    [
        "https://other.example.org/front",
        "https://rp.example.org:8443/front",
        "http://rp.example.org/front",
        "https://rp.example.org/front#x",
        "https://rp.example.org.evil.example.com/front",
        "javascript:alert(1)",
        "https://rp.example.org:99999/",
    ],
)
def test_o42_only_an_address_of_the_application_itself_is_registered(app, make_rp, uri):
    with pytest.raises(clients.InvalidMetadata) as refused:
        make_rp(frontchannel_logout_uri=uri)
    assert "frontchannel_logout_uri" in refused.value.fields


def test_o42_the_port_may_be_said_or_left_out(app, make_rp):
    assert make_rp(frontchannel_logout_uri="https://rp.example.org:443/front").client.frontchannel_logout_uri


# --- in Chromium, with an application that listens on loopback -----------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(body=b"<p>signed out here</p>") as one:
        yield one


@pytest.fixture
def browser(chromium: Browser) -> Iterator[BrowserContext]:
    # a page that a test answers has no address of its own, and Chromium asks before it lets that look at loopback
    context = chromium.new_context(permissions=["local-network-access"])
    yield context
    context.close()


def through(client):
    """Answer the browser's requests to the provider by the test client."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ISSUER)
        told = client.get(path)
        headers = {name: value for name, value in told.headers.items() if name.lower() != "set-cookie"}
        route.fulfill(status=told.status_code, headers=headers, body=told.get_data())

    return answer


@needs_chromium
@pytest.mark.parametrize("slow", [False, True], ids=["answers", "hangs"])
def test_o42_chromium_opens_the_frames_and_goes_on(make_rp, client, alice, sign_in_as, receiver, browser, slow):
    receiver.delay_s = 60.0 if slow else 0.0
    sign_in_as(alice)
    rp = make_rp(
        redirect_uris=[f"{receiver.origin}/cb"],
        post_logout_redirect_uris=["http://localhost:1/bye"],
        frontchannel_logout_uri=f"{receiver.origin}/front",
    )
    hint = rp.sign_in().id_token
    window = browser.new_page()
    browser.route(f"{ISSUER}/**", through(client))
    browser.route("http://localhost:1/**", lambda route: route.fulfill(body="<p>bye</p>", content_type="text/html"))
    window.clock.install()
    window.clock.pause_at(window.evaluate("Date.now()") + 1000)  # the three seconds are over when the test says so
    query = urlencode({"id_token_hint": hint, "post_logout_redirect_uri": "http://localhost:1/bye", "state": "x"})
    window.goto(f"{ISSUER}/end_session?{query}", wait_until="commit")
    if slow:
        for _ in range(3000):
            if receiver.visits:
                break
            window.wait_for_timeout(20)
        assert window.url.startswith(ISSUER)
        window.clock.run_for(3000)
    window.wait_for_url("http://localhost:1/bye?state=x", timeout=30_000)
    assert [urlsplit(path).path for path in receiver.visits] == ["/front"]
    assert set(parse_qs(urlsplit(receiver.visits[0]).query)) == {"iss", "sid"}
