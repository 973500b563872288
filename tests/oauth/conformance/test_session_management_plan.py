"""oidcc-session-management-certification-test-plan. What the script of the frame does in a browser is tested in
tests/oauth/test_session_management.py; here its verdict is reckoned from the cookie that the browser holds."""

import hashlib
from urllib.parse import urlsplit

import pytest

from idp.crypto import base64url
from tests.oauth.conformance import logout_modules

COOKIE, PATH = "__Secure-idp_op_state", "/check_session"


@pytest.fixture
def watched(make_provider):
    """A provider where it is switched on."""
    return make_provider(session_management=True)


def verdict(run, session_state):
    """Section 3.2: hash of client, origin, browser state and salt."""
    host, salt = urlsplit(run.issuer).hostname, session_state.partition(".")[2]
    cookie = run.agent.http.get_cookie(COOKIE, domain=host, path=PATH)
    parts = urlsplit(run.client.redirect_uri)
    said = f"{run.client.client_id} {parts.scheme}://{parts.netloc} {cookie.value if cookie else ''} {salt}"
    again = f"{base64url(hashlib.sha256(said.encode()).digest())}.{salt}"
    return "unchanged" if again == session_state else "changed"


def test_oidcc_session_management_discovery_endpoint_verification(watched, begin):
    logout_modules.oidcc_session_management_discovery_endpoint_verification(begin(watched))


def test_oidcc_session_management_rp_initiated_logout(watched, begin):
    logout_modules.oidcc_session_management_rp_initiated_logout(begin(watched), verdict)
