"""Pairwise subjects (O-32, OIDC Core 8): distinct per sector, the same for ever, and the same in everything a client can read."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from idp import clients, users
from idp.clients import InvalidMetadata
from idp.db import committing, db
from idp.oauth import backchannel, subjects
from tests.conftest import CLAIMS_API, in_threads
from tests.oauth.conftest import claims_of, make_person

ONE, TWO = "https://one.example.org/cb", "https://two.example.org/cb"


@pytest.fixture
def signed_in(alice, sign_in_as):
    return sign_in_as(alice)


@pytest.fixture
def pairwise(make_rp):
    def make(*uris, **metadata):
        return make_rp(redirect_uris=list(uris or (ONE,)), subject_type="pairwise", **metadata)

    return make


@pytest.fixture
def sector_document():
    """A web server on loopback with one document; `publish(value)` returns its URL."""

    class Handler(BaseHTTPRequestHandler):
        value: object = []

        def do_GET(self):
            body = json.dumps(Handler.value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def publish(value):
        Handler.value = value
        return f"http://127.0.0.1:{server.server_port}/sector.json"

    yield publish
    server.shutdown()
    server.server_close()


def test_o32_distinct_per_sector_deterministic_not_the_person_s_own(pairwise, make_rp, alice, signed_in):
    first, again = pairwise(), pairwise(scope="openid")
    other = pairwise(TWO)
    sub = claims_of(first.sign_in().id_token)["sub"]
    assert sub == claims_of(first.sign_in().id_token)["sub"]
    assert sub == claims_of(again.sign_in(scope="openid").id_token)["sub"]  # one sector, one subject
    assert sub != claims_of(other.sign_in().id_token)["sub"]
    assert alice.sub not in (sub, sub[1:]) and sub.startswith(users.SUBJECT_PREFIX) and len(sub) <= 255
    assert claims_of(make_rp().sign_in().id_token)["sub"] == alice.sub


def test_o32_the_same_in_all_that_the_client_can_read(pairwise, alice, signed_in):
    rp = pairwise(scope="openid profile email offline_access")
    answer = rp.sign_in()
    sub = claims_of(answer.id_token)["sub"]
    refreshed = rp.refresh(answer.refresh_token)
    told = [
        claims_of(answer.access_token)["sub"],
        rp.userinfo(answer.access_token).get_json()["sub"],
        rp.introspect(answer.access_token).get_json()["sub"],
        rp.introspect(refreshed.refresh_token).get_json()["sub"],
        claims_of(refreshed.id_token)["sub"],
        claims_of(refreshed.access_token)["sub"],
        claims_of(backchannel.logout_token(rp.client, sub=alice.sub, sid="s"))["sub"],
    ]
    assert set(told) == {sub}
    for raw in (answer.id_token, answer.access_token, refreshed.id_token):
        assert alice.sub not in json.dumps(claims_of(raw))


def test_o32_a_resource_sees_the_client_s_name_for_the_person(pairwise, make_rp, alice, signed_in):
    rp = pairwise(scope="openid claims.read")
    service = make_rp(grant_types=["client_credentials"], redirect_uris=[], scope="", serves=[CLAIMS_API])
    answer = rp.sign_in(scope="openid claims.read")
    told = service.introspect(answer.access_token).get_json()
    assert told["active"] and told["sub"] == claims_of(answer.id_token)["sub"] != alice.sub


def test_o16_hints_speak_the_client_s_language(pairwise, make_rp, alice, bob, signed_in, sign_in_as):
    rp, public = pairwise(), make_rp()
    hint = rp.sign_in().id_token
    assert "code" in rp.callback(prompt="none", id_token_hint=hint)
    own = json.dumps({"id_token": {"sub": {"value": claims_of(hint)["sub"]}}})
    assert "code" in rp.callback(prompt="none", claims=own)
    foreign = json.dumps({"id_token": {"sub": {"value": alice.sub}}})
    assert rp.callback(prompt="none", claims=foreign)["error"] == "login_required"
    assert public.callback(prompt="none", id_token_hint=hint)["error"] == "login_required"
    sign_in_as(bob)
    assert rp.callback(prompt="none", id_token_hint=hint)["error"] == "login_required"


def test_o37_sign_out_with_a_pairwise_hint(pairwise, client, signed_in):
    rp = pairwise(post_logout_redirect_uris=["https://one.example.org/bye"])
    hint = rp.sign_in().id_token
    back = client.get(
        "/end_session",
        query_string={"id_token_hint": hint, "post_logout_redirect_uri": "https://one.example.org/bye", "state": "x"},
    )
    assert back.status_code == 303 and back.location == "https://one.example.org/bye?state=x"
    assert rp.callback(prompt="none")["error"] == "login_required"


def test_revocation_is_written_down_under_the_person_s_own_subject(pairwise, alice, signed_in):
    import sqlalchemy as sa

    rp = pairwise()
    rp.revoke(rp.sign_in().access_token)
    rows = db.session.execute(sa.text("SELECT subject FROM audit_events WHERE event = 'token.revoked'")).scalars().all()
    assert rows == [alice.sub]


def test_the_key_survives_a_new_sealing_key(app, make_app, pairwise, alice, db_url):
    from tests.conftest import fresh_key
    from tests.oauth.conftest import SEALING_KEY

    client = pairwise().client
    with committing():
        before = subjects.of(client, alice.sub)
    rotated = make_app(db_url, secrets={"sealing_keys": (fresh_key("newer"), SEALING_KEY)})
    with rotated.app_context():
        assert subjects.of(client, alice.sub) == before


def test_a_key_that_was_rolled_back_is_never_used(app, pairwise, alice):
    client, sub = pairwise().client, alice.sub
    lost = subjects.of(client, sub)
    db.session.rollback()
    db.session.remove()
    with committing():
        kept = subjects.of(client, sub)
    db.session.remove()
    assert kept != lost and subjects.of(client, sub) == kept == subjects.of(client, sub)


def test_race_one_key_whoever_is_first(app, pairwise):
    client = pairwise().client

    def work(_number):
        with committing():
            return subjects.of(client, "_somebody")

    assert len(set(in_threads(20, app, work))) == 1


# --- registration -------------------------------------------------------------------------------------------------


def problem(make, *uris, **metadata):
    with pytest.raises(InvalidMetadata) as refused:
        make(*uris, **metadata)
    return refused.value.fields["sector_identifier_uri"][0]


def test_o32_several_hosts_need_a_sector(pairwise):
    assert "several hosts" in problem(pairwise, ONE, TWO)
    assert pairwise(ONE, "https://one.example.org/other").client.subject_type == "pairwise"


def test_o32_the_sector_document_lists_every_redirect_uri(pairwise, sector_document, alice, sign_in_as):
    assert "does not list" in problem(pairwise, ONE, TWO, sector_identifier_uri=sector_document([ONE]))
    assert "array" in problem(pairwise, ONE, TWO, sector_identifier_uri=sector_document({"redirect_uris": [ONE, TWO]}))
    uri = sector_document([TWO, ONE, "https://three.example.org/cb"])
    first, second = pairwise(ONE, TWO, sector_identifier_uri=uri), pairwise(TWO, sector_identifier_uri=uri)
    sign_in_as(alice)
    assert claims_of(first.sign_in().id_token)["sub"] == claims_of(second.sign_in().id_token)["sub"]
    with pytest.raises(InvalidMetadata):
        clients.update(first.client.client_id, {"redirect_uris": [ONE, "https://evil.example.com/cb"]})


@pytest.mark.parametrize("uri", ["ftp://one.example.org/x", "x", "https://u@one.example.org/x", "http://10.0.0.1/x"])
def test_attack_62_only_public_addresses_are_looked_at(pairwise, uri):
    assert problem(pairwise, ONE, sector_identifier_uri=uri)


def test_discovery_says_so(client):
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["subject_types_supported"] == ["public", "pairwise"]


def test_f14_no_pairwise_subject_looks_like_a_client(pairwise, app):
    client, person = pairwise().client, make_person("carol", display_name="Carol")
    with committing():
        assert clients.find(subjects.of(client, person.sub)) is None


def test_o32_native_apps_on_loopback_share_no_sector(pairwise, alice, app):
    apps = [
        pairwise("http://127.0.0.1/cb", application_type="native", token_endpoint_auth_method="none", first_party=False)
        for _ in range(2)
    ]
    with committing():
        first, second = (subjects.of(one.client, alice.sub) for one in apps)
    assert first != second and subjects.sector(apps[0].client) == apps[0].client.client_id
