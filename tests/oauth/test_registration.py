"""Dynamic client registration and management (RFC 7591, RFC 7592; attacks 61 and 64 to 69)."""

from __future__ import annotations

import json
from datetime import timedelta
from html import unescape

import pytest
from joserfc import jwk, jwt

from idp import clients, clock
from idp.clients import own_metadata, registration_tokens
from idp.db import committing
from tests.conftest import ISSUER, in_threads
from tests.oauth.conftest import SEALING_KEY, Answer, basic, csrf_in

METADATA = {
    "client_name": "Ward Rounds",
    "redirect_uris": ["https://rp.example.org/cb"],
    "grant_types": ["authorization_code", "refresh_token"],
}
IDENTITY = ("openid", "profile", "email", "offline_access")
TRUSTED = "https://statements.example.org"
KEY, STRANGER = jwk.ECKey.generate_key("P-256"), jwk.ECKey.generate_key("P-256")


@pytest.fixture
def trusted_keys(tmp_path):
    file = tmp_path / "issuer.jwks.json"
    file.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    return file


@pytest.fixture
def opened():
    return {}


@pytest.fixture
def setup(trusted_keys, opened):
    return {
        "secrets": {"sealing_keys": (SEALING_KEY,)},
        "oauth": {"software_statement_issuers": (f"{TRUSTED} {trusted_keys}",)} | opened,
    }


@pytest.fixture
def initial(app):
    """Make an initial access token."""

    def make(*, uses=1, scopes=IDENTITY, lives_s=3600):
        with committing():
            _, raw_token = registration_tokens.create(
                label="tests", scopes=scopes, uses=uses, expires_at=clock.now() + timedelta(seconds=lives_s)
            )
        return raw_token

    return make


@pytest.fixture
def register(client, initial):
    """POST /register with a fresh token, unless another (or None) is given."""

    def post(token="fresh", **changes):
        raw_token = initial() if token == "fresh" else token
        headers = {"Authorization": f"Bearer {raw_token}"} if raw_token else {}
        body = {name: value for name, value in (METADATA | changes).items() if value is not None}
        return Answer(client.post("/register", json=body, headers=headers))

    return post


def manage(client, made, method="GET", *, token=None, **body):
    headers = {"Authorization": f"Bearer {token or made.registration_access_token}"}
    path = made.registration_client_uri.removeprefix(ISSUER)
    return Answer(client.open(path, method=method, headers=headers, json=body or None))


def statement(key=KEY, **changes):
    claims = {"iss": TRUSTED, "exp": clock.epoch() + 600, "client_name": "Certified Rounds", "software_id": "rounds-1"}
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode({"alg": "ES256"}, claims, key)


# --- RFC 7591 -----------------------------------------------------------------------------------------------------


def test_rfc7591_3_2_1_registered_and_told_everything(register, client, audit_trail):
    made = register()
    assert made.status == 201, made.response.get_data(as_text=True)
    assert made.response.headers["Cache-Control"] == "no-store" and made.response.headers["Pragma"] == "no-cache"
    assert clients.get(made.client_id).check_secret(made.client_secret) and made.client_secret_expires_at == 0
    assert made.registration_client_uri == f"{ISSUER}/register/{made.client_id}"
    assert made.client_id_issued_at and made.client_name == "Ward Rounds"
    assert "client.created" in audit_trail
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://rp.example.org/cb"}
    tried = client.post("/token", data=form, headers={"Authorization": basic(made.client_id, made.client_secret)})
    assert tried.get_json()["error"] == "invalid_grant"  # it is a client now


def test_rfc7591_2_the_defaults(register):
    made = register(grant_types=None)
    assert made.token_endpoint_auth_method == "client_secret_basic"
    assert made.grant_types == ["authorization_code"] and made.response_types == ["code"]
    assert made.application_type == "web" and made.id_token_signed_response_alg == "RS256"
    assert made.scope == "openid profile email" and made.security_profile == "oidc" and made.require_pkce is True


def test_rfc7591_2_unknown_metadata_is_ignored(register):
    assert register(**{"client_name#de": "Visite", "favourite_colour": "green"}).status == 201


def test_attack_61_nobody_registers_without_a_token(register, audit_trail):
    for token in (None, "x" * 43):
        answer = register(token)
        assert (answer.status, answer.error) == (401, "invalid_token")
        assert answer.response.headers["WWW-Authenticate"].startswith("Bearer")
    assert "registration.refused" in audit_trail and "client.created" not in audit_trail


def test_attack_61_a_token_is_good_for_so_many_and_so_long(register, initial, travel):
    twice = initial(uses=2)
    assert [register(twice).status for _ in range(3)] == [201, 201, 401]
    short = initial(lives_s=60)
    travel(61)
    assert register(short).status == 401


def test_a_refused_registration_spends_nothing(register, initial):
    token = initial()
    assert register(token, redirect_uris=["http://rp.example.com/cb"]).status == 400
    assert register(token).status == 201


def test_race_one_use_is_one_registration(app, initial):
    token = initial()
    headers = {"Authorization": f"Bearer {token}"}
    answers = in_threads(20, app, lambda _: app.test_client().post("/register", json=METADATA, headers=headers))
    assert sorted(answer.status_code for answer in answers) == [201] + [401] * 19
    assert clients.search().total == 1


def test_a_revoked_token_lets_nobody_in(register, initial):
    token = initial()
    with committing():
        registration_tokens.revoke(registration_tokens.search()[0].id)
    assert register(token).status == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://rp.example.org/cb#f"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://*.example.org/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [f"https://rp.example.org/{n}" for n in range(21)]}, "invalid_redirect_uri"),
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://rp.example.org/cb"}, "invalid_redirect_uri"),
        ({"token_endpoint_auth_method": "telepathy"}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": "authorization_code"}, "invalid_client_metadata"),
        ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
        ({"security_profile": "legacy"}, "invalid_client_metadata"),
        ({"security_profile": "fapi2"}, "invalid_client_metadata"),
        ({"security_profile": ["oidc"]}, "invalid_client_metadata"),
        ({"scope": "claims.read"}, "invalid_client_metadata"),
        ({"logo_uri": "javascript:alert(1)"}, "invalid_client_metadata"),
        ({"policy_uri": "http://rp.example.com/"}, "invalid_client_metadata"),
        ({"tos_uri": "data:text/html,x"}, "invalid_client_metadata"),
        ({"initiate_login_uri": "http://rp.example.com/login"}, "invalid_client_metadata"),  # O-46
    ],
)
def test_rfc7591_3_2_2_and_attack_69_what_is_refused(register, changes, error):
    answer = register(**changes)
    assert (answer.status, answer.error) == (400, error), answer.response.get_data(as_text=True)
    assert answer.error_description and answer.response.headers["Cache-Control"] == "no-store"


def test_half_a_character_is_refused(client, initial):
    headers = {"Authorization": f"Bearer {initial()}", "Content-Type": "application/json"}
    body = json.dumps(METADATA)[:-1] + ', "software_id": "\\ud800"}'
    answer = client.post("/register", data=body, headers=headers)
    assert answer.status_code == 400 and answer.get_json()["error"] == "invalid_client_metadata"


@pytest.mark.parametrize(
    "changes",
    [{"software_id": "a\0b"}, {"contacts": ["a\0@example.org"]}, {"jwks": {"keys": [{"kty": "EC", "x": "\0"}]}}],
)
def test_what_no_database_can_keep_is_refused(register, client, changes):
    assert register(**changes).error == "invalid_client_metadata"
    assert client.get("/register/%00", headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.get("/register/%FF%00", headers={"Authorization": "Bearer x%00"}).status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_what_is_no_object_is_refused(client, initial, body):
    headers = {"Authorization": f"Bearer {initial()}", "Content-Type": "application/json"}
    answer = client.post("/register", data=body, headers=headers)
    assert answer.status_code == 400 and answer.get_json()["error"] == "invalid_client_metadata"


def test_attack_66_trust_cannot_be_asked_for(register):
    made = register(
        client_id="admin-console",
        client_secret="s" * 40,
        first_party=True,
        serves=["https://claims.example.org/api"],
        require_pkce=False,
        resources=["https://claims.example.org/api"],
        scope="openid claims.read provider",
    )
    assert made.status == 201
    client = clients.get(made.client_id)
    assert made.client_id != "admin-console" and made.client_secret != "s" * 40
    assert not client.first_party and client.serves == () and client.resources == () and client.require_pkce
    assert client.scope == "openid"


def test_what_may_be_registered_is_decided_by_who_gave_the_token(register, initial):
    token = initial(scopes=("openid", "claims.read"))
    made = register(token, scope="openid claims.read patients.read")
    assert made.scope == "openid claims.read" and made.resources == ["https://claims.example.org/api"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Claims\u202eecivres", "Claims ecivres"),
        ("Cl\u200baims\x00\n", "Cl aims"),
        ("x" * 2000, "x" * 100),
        ("\u2066\u2069", "rp.example.org"),
        (None, "rp.example.org"),
        (7, "rp.example.org"),
    ],
)
def test_attack_64_names_are_made_harmless(register, sent, kept):
    assert register(client_name=sent).client_name == kept


def test_attack_64_markup_in_a_name_is_text(register, client, alice, sign_in_as):
    made = register(client_name="<img src=x onerror=alert(1)>", logo_uri="https://rp.example.org/logo.svg",
                    policy_uri="https://rp.example.org/privacy", tos_uri="https://rp.example.org/terms")  # fmt: skip
    sign_in_as(alice)
    query = f"client_id={made.client_id}&response_type=code&scope=openid&code_challenge={'x' * 43}"
    asked = client.get(f"/authorize?{query}&code_challenge_method=S256")
    page = client.get(asked.location)
    text = page.get_data(as_text=True)
    assert "<img" not in text and "&lt;img src=x" in text
    for uri in ("logo.svg", "privacy", "terms"):  # attack 65: a link, and nothing that the browser loads
        assert f'href="https://rp.example.org/{uri}"' in text and f'src="https://rp.example.org/{uri}"' not in text
    assert "img-src 'self'" in page.headers["Content-Security-Policy"] and "rp.example.org</bdi>" in text


# --- software statements ------------------------------------------------------------------------------------------


def test_rfc7591_2_3_a_statement_wins_and_comes_back_unchanged(register):
    raw = statement(aud=ISSUER, first_party=True)
    made = register(client_name="Something else", software_statement=raw)
    assert made.status == 201, made.response.get_data(as_text=True)
    assert made.client_name == "Certified Rounds" and made.software_id == "rounds-1"
    assert made.software_statement == raw and not clients.get(made.client_id).first_party


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"exp": 1}, "invalid_software_statement"),
        ({"exp": None}, "invalid_software_statement"),
        ({"nbf": 2**40}, "invalid_software_statement"),
        ({"aud": "https://other.example.org"}, "invalid_software_statement"),
        ({"aud": 7}, "invalid_software_statement"),
        ({"key": STRANGER}, "invalid_software_statement"),
        ({"iss": "https://stranger.example.org"}, "unapproved_software_statement"),
        ({"iss": None}, "unapproved_software_statement"),
    ],
)
def test_attack_67_statements_that_are_refused(register, changes, error):
    answer = register(software_statement=statement(**changes))
    assert (answer.status, answer.error) == (400, error)


@pytest.mark.parametrize("raw", ["", "x", 7, "e30.e30.", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."])
def test_attack_67_unsigned_statements_are_refused(register, raw):
    assert register(software_statement=raw).error == "invalid_software_statement"


def test_a_statement_is_no_permission(register):
    assert register(None, software_statement=statement()).status == 401


# --- RFC 7592 -----------------------------------------------------------------------------------------------------


def test_rfc7592_2_1_a_client_reads_itself(register, client):
    made = register()
    seen = manage(client, made)
    assert seen.status == 200 and seen.client_id == made.client_id and seen.client_secret is None
    assert seen.registration_access_token == made.registration_access_token
    assert seen.response.headers["Cache-Control"] == "no-store"


def test_attack_68_the_token_of_one_client_opens_no_other(register, client):
    one, other = register(), register()
    for method in ("GET", "PUT", "DELETE"):
        answer = manage(client, one, method, token=other.registration_access_token, client_id=one.client_id)
        assert (answer.status, answer.error) == (401, "invalid_token")
    assert manage(client, one).status == 200
    path = f"/register/{one.client_id}"
    assert client.get(path).status_code == 401
    assert client.get(f"{path}?access_token={one.registration_access_token}").status_code == 401
    assert client.get("/register/unknown", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_client_of_the_console_cannot_be_managed_here(make_rp, client):
    answer = client.get(f"/register/{make_rp().client.client_id}", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401


def test_rfc7592_2_2_an_update_replaces_everything_and_the_token(register, client, audit_trail):
    made = register(policy_uri="https://rp.example.org/privacy")
    uris = ["https://rp.example.org/new"]
    changed = manage(
        client, made, "PUT", client_id=made.client_id, client_secret=made.client_secret, redirect_uris=uris
    )
    assert changed.status == 200, changed.response.get_data(as_text=True)
    assert (
        changed.redirect_uris == uris and changed.policy_uri is None and changed.grant_types == ["authorization_code"]
    )
    assert clients.get(made.client_id).check_secret(made.client_secret)
    assert manage(client, made).status == 401
    assert manage(client, changed).status == 200
    assert "client.updated" in audit_trail


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"client_id": None},
        {"client_secret": "x" * 43},
        {"client_secret": 7},
        {"registration_access_token": "x"},
        {"redirect_uris": ["http://rp.example.com/"]},
        {"security_profile": "legacy"},
    ],
)
def test_rfc7592_2_2_an_update_that_is_refused_changes_nothing(register, client, changes):
    made = register()
    body = {"client_id": made.client_id, "redirect_uris": ["https://rp.example.org/new"]} | changes
    answer = manage(client, made, "PUT", **body)
    assert answer.status == 400 and answer.error in ("invalid_client_metadata", "invalid_redirect_uri")
    assert manage(client, made).redirect_uris == METADATA["redirect_uris"]


def test_an_update_neither_takes_nor_loses_trust(register, client):
    made = register()
    with committing():
        clients.update(made.client_id, {"first_party": True, "serves": ["https://claims.example.org/api"]})
    body = {"client_id": made.client_id, "redirect_uris": ["https://rp.example.org/new"], "first_party": False}
    assert manage(client, made, "PUT", **body).status == 200
    after = clients.get(made.client_id)
    assert after.first_party and after.serves == ("https://claims.example.org/api",)


def test_race_one_of_twenty_updates_has_the_new_token(register, app, client):
    made = register()
    body = METADATA | {"client_id": made.client_id}
    headers = {"Authorization": f"Bearer {made.registration_access_token}"}
    path = made.registration_client_uri.removeprefix(ISSUER)
    answers = in_threads(20, app, lambda _: app.test_client().put(path, json=body, headers=headers))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19


def test_rfc7592_2_3_a_client_deletes_itself(register, client, audit_trail):
    made = register()
    gone = manage(client, made, "DELETE")
    assert gone.status == 204 and not gone.response.data
    assert clients.find(made.client_id) is None and manage(client, made).status == 401
    assert "client.deleted" in audit_trail


def test_nobody_inherits_the_token_of_a_client_that_was_deleted(register, client):
    made = register()
    with committing():
        clients.delete(made.client_id)
        clients.create(METADATA, client_id=made.client_id)
    assert manage(client, made).status == 401


def test_expired_tokens_are_forgotten(initial, travel):
    initial(lives_s=60)
    travel(2 * 86400)
    keeps = initial()
    with committing():
        assert registration_tokens.prune() == 1
    assert len(registration_tokens.search()) == 1 and keeps


# --- open registration --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opened", [{"open_registration": True}])
def test_open_registration_is_an_explicit_setting(register):
    made = register(None)
    assert made.status == 201 and made.security_profile == "oidc"
    assert "provider" not in made.scope.split()
    assert register(None, security_profile="legacy").status == 400
    assert register("x" * 43).status == 401


@pytest.mark.parametrize("opened", [{"open_registration": True, "allow_legacy": True}])
def test_old_applications_register_where_both_settings_allow_it(register, initial):
    made = register(None, grant_types=["authorization_code", "implicit"], response_types=["code id_token"])
    assert made.status == 201, made.response.get_data(as_text=True)
    assert made.security_profile == "legacy"
    assert register(security_profile="legacy").status == 400  # with a token: an administrator's to give


# --- third-party-initiated login ----------------------------------------------------------------------------------


def test_o46_the_account_page_leads_to_where_the_application_begins(register, make_rp, client, alice, sign_in_as):
    made = register(initiate_login_uri="https://rp.example.org/begin?x=1")
    assert made.initiate_login_uri == "https://rp.example.org/begin?x=1"
    make_rp(client_name="House", initiate_login_uri="https://house.example.org/begin")
    sign_in_as(alice)
    text = unescape(client.get("/").get_data(as_text=True))
    assert 'href="https://house.example.org/begin?iss=http%3A%2F%2Flocalhost"' in text
    assert "rp.example.org" not in text  # a stranger's application is on nobody's page …
    query = f"client_id={made.client_id}&response_type=code&scope=openid&code_challenge={'x' * 43}"
    asked = client.get(f"/authorize?{query}&code_challenge_method=S256").location
    client.post(asked, data={"csrf": csrf_in(client.get(asked)), "decision": "allow"})
    text = unescape(client.get("/").get_data(as_text=True))  # … but on theirs who allowed it something
    assert 'href="https://rp.example.org/begin?x=1&iss=http%3A%2F%2Flocalhost"' in text


def test_discovery_names_the_endpoint(client):
    assert client.get("/.well-known/openid-configuration").get_json()["registration_endpoint"] == f"{ISSUER}/register"


@pytest.mark.parametrize("name", ["", "\u202e", "a" * 300, "Dr. Größe", "x\u0000y"])
def test_clean_names_always_pass_the_common_rule(name):
    cleaned = own_metadata.clean_name(name)
    assert len(cleaned) <= 100 and cleaned == own_metadata.clean_name(cleaned)
