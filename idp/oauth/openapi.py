"""The protocol endpoints as OpenAPI 3.1, written from operations.py and from what the code itself works with; served at /openapi.json.

For tools: gateways, fuzzers, generators of clients. People read docs/relying-apps.md, and programs that sign somebody in read discovery.
"""

from __future__ import annotations

from typing import Any

from idp import __version__, clients
from idp.config import settings
from idp.oauth.grants import GRANTS
from idp.oauth.operations import GRANT_PARAMETERS, OPERATIONS, Operation, Parameter, named

_FORM = "application/x-www-form-urlencoded"
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "client": [{"client_secret_basic": []}, {}],  # or in the form: OpenAPI has no word for that
    "bearer": [{"access_token": []}],
    "initial": [{"initial_access_token": []}, {}],
    "registration": [{"registration_access_token": []}],
}
_BEARER = {"type": "http", "scheme": "bearer"}
_SCHEMES = {
    "client_secret_basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Both halves form-urlencoded; or the proof stands in the form.",
    },
    "access_token": _BEARER | {"description": "An access token for UserInfo (RFC 6750)."},
    "initial_access_token": _BEARER
    | {"description": "Made by `idp client registration-token`; none with open_registration."},
    "registration_access_token": _BEARER | {"description": "Came with the registration; replaced at each change."},
}


def document() -> dict[str, Any]:
    """Return the description of this installation."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "OpenID Connect and OAuth 2 endpoints", "version": __version__},
        "servers": [{"url": settings().server.issuer}],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _SCHEMES | _certificate()},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{operation.endpoint.removeprefix('oauth.')}_{operation.method.lower()}_{_slug(operation.path)}",
        "summary": operation.summary,
        "security": _security(operation.proof),
        "responses": _responses(operation),
    }
    in_path = [{"name": "client_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    queried = [_in_query(named(name), operation) for name in operation.parameters if operation.place == "query"]
    if parameters := (in_path if "{client_id}" in operation.path else []) + queried:
        described["parameters"] = parameters
    if operation.place == "form":
        described["requestBody"] = {
            "content": {_FORM: {"schema": _form(operation)}},
            "required": bool(operation.required),
        }
    if operation.place == "json":
        reference = {"$ref": "#/components/schemas/ClientMetadata"}
        described["requestBody"] = {"content": {"application/json": {"schema": reference}}, "required": True}
    return described


def _security(proof: str) -> list[dict[str, list[str]]]:
    by_certificate: list[dict[str, list[str]]] = [{name: []} for name in _certificate()] if proof == "client" else []
    return by_certificate + _SECURITY.get(proof, [])


def _certificate() -> dict[str, dict[str, str]]:
    """RFC 8705, where a proxy passes certificates on."""
    return {"client_certificate": {"type": "mutualTLS"}} if settings().mtls.header else {}


def _slug(path: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in path.strip("/"))


def _responses(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for status, media_type, schema in operation.answers:
        answer = told.setdefault(str(status), {"description": _STATUS[status]})
        if media_type:
            body = {"schema": {"$ref": f"#/components/schemas/{schema}"}} if schema else {}
            answer.setdefault("content", {})[media_type] = body
    return told


_STATUS = {
    200: "Done.",
    201: "Made.",
    204: "Gone.",
    303: "On to the next page, or back to the application with the answer.",
    400: "Refused, and why.",
    401: "Nobody has proved who asks.",
    403: "The token is not enough.",
    429: "Too many; Retry-After says when.",
}


def _in_query(parameter: Parameter, operation: Operation) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.name in operation.required,
        "description": parameter.meaning,
        "schema": _schema(parameter),
    }


def _form(operation: Operation) -> dict[str, Any]:
    properties = {name: _schema(named(name)) | {"description": named(name).meaning} for name in operation.parameters}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if operation.required:
        schema["required"] = list(operation.required)
    if "grant_type" in operation.parameters:
        properties["grant_type"]["enum"] = [grant.GRANT_TYPE for grant in GRANTS]
        schema["oneOf"] = [_grant(grant.GRANT_TYPE) for grant in GRANTS]
    return schema


def _grant(name: str) -> dict[str, Any]:
    names = GRANT_PARAMETERS[name]
    required = [] if names[0] == "scope" else [names[0]]
    return {"title": name, "properties": {"grant_type": {"const": name}}, "required": ["grant_type", *required]}


def _schema(parameter: Parameter) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "integer": {"type": "string", "pattern": "^[0-9]{1,10}$"},
        "json": {"type": "string", "contentMediaType": "application/json"},
        "jwt": {"type": "string", "contentMediaType": "application/jwt"},
        "uri": {"type": "string", "format": "uri"},
    }
    schema = kinds.get(parameter.format, {"type": "string"})
    if parameter.values:
        schema = schema | {"enum": list(parameter.values)}
    return {"type": "array", "items": schema} if parameter.repeatable else schema


def _schemas() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer"}
    return {
        "Error": _object({"error": text, "error_description": text}),
        "Pushed": _object({"request_uri": text, "expires_in": number}, required=("request_uri", "expires_in")),
        "Tokens": _object(
            {"access_token": text, "token_type": text, "expires_in": number, "refresh_token": text, "id_token": text,
             "scope": text, "issued_token_type": text, "authorization_details": {"type": "array"}},
            required=("access_token", "token_type", "expires_in"),
        ),
        "Device": _object(
            {"device_code": text, "user_code": text, "verification_uri": text, "verification_uri_complete": text,
             "expires_in": number, "interval": number},
            required=("device_code", "user_code", "verification_uri", "expires_in"),
        ),
        "Person": _object({"sub": text}, required=("sub",)),
        "Introspection": _object({"active": {"type": "boolean"}}, required=("active",)),
        "Registration": {
            "allOf": [{"$ref": "#/components/schemas/ClientMetadata"}],
            "required": ["client_id", "registration_access_token", "registration_client_uri"],
        },
        "ClientMetadata": _object({name: {} for name in sorted(clients.metadata.known_names())}),
        "KeySet": _object({"keys": {"type": "array", "items": {"type": "object"}}}, required=("keys",)),
        "Metadata": _object({"issuer": text}, required=("issuer",)),
    }  # fmt: skip


def _object(properties: dict[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return schema | ({"required": list(required)} if required else {})
