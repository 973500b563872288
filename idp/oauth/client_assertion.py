"""Client assertions: private_key_jwt and client_secret_jwt (RFC 7523 section 3, OIDC Core 9, RFC 7523bis).

Authlib's validator takes an audience list that names others too, an `exp` years ahead, and asks for a used `jti` before it
writes it down (standards section 10, trap 5). So this one is our own: everything is judged first, the signature among it, and then the
`jti` is burnt in one atomic step. What holds for every assertion, whoever makes it, stands in assertions.py.
"""

from __future__ import annotations

from typing import Any

from idp import crypto, jws
from idp.clients import Client, key_sets, profiles
from idp.config import settings
from idp.jws import BadSignature, Unverified
from idp.oauth import assertions
from idp.record import Record

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def algorithms() -> tuple[str, ...]:
    """Return every algorithm that some client may sign assertions with here, for discovery."""
    offered = profiles.offered(settings().oauth)
    asymmetric = (alg for profile in offered for alg in profile.client_algs)
    return tuple(dict.fromkeys([*asymmetric, profiles.HMAC_ALG]))


class Claimed(Record):
    """What an assertion says of itself, unproven: good for finding whose keys to try."""

    method: str  # the authentication method, by its algorithm
    client_id: str | None
    found: Unverified | BadSignature


def read(raw_assertion: str) -> Claimed:
    """Take an assertion apart, once a request."""
    try:
        found = jws.read(raw_assertion)
    except BadSignature as wrong:
        return Claimed(profiles.PRIVATE_KEY_JWT, None, wrong)
    is_hmac, sub = found.header["alg"] == profiles.HMAC_ALG, found.claims.get("sub")
    method = profiles.CLIENT_SECRET_JWT if is_hmac else profiles.PRIVATE_KEY_JWT
    return Claimed(method, sub if isinstance(sub, str) else None, found)


def problem(claimed: Claimed, client: Client) -> str | None:
    """Say why an assertion does not prove the client, for its developer; None, and burn it, if it does."""
    try:
        _prove(claimed.found, client)
    except (BadSignature, key_sets.NoKeys) as wrong:
        return f"The client assertion is refused: {wrong}."
    return None


def _prove(assertion: Unverified | BadSignature, client: Client) -> None:
    """Judge everything, and burn the assertion then. Raises BadSignature and NoKeys."""
    if isinstance(assertion, BadSignature):
        raise assertion
    assertions.check_type(assertion, "client-authentication+jwt")  # accepted, never demanded (F-22)
    _check_signature(assertion, client)
    jti = _check_names(assertion.claims, client)
    assertions.check_audience(assertion.claims, client)
    expires_at = assertions.check_times(assertion.claims)
    assertions.burn("assertion", client.client_id, jti, expires_at=expires_at)


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


def _check_names(claims: dict[str, Any], client: Client) -> str:
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise BadSignature("iss and sub must both be the client_id")
    return assertions.check_jti(claims)
