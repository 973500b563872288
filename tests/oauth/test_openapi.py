"""The OpenAPI description says what is there: every route, every parameter that the code reads, and what discovery says."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from idp import oauth
from idp.clients import PROFILES, metadata
from idp.oauth import authorization_request, client_assertion, logout, params, pkce
from idp.oauth.grants import GRANTS, token_exchange
from idp.oauth.operations import GRANT_PARAMETERS, OPERATIONS, PARAMETERS, named
from tests.conftest import ISSUER

PAGES = {  # for people; the fuzz knows their fields
    *("/authorize/resume", "/consent", "/device", "/device/confirm", "/signed-out", "/check_session"),
}
FIELDS_OF_PAGES = {"decision"}
READERS = ("sent", "params", "inside", "whole", "form")  # what the code calls the parameters of a request


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def document(client):
    answer = client.get("/openapi.json")
    assert answer.status_code == 200 and answer.content_type == "application/json" and answer.headers["ETag"]
    assert client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    return answer.get_json()


def test_every_route_of_the_protocol_is_described_and_no_other(app, document):
    there = {
        (rule.rule.replace("<client_id>", "{client_id}"), method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("oauth.") and rule.rule not in PAGES
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert there == {(operation.path, operation.method) for operation in OPERATIONS}
    assert there == {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    endpoints = {(rule.rule.replace("<client_id>", "{client_id}"), rule.endpoint) for rule in app.url_map.iter_rules()}
    assert {(operation.path, operation.endpoint) for operation in OPERATIONS} <= endpoints


def test_discovery_and_the_description_name_the_same_endpoints(client):
    said = client.get("/.well-known/openid-configuration").get_json()
    named_there = {
        name: urlsplit(url).path for name, url in said.items() if name.endswith("_endpoint") or name == "jwks_uri"
    }
    assert named_there == {operation.metadata: operation.path for operation in OPERATIONS if operation.metadata}


def test_the_values_are_those_of_the_code():
    assert set(GRANT_PARAMETERS) == {grant.GRANT_TYPE for grant in GRANTS}
    assert set(named("response_mode").values) == {mode for profile in PROFILES for mode in profile.response_modes}
    assert named("code_challenge_method").values == (pkce.METHOD,)
    assert named("client_assertion_type").values == (client_assertion.TYPE,)
    assert named("requested_token_type").values == token_exchange.KINDS
    for name in ("subject_token_type", "actor_token_type"):
        assert named(name).values == token_exchange.TAKEN
    assert {parameter.name for parameter in PARAMETERS if parameter.repeatable} == set(params.REPEATABLE)
    for prompt in authorization_request.PROMPTS:
        assert prompt in named("prompt").meaning
    assert all(set(logout.PARAMETERS) == set(op.parameters) for op in OPERATIONS if op.path == "/end_session")


def test_every_parameter_belongs_to_a_request():
    names = [parameter.name for parameter in PARAMETERS]
    assert len(set(names)) == len(names)
    assert set(names) == {name for operation in OPERATIONS for name in operation.parameters}
    assert all(set(operation.required) <= set(operation.parameters) for operation in OPERATIONS)


def test_what_the_code_reads_by_name_is_described():
    """The fuzz sees to what is read of each request (test_fuzz.py); this is about code that no good request reaches."""
    read = {
        name
        for file in Path(oauth.__file__).parent.rglob("*.py")
        for name in _names_in(ast.parse(file.read_text("utf-8")))
    }
    described = {parameter.name for parameter in PARAMETERS}
    assert read - FIELDS_OF_PAGES <= described, read - described
    computed = {f"{role}_token{tail}" for role in ("subject", "actor") for tail in ("", "_type")}
    by_authlib = {"grant_type", "refresh_token"}
    unread = {p.name for p in PARAMETERS if not p.unused} - read - computed - by_authlib - set(params.REPEATABLE)
    assert unread <= {"access_token", "authorization_details"}, unread  # read in other ways


def _names_in(tree: ast.AST) -> set[str]:
    """The literals of `sent.get("…")`, `params.words("…")` and the like, also where `sent` hangs on something."""
    found = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("get", "words"):
            on = call.func.value
            name = on.attr if isinstance(on, ast.Attribute) else on.id if isinstance(on, ast.Name) else ""
            if name in READERS and call.args and isinstance(call.args[0], ast.Constant):
                found.add(str(call.args[0].value))
    return found


def test_it_is_whole(document):
    assert document["openapi"] == "3.1.0" and document["servers"] == [{"url": ISSUER}]
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    schemes = document["components"]["securitySchemes"]
    for methods in document["paths"].values():
        for operation in methods.values():
            assert all(name in schemes for wanted in operation["security"] for name in wanted)
            assert operation["responses"] and operation["summary"].endswith((".", "?"))
    assert set(document["components"]["schemas"]["ClientMetadata"]["properties"]) == metadata.known_names()


def test_rfc8705_certificates_are_named_where_they_are_taken(make_app, sqlite_url):
    for section, schemes in (({}, set()), ({"header": "Client-Cert"}, {"client_certificate"})):
        said = make_app(sqlite_url, mtls=section).test_client().get("/openapi.json", base_url=ISSUER).get_json()
        assert "client_certificate" not in set(said["components"]["securitySchemes"]) ^ schemes
        assert ({"client_certificate": []} in said["paths"]["/token"]["post"]["security"]) is bool(schemes)


def _references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(_references(value) for value in node.values()))
    return set().union(*map(_references, node)) if isinstance(node, list) else set()


def test_nothing_secret_is_in_it(document):
    assert "secret" not in json.dumps(document["servers"]) and ISSUER in json.dumps(document)
