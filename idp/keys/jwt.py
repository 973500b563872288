"""keys.jwt — signing and verifying our own tokens (RFC 7515, RFC 7519, RFC 8725).

Signing goes straight to `cryptography`: a header segment that is built once per key and type, the claims, one signature. Verifying is for tokens
that we issued ourselves, so it is strict: exactly the header members that we write, a `kid` that we publish, the algorithm of that key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from idp import clock, jws
from idp.config import settings
from idp.crypto import base64url
from idp.errors import IdpError, Unavailable
from idp.keys import ring
from idp.keys.ring import LiveKey

LEEWAY_S = 60
_HEADER = {"alg", "kid", "typ"}
_LAST_SECOND = 2**53  # later than any clock


class InvalidToken(IdpError):
    """A token is not ours, was changed, or is of another type. Why is for the log only."""

    status = 401
    code = "invalid_token"
    public = "The token is not valid."


class NoSigningKey(Unavailable):
    """There is no key to sign with: `ensure` has not run, or its sealing key is gone."""


def sign(claims: Mapping[str, Any], *, typ: str, alg: str | None = None) -> str:
    """Return the claims as a compact JWS. `alg` defaults to the first of the settings; `iss` is added where it is missing.

    `typ` ("JWT", "at+jwt", "logout+jwt") keeps one kind of token from passing for another (RFC 8725 section 3.11).
    Raises NoSigningKey, and TypeError for values that are not JSON.
    """
    alg = alg or settings().oauth.signing_algs[0]
    key = ring.present().active.get(alg)
    if key is None or key.sign is None:
        raise NoSigningKey(detail=f"no {alg} key can sign")
    whole = claims if "iss" in claims else {"iss": settings().server.issuer, **claims}
    segment = key.header(typ) + base64url(orjson.dumps(whole, option=orjson.OPT_PASSTHROUGH_DATETIME)).encode()
    return f"{segment.decode()}.{base64url(key.sign(segment))}"


def verify(
    raw_jwt: str,
    *,
    typ: str | None,
    algs: Sequence[str] | None = None,
    audience: str | None = None,
    unexpired: bool = False,
) -> dict[str, Any]:
    """Return the claims of a token of ours. Raises InvalidToken.

    Always checked: form, signature by a published key, algorithm, `iss`, `typ` unless None, that times are whole
    seconds, and that `nbf` and `iat` are not in the future. `exp` and `aud` only on demand: a hint may be expired.
    """
    try:
        found = jws.read(raw_jwt)  # strictly: a token must not be varied past a list of revoked ones
    except jws.BadSignature as problem:
        raise InvalidToken(detail=str(problem)) from None
    key = _key(found.header, typ, algs)
    if not jws.is_signed_with(raw_jwt, key.public, alg=key.alg):
        raise InvalidToken(detail="not signed by its key")
    _check(found.claims, audience, unexpired)
    return found.claims


def _key(header: dict[str, Any], typ: str | None, algs: Sequence[str] | None) -> LiveKey:
    if set(header) != _HEADER or not all(isinstance(value, str) for value in header.values()):
        raise InvalidToken(detail="the header is not one of ours")  # crit, b64, jku, jwk, x5u, zip and the like
    if typ is not None and header["typ"] != typ:
        raise InvalidToken(detail=f"typ {header['typ']!r} instead of {typ!r}")
    key = ring.find(header["kid"])
    if key is None or key.alg != header["alg"] or (algs is not None and key.alg not in algs):
        raise InvalidToken(detail="no published key of that kid and alg")
    return key


def _check(claims: dict[str, Any], audience: str | None, unexpired: bool) -> None:
    if claims.get("iss") != settings().server.issuer:
        raise InvalidToken(detail="another issuer")
    for name in {"exp", "nbf", "iat", "auth_time"} & claims.keys():
        if type(claims[name]) is not int or not 0 <= claims[name] < _LAST_SECOND:
            raise InvalidToken(detail=f"{name} is not a time in whole seconds")
    now = clock.epoch()
    if max(claims.get("nbf", 0), claims.get("iat", 0)) > now + LEEWAY_S:
        raise InvalidToken(detail="from the future")
    if unexpired and claims.get("exp", 0) <= now:
        raise InvalidToken(detail="expired")
    if audience is not None:
        meant = claims.get("aud")
        if audience not in (meant if isinstance(meant, list) else [meant]):
            raise InvalidToken(detail="for another audience")
