"""A relying party over the Flask test client, and people who are signed in without the pages of authn."""

from __future__ import annotations

import base64
import contextvars
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask, Response
from flask.testing import FlaskClient

import idp
from idp import clients, clock, keys, sessions, users
from idp.clients import Client
from idp.db import committing, db
from idp.keys.model import SIGNING_KEYS
from idp.users import User
from tests.conftest import ISSUER, fresh_key, make_settings

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT_URI = "https://rp.example.org/cb"


def claims_of(jwt: str) -> dict[str, Any]:
    """The payload of a JWT, unverified."""
    return dict(json.loads(_decoded(jwt.split(".")[1])))


def header_of(jwt: str) -> dict[str, Any]:
    """The header of a JWT."""
    return dict(json.loads(_decoded(jwt.split(".")[0])))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@dataclass
class Answer:
    """What came back from /token: the fields of the JSON by name, None for what is not there."""

    response: Any

    def __getattr__(self, name: str) -> Any:
        return (self.response.get_json(silent=True) or {}).get(name)

    @property
    def status(self) -> int:
        return int(self.response.status_code)


@dataclass
class RelyingParty:
    """A registered client and what it does."""

    http: FlaskClient
    client: Client
    raw_secret: str | None
    redirect_uri: str = REDIRECT_URI
    defaults: dict[str, str] = field(default_factory=dict)

    def params(self, **changes: Any) -> dict[str, Any]:
        """The parameters of a good authorization request; None takes one away."""
        good = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile email",
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (good | self.defaults | changes).items() if value is not None}

    def authorize(self, **changes: Any) -> Any:
        """GET /authorize; redirects are not followed."""
        return self.http.get(f"/authorize?{urlencode(self.params(**changes), doseq=True)}")

    def callback(self, **changes: Any) -> dict[str, str]:
        """The parameters that arrived at the redirect URI."""
        return answer_in(self.authorize(**changes), self.redirect_uri)

    def code(self, **changes: Any) -> str:
        """A fresh code of whoever is signed in."""
        return self.callback(**changes)["code"]

    def token(self, *, auth: str = "basic", headers: dict[str, str] | None = None, **form: Any) -> Answer:
        """POST /token, authenticated as registered."""
        form = {name: value for name, value in form.items() if value is not None}
        headers = dict(headers or {})
        if self.raw_secret is None:
            form.setdefault("client_id", self.client.client_id)
        elif auth == "basic":
            headers.setdefault("Authorization", basic(self.client.client_id, self.raw_secret))
        elif auth == "post":
            form |= {"client_id": self.client.client_id, "client_secret": self.raw_secret}
        return Answer(self.http.post("/token", data=form, headers=headers))

    def redeem(self, code: str, **changes: Any) -> Answer:
        """Redeem a code."""
        good = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": VERIFIER,
        }
        return self.token(**(good | changes))

    def sign_in(self, **changes: Any) -> Answer:
        """The whole code flow of whoever is signed in on this browser."""
        answer = self.redeem(self.code(**changes))
        assert answer.status == 200, answer.response.get_data(as_text=True)
        return answer

    def refresh(self, refresh_token: str, **changes: Any) -> Answer:
        """Use a refresh token."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def userinfo(self, access_token: str, **kwargs: Any) -> Any:
        """GET /userinfo with a bearer token."""
        return self.http.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"}, **kwargs)

    def introspect(self, token: str, **form: Any) -> Any:
        """POST /introspect."""
        headers = {"Authorization": basic(self.client.client_id, self.raw_secret or "")}
        return self.http.post("/introspect", data={"token": token, **form}, headers=headers)

    def revoke(self, token: str, **form: Any) -> Any:
        """POST /revoke."""
        headers = {"Authorization": basic(self.client.client_id, self.raw_secret or "")}
        return self.http.post("/revoke", data={"token": token, **form}, headers=headers)


def basic(client_id: str, raw_secret: str) -> str:
    """An Authorization header (both halves form-urlencoded, RFC 6749 section 2.3.1)."""
    pair = urlencode({client_id: raw_secret}).replace("=", ":", 1)
    return "Basic " + base64.b64encode(pair.encode()).decode()


def answer_in(response: Any, redirect_uri: str = REDIRECT_URI) -> dict[str, str]:
    """Read the authorization response out of a redirect or a form_post page."""
    if response.status_code == 200:
        page = response.get_data(as_text=True)
        assert f'action="{redirect_uri}"' in page
        return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    assert response.status_code == 303, response.get_data(as_text=True)
    assert response.location.startswith(redirect_uri), response.location
    assert not urlsplit(response.location).fragment
    return dict(parse_qsl(urlsplit(response.location).query, keep_blank_values=True))


def csrf_in(response: Any) -> str:
    """The CSRF token of a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', response.get_data(as_text=True))
    assert found, response.get_data(as_text=True)
    return found[1]


SEALING_KEY = fresh_key("oauth")  # one for all tests here, so that keys that were made once open everywhere


@pytest.fixture
def setup() -> dict[str, Any]:
    """Settings of these tests; a module that overrides this keeps `secrets`."""
    return {"secrets": {"sealing_keys": (SEALING_KEY,)}}


@pytest.fixture(scope="session")
def signing_keys(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Rows of real signing keys, made once: an RSA key takes a second."""
    return make_signing_keys(migrated_sqlite, kv_url, tmp_path_factory.mktemp("signing-keys"))


def make_signing_keys(
    migrated_sqlite: Path, kv_url: str, folder: Path, *, algs: tuple[str, ...] = ("ES256", "RS256")
) -> list[dict[str, Any]]:
    """Make keys of these algorithms, and return their rows."""
    shutil.copy(migrated_sqlite, folder / "keys.db")
    settings = make_settings(
        database_url=f"sqlite:///{folder / 'keys.db'}",
        redis_url=kv_url,
        prefix="signing-keys:",
        folder=folder,
        secrets={"sealing_keys": (SEALING_KEY,)},
        oauth={"signing_algs": algs},
    )
    app = idp.create_app(settings)
    with app.app_context():
        with committing():
            keys.ensure()
        rows = [dict(row) for row in db.session.execute(sa.select(SIGNING_KEYS)).mappings()]
        db.session.rollback()
        db.engine.dispose()
    return rows


@pytest.fixture
def app(app: Flask, signing_keys: list[dict[str, Any]]) -> Flask:
    """The application with signing keys."""
    with committing():
        db.session.execute(sa.insert(SIGNING_KEYS), signing_keys)
    return app


@pytest.fixture
def alice(app: Flask) -> User:
    """A physician with an NPI and a verified address."""
    return make_person("alice", display_name="Alice Adams", given_name="Alice", family_name="Adams", npi="1234567893")


@pytest.fixture
def bob(app: Flask) -> User:
    """Somebody else."""
    return make_person("bob", display_name="Bob Brown")


def make_person(username: str, **facts: Any) -> User:
    """Create a person with a verified address."""
    with committing():
        person = users.create(
            username=username, emails=(f"{username}@example.org",), email_verified=True, roles=("physician",), **facts
        )
        person.sub, person.email  # noqa: B018 — loaded before the commit expires them
    return person


@pytest.fixture
def sign_in_as(app: Flask, client: FlaskClient) -> Callable[..., sessions.SsoSession]:
    """Give a browser an SSO session of a person, as authn would."""

    def start(person: User, *, browser: FlaskClient | None = None, acr: str = "urn:idp:acr:2fa") -> sessions.SsoSession:
        session, cookies = contextvars.Context().run(_start_session, app, person.sub, acr)
        for cookie in cookies:
            name, _, value = cookie.split(";")[0].partition("=")
            (browser or client).set_cookie(name, value, domain=urlsplit(ISSUER).hostname or "")
        return session

    return start


def _start_session(app: Flask, sub: str, acr: str) -> tuple[sessions.SsoSession, list[str]]:
    with app.test_request_context(base_url=ISSUER):
        session = sessions.start(sub, acr=acr, amr=("pwd", "otp", "mfa"), auth_time=clock.now())
        return session, app.process_response(Response()).headers.getlist("Set-Cookie")


@pytest.fixture
def make_rp(app: Flask, client: FlaskClient) -> Callable[..., RelyingParty]:
    """Register a client; metadata by keyword."""

    def make(
        *, browser: FlaskClient | None = None, defaults: dict[str, str] | None = None, **metadata: Any
    ) -> RelyingParty:
        good = {
            "client_name": "Claims",
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid profile email provider offline_access claims.read",
            "resources": ["https://claims.example.org/api"],
            "first_party": True,
            "post_logout_redirect_uris": ["https://rp.example.org/bye"],
        }
        with committing():
            registered, raw_secret = clients.create(good | metadata)
        uri = (registered.redirect_uris or (REDIRECT_URI,))[0]
        return RelyingParty(browser or client, registered, raw_secret, uri, defaults or {})

    return make


@pytest.fixture
def rp(make_rp: Callable[..., RelyingParty]) -> RelyingParty:
    """A first-party web application with a secret."""
    return make_rp()


@pytest.fixture
def partner(make_rp: Callable[..., RelyingParty]) -> RelyingParty:
    """A third party's web application: people are asked for consent."""
    return make_rp(client_name="Partner", first_party=False)
