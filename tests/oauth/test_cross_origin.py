"""Who may be called by scripts of other sites (F-11, RFC 9700 section 2.6): what reads no cookie and serves browser applications."""

from __future__ import annotations

import pytest

from idp.oauth import views

SPA = {"Origin": "https://spa.example.org"}
OPEN = (
    *("/token", "/userinfo", "/revoke", "/par", "/register", "/register/somebody", "/jwks"),
    *("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/openapi.json"),
)
CLOSED = (
    *(
        "/authorize",
        "/authorize/resume",
        "/consent",
        "/introspect",
        "/device_authorization",
        "/device",
        "/device/confirm",
    ),
    *("/end_session", "/signed-out", "/login", "/", "/healthz"),
)


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


def test_f11_every_route_of_the_protocol_is_on_one_of_the_lists(app):
    paths = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint in views.OPEN_TO_SCRIPTS}
    assert paths == {path.replace("somebody", "<client_id>") for path in OPEN}


@pytest.mark.parametrize("path", OPEN)
def test_f11_scripts_may_call_it_without_credentials(client, path):
    preflight = client.options(path, headers={**SPA, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 200 and preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert preflight.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    method = "POST" if path in ("/token", "/revoke", "/par", "/register") else "GET"
    for answer in (preflight, client.open(path, method=method, headers=SPA)):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", CLOSED)
def test_f11_scripts_of_others_may_not_read_pages(client, path):
    for answer in (client.options(path, headers=SPA), client.get(path, headers=SPA), client.post(path, headers=SPA)):
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control-")]  # noqa: SIM118


def test_attack_61_a_script_registers_nothing_without_a_token(client):
    body = {"client_name": "From a page", "redirect_uris": ["https://spa.example.org/cb"]}
    assert client.post("/register", json=body, headers=SPA).status_code == 401


def test_rfc9126_a_browser_application_pushes_its_request(make_rp):
    spa = make_rp(token_endpoint_auth_method="none", first_party=False)
    answer = spa.http.post("/par", data=spa.params(), headers=SPA)
    assert answer.status_code == 201 and answer.headers["Access-Control-Allow-Origin"] == "*"
