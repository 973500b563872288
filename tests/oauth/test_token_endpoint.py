"""POST /token: client authentication, parameters, client_credentials, errors (RFC 6749 2.3, 4.4, 5.2)."""

from __future__ import annotations

import base64

import pytest

from tests.conftest import CLAIMS_API, ISSUER, PATIENTS_API
from tests.oauth.conftest import basic, claims_of, header_of


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def machine(make_rp):
    return make_rp(
        client_name="Batch",
        grant_types=["client_credentials"],
        redirect_uris=[],
        scope="claims.read",
        resources=[CLAIMS_API],
    )


def test_rfc6749_4_4_a_client_in_its_own_name(machine, audit_trail):
    answer = machine.token(grant_type="client_credentials")
    assert answer.status == 200 and answer.refresh_token is None and answer.id_token is None
    token = claims_of(answer.access_token)
    assert token["aud"] == CLAIMS_API and token["scope"] == "claims.read"
    assert token["client_id"] == machine.client.client_id and header_of(answer.access_token)["typ"] == "at+jwt"
    assert "token.issued" in audit_trail


def test_f14_a_machine_is_never_a_person(machine, alice):
    from idp import users

    sub = claims_of(machine.token(grant_type="client_credentials").access_token)["sub"]
    assert sub == f"client:{machine.client.client_id}"
    assert users.find_by_sub(sub) is None and ":" not in alice.sub


@pytest.mark.parametrize("scope", ["openid", "profile", "offline_access", "nonsense", "patients.read"])
def test_f14_a_machine_has_no_identity_scopes_and_none_that_it_did_not_register(machine, scope):
    assert machine.token(grant_type="client_credentials", scope=scope).error == "invalid_scope"


def test_f20_a_machine_with_several_resources_names_one(make_rp):
    rp = make_rp(
        grant_types=["client_credentials"],
        redirect_uris=[],
        scope="claims.read patients.read",
        resources=[CLAIMS_API, PATIENTS_API],
    )
    assert rp.token(grant_type="client_credentials").error == "invalid_target"
    answer = rp.token(grant_type="client_credentials", resource=PATIENTS_API)
    assert claims_of(answer.access_token)["aud"] == PATIENTS_API and answer.scope == "patients.read"
    assert rp.token(grant_type="client_credentials", resource=[PATIENTS_API, CLAIMS_API]).error == "invalid_target"
    assert rp.token(grant_type="client_credentials", resource="https://x.example.org").error == "invalid_target"


def test_the_grant_type_must_be_registered(rp):
    assert rp.token(grant_type="client_credentials").error == "unauthorized_client"


@pytest.mark.parametrize(
    "grant_type", ["password", "implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer", "x" * 2000, "<b>"]
)
def test_f4_other_grants_are_unsupported_and_not_repeated(rp, grant_type):
    answer = rp.token(grant_type=grant_type)
    assert answer.status == 400 and answer.error == "unsupported_grant_type"
    assert grant_type not in answer.error_description


def test_o24_answers_are_json_that_nobody_stores(machine):
    for answer in (machine.token(grant_type="client_credentials"), machine.token(grant_type="nonsense")):
        headers = answer.response.headers
        assert headers["Content-Type"] == "application/json"
        assert headers["Cache-Control"] == "no-store" and headers["Pragma"] == "no-cache"


def test_an_error_helps_the_developer_and_leads_security_staff_to_the_event(rp, audit_trail):
    answer = rp.token(grant_type="refresh_token", refresh_token="gone")
    assert answer.response.headers["X-Request-Id"] in answer.error_description
    assert "sign in again" in answer.error_description
    assert all(0x20 <= ord(c) <= 0x7E and c not in '"\\' for c in answer.error_description)
    assert "token.refused" in audit_trail


# --- client authentication ----------------------------------------------------------------------------------------


def test_rfc6749_5_2_a_wrong_secret_is_401_with_a_challenge(machine, audit_trail):
    machine.raw_secret = "wrong"
    answer = machine.token(grant_type="client_credentials")
    assert answer.status == 401 and answer.error == "invalid_client"
    assert answer.response.headers["WWW-Authenticate"].startswith("Basic")
    assert "client.rejected" in audit_trail


def test_attack_40_o23_never_two_ways_at_once(machine):
    answer = machine.token(
        grant_type="client_credentials", client_id=machine.client.client_id, client_secret=machine.raw_secret
    )
    assert answer.status == 400 and answer.error == "invalid_request"
    answer = machine.token(grant_type="client_credentials", client_assertion="x")
    assert answer.status == 400 and answer.error == "invalid_request"


def test_the_body_must_not_name_another_client(machine):
    assert machine.token(grant_type="client_credentials", client_id="somebody").error == "invalid_request"
    assert machine.token(grant_type="client_credentials", client_id=machine.client.client_id).status == 200


def test_attack_42_a_confidential_client_needs_its_secret(client, machine):
    answer = client.post("/token", data={"grant_type": "client_credentials", "client_id": machine.client.client_id})
    assert answer.status_code == 401 and answer.get_json()["error"] == "invalid_client"


def test_attack_43_a_public_client_cannot_act_in_its_own_name(make_rp):
    public = make_rp(token_endpoint_auth_method="none")
    assert public.token(grant_type="client_credentials").error == "unauthorized_client"


def test_the_registered_way_is_the_only_one(machine):
    answer = machine.token(auth="post", grant_type="client_credentials")
    assert answer.error == "invalid_client" and "client_secret_basic" in answer.error_description


def test_how_a_client_must_authenticate_is_told_only_to_the_client(machine):
    machine.raw_secret = "wrong"
    assert "client_secret_basic" not in machine.token(auth="post", grant_type="client_credentials").error_description


def test_o23_basic_halves_are_form_urlencoded(app, client):
    from idp import clients
    from idp.db import committing

    raw_secret = "p+%:&=/ ~" + "s" * 40
    with committing():
        registered, _ = clients.create(
            {
                "client_name": "X",
                "grant_types": ["client_credentials"],
                "scope": "claims.read",
                "resources": [CLAIMS_API],
            },
            client_id="odd-client",
            secret=raw_secret,
        )
    headers = {"Authorization": basic(registered.client_id, raw_secret)}
    assert client.post("/token", data={"grant_type": "client_credentials"}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic //79/A==",
        "Bearer x",
        "x",
        "",
    ],
)
def test_attack_144_a_broken_header_is_nobody(client, header):
    answer = client.post("/token", data={"grant_type": "client_credentials"}, headers={"Authorization": header})
    assert answer.status_code == 401 and answer.get_json()["error"] == "invalid_client"


def test_attack_41_failures_are_limited_and_afterwards_the_right_secret_works(machine, audit_trail, travel):
    raw_secret, machine.raw_secret = machine.raw_secret, "wrong"
    statuses = [machine.token(grant_type="client_credentials").status for _ in range(35)]
    assert statuses[0] == 401 and statuses[-1] == 429
    machine.raw_secret = raw_secret
    travel(61)
    assert machine.token(grant_type="client_credentials").status == 200
    assert "limit.exceeded" in audit_trail


def test_secrets_overlap_while_they_rotate(machine, travel):
    from idp import clients
    from idp.db import committing

    with committing():
        new = clients.rotate_secret(machine.client.client_id, overlap_s=60)
    assert machine.token(grant_type="client_credentials").status == 200
    travel(61)
    assert machine.token(grant_type="client_credentials").error == "invalid_client"
    machine.raw_secret = new
    assert machine.token(grant_type="client_credentials").status == 200


# --- parameters (F-17, F-18, library traps 2 and 3) ---------------------------------------------------------------


def test_trap_2_a_query_string_is_refused(client, machine):
    headers = {"Authorization": basic(machine.client.client_id, machine.raw_secret)}
    answer = client.post(
        "/token?grant_type=client_credentials", data={"grant_type": "client_credentials"}, headers=headers
    )
    assert answer.status_code == 400 and answer.get_json()["error"] == "invalid_request"


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "anything"])
def test_trap_3_nothing_comes_twice(machine, name):
    value = machine.client.client_id if name == "client_id" else "client_credentials"
    form = {"grant_type": "client_credentials"} | {name: [value, value]}
    assert machine.token(**form).error == "invalid_request"


def test_attack_142_json_is_no_form(client, machine):
    headers = {"Authorization": basic(machine.client.client_id, machine.raw_secret)}
    answer = client.post("/token", json={"grant_type": "client_credentials"}, headers=headers)
    assert answer.status_code == 400 and answer.get_json()["error"] == "invalid_request"


def test_attack_141_a_large_body_is_refused(client):
    assert client.post("/token", data={"grant_type": "x" * 100_000}).status_code == 413


def test_get_is_not_allowed(client):
    answer = client.get("/token")
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]


def test_f11_browser_applications_may_read_the_token_endpoint(client):
    preflight = client.options(
        "/token", headers={"Origin": "https://spa.example.org", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    answer = client.post("/token", data={"grant_type": "x"}, headers={"Origin": "null"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_attack_134_nothing_secret_is_logged(machine, rp, alice, sign_in_as, caplog):
    caplog.set_level("DEBUG")
    sign_in_as(alice)
    answer = rp.sign_in()
    second = rp.refresh(answer.refresh_token)
    said = machine.token(grant_type="client_credentials")
    for secret in (answer.access_token, answer.refresh_token, answer.id_token, second.refresh_token, said.access_token):
        assert secret not in caplog.text
    assert machine.raw_secret not in caplog.text and rp.raw_secret not in caplog.text


def test_performance_8_7_the_token_path_uses_no_orm_and_few_trips(app, machine, rp, alice, sign_in_as, monkeypatch):
    import sqlalchemy as sa

    from idp.db import db
    from idp.db.lines import Lines

    sign_in_as(alice)
    first = rp.redeem(rp.code(scope="openid offline_access"))
    second = rp.refresh(first.refresh_token)
    machine.token(grant_type="client_credentials")
    through_the_session, trips, lend = [], [], Lines.cursor
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: through_the_session.append(args[2]))
    monkeypatch.setattr(Lines, "cursor", lambda lines: trips.append(1) or lend(lines))

    def costs(work):
        trips.clear()
        assert work().status == 200 and through_the_session == []
        return len(trips)

    assert costs(lambda: machine.token(grant_type="client_credentials")) == 1  # the event
    assert costs(lambda: rp.refresh(second.refresh_token)) == 2  # look; rotate, with successor and event
    code = rp.code(scope="openid offline_access")
    through_the_session.clear()
    assert costs(lambda: rp.redeem(code)) == 2  # look; refresh token and event


def test_no_url_of_the_request_is_trusted(machine):
    assert (
        claims_of(
            machine.token(
                grant_type="client_credentials", headers={"X-Forwarded-Host": "evil.example.com"}
            ).access_token
        )["iss"]
        == ISSUER
    )


def test_attack_94_without_redis_nothing_is_issued_and_programs_are_told_in_json(app, machine, rp, alice, sign_in_as):
    from idp import kv

    sign_in_as(alice)
    code = rp.code()
    app.extensions["idp.kv"] = kv.connect("unix:///nonexistent/valkey.sock", timeout_s=0.1)
    answer = rp.redeem(code)
    assert answer.status == 503 and answer.error == "temporarily_unavailable" and answer.response.headers["Retry-After"]
    machine.raw_secret = "wrong"
    assert machine.token(grant_type="client_credentials").status == 503
