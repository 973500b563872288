"""What may be asked how: HEAD only for documents, a form only from our pages, a host only if it is ours."""

import pytest

from idp import web
from idp.db import db
from tests.authn.signing_in import make_person

PAGES_THAT_ACT = (
    "/recover/password?identifier=alice",
    "/recover/username?email=alice@example.org",
    "/recover/password/new?new_password=Quiet-River-Runs-77",
    "/enrol/totp?flow=x&code=123456",
    "/login/totp?flow=x&code=123456",
    "/login",
    "/",
    "/consent?txn=x",
    "/end_session",
)


@pytest.mark.parametrize("path", PAGES_THAT_ACT)
def test_attack_85_head_does_nothing_on_a_page_of_ours(make_app, sqlite_url, path):
    app = make_app(sqlite_url)
    with app.app_context():
        make_person()
        db.session.commit()
    answer = app.test_client().head(path)
    assert answer.status_code == 405
    assert "HEAD" not in answer.headers["Allow"]
    assert "Set-Cookie" not in answer.headers


def test_every_view_that_takes_get_and_post_refuses_head(make_app, sqlite_url):
    app = make_app(sqlite_url)
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if {"GET", "POST"} <= (rule.methods or set()):
            assert not getattr(view, "is_document", False), rule


def test_documents_may_be_asked_with_head(make_app, sqlite_url):
    client = make_app(sqlite_url).test_client()
    for path in ("/.well-known/openid-configuration", "/healthz", "/static/idp.css"):
        assert client.head(path).status_code == 200, path


def test_attacks_16_and_71_a_forged_form_is_written_down_within_bounds(app, client, audit_trail):
    client.get("/recover/password")
    for _ in range(15):
        assert client.post("/recover/password", data={"identifier": "alice"}).status_code == 403
    assert audit_trail.events().count("form.refused") == 10


@pytest.mark.parametrize(
    "host",
    [
        "localhost/evil",
        "localhost?x",
        "localhost#x",
        "localhost:81",
        "evil@localhost",
        "localhost.",
        "",
        "localhost,evil",
    ],
)
def test_attack_70_a_host_that_only_looks_like_ours_is_refused(make_app, sqlite_url, host):
    client = make_app(sqlite_url).test_client()
    assert client.get("/help", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "LOCALHOST"])
def test_our_host_in_its_spellings_is_ours(make_app, sqlite_url, host):
    assert make_app(sqlite_url).test_client().get("/help", headers={"Host": host}).status_code == 200


def test_attack_70_a_request_target_that_names_somebody_else_is_refused(make_app, sqlite_url):
    client = make_app(sqlite_url).test_client()
    evil = {"REQUEST_URI": "http://evil.example/help"}
    assert client.get("/help", environ_overrides=evil).status_code == 400
    ours = {"REQUEST_URI": "http://localhost/help"}
    assert client.get("/help", environ_overrides=ours).status_code == 200


def test_a_missing_static_file_is_not_cached(make_app, sqlite_url):
    answer = make_app(sqlite_url).test_client().get("/static/none.css")
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "no-store"
    assert web.MAX_BODY == 65536
