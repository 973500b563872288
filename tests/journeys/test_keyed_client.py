"""openid-client without a secret: private_key_jwt, a signed request, pushed (RFC 7523, RFC 9101, RFC 9126), introspection, revocation."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.journeys.test_foreign_clients import (
    CALLBACK,
    HERE,
    Program,
    openid_client,  # noqa: F401 — a fixture
    register,
    sign_in,
)

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def program(openid_client: Path) -> Program:  # noqa: F811
    """The program beside the installed library, running."""
    return Program(Path(shutil.copy(HERE / "openid-client" / "keys.mjs", openid_client.parent)))


def test_openid_client_proves_itself_with_a_key_and_pushes_a_signed_request(demo, phones, browser, program):
    made = program.tell(issuer=demo.facts["issuer"], redirect_uri=CALLBACK)
    client = register(
        demo,
        client_name="Keyed",
        redirect_uris=[CALLBACK],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="ES256",
        request_object_signing_alg="ES256",
        require_signed_request_object=True,
        require_pushed_authorization_requests=True,
        id_token_signed_response_alg="ES256",
        scope="openid profile offline_access",
        jwks=made["jwks"],
    )
    assert "client_secret" not in client
    visit = program.tell(client_id=client["client_id"])["visit"]
    assert set(parse_qs(urlsplit(visit).query)) == {"client_id", "request_uri"}
    back = sign_in(browser, visit, demo.person("edda"), phones["edda"], stop_at=CALLBACK)
    assert back.url.startswith(CALLBACK), back.text
    told = program.tell(came_back_to=back.url)
    assert told["claims"]["aud"] == client["client_id"]
    assert (told["before"], told["after"]) == (True, False)
