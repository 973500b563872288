"""A machine that proves itself with assertions, and how one is made; fixtures are imported by name."""

from __future__ import annotations

import pytest

from tests.conftest import CLAIMS_API
from tests.oauth.conftest import Answer
from tests.oauth.signing import assertion_claims, jwks, key, proof, sign

MACHINE = {
    "client_name": "Batch",
    "grant_types": ["client_credentials"],
    "redirect_uris": [],
    "scope": "claims.read",
    "resources": [CLAIMS_API],
}


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def machine(make_rp):
    """A machine that proves itself with a P-256 key."""
    return make_rp(**MACHINE, token_endpoint_auth_method="private_key_jwt", jwks=jwks(key()))


@pytest.fixture
def ask(client):
    """Ask for a token with an assertion."""

    def send(raw_assertion, **form):
        return Answer(client.post("/token", data={"grant_type": "client_credentials", **proof(raw_assertion), **form}))

    return send


def assertion(rp, *, by=None, header=None, **changes) -> str:
    return sign(assertion_claims(rp.client.client_id, **changes), by or key(), **(header or {}))


def rejected(answer) -> bool:
    return answer.status == 401 and answer.error == "invalid_client" and answer.access_token is None
