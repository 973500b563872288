"""Fuzz of every protocol endpoint and of the pages of sign-in: whatever comes, the answer is one that we meant to give.

About 2,000 requests, the same ones each time. `make fuzz` fires 20,000 that nobody saw before; so does `FUZZ=20000` in the environment, and
any other number there is how many. Hypothesis then prints the smallest request that breaks the law.

The law: no 5xx; nobody is sent to an address that is not registered; markup comes back as text; a program that is refused is told so in JSON
with a code that is written down somewhere; no secret of ours is in an answer; every answer carries the security headers; and no request
keeps a thread for long.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from idp import clients, clock, crypto, limits
from idp.authn.factors import password, totp
from idp.clients import registration_tokens
from idp.config import TrustedIssuer, settings
from idp.db import committing
from idp.oauth import params
from idp.oauth.operations import OPERATIONS
from tests.conftest import ISSUER, Browser
from tests.oauth import fuzz_shots
from tests.oauth.certs import HEADER, issue
from tests.oauth.conftest import REDIRECT_URI, SEALING_KEY, RelyingParty, basic, csrf_in
from tests.oauth.fuzz_shots import MARKER, Shot, encoded, shots
from tests.oauth.signing import assertion_claims, jwks, key, sign

SHOTS = int(os.environ.get("FUZZ", "2000"))
PLENTY = 10**9
CPU_S = 2.0  # of one request, on a slow machine
PASSWORD = "Correct-Horse-42-Battery"
PARTNER = "https://partner.example.org"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

PROGRAMS = tuple(op.path for op in OPERATIONS if any(kind == "application/json" for _, kind, _ in op.answers))
HEADERS = ("X-Request-Id", "X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy", "Cache-Control")
HEADERS += ("Cross-Origin-Opener-Policy", "Permissions-Policy", "X-Frame-Options")
CODES = (  # RFC 6749, 6750, 7009, 7591, 8628, 8707, 9396, OIDC Core; the last three lines are ours
    *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
    *("invalid_scope", "access_denied", "unsupported_response_type", "invalid_token", "insufficient_scope"),
    *("unsupported_token_type", "invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement"),
    *("unapproved_software_statement", "authorization_pending", "slow_down", "expired_token", "invalid_target"),
    *("invalid_authorization_details", "login_required", "consent_required", "invalid_request_object"),
    *(
        "invalid_request_uri",
        "request_uri_not_supported",
        "registration_not_supported",
        "unmet_authentication_requirements",
    ),
    *("bad_request", "forbidden", "not_found", "method_not_allowed", "request_entity_too_large", "invalid_input"),
    *("request_expired", "device_code_expired"),
)


@pytest.fixture
def db_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def partner_keys(tmp_path):
    """Of somebody whose word about people is believed."""
    file = tmp_path / "partner.jwks.json"
    file.write_text(json.dumps(jwks(key(name="partner"))))
    return file


@pytest.fixture
def setup(partner_keys):
    return {
        "secrets": {"sealing_keys": (SEALING_KEY,)},
        "limits": dict.fromkeys(
            ("account_free_attempts", "address_per_minute", "network_per_minute", "global_per_minute"), PLENTY
        ),
        "factors": {"failure_hard_limit": PLENTY, "passkey_related_origins": ("https://other.example.org",)},
        "passwords": {"bcrypt_cost": 4, "hash_queue": 100},
        "server": {"trusted_proxies": 1},
        "mtls": {"header": HEADER},
        "trusted_issuers": (
            TrustedIssuer(
                issuer=PARTNER, jwks=str(partner_keys), clients=("gate",), subject="username", scopes=("claims.read",)
            ),
        ),
    }


def gateway(http, certificate):
    """A client that proves itself by its own certificate, and brings assertions of a partner."""
    metadata = {
        "client_name": "Gateway",
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "tls_client_certificate_bound_access_tokens": True,
        "jwks": {"keys": [certificate.jwk()]},
        "grant_types": ["client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "scope": "claims.read",
        "resources": ["https://claims.example.org/api"],
    }
    with committing():
        made, _ = clients.create(metadata, client_id="gate")
    return RelyingParty(http, made, None)


class Range:
    """Everything that is real: clients, a person, tokens. What a shot uses up is made anew for the next."""

    def __init__(self, app, browser, alice, bob, make_rp, sign_in_as):
        self.app, self.browser, self.alice, self.sign_in_as = app, browser, alice, sign_in_as
        self.http = app.test_client(use_cookies=False)
        self.rp, self.partner = make_rp(), make_rp(client_name="Partner", first_party=False)
        self.machine = make_rp(
            client_name="Nightly",
            grant_types=["client_credentials"],
            redirect_uris=[],
            post_logout_redirect_uris=[],
            scope="claims.read",
        )
        self.tv = make_rp(
            client_name="Ward Screen",
            token_endpoint_auth_method="none",
            grant_types=["urn:ietf:params:oauth:grant-type:device_code"],
            redirect_uris=[],
            post_logout_redirect_uris=[],
            scope="openid profile email",
        )
        self.certificate = issue("CN=gate")
        self.gate = gateway(self.http, self.certificate)
        with committing():
            password.set_password(alice, PASSWORD, actor=alice.sub)
            password.set_password(bob, PASSWORD, actor=bob.sub)  # who recovers: some garbage makes a good password
            totp.bind(alice, TOTP_SECRET, actor=None)
            _, self.raw_initial = registration_tokens.create(
                label="fuzz",
                scopes=("openid", "profile"),
                uses=10_000,
                expires_at=clock.now() + timedelta(hours=9),
            )
        browser.get("/help")
        self.browser_id = self._cookie("browser") or ""
        if not self.browser_id:
            browser.get("/login")
            self.browser_id = self._cookie("browser")
        self.csrf = crypto.mac("csrf", self.browser_id)
        self.renew()

    def renew(self):
        """Sign in anew, and forget the tokens of the session before."""
        self.sign_in_as(self.alice, browser=self.browser)
        self._tokens, self._registered = None, None

    def secrets(self):
        """What no answer may hold."""
        raw = [self.rp.raw_secret, self.partner.raw_secret, self.machine.raw_secret, PASSWORD, TOTP_SECRET]
        raw += [self.raw_initial, SEALING_KEY.partition(":")[2]]
        raw += [entry.partition(":")[2] for entry in settings().secrets.peppers]
        return raw

    def fire(self, aimed: Shot):
        """Send a shot; returns the answer and the CPU seconds that it took."""
        values: dict[str, str] = {}

        def real(text: str) -> Any:
            filled = re.sub("«(\\w+)»", lambda name: values.setdefault(name[1], self._value(name[1])), text)
            return type(text)(filled)

        fields = tuple((name, real(value)) for name, value in aimed.fields)
        query = tuple((name, real(value)) for name, value in aimed.in_query)
        headers = {name: real(value) for name, value in aimed.headers}
        cookies = f"idp_browser={self.browser_id}; " + headers.get("Cookie", "")
        if aimed.signed_in:
            cookies += f"; idp_sso={self._cookie('sso')}"
        body = aimed.body
        if body is None and aimed.document is not None:
            body = real(json.dumps(aimed.document, ensure_ascii=False)).encode("utf-8", "backslashreplace")
        elif body is None:
            body = encoded(fields).encode() if aimed.has_body else b""
        path = real(aimed.path)
        sent = {"method": aimed.method, "data": body, "content_type": aimed.content_type or None}
        sent["query_string"] = encoded(query if aimed.has_body else (*query, *fields))
        begun = time.thread_time()
        answer = self.http.open(path, headers=headers | {"Cookie": cookies}, **sent)
        answer.get_data()
        return answer, time.thread_time() - begun

    def _cookie(self, name):
        found = self.browser.get_cookie(f"idp_{name}", domain="localhost")
        return found.value if found else None

    def _value(self, name):
        found = getattr(self, f"_{name}_value", None)
        return found() if found else getattr(self, name).client.client_id

    def _csrf_value(self):
        return self.csrf

    def _password_value(self):
        return PASSWORD

    def _initial_value(self):
        return self.raw_initial

    def _basic_value(self):
        return basic(self.rp.client.client_id, self.rp.raw_secret)

    def _machine_basic_value(self):
        return basic(self.machine.client.client_id, self.machine.raw_secret)

    def _certificate_value(self):
        return self.certificate.rfc9440[HEADER]

    def _assertion_value(self):
        claims = assertion_claims(PARTNER, sub="alice")
        return sign(claims, key(name="partner"))

    def _code_value(self):
        return self.rp.code(scope="openid offline_access")

    def _signed_in_tokens(self):
        if self._tokens is None:
            self._tokens = self.rp.sign_in(scope="openid profile offline_access", prompt="consent")
        return self._tokens

    def _access_value(self):
        return self._signed_in_tokens().access_token

    def _id_token_value(self):
        return self._signed_in_tokens().id_token

    def _refresh_value(self):
        raw_token, self._tokens = self._signed_in_tokens().refresh_token, None
        return raw_token

    def _txn_value(self):
        return self.partner.authorize(prompt="consent").location.partition("txn=")[2]

    def _seen_txn_value(self):
        txn = self._txn_value()
        assert self.browser.get(f"/consent?txn={txn}").status_code == 200
        return txn

    def _request_uri_value(self):
        answer = self.http.post("/par", data=self.rp.params(), headers={"Authorization": self._basic_value()})
        return answer.get_json()["request_uri"]

    def _flow_value(self):
        answer = self.http.get("/login", headers={"Cookie": f"idp_browser={self.browser_id}"})
        return re.search(r"flow=([\w-]+)", answer.location)[1]

    def _second_value(self):
        flow = self._flow_value()
        form = {"csrf": self.csrf, "identifier": "alice", "password": PASSWORD}
        cookie = {"Cookie": f"idp_browser={self.browser_id}"}
        answer = self.http.post(f"/login/password?flow={flow}", data=form, headers=cookie)
        assert answer.location.startswith("/login/totp?flow="), answer.location
        return answer.location.partition("flow=")[2]

    def _started(self):
        form = {"client_id": self.tv.client.client_id, "scope": "openid"}
        return self.http.post("/device_authorization", data=form).get_json()

    def _device_code_value(self):
        return self._started()["device_code"]

    def _user_code_value(self):
        return self._started()["user_code"]

    def _device_txn_value(self):
        form = {"csrf": csrf_in(self.browser.get("/device")), "user_code": self._user_code_value()}
        location = self.browser.post("/device", data=form).location
        self.browser.get(location)
        return location.partition("txn=")[2]

    def _own_app_value(self):
        """Alice's authenticator app: one that a shot took away is there again for the next."""
        with committing():
            mine = totp.authenticators(self.alice)
            return mine[0].public_id if mine else totp.bind(self.alice, TOTP_SECRET, actor=None).public_id

    def _recovery_value(self):
        form, cookie = {"csrf": self.csrf, "identifier": "bob"}, {"Cookie": f"idp_browser={self.browser_id}"}
        self.http.post("/recover/password", data=form, headers=cookie)
        return re.findall(r"token=([\w-]+)", self.mailbox()[-1].body)[-1]

    def _registered_value(self):
        return self._registration()["client_id"]

    def _registration_value(self):
        return self._registration()["registration_access_token"]

    def _registration(self):
        if self._registered is None:
            body = {"client_name": "Ward", "redirect_uris": [REDIRECT_URI]}
            headers = {"Authorization": f"Bearer {self.raw_initial}"}
            self._registered = self.http.post("/register", json=body, headers=headers).get_json()
        return self._registered


@pytest.fixture
def shooting_range(app, client, alice, bob, make_rp, sign_in_as, mailbox, monkeypatch, caplog):
    """No limit is in the way: 429 would hide what is behind it."""
    counted = limits.spend
    monkeypatch.setattr(limits, "spend", lambda name, key, **options: counted(name, key, **options | {"count": PLENTY}))
    caplog.set_level(logging.CRITICAL)
    made = Range(app, client, alice, bob, make_rp, sign_in_as)
    made.mailbox = mailbox
    return made


def lawful(place: Range, aimed: Shot, answer: Any, cpu_s: float) -> None:
    """Hold one answer against the law."""
    body = answer.get_data()
    assert answer.status_code < 500 and answer.status_code != 429, body
    assert cpu_s < CPU_S
    assert not [name for name in HEADERS if not answer.headers.get(name)], answer.headers
    assert "X-Injected" not in answer.headers
    assert not re.search("[\x00-\x1f\x7f]", "".join(answer.headers.values())), answer.headers
    told = body.decode() + str(answer.headers)
    assert not [raw for raw in place.secrets() if raw in told]
    if "Location" in answer.headers:
        _leads_somewhere_known(answer.headers["Location"])
    if answer.mimetype == "text/html":
        _harmless_page(body.decode())
    elif answer.mimetype == "application/json" and aimed.method != "HEAD":
        _readable(answer)
    if answer.status_code >= 400 and answer.request.path in PROGRAMS and aimed.method != "HEAD":
        assert answer.mimetype == "application/json", body


def _leads_somewhere_known(location: str) -> None:
    known = (REDIRECT_URI, "https://rp.example.org/bye")
    own = location.startswith("/") and not location.startswith(("//", "/\\"))
    own = own or location.startswith(f"{ISSUER}/")
    assert own or re.split("[?#]", location)[0] in known, location
    assert "\\" not in location and urlsplit(location).username is None


def _harmless_page(page: str) -> None:
    assert "fz<x" not in page and "<x'" not in page and "x'\"" not in page, MARKER
    for action in re.findall(r'<form[^>]*\baction="([^"]*)"', page):
        _leads_somewhere_known(unescape(action))
    for link in re.findall(r'\bhref="([^"]*)"', page):
        assert not unescape(link).strip().lower().startswith(("javascript:", "data:", "vbscript:"))


def _readable(answer: Any) -> None:
    told = json.loads(answer.get_data())
    if answer.status_code >= 400 and told:
        assert told["error"] in CODES, told
        assert re.fullmatch(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*", told["error_description"])


def fuzzing(share: float):
    """As many of all shots, the same ones each time unless somebody asked for a number of them."""
    return hypothesis_settings(
        max_examples=max(1, int(SHOTS * share)),
        derandomize="FUZZ" not in os.environ,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=tuple(HealthCheck),
        report_multiple_bugs=False,
    )


def judge(place: Range, aimed: Shot) -> None:
    """Fire and judge; what the shot may have ended is begun anew."""
    lawful(place, aimed, *place.fire(aimed))
    if (
        aimed.path.startswith(
            ("/end_session", "/login", "/account/security/remove", "/recover/password/new", "/register/")
        )
        or "/revoke" in aimed.path
    ):
        place.renew()


@fuzzing(0.25)
@given(aimed=shots(fuzz_shots.AUTHORIZE))
def test_attack_5_to_22_the_authorization_endpoint_consent_and_par(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.2)
@given(aimed=shots(fuzz_shots.TOKEN))
def test_attack_23_to_45_the_token_endpoint_with_every_grant(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.13)
@given(aimed=shots(fuzz_shots.BEARERS))
def test_attack_46_to_60_userinfo_introspection_revocation_and_documents(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.12)
@given(aimed=shots(fuzz_shots.REGISTER))
def test_attack_61_to_69_registration_and_its_management(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.1)
@given(aimed=shots(fuzz_shots.DEVICE))
def test_rfc8628_the_device_endpoint_and_its_pages(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.08)
@given(aimed=shots(fuzz_shots.LOGOUT))
def test_attack_70_to_75_signing_out(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.12)
@given(aimed=shots(fuzz_shots.SIGN_IN))
def test_attack_144_sign_in_and_recovery(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.1)
@given(aimed=shots(fuzz_shots.ACCOUNT))
def test_attack_104_105_144_the_page_of_credentials_and_a_lost_second_step(shooting_range, aimed):
    judge(shooting_range, aimed)


@fuzzing(0.1)
@given(aimed=shots(fuzz_shots.DESCRIBED))
def test_every_described_operation_with_its_parameters(shooting_range, aimed):
    judge(shooting_range, aimed)


def test_every_parameter_that_a_request_is_asked_for_is_described(shooting_range, monkeypatch):
    """Else it would not be fuzzed: what the code reads of each good request, and of those made from the table."""
    read: dict[tuple[str, str], set[str]] = {}
    real, real_open, asked = params.read, Browser.open, []

    def noting(self, path, *args, **more):
        asked.append((more.get("method", "GET"), path.partition("?")[0]))
        return real_open(self, path, *args, **more)

    class Recording(dict):
        def get(self, name, default=None):
            read.setdefault(asked[-1], set()).add(name)
            return super().get(name, default)

        def __getitem__(self, name):
            read.setdefault(asked[-1], set()).add(name)
            return super().__getitem__(name)

    monkeypatch.setattr(Browser, "open", noting)
    monkeypatch.setattr(params, "read", lambda source: replace(real(source), one=Recording(real(source).one)))
    protocol = (fuzz_shots.AUTHORIZE, fuzz_shots.TOKEN, fuzz_shots.BEARERS, fuzz_shots.DEVICE, fuzz_shots.LOGOUT)
    for good in (*(good for group in protocol for good in group), *fuzz_shots.DESCRIBED):
        shooting_range.fire(good)
        shooting_range.renew()
    described = {(op.method, op.path): set(op.parameters) for op in OPERATIONS}
    assert {("POST", "/token"), ("GET", "/authorize"), ("POST", "/par"), ("POST", "/revoke")} <= read.keys()
    unknown = {at: names - described[at] for at, names in read.items() if names - described[at]}
    assert not unknown


NEVER_TAKEN = (  # made-up codes, cases and browsers; and the only app, which has to stay
    "/recover/factor",
    "/recover/stop",
    "/account/security/untrust",
    "/account/security/remove",
)


def test_the_good_requests_are_good(shooting_range):
    """Else the fuzz would bend what is broken already and never come behind the first check."""
    groups = (
        *fuzz_shots.AUTHORIZE,
        *(fuzz_shots.TOKEN[number] for number in (0, 1, 2)),
        *fuzz_shots.BEARERS,
        *fuzz_shots.REGISTER,
        *fuzz_shots.DEVICE,
        *fuzz_shots.LOGOUT,
        *(good for good in fuzz_shots.ACCOUNT if good.path not in NEVER_TAKEN or good.method == "GET"),
        *(good for good in fuzz_shots.SIGN_IN if not good.path.startswith(("/login/", "/recover/password/new"))),
    )
    wrong = []
    for good in groups:
        answer, _ = shooting_range.fire(good)
        shooting_range.renew()
        if answer.status_code >= 400 or "error=" in answer.headers.get("Location", ""):
            wrong.append((good.method, good.path, answer.status_code, answer.get_data(as_text=True)[:600]))
    assert not wrong
