"""The claims service and the patient service on real ports, trusting the stand-in provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from idp.demo import claims, patients
from idp.demo.service import Options
from idp.demo.wire import Provider
from tests.demo.standin import PLAIN, TLS, Running, StandIn


@dataclass
class World:
    """Provider, both services, and a browser that follows redirects and keeps cookies."""

    provider: StandIn
    claims_url: str
    patients_url: str
    browser: httpx.Client
    claims_provider: Provider  # the claims service's own view of the provider

    @property
    def claims_resource(self) -> str:
        return f"{self.claims_url}/api"

    @property
    def patients_resource(self) -> str:
        return f"{self.patients_url}/api"

    def api(self, raw_token: str | None, url: str | None = None, method: str = "GET") -> httpx.Response:
        headers = {"Authorization": f"Bearer {raw_token}"} if raw_token is not None else {}
        return PLAIN.request(method, url or f"{self.claims_url}/api/claims", headers=headers)

    def token(self, *, typ: str | None = "at+jwt", scope: str = "claims.read", **changes: object) -> str:
        """An access token for the claims service, with changes to its claims."""
        return self.provider.sign(self.provider.access_claims(self.claims_resource, scope, **changes), typ=typ)


@pytest.fixture
def world() -> Iterator[World]:
    provider = StandIn()
    claims_server, patients_server = Running(), Running()
    common = {"issuer": provider.issuer, "client_secret": "s e:c/ret%", "partner_secret": "partner secret"}
    claims_app = claims.create_app(
        Options(
            **common,
            base_url=claims_server.url,
            resource=f"{claims_server.url}/api",
            client_id="claims",
            peer_url=patients_server.url,
        )
    )
    patients_app = patients.create_app(
        Options(
            **common,
            base_url=patients_server.url,
            resource=f"{patients_server.url}/api",
            client_id="patients",
            peer_url=claims_server.url,
            partner_id="footpath",
        )
    )
    for app in (claims_app, patients_app):
        app.testing = False
    claims_server.start(claims_app)
    patients_server.start(patients_app)
    with httpx.Client(follow_redirects=True, trust_env=False, verify=TLS, timeout=60) as browser:
        yield World(
            provider,
            claims_server.url,
            patients_server.url,
            browser,
            claims_app.extensions["demo.service"].provider,
        )
    for part in (claims_server, patients_server, provider):
        part.stop()
