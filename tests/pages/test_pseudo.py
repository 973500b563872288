"""A walk through the running application in a language that brackets each sentence: whatever stands outside was never translated (W-8).

The watch reads every page and every mail of each test. What may stand outside is data: names, addresses, times, and the words that the
settings give (support, applications, scopes).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response, request, template_rendered

from idp import clients, config, language, users, web
from idp.db import committing
from idp.joining import invitations
from tests.authn.signing_in import (
    NEW_PASSWORD,
    PASSWORD,
    Browser,
    browser,
    code_of,
    key_on,
    make_codes,
    make_person,
    new_secret,
)
from tests.conftest import CLAIMS_API
from tests.oauth.conftest import RelyingParty, basic
from tests.pages.pseudo import Pseudo, untranslated

SECRET, STAFF, OTHER = new_secret(), new_secret(), new_secret()
NAMES = (
    "idp",
    "English",
    "Español",
    "Alice",
    "Priya",
    "Sol",
    "Root",
    "Noor Ebele",
    "Ward Rounds",
    "My phone",
    "Service desk",
    "Authenticator app",
    "physician",
    "help_desk",
    "administrator",
)
SETTINGS = (
    "See claims and their status",
    "Release one payment",
)  # sentences of the settings: whoever runs it wrote them
ASKED = ("CLM-20428", "claim", "note", "urgent")  # what an application wrote in its request
TYPED = ("Phone stolen", "Staff card, her face", "Night shifts", "Not her voice", "nobody")
TIMES = r"\d{1,2} \w{3,4} \d{4}, \d{1,2}:\d\d( UTC| [A-Z]{3,4})?"
REDIRECTS = (302, 303, 307, 308)  # nobody sees their bodies
DATA = re.compile(
    "|".join(
        [
            *map(re.escape, (*NAMES, *SETTINGS, *ASKED, *TYPED)),
            TIMES,
            r"(https?://|mailto:)?[\w.@:/-]+\.(org|com)[/\w?=&.-]*",  # addresses
            r"http://localhost/\S*",
            r"(alice|priya|sol|root|noor)",
            r"([A-Z0-9]{4,5}-?)+(-[A-Z0-9]{3})?",  # codes and keys
            r"[A-Za-z_]+(/[A-Za-z_-]+)+",  # time zones
            r"(?=.*[a-z].*[A-Z])[\w-]{16}",  # the mark of a workstation
        ]
    )
)


@dataclass
class Watch:
    """What was shown while a test walked about, and what of it was never translated."""

    shown: set[str] = field(default_factory=set)
    found: dict[str, list[str]] = field(default_factory=dict)

    def read(self, place: str, source: str) -> None:
        if left := untranslated(source, DATA):
            self.found.setdefault(place, []).extend(left)

    def answer(self, response: Response) -> Response:
        if response.mimetype == "text/html" and response.status_code not in REDIRECTS:
            self.read(
                f"{request.method} {request.path}",
                response.get_data(as_text=True).replace(web.context().request_id, ""),
            )
        return response


@pytest.fixture
def watch(mailbox: Any) -> Iterator[Watch]:
    made = Watch()
    yield made
    for letter in mailbox():
        for part in (letter.subject, letter.body, letter.html):
            made.read(f"mail: {letter.subject}", part)
    assert {place: sorted(set(words)) for place, words in made.found.items()} == {}


@pytest.fixture
def app(make_app: Any, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The application on SQLite, with everything switched on that has pages, speaking the bracketed language."""
    catalog = Pseudo()
    monkeypatch.setattr(language, "_catalog", lambda tag: catalog)
    claims = config.Resource(
        identifier=CLAIMS_API,
        name="Claims",
        scopes={"claims.read": SETTINGS[0]},
        authorization_details={"payment_release": SETTINGS[1]},
    )
    built = make_app(
        sqlite_url,
        registration={"enabled": True},
        recovery={"cool_off_s": 0},
        accounts={"choose_username": True},
        factors={"trusted_device_s": 14 * 86400},
        resources=(claims,),
        policies=(config.RolePolicy(roles=("guest",), require_second=False),),
    )
    with built.app_context():
        yield built


@pytest.fixture(autouse=True)
def watched(app: Flask, watch: Watch) -> Iterator[Watch]:
    """Every page of the test is read."""
    app.after_request(watch.answer)

    def note(_: Flask, template: Any, **__: Any) -> None:
        watch.shown.add(template.name)

    with template_rendered.connected_to(note, app):
        yield watch


def visitor(app: Flask) -> Browser:
    here = browser(app)
    here.goals = ()
    here.client.environ_base["HTTP_ACCEPT"] = "text/html"
    here.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "es"
    here.client.environ_base["HTTP_USER_AGENT"] = (
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    )
    return here


def signed_in(app: Flask, username: str, secret: str, **fields: Any) -> Browser:
    make_person(username, secret=secret, **fields)
    return visitor(app).sign_in(username, secret=secret)


def link_in(letter: Any, path: str) -> str:
    found = re.search(r"http://localhost(" + re.escape(path) + r"\?token=[\w.-]+)", letter.body)
    assert found, letter.body
    return found[1]


def test_the_measure_itself() -> None:
    page = '<p title="Never"> ⟦Said ⟦in %s⟧ full⟧ bare words, 12 <b>alice</b></p><script>no words</script><i data-done="two words">⟦x⟧</i>'
    assert untranslated(page, DATA) == ["bare words, 12", "Never", "two words"]


def test_signing_in_wrong_locked_and_right(app: Flask, watch: Watch) -> None:
    make_codes(make_person(secret=SECRET))
    here = visitor(app).open()
    here.post(f"/login/password?flow={here.flow_id}", identifier="", password="")
    here.give_password("nobody").give_password(raw_password="wrong").give_password()
    assert here.place == "/login/totp", here.answer.text
    for code in ("", "000000", "abc"):
        here.post(f"/login/totp?flow={here.flow_id}", code=code)
    here.get(f"/login/passkey?flow={here.flow_id}")
    here.get(f"/login/recovery_code?flow={here.flow_id}").post(code="AAAA-BBBB-CCCC")
    for path in ("/login/totp?flow=gone", "/login/blocked?flow=gone", "/help", "/language?to=/help", "/login?first=1"):
        here.get(path)
    here.open()
    for _ in range(12):
        here.give_password(raw_password="wrong")
    assert "seconds" in here.answer.text or "minutes" in here.answer.text, here.answer.text
    assert {"login.html", "factor_totp.html", "factor_recovery_code.html", "help.html", "language.html"} <= watch.shown


def test_enrolling_and_a_new_password(app: Flask) -> None:
    make_person("alice")
    here = visitor(app).open().give_password()
    assert here.place == "/enrol", here.path
    here.get(f"/enrol/passkey?flow={here.flow_id}").get(f"/enrol/totp?flow={here.flow_id}")
    secret = key_on(here.answer.text)
    here.post(code="000000", label="My phone").post(code=code_of(secret), label="My phone")
    assert here.place == "/enrol/recovery-codes", here.path
    here.client.get(f"/enrol/recovery-codes/file?flow={here.flow_id}")
    here.post().post(saved="yes")
    assert here.place == "/", here.path
    here.get("/account/password")
    for present, new in (
        ("", ""),
        ("wrong", NEW_PASSWORD),
        (PASSWORD, "short"),
        (PASSWORD, "alice-alice-alice-A1"),
        (PASSWORD, NEW_PASSWORD),
    ):
        here.post(present_password=present, password=present, new_password=new)


def test_the_protocol_s_pages(app: Flask, client: Any) -> None:
    here = signed_in(app, "alice", SECRET)
    with committing():
        registered, raw_secret = clients.create(
            {
                "client_name": "Ward Rounds",
                "redirect_uris": ["https://rp.example.org/cb"],
                "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
                "scope": "openid profile email address phone provider offline_access claims.read",
                "resources": [CLAIMS_API],
                "authorization_details_types": ["payment_release"],
                "policy_uri": "https://rp.example.org/privacy",
                "post_logout_redirect_uris": ["https://rp.example.org/bye"],
            }
        )
    rp = RelyingParty(here.client, registered, raw_secret)
    details = json.dumps([{"type": "payment_release", "claim": "CLM-20428", "urgent": True, "note": None}])
    asked = rp.authorize(scope=" ".join(registered.scopes), authorization_details=details)
    assert asked.status_code == 303 and asked.location.startswith("/consent"), asked.get_data(as_text=True)
    here.get(asked.location).post(decision="").get(asked.location)
    here.post(follow=False, decision="allow")
    for wrong in (
        {"client_id": "nobody"},
        {"redirect_uri": "https://evil.example.com/"},
        {"client_id": None},
    ):
        assert rp.authorize(**wrong).status_code == 400
    again = rp.authorize(max_age="0", acr_values="urn:idp:acr:2fa")
    here.get(again.location)
    here.get(rp.authorize(prompt="select_account").location)
    rp.authorize(response_mode="form_post")
    started = here.client.post(
        "/device_authorization",
        data={"scope": "openid profile"},
        headers={"Authorization": basic(registered.client_id, raw_secret or "")},
    ).get_json()
    here.get("/device").post(user_code="").post(user_code="XXXX-XXXX")
    here.get(f"/device?user_code={started['user_code']}").post(user_code=started["user_code"])
    here.post(decision="allow")
    here.get(f"/end_session?client_id={registered.client_id}")
    here.get("/account/apps").post("/account/apps/revoke", client_id="none").get("/account/apps").post(
        "/account/apps/revoke", client_id=registered.client_id
    )
    here.get("/end_session").post()


def test_the_ways_back_in(app: Flask, mailbox: Any, travel: Any) -> None:
    user = make_person(secret=SECRET)
    raw_codes = make_codes(user)
    here = visitor(app).get("/recover/password").post(identifier="").post(identifier="alice")
    here.get("/recover/username").post(email="").post(email="nobody").post(email="alice@example.org")
    assert len(mailbox()) >= 2
    link = link_in(next(one for one in mailbox() if "/recover/password/new" in one.body), "/recover/password/new")
    here.get(link).post(new_password="short").post(new_password=NEW_PASSWORD)
    assert here.place == "/recover/password/done", here.path
    visitor(app).get("/recover/password/new?token=" + "x" * 43)
    here = visitor(app).open().give_password(raw_password=NEW_PASSWORD)
    here.get(f"/recover/factor?flow={here.flow_id}")
    here.post(way="recovery_code", code="").post(way="temporary", code="AAAAA-BBBBB-CCC").post(
        way="recovery_code", code="AAAA-BBBB-CCCC"
    )
    here.post(way="recovery_code", code=raw_codes[0], lost="yes")
    assert here.place.startswith("/enrol"), here.path
    here.get(f"/enrol/totp?flow={here.flow_id}")
    here.post(code=code_of(key_on(here.answer.text))).post(saved="yes")
    assert here.place in ("/", "/recover/review"), here.path


def test_joining(app: Flask, mailbox: Any, travel: Any, watch: Watch) -> None:
    root = signed_in(app, "root", STAFF, roles=("administrator",))
    here = visitor(app).get("/sign-up").post(email="noor@").post(email="noor@example.org")
    link = link_in(mailbox()[-1], "/sign-up/confirm")
    here.get(link).post(display_name="", note="x" * 2000).post(display_name="Noor Ebele", note="Night shifts")
    assert here.place == "/sign-up/waiting", here.path
    visitor(app).get(link)
    root.get("/admin/registrations")
    found = re.search(r'name="request" value="([^"]+)"', root.answer.text)
    assert found, root.answer.text
    root.post("/admin/registrations/deny", request=found[1], reason="").get("/admin/registrations")
    root.post("/admin/registrations/approve", request=found[1])
    link = link_in(mailbox()[-1], "/invitation")
    here = (
        visitor(app)
        .get(link)
        .post(username="a b", new_password="short")
        .post(username="noor", new_password=NEW_PASSWORD)
    )
    assert here.place.startswith("/enrol"), here.answer.text
    visitor(app).get(link)
    visitor(app).get("/sign-up").post(email="alice@example.org")
    with committing():
        late = users.create(username="late", display_name="Noor Ebele", emails=("late@example.org",), actor=None)
        invitations.invite(late, actor=None)
    travel(30 * 86400)
    here = visitor(app).get(link_in(mailbox()[-1], "/invitation"))
    assert here.answer.status_code == 200 and "/invitation/again" in here.answer.text
    here.post("/invitation/again")
    assert "invitation_sent.html" in watch.shown


def test_one_s_own_pages(app: Flask, mailbox: Any) -> None:
    here = signed_in(app, "alice", SECRET, roles=("physician",), npi="1234567893")
    for path in (
        "/",
        "/account/profile",
        "/account/security",
        "/account/emails",
        "/account/sessions",
        "/account/apps",
        "/account/activity",
        "/account/data",
    ):
        assert here.get(path).answer.status_code == 200, path
    here.get("/account/profile").post(
        birthdate="yesterday",
        website="x",
        phone="12",
        locale="??",
        zoneinfo="Moon",
        nickname="a\u202eb",
        gender="x" * 300,
    )
    here.get("/account/emails").post("/account/emails/add", email="maren@").post(
        "/account/emails/add", email="second@example.com"
    )
    here.get(link_in(mailbox()[-1], "/account/emails/confirm")).post("/account/emails/confirm")
    here.get("/account/emails/confirm?token=" + "x" * 43)
    here.get("/account/emails").post("/account/username", username="root").post("/account/username", username="a b")
    here.get("/account/security").post("/account/security/rename", id="none", label="")
    totp = re.search(r'name="id" value="([^"]+)"', here.get("/account/security").answer.text)
    assert totp
    here.post("/account/security/rename", id=totp[1], label="").post(
        "/account/security/rename", id=totp[1], label="My phone"
    )
    here.get(f"/account/security/remove?id={totp[1]}").post("/account/security/remove", id=totp[1])
    here.get("/account/security").post("/account/security/codes")
    here.get("/account/activity").post("/account/not-me").get("/account/not-me")
    here.get("/account/sessions").post("/account/sessions/end", sid="none")
    for wanted in ("?kind=apps", "?kind=moon", "?before=x"):
        here.get("/account/activity" + wanted)


def test_the_staff_s_pages(app: Flask, mailbox: Any) -> None:
    alice = make_person(npi="1234567893", secret=SECRET)
    priya = signed_in(app, "priya", STAFF, roles=("help_desk",))
    sol = signed_in(app, "sol", OTHER, roles=("help_desk", "administrator"))
    for path in (
        "/admin/",
        "/admin/people",
        "/admin/recovery",
        "/admin/recovery?show=closed",
        "/admin/policy",
        "/admin/workstation",
        "/admin/registrations",
    ):
        assert sol.get(path).answer.status_code == 200, path
    priya.get("/admin/policy")
    priya.get("/admin/people").post(text="").post(text="nobody").post(text="alice")
    case = f"/admin/people/{alice.sub}/recover"
    priya.get(case).post(reason="", proof="", proof_note="")
    priya.get(case).post(reason="Phone stolen", proof="video", proof_note="Staff card, her face", factors="remove")
    opened = priya.place
    assert opened.startswith("/admin/recovery/"), priya.answer.text
    priya.post(opened, action="approve").get(case)
    sol.get(opened).post(action="deny", reason="").get(opened).post(action="approve")
    priya.get(opened).post(action="issue")
    sol.get(opened).post(action="stop", reason="Not her voice")
    sol.get("/admin/recovery?show=closed").get(f"/admin/people/{alice.sub}")
    sol.get("/admin/workstation").post("/admin/workstation/mark").get("/").get("/workstation")
    sol.post("/workstation/lock")
    stop = link_in(next(one for one in mailbox() if "/recover/stop" in one.body), "/recover/stop")
    visitor(app).get(stop).post()
    visitor(app).get("/recover/stop?token=" + "x" * 43)
    visitor(app).sign_in("alice", secret=SECRET).get("/admin/")


def test_errors(app: Flask) -> None:
    here = signed_in(app, "alice", SECRET)
    assert here.get("/no/such/page").answer.status_code == 404
    assert here.get("/account/emails/add").answer.status_code == 405
    assert here.client.post("/account/emails/add", data={"csrf": "wrong"}).status_code in (400, 403)
    assert here.client.post(
        "/account/profile", data={"csrf": here.csrf(), "nickname": "x" * 3_000_000}
    ).status_code in (400, 413)
    assert here.client.get("/login?flow=a&flow=b").status_code in (200, 303, 400)
    assert here.client.post("/language", data={"csrf": here.csrf(), "language": "tlh"}).status_code in (400, 403)
