"""The edge: one commit per answer, CSRF, hosts, headers, errors for two readers."""

import pytest
import sqlalchemy as sa
from flask import Flask, request

from idp import errors, kv, mail, web
from idp.db import db
from idp.mail import OutgoingMail


@pytest.fixture
def edge(make_app, sqlite_url):
    """The application with a few views that behave and misbehave."""
    app: Flask = make_app(sqlite_url)

    def note() -> None:
        mail.stage("a@example.org", mail.Letter("s", "b"))

    def fact():
        note()
        raise errors.Forbidden

    def accident():
        note()
        db.session.flush()
        raise RuntimeError("password=hunter2")

    def away():
        raise kv.Unavailable[0]("gone")

    @web.csrf_protected
    def form():
        return web.csrf_token()

    for name, view in {"fact": fact, "accident": accident, "away": away, "form": form}.items():
        app.add_url_rule(f"/t/{name}", name, view, methods=["GET", "POST"])
    app.add_url_rule("/t/read", "read", lambda: web.single("x"), methods=["GET", "POST"])
    app.add_url_rule("/t/who", "who", lambda: str(request.remote_addr))
    app.add_url_rule("/t/id", "id", web.browser_id)
    with app.app_context():
        yield app


def mails() -> int:
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(OutgoingMail)) or 0


def test_an_answer_good_or_bad_is_committed_and_an_accident_rolls_back(edge):
    client = edge.test_client()
    assert client.get("/t/fact").status_code == 403
    assert mails() == 1
    assert client.get("/t/accident").status_code == 500
    assert mails() == 1


def test_attack_97_an_accident_tells_the_caller_nothing_but_an_id(edge):
    answer = edge.test_client().get("/t/accident")
    assert "hunter2" not in answer.text
    assert answer.headers["X-Request-Id"] in answer.text


def test_attack_94_redis_away_is_a_clear_503_with_retry_after(edge):
    answer = edge.test_client().get("/t/away", headers={"Accept": "application/json"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["error"] == "temporarily_unavailable"


def test_attack_71_a_post_needs_a_token_of_this_browser(edge):
    client, other = edge.test_client(), edge.test_client()
    token = client.get("/t/form").text
    assert client.post("/t/form", data={"csrf": token}).status_code == 200
    assert client.post("/t/form").status_code == 403
    assert other.post("/t/form", data={"csrf": token}).status_code == 403
    other.get("/t/form")
    assert other.post("/t/form", data={"csrf": token}).status_code == 403
    evil = {"Origin": "https://evil.example"}
    assert client.post("/t/form", data={"csrf": token}, headers=evil).status_code == 403
    sandboxed = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
    assert client.post("/t/form", data={"csrf": token}, headers=sandboxed).status_code == 403
    without_referrer = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/t/form", data={"csrf": token}, headers=without_referrer).status_code == 200


def test_attack_70_an_unknown_host_is_refused(edge):
    client = edge.test_client()
    assert client.get("/t/id", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/t/id", headers={"Host": "localhost"}).status_code == 200


def test_attack_92_forwarded_addresses_count_only_from_configured_proxies(edge, make_app, sqlite_url):
    forged = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    assert edge.test_client().get("/t/who", headers=forged).text == "127.0.0.1"
    behind = make_app(sqlite_url, server={"trusted_proxies": 1})
    behind.add_url_rule("/t/who", "who", lambda: str(request.remote_addr))
    assert behind.test_client().get("/t/who", headers=forged).text == "198.51.100.7"


def test_attacks_6_and_144_a_parameter_comes_once_and_without_nul(edge):
    client = edge.test_client()
    assert client.get("/t/read?x=1").text == "1"
    assert client.get("/t/read?x=1&x=2").status_code == 400
    assert client.post("/t/read", data={"x": "a\x00b"}).status_code == 400


def test_attack_141_a_large_body_is_refused(edge):
    assert edge.test_client().post("/t/read", data={"x": "a" * 70_000}).status_code == 413


def test_v3_every_answer_carries_the_security_headers(edge):
    for path in ("/t/id", "/t/fact", "/nowhere"):
        headers = edge.test_client().get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-inline" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_attack_74_behind_tls_cookies_are_host_bound_and_hsts_is_sent(make_app, sqlite_url):
    app = make_app(sqlite_url, server={"issuer": "https://login.example.org"}, mode="production")
    app.add_url_rule("/t/id", "id", web.browser_id)
    answer = app.test_client().get("/t/id", base_url="https://login.example.org")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-idp_browser=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "max-age=63072000" in answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize(
    "evil",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "https:evil",
        "javascript:alert(1)",
        "",
        "evil",
        "/a\tb",
        "/a b",
    ],
)
def test_attack_76_only_local_paths_are_local(evil):
    with pytest.raises(errors.BadInput):
        web.local_path(evil)


def test_a_local_path_with_a_query_stays_as_it_is():
    assert web.local_path("/authorize/resume?txn=a-b_c") == "/authorize/resume?txn=a-b_c"
