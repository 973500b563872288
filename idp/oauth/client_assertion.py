"""Client assertions: private_key_jwt and client_secret_jwt (RFC 7523 section 3, OIDC Core 9, RFC 7523bis).

Authlib's validator takes an audience list that names others too, an `exp` years ahead, and asks for a used `jti` before it
writes it down (standards section 10, trap 5). So this one is our own: everything is judged first, the signature among it, and then the
`jti` is burnt in one atomic step. Which addresses may stand in `aud` is a column of the table of profiles (X-1).
"""

from __future__ import annotations

from typing import Any

from idp import clock, crypto, jws
from idp.clients import Client, key_sets, profiles
from idp.config import settings
from idp.jws import BadSignature, Unverified
from idp.oauth import once

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_AHEAD_S = 300  # how far `exp` may lie ahead
CLOCKS_S = 10  # what a client's clock may be ahead of ours: must be forgiven up to here, must not beyond 60 s (F-27)
MAX_JTI = 512

_TYPES = ("jwt", "client-authentication+jwt")  # accepted, never demanded (F-22)


def algorithms() -> tuple[str, ...]:
    """Return every algorithm that some client may sign assertions with here, for discovery."""
    offered = profiles.offered(settings().oauth)
    asymmetric = (alg for profile in offered for alg in profile.client_algs)
    return tuple(dict.fromkeys([*asymmetric, profiles.HMAC_ALG]))


def method_of(raw_assertion: str) -> str:
    """Return the authentication method that an assertion claims to be, by its algorithm."""
    try:
        alg = jws.read(raw_assertion).header["alg"]
    except BadSignature:
        return profiles.PRIVATE_KEY_JWT
    return profiles.CLIENT_SECRET_JWT if alg == profiles.HMAC_ALG else profiles.PRIVATE_KEY_JWT


def named_client(raw_assertion: str) -> str | None:
    """Return whom an assertion names, unproven: good for finding whose keys to try."""
    try:
        sub = jws.read(raw_assertion).claims.get("sub")
    except BadSignature:
        return None
    return sub if isinstance(sub, str) else None


def problem(raw_assertion: str, client: Client) -> str | None:
    """Say why an assertion does not prove the client, for its developer; None, and burn it, if it does."""
    try:
        assertion = jws.read(raw_assertion)
        _check_type(assertion)
        _check_signature(assertion, client)
        _check_names(assertion.claims, client)
        _check_audience(assertion.claims, client)
        expires_at = _check_times(assertion.claims)
        _check_unused(assertion.claims, client, expires_at)
    except (BadSignature, key_sets.NoKeys) as wrong:
        return f"The client assertion is refused: {wrong}."
    return None


def _check_type(assertion: Unverified) -> None:
    """An assertion may say what it is; what says that it is something else is not one (RFC 8725 section 3.11)."""
    typ = assertion.header.get("typ", "jwt").lower().removeprefix("application/")
    if typ not in _TYPES:
        raise BadSignature("typ must be JWT or client-authentication+jwt, or be absent")


def _check_signature(assertion: Unverified, client: Client) -> None:
    """With a key of the kind that the client registered for, and no other: a public key is never an HMAC secret (attack 36)."""
    if client.token_endpoint_auth_method == profiles.CLIENT_SECRET_JWT:
        jws.verify_hmac(assertion, _secrets(client))
        return
    only = client.token_endpoint_auth_signing_alg
    algs = (only,) if only else client.profile.client_algs
    if assertion.header["alg"] not in algs:
        raise BadSignature(f"alg must be {' or '.join(algs)}")  # before any key is fetched
    keys = key_sets.find(client, suits=lambda found: jws.has_key_for(assertion, found))
    jws.verify(assertion, keys, algs=algs)


def _secrets(client: Client) -> list[bytes]:
    try:
        return client.secrets_in_clear()
    except crypto.SealBroken:
        raise BadSignature("this server cannot open the client's secret any more; ask for a new one") from None


def _check_names(claims: dict[str, Any], client: Client) -> None:
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise BadSignature("iss and sub must both be the client_id")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_JTI:
        raise BadSignature(f"jti must be text of 1 to {MAX_JTI} characters")


def _check_audience(claims: dict[str, Any], client: Client) -> None:
    issuer, profile = settings().server.issuer, client.profile
    addresses = {profiles.ISSUER: issuer, profiles.TOKEN_ENDPOINT: f"{issuer}/token"}
    audience = claims.get("aud")
    if profile.assertion_audience_in_list and isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in [addresses[name] for name in profile.assertion_audiences]:
        raise BadSignature("aud must be the issuer of this server, and nobody else (RFC 7523bis)")


def _check_times(claims: dict[str, Any]) -> int:
    """RFC 7523 section 3: return `exp`. A forgiving clock never lets an assertion live longer."""
    now, expires_at = clock.epoch(), jws.whole_seconds(claims, "exp")
    if expires_at is None or expires_at <= now:
        raise BadSignature("exp is missing or past")
    if expires_at > now + MAX_AHEAD_S + CLOCKS_S:
        raise BadSignature(f"exp must not be more than {MAX_AHEAD_S} seconds ahead")
    for name in ("iat", "nbf"):
        if (jws.whole_seconds(claims, name) or 0) > now + CLOCKS_S:
            raise BadSignature(f"{name} is in the future; look at the client's clock")
    return expires_at


def _check_unused(claims: dict[str, Any], client: Client, expires_at: int) -> None:
    name = f"assertion {client.client_id} {claims['jti']}"
    if not once.burn(name, lifetime_s=expires_at - clock.epoch() + CLOCKS_S):
        raise BadSignature("its jti was used before; every assertion is good for one request")
