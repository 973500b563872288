"""A browser without JavaScript, and people to sign in: what the tests of this room share."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from idp import authn, clock, users
from idp.authn import Demand
from idp.authn.factors import password, recovery_code, totp
from idp.db import db
from idp.users import User

PASSWORD = "Correct-Horse-42-Battery"
NEW_PASSWORD = "Another-Lantern-77-Window"
CODE = re.compile(
    r"(?<![\w-])[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{3}(?![\w-])"
)  # a whole one: a token may hold its like by chance
_KEY = re.compile(r'<code class="secret"[^>]*>(.*?)</code>', re.DOTALL)
_GROUP = re.compile(r"<span[^>]*>([A-Z2-7]{4})</span>")
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def add_demand_view(app: Flask, **demand: Any) -> None:
    """Add `/t/demand`, which demands a sign-in that returns to `/t/goal`."""

    def view() -> Any:
        return authn.demand(Demand(return_to="/t/goal", **{"asked_at": clock.now(), **demand}))

    app.add_url_rule("/t/demand", "t_demand", view)


def make_person(
    username: str = "alice", *, raw_password: str | None = PASSWORD, secret: str | None = None, **fields: Any
) -> User:
    """Create a person with a password and, if a secret is given, an authenticator app. Commits."""
    user = users.create(
        username=username,
        display_name=username.title(),
        emails=fields.pop("emails", (f"{username}@example.org",)),
        email_verified=True,
        **fields,
    )
    if raw_password:
        password.set_password(user, raw_password, actor=user.sub)
    if secret:
        totp.bind(user, secret, actor=None)
    db.session.commit()
    return user


def make_codes(user: User) -> list[str]:
    """Give a person recovery codes. Commits."""
    raw_codes = recovery_code.issue(user)
    db.session.commit()
    return raw_codes


def code_of(secret: str, *, steps: int = 0) -> str:
    """The code that an app with this secret shows, now or some steps from now."""
    return totp.code_at(secret, clock.epoch() // totp.STEP_S + steps)


def new_secret() -> str:
    return pyotp.random_base32()


def key_on(page: str) -> str:
    """The key of an authenticator app, where the page shows it: anywhere else, four such signs may stand by chance."""
    shown = _KEY.search(page)
    assert shown, "the page shows no key"
    return "".join(_GROUP.findall(shown[1]))


@dataclass
class Browser:
    """Follows redirects inside the provider and fills forms with their CSRF token."""

    client: FlaskClient
    goals: tuple[str, ...] = ("/t/goal", "/")
    answer: TestResponse = field(init=False)
    path: str = ""

    def get(self, path: str, **options: Any) -> Browser:
        self.path, self.answer = path, self.client.get(path, **options)
        return self._follow()

    def post(self, path: str | None = None, *, follow: bool = True, **fields: str) -> Browser:
        target = path or self.path
        data = {"csrf": self.csrf(), **fields}
        self.path, self.answer = target, self.client.post(target, data=data)
        return self._follow() if follow else self

    def _follow(self) -> Browser:
        for _ in range(8):
            location = self.answer.headers.get("Location")
            if location is None:
                break
            assert self.answer.status_code == 303 or self.answer.request.method == "GET", "F-10"
            self.path = location
            if urlsplit(location).path in self.goals:
                break
            self.answer = self.client.get(location)
        return self

    def csrf(self) -> str:
        found = _CSRF.search(self.answer.text)
        return html.unescape(found[1]) if found else ""

    @property
    def flow_id(self) -> str:
        return parse_qs(urlsplit(self.path).query).get("flow", [""])[0]

    @property
    def place(self) -> str:
        return urlsplit(self.path).path

    def open(self) -> Browser:
        """Open the sign-in page."""
        return self.get("/login")

    def give_password(self, username: str = "alice", raw_password: str = PASSWORD) -> Browser:
        return self.post(f"/login/password?flow={self.flow_id}", identifier=username, password=raw_password)

    def sign_in(self, username: str = "alice", *, secret: str | None = None, code: str | None = None) -> Browser:
        """Sign in with a password and, if a secret is given, the code of its app."""
        self.open().give_password(username)
        return self.post(code=code or code_of(secret)) if secret else self

    def choose_app(self) -> Browser:
        """Take the authenticator app where a passkey is offered too."""
        assert self.place == "/enrol", self.path
        return self.get(f"/enrol/totp?flow={self.flow_id}")

    @property
    def secret(self) -> str:
        """The value of the session cookie."""
        cookie = self.client.get_cookie("idp_sso")
        return cookie.value if cookie else ""


def browser(app: Flask) -> Browser:
    return Browser(app.test_client())
