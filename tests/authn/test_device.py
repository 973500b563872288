"""Known devices: per person, signed, ageing, bounded; they open nothing."""

from __future__ import annotations

import pytest
from flask import Flask, request

from idp.authn import device


@pytest.fixture
def app(make_app, sqlite_url: str) -> Flask:
    built = make_app(sqlite_url)
    built.add_url_rule("/t/remember/<sub>", "t_remember", lambda sub: (device.remember(sub), "ok")[1])
    built.add_url_rule(
        "/t/known", "t_known", lambda: str([device.is_known(sub) for sub in request.args.getlist("sub")])
    )
    return built


def known(client, *subs: str) -> str:
    return client.get("/t/known", query_string=[("sub", sub) for sub in subs]).text


def test_n29_a_device_is_known_for_those_who_signed_in_there(app: Flask) -> None:
    client = app.test_client()
    client.get("/t/remember/alice")
    client.get("/t/remember/bob")
    assert known(client, "alice", "bob", "carol") == "[True, True, False]"


def test_the_cookie_names_nobody_and_no_script_reads_it(app: Flask) -> None:
    answer = app.test_client().get("/t/remember/alice")
    cookie = answer.headers["Set-Cookie"]
    assert "alice" not in cookie and "HttpOnly" in cookie and "Max-Age=31536000" in cookie


def test_attack_109_a_forged_or_edited_entry_is_unknown(app: Flask) -> None:
    client = app.test_client()
    client.get("/t/remember/alice")
    value = client.get_cookie("idp_device").value
    nonce, issued_at, seal = value.split(".")
    forged = [
        f"{nonce}.{int(issued_at) + 1}.{seal}",
        f"{'A' * 16}.{issued_at}.{seal}",
        f"{nonce}.{issued_at}.{'A' * 43}",
        "~~.",
        "x" * 3000,
    ]
    for cookie in forged:
        client.set_cookie("idp_device", cookie)
        assert known(client, "alice") == "[False]"


def test_a_device_is_forgotten_after_a_year(app: Flask, travel) -> None:
    client = app.test_client()
    client.get("/t/remember/alice")
    travel(device.LIFETIME_S)
    assert known(client, "alice") == "[True]"
    travel(1)
    assert known(client, "alice") == "[False]"


def test_a_shared_workstation_remembers_the_last_eight(app: Flask) -> None:
    client = app.test_client()
    for number in range(9):
        client.get(f"/t/remember/p{number}")
        client.get(f"/t/remember/p{number}")
    assert known(client, "p0", "p1", "p8") == "[False, True, True]"
    assert len(client.get_cookie("idp_device").value) < 1024
