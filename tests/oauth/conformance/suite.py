"""The provider under test, the suite's client at it, and one run of a test module: what modules are written with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from flask.testing import FlaskClient

from idp import clients, crypto
from idp.db import committing
from tests.oauth.conformance import checks
from tests.oauth.conformance.browser import Arrival, Shown, UserAgent
from tests.oauth.conftest import basic
from tests.oauth.signing import ASSERTION_TYPE, assertion_claims, sign

CALLBACK = "https://suite.example.org/test/a/idp/callback"
BYE = "https://suite.example.org/test/a/idp/post_logout_redirect"
SCOPES = "openid profile email address phone offline_access"
USERNAME, PASSWORD = "conformance", "Correct-Horse-42-Battery"


@dataclass(frozen=True)
class Variant:
    """With which settings of the suite a module is run."""

    response_type: str = "code"
    form_post: bool = False
    client_auth: str = "client_secret_basic"

    @property
    def words(self) -> set[str]:
        """The words of the response type."""
        return set(self.response_type.split())

    @property
    def mode(self) -> str:
        """Where the answer has to stand."""
        return "form_post" if self.form_post else "query" if self.response_type == "code" else "fragment"

    def __str__(self) -> str:
        parts = (self.response_type.replace(" ", "+"), self.client_auth, "form_post" if self.form_post else "")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Client:
    """A registration of the suite."""

    client_id: str
    secret: str | None
    redirect_uri: str
    alg: str
    key: Any = None  # for private_key_jwt
    kid: str | None = None


@dataclass
class Provider:
    """The provider under test."""

    app: Flask
    issuer: str
    _clients: dict[str, Client] = field(default_factory=dict)

    def http(self) -> FlaskClient:
        """An empty browser, or a program."""
        return self.app.test_client()

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The discovery document."""
        return checks.document(self.http().get("/.well-known/openid-configuration", base_url=self.issuer))

    def keys(self) -> dict[str, Any]:
        """The key set, as it is now."""
        return checks.document(
            self.http().get(self.metadata["jwks_uri"].removeprefix(self.issuer), base_url=self.issuer)
        )

    def client(self, variant: Variant, **changes: Any) -> Client:
        """The registration of a variant; made once for the same wishes."""
        wishes = {**_metadata(variant), **changes}
        name = json.dumps(wishes, sort_keys=True)
        if name not in self._clients:
            self._clients[name] = self._register(wishes)
        return self._clients[name]

    def _register(self, wishes: dict[str, Any]) -> Client:
        with self.app.app_context(), committing():
            made, raw_secret = clients.create(wishes)
        return Client(made.client_id, raw_secret, made.redirect_uris[0], made.id_token_signed_response_alg)


def _metadata(variant: Variant) -> dict[str, Any]:
    hybrid = bool(variant.words & {"id_token", "token"})
    grants = ["authorization_code", "refresh_token"] if "code" in variant.words else []
    scope = SCOPES if "code" in variant.words else SCOPES.removesuffix(" offline_access")
    return {
        "client_name": "Conformance suite",
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [BYE],
        "token_endpoint_auth_method": variant.client_auth,
        "response_types": [variant.response_type],
        "grant_types": grants + (["implicit"] if hybrid else []),
        "security_profile": "legacy" if hybrid else "oidc",
        "require_pkce": False,  # the suite sends none
        "scope": scope,
    }


@dataclass
class Outcome:
    """What a whole authorization brought."""

    fields: dict[str, str]
    scope: str
    front: dict[str, Any] | None = None  # claims of the ID token from the authorization endpoint
    back: dict[str, Any] | None = None  # and of that from the token endpoint
    raw_id_token: str = ""
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the ID token that came last."""
        found = self.back or self.front
        assert found is not None
        return found

    @property
    def access_token(self) -> str | None:
        """The newest access token, if there is any."""
        return self.tokens.get("access_token") or self.fields.get("access_token")


@dataclass
class Run:
    """One run of one module: a fresh browser, a client of the suite, and a clock that can be moved."""

    provider: Provider
    variant: Variant
    travel: Callable[[float], None]
    agent: UserAgent
    client: Client
    registered: list[dict[str, Any]] = field(default_factory=list)  # what the run registered itself

    @property
    def issuer(self) -> str:
        return self.provider.issuer

    # --- authorization ------------------------------------------------------------------------------------------------

    def request(self, **changes: str | None) -> dict[str, str]:
        """The parameters of an authorization request; None takes one away."""
        good = {
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": "openid",
            "state": crypto.random_token(8),
            "nonce": crypto.random_token(8),
            "response_type": self.variant.response_type,
            "response_mode": "form_post" if self.variant.form_post else None,
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def open(self, params: dict[str, str], *, method: str = "GET") -> Arrival | Shown:
        """Send the browser to the authorization endpoint."""
        endpoint = self.provider.metadata["authorization_endpoint"]
        if method == "POST":
            return self.agent.post(endpoint, params)
        return self.agent.visit(f"{endpoint}?{urlencode(params)}")

    def refused(self, *errors: str, mode: str | None = None, **changes: str | None) -> dict[str, str]:
        """Make a request that has to end in an error at the client."""
        params = self.request(**changes)
        fields = self.answer(self.open(params), mode=mode)
        checks.refusal(fields, *errors, state=params["state"], issuer=self.issuer)
        return fields

    def answer(self, arrival: Arrival | Shown, *, mode: str | None = None) -> dict[str, str]:
        """What stands in an authorization response."""
        return checks.fields_of(arrival, mode=mode or self.variant.mode, redirect_uri=self.client.redirect_uri)

    def flow(self, *, method: str = "GET", **changes: str | None) -> Outcome:
        """A whole authorization with everything that is always checked: response, ID tokens, token response, UserInfo."""
        params = self.request(**changes)
        return self.complete(params, self.open(params, method=method))

    def complete(self, params: dict[str, str], arrival: Arrival | Shown) -> Outcome:
        """What follows the authorization response."""
        fields = self.answer(arrival)
        checks.success(fields, words=self.variant.words, state=params["state"], issuer=self.issuer)
        outcome = Outcome(fields, params["scope"])
        if "id_token" in self.variant.words:
            outcome.raw_id_token, outcome.front = fields["id_token"], self._front(fields, params.get("nonce"))
        if "token" in self.variant.words:
            assert self.userinfo(fields["access_token"]).status_code == 200
        if "code" in self.variant.words:
            outcome.tokens = checks.token_response(self.redeem(fields["code"], verifier=params.get("verifier")))
            outcome.raw_id_token = outcome.tokens["id_token"]
            outcome.back = self.check_id_token(outcome.raw_id_token, nonce=params.get("nonce"))
            assert self.userinfo(outcome.tokens["access_token"]).status_code == 200
        if outcome.front and outcome.back:
            assert (outcome.front["iss"], outcome.front["sub"]) == (outcome.back["iss"], outcome.back["sub"])
        return outcome

    def check_id_token(self, raw_token: str, *, nonce: str | None) -> dict[str, Any]:
        """The checks that every ID token has to pass."""
        return checks.id_token(
            raw_token,
            issuer=self.issuer,
            client_id=self.client.client_id,
            alg=self.client.alg,
            published=self.provider.keys(),
            nonce=nonce,
        )

    def _front(self, fields: dict[str, str], nonce: str | None) -> dict[str, Any]:
        claims = self.check_id_token(fields["id_token"], nonce=nonce)
        for name, raw in (("at_hash", fields.get("access_token")), ("c_hash", fields.get("code"))):
            assert claims.get(name) == (checks.hash_of(raw, self.client.alg) if raw else None), name
        return claims

    # --- token endpoint and UserInfo ----------------------------------------------------------------------------------

    def token(self, *, audience: str | None = None, **form: str) -> Any:
        """POST to the token endpoint, authenticated as the variant wants it."""
        headers, client = {}, self.client
        if self.variant.client_auth == "client_secret_basic":
            headers["Authorization"] = basic(client.client_id, client.secret or "")
        elif self.variant.client_auth == "private_key_jwt":
            claims = assertion_claims(client.client_id, aud=audience or self.provider.metadata["token_endpoint"])
            form |= {
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": sign(claims, client.key, alg="RS256", kid=client.kid),
            }
        else:
            form |= {"client_id": client.client_id, "client_secret": client.secret or ""}
        return self.provider.http().post("/token", data=form, headers=headers, base_url=self.issuer)

    def redeem(self, code: str, *, verifier: str | None = None, audience: str | None = None) -> Any:
        """Redeem a code."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.client.redirect_uri}
        return self.token(audience=audience, **form, **({"code_verifier": verifier} if verifier else {}))

    def userinfo(self, access_token: str, *, method: str = "GET", in_body: bool = False) -> Any:
        """Call UserInfo in one of the three ways."""
        headers = {} if in_body else {"Authorization": f"Bearer {access_token}"}
        data = {"access_token": access_token} if in_body else None
        http = self.provider.http()
        return http.open("/userinfo", method=method, headers=headers, data=data, base_url=self.issuer)
