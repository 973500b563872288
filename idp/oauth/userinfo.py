"""UserInfo: what a client may know about the person who signed in (OIDC Core 5.3, RFC 6750).

JSON, or a signed or encrypted JWT for a client that registered for it (section 5.3.2).
"""

from __future__ import annotations

from typing import Any

import orjson
from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc6750 import InsufficientScopeError
from sqlalchemy import Table, bindparam, select

from idp import clients, clock, keys, users, web
from idp.clients import Client
from idp.config import settings
from idp.db import Prepared, ask
from idp.oauth import (
    access_tokens,
    claims,
    client_certificate,
    issuing,
    params,
    resources,
    sealed_answers,
    server,
    subjects,
)
from idp.oauth.errors import quotable
from idp.oauth.sealed_answers import NoEncryptionKey
from idp.oauth.tokens import FamilyRow
from idp.web import Answer

_FAMILIES: Table = FamilyRow.__table__

# One trip: a living family with its active person, or nothing.
_FAMILY_AND_PERSON = Prepared(
    select(_FAMILIES.c.client_id, _FAMILIES.c.sub, _FAMILIES.c.claims, *users.facts.COLUMNS)
    .join(users.facts.TABLE, users.facts.is_active(_FAMILIES.c.sub))
    .where(_FAMILIES.c.id == bindparam("family_id"), _FAMILIES.c.revoked_at.is_(None))
)


def respond() -> Answer:
    """GET or POST /userinfo with a bearer token in the header, or in the body of a POST (O-28, O-29)."""
    try:
        raw_token = _bearer_token()
    except InvalidRequestError as wrong:
        return _challenge(400, "invalid_request", wrong.get_error_description())
    if raw_token is None:
        return _challenge(401)
    said = _claims(raw_token)
    if said is None:
        return _challenge(401, "invalid_token", "The access token is expired, revoked, or not for this endpoint.")
    if not said:
        return _challenge(403, InsufficientScopeError.error, "The access token lacks the scope openid.")
    try:
        return _answer(*said)
    except NoEncryptionKey as trouble:
        return _challenge(400, trouble.error, trouble.get_error_description())


def _claims(raw_token: str) -> tuple[Client, dict[str, Any]] | tuple[()] | None:
    """Return who asks and the claims; None for a token that is not good here, nothing for one without the scope openid."""
    living = access_tokens.unrevoked(raw_token)
    if living is None:
        return None
    token, client = living
    family_id = issuing.family_of(token["jti"])
    if family_id is None or token["aud"] != resources.userinfo() or not client_certificate.confirms(token.get("cnf")):
        return None
    found = ask(_FAMILY_AND_PERSON, {"family_id": family_id})
    if not found:
        return None
    scopes = token.get("scope", "").split()
    if resources.OPENID not in scopes:
        return ()
    if client.client_id != found[0]["client_id"]:  # it was traded (RFC 8693): the person allowed whom the family is of
        client = clients.get(found[0]["client_id"])
    names = claims.wanted(scopes, found[0]["claims"], "userinfo", client)
    return client, {"sub": subjects.of(client, found[0]["sub"])} | claims.told(users.facts.told(found[0]), names)


def _answer(client: Client, told: dict[str, Any]) -> Answer:
    """Section 5.3.2: JSON, signed, encrypted, or signed and then encrypted, as the client registered. Raises NoEncryptionKey."""
    alg = client.userinfo_signed_response_alg
    if not alg and not client.userinfo_encrypted_response_alg:
        return server.answer(told)
    said = _signed(client, told, alg) if alg else orjson.dumps(told).decode()
    return server.jwt_answer(sealed_answers.userinfo(client, said, is_jwt=bool(alg)), "application/jwt")


def _signed(client: Client, told: dict[str, Any], alg: str) -> str:
    """`iss` and `aud` bind the answer. It has no `exp`, so that nobody takes it for an ID token (RFC 8725 section 3.12)."""
    body = told | {"iss": settings().server.issuer, "aud": client.client_id, "iat": clock.epoch()}
    return keys.sign(body, typ="JWT", alg=alg)


def _bearer_token() -> str | None:
    """RFC 6750 section 2: header or body, one of them, never the query (F-18). Raises InvalidRequestError."""
    sent = web.call()
    if sent.query_string and "access_token" in dict(sent.query):
        raise InvalidRequestError("An access token must not travel in the address (RFC 9700 section 4.3.2).")
    scheme, _, in_header = (sent.header("AUTHORIZATION") or "").partition(" ")
    has_body = sent.method == "POST" and sent.mimetype == web.FORM
    in_body = params.of_form().get("access_token") if has_body else None
    if in_header and in_body:
        raise InvalidRequestError("The access token was sent in two ways at once.")
    if scheme.lower() == "bearer" and in_header:
        return in_header.strip()
    return in_body


def _challenge(status: int, error: str = "", description: str = "") -> Answer:
    """RFC 6750 section 3: a request without any token gets the bare challenge."""
    told = f', error="{error}", error_description="{quotable(description, 200)}"' if error else ""
    body = {"error": error, "error_description": description} if error else {}
    return server.answer(body, status=status, headers=[("WWW-Authenticate", f'Bearer realm="idp"{told}')])
