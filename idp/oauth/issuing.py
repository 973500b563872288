"""Issuing tokens: access tokens as RFC 9068 has them, ID tokens as OIDC Core 2 and 3.1.3.6 have them, and the answer around both.

Claims of the profile, email and provider scopes come from UserInfo. Where the access token is for another resource, and so
opens no UserInfo, the ID token carries them (OIDC Core 5.4): a client never has to ask twice to greet somebody.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oidc.core.util import create_half_hash

from idp import clock, crypto, keys
from idp.clients import Client
from idp.config import settings
from idp.oauth import authorization_details, claims, client_certificate, opaque, resources, sealed_answers, subjects
from idp.oauth.resources import Audience
from idp.oauth.tokens import Family

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 — a media type (RFC 9068 section 2.1)
ID_TOKEN_TYPE = "JWT"  # noqa: S105


def answer(
    client: Client, family: Family, audience: Audience, *, raw_refresh_token: str | None, nonce: str | None = None
) -> dict[str, Any]:
    """Build the token response of a person's authorization (RFC 6749 section 5.1, OIDC Core 3.1.3.3).

    Raises InvalidGrantError when the person is gone or disabled.
    """
    access_token = access_token_of_person(client, family, audience)
    said: dict[str, Any] = {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": audience.lifetime_s,
    }
    said |= _scope(audience) | details(client, family, audience)
    scopes = () if audience.is_userinfo else family.granted.scopes
    names = claims.wanted(scopes, family.claims, "id_token", client)
    person = claims.of_person(family.sub, names, is_active=family.person_is_active)
    if person is None:
        raise InvalidGrantError("The person who authorized this has no active account any more.")
    if raw_refresh_token is not None:
        said["refresh_token"] = raw_refresh_token
    if resources.OPENID in family.granted.scopes:
        said["id_token"] = id_token(client, family, person, access_token=access_token, nonce=nonce)
    return said


def answer_to_machine(client: Client, audience: Audience) -> dict[str, Any]:
    """Build the token response of client_credentials (RFC 6749 section 4.4.3).

    `sub` is the client behind a prefix that no person's subject has, so that a service never takes one for the other (F-14).
    """
    body = _common(client, audience) | {"sub": f"client:{client.client_id}", "jti": crypto.random_token(16)}
    return {
        "access_token": write(body, audience),
        "token_type": "Bearer",
        "expires_in": audience.lifetime_s,
    } | _scope(audience)


def write(body: dict[str, Any], audience: Audience) -> str:
    """Write an access token as its resource wants it: signed (RFC 9068), or opaque."""
    return opaque.issue(body) if audience.opaque else keys.sign(body, typ=ACCESS_TOKEN_TYPE, alg=audience.alg)


def family_of(jti: str) -> str | None:
    """Return the family that an access token's `jti` names, or None for a token of a machine."""
    family_id, dot, _ = jti.partition(".")
    return family_id if dot else None


def access_token_of_person(client: Client, family: Family, audience: Audience) -> str:
    """Write an access token of a family for one audience (RFC 9068)."""
    return write(_of_person(client, family, audience) | details(client, family, audience), audience)


def exchanged_access_token(client: Client, family: Family, audience: Audience, *, act: dict[str, Any] | None) -> str:
    """Write an access token that was had for another one (RFC 8693 section 4.1): `act` names who acts, and for whom they act."""
    body = _of_person(client, family, audience) | details(client, family, audience)
    return write(body | ({"act": act} if act else {}), audience)


def _of_person(client: Client, family: Family, audience: Audience) -> dict[str, Any]:
    whose = {"sub": subjects.of(client, family.sub), "jti": f"{family.id}.{crypto.random_token(16)}"}
    return _common(client, audience) | whose | _sign_in(family)


def _sign_in(family: Family) -> dict[str, Any]:
    """RFC 9068 section 2.2.1: how and when the person signed in; nothing where they did not, and nobody may read a 1FA into it."""
    if not family.has_sign_in:
        return {}
    return {
        "auth_time": int(family.auth_time.timestamp()),
        "acr": family.acr,
        "amr": list(family.amr),
        "sid": family.sid,
    }


def _common(client: Client, audience: Audience) -> dict[str, Any]:
    now = clock.epoch()
    return (
        {
            "iss": settings().server.issuer,
            "aud": audience.identifier,
            "client_id": client.client_id,
            "iat": now,
            "exp": now + audience.lifetime_s,
        }
        | _scope(audience)
        | _confirmation(client)
    )


def _confirmation(client: Client) -> dict[str, Any]:
    """RFC 8705 section 3.1: the certificate that a bound token is good with, and with no other."""
    cnf = client_certificate.confirmation(client)
    return {"cnf": cnf} if cnf else {}


def _scope(audience: Audience) -> dict[str, str]:
    """RFC 6749 section 3.3 has no empty scope: where there is none, the member is absent."""
    return {"scope": " ".join(audience.scopes)} if audience.scopes else {}


def details(client: Client, family: Family, audience: Audience) -> dict[str, Any]:
    """RFC 9396 sections 7 and 9: what this access token may do beside its scopes, told to the client and to the resource."""
    found = authorization_details.of_resource(family.authorization_details, audience.identifier, client)
    return {authorization_details.NAME: found} if found else {}


def id_token(
    client: Client,
    family: Family,
    person: dict[str, Any],
    *,
    access_token: str | None,
    nonce: str | None,
    raw_code: str | None = None,
) -> str:
    """Write an ID token; what travels beside it through the browser is bound to it by its hash (OIDC Core 3.3.2.11).

    At a refresh `nonce` is absent and `auth_time` the old one (OIDC Core 12.2).
    """
    now, alg = clock.epoch(), client.id_token_signed_response_alg
    body = person | {
        "iss": settings().server.issuer,
        "sub": subjects.of(client, family.sub),
        "aud": client.client_id,
        "azp": client.client_id,
        "iat": now,
        "exp": now + settings().oauth.id_token_s,
        "auth_time": int(family.auth_time.timestamp()),
        "acr": family.acr,
        "amr": list(family.amr),
        "sid": family.sid,
    }
    beside = {"at_hash": access_token, "c_hash": raw_code}
    body |= {name: create_half_hash(raw, alg).decode() for name, raw in beside.items() if raw is not None}
    if nonce is not None:
        body["nonce"] = nonce
    if family.session_expires_at is not None:
        body["session_expiry"] = int(family.session_expires_at.timestamp())
    return sealed_answers.id_token(client, keys.sign(body, typ=ID_TOKEN_TYPE, alg=alg))
