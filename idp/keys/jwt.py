"""keys.jwt — signing and verifying our own tokens (RFC 7515, RFC 7519, RFC 8725).

Signing goes straight to `cryptography`: a header segment that is built once per key and type, the claims, one signature. Verifying is for tokens
that we issued ourselves, so it is strict: exactly the header members that we write, a `kid` that we publish, the algorithm of that key. What the
bytes of a token prove is found out once for a set of keys (proven.py); everything that can change is judged each time.
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
from idp.keys.proven import Proven
from idp.keys.ring import Ring

LEEWAY_S = 60
_HEADER = {"alg", "kid", "typ"}
_TIMES = ("exp", "nbf", "iat", "auth_time")
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
    found = _proven(raw_jwt)
    if typ is not None and found.typ != typ:
        raise InvalidToken(detail=f"typ {found.typ!r} instead of {typ!r}")
    if algs is not None and found.alg not in algs:
        raise InvalidToken(detail="signed with an algorithm that is not meant for this")
    claims: dict[str, Any] = orjson.loads(found.claims)
    _check(claims, audience, unexpired)
    return claims


def _proven(raw_jwt: str) -> Proven:
    """Judge the form and the signature of a token, or remember that they were good. Raises InvalidToken."""
    known = ring.present().proven.find(raw_jwt)
    if known is not None:
        return known
    try:
        found = jws.read(raw_jwt)  # strictly: a token must not be varied past a list of revoked ones
    except jws.BadSignature as problem:
        raise InvalidToken(detail=str(problem)) from None
    living = _ring_of(found.header)
    if not living.by_kid[found.header["kid"]].verify(found.message, found.signature):
        raise InvalidToken(detail="not signed by its key")
    proven = Proven(found.header["typ"], found.header["alg"], found.body)
    living.proven.keep(raw_jwt, proven)
    return proven


def _ring_of(header: dict[str, Any]) -> Ring:
    """Return the ring that publishes the key which the header names, of the algorithm that it names. Raises InvalidToken."""
    if set(header) != _HEADER or not all(isinstance(value, str) for value in header.values()):
        raise InvalidToken(detail="the header is not one of ours")  # crit, b64, jku, jwk, x5u, zip and the like
    living = ring.publishing(header["kid"])
    if living is None or living.by_kid[header["kid"]].alg != header["alg"]:
        raise InvalidToken(detail="no published key of that kid and alg")
    return living


def _check(claims: dict[str, Any], audience: str | None, unexpired: bool) -> None:
    if claims.get("iss") != settings().server.issuer:
        raise InvalidToken(detail="another issuer")
    for name in _TIMES:
        if name in claims and (type(claims[name]) is not int or not 0 <= claims[name] < _LAST_SECOND):
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
