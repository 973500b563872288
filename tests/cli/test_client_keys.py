"""`idp client create` for applications that prove themselves with keys (RFC 7523, RFC 9101, RFC 9126)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from idp import clients, config
from idp.doctor import trust
from tests.cli.conftest import Idp
from tests.oauth.signing import jwks, key

Answer = Callable[..., Any]
CREATE = ("client", "create", "--name", "Claims", "--redirect-uri", "https://claims.example.org/cb")
BY_KEY = (*CREATE, "--auth-method", "private_key_jwt")


def test_a_client_with_keys_in_a_file(idp: Idp, answer: Answer, inside: Flask, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(jwks(key())))
    made = answer(*BY_KEY, "--jwks", str(file), "--signing-alg", "ES256", "--require-par")
    assert "client_secret" not in made and made["jwks"] == jwks(key())
    client = clients.get(made["client_id"])
    assert client.token_endpoint_auth_signing_alg == "ES256" and client.require_pushed_authorization_requests
    assert "P-256" in idp("client", "show", made["client_id"]).output
    assert "proves itself with a key" in idp("client", "rotate-secret", made["client_id"], "--yes", fails=1).output


def test_a_client_with_keys_at_an_address(answer: Answer, inside: Flask) -> None:
    made = answer(*BY_KEY, "--jwks-uri", "https://claims.example.org/jwks")
    assert clients.get(made["client_id"]).jwks_uri == "https://claims.example.org/jwks"


def test_all_of_it_from_json(answer: Answer, inside: Flask) -> None:
    metadata = {
        "client_name": "Claims",
        "redirect_uris": ["https://claims.example.org/cb"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "PS256",
        "request_object_signing_alg": "PS256",
        "require_signed_request_object": True,
        "require_pushed_authorization_requests": True,
        "jwks": jwks(key("2048")),
    }
    made = answer("client", "create", "--from-json", "-", input=json.dumps(metadata))
    shown = clients.get(made["client_id"]).metadata()
    assert {name: shown[name] for name in metadata} == metadata


def test_what_cannot_be_is_said(idp: Idp, tmp_path: Path) -> None:
    assert "jwks" in idp(*BY_KEY, fails=1).output
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [key().as_dict(private=True)]}))
    assert "private half" in idp(*BY_KEY, "--jwks", str(file), fails=1).output
    assert "security_profile" in idp(*CREATE, "--profile", "legacy", fails=1).output


def test_x3_the_doctor_keeps_the_exception_visible(idp: Idp, inside: Flask, config_file: Path) -> None:
    now = config.settings()
    assert list(trust.legacy(now)) == []
    with config_file.open("a") as file:
        file.write("\n[oauth]\nallow_legacy = true\n")
    idp(*CREATE, "--profile", "legacy")
    allowed = dataclasses.replace(now, oauth=dataclasses.replace(now.oauth, allow_legacy=True))
    for settings, told in ((allowed, "1 applications"), (now, "not allowed here")):
        (finding,) = trust.legacy(settings)
        assert finding.state == "warn" and told in finding.message and finding.remedy
