"""keys.jwt — signing and verifying our own tokens (RFC 7515, RFC 7519, RFC 8725).

Signing goes straight to `cryptography`: a header segment that is built once per key and type, the claims, one signature. Verifying is for tokens
that we issued ourselves, so it is strict: exactly the header members that we write, a `kid` that we publish, the algorithm of that key.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError

from idp import clock
from idp.config import settings
from idp.crypto import base64url
from idp.errors import IdpError, Unavailable
from idp.keys import ring
from idp.keys.ring import LiveKey

LEEWAY_S = 60
MAX_CHARS = 16_384
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER = {"alg", "kid", "typ"}
_LAST_SECOND = 2**53  # later than any clock


class _Only(jws.JWSRegistry):
    """joserfc's algorithms, exactly those named: EdDSA too, about whose name (RFC 9864 says Ed25519) joserfc warns at every call."""

    def get_alg(self, name: str) -> Any:
        """Return the algorithm, if it is allowed."""
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


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
    head, body, _ = _segments(raw_jwt)
    key = _key(_json(head), typ, algs)
    try:
        jws.deserialize_compact(raw_jwt, key.public, registry=_Only(algorithms=[key.alg]))
    except (JoseError, ValueError) as error:
        raise InvalidToken(detail=f"signature: {type(error).__name__}") from None
    claims = _json(body)
    _check(claims, audience, unexpired)
    return claims


def _segments(raw_jwt: str) -> tuple[bytes, bytes, bytes]:
    if len(raw_jwt) > MAX_CHARS or not _SHAPE.fullmatch(raw_jwt):
        raise InvalidToken(detail="not a compact JWS")
    head, body, signature = (_unbase64(segment) for segment in raw_jwt.split("."))
    return head, body, signature


def _unbase64(segment: str) -> bytes:
    """Decode strictly: one spelling per value, so that a token cannot be varied past a list of revoked ones."""
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise InvalidToken(detail="not base64url") from None
    if base64url(raw) != segment:
        raise InvalidToken(detail="base64url with loose bits")
    return raw


def _json(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidToken(detail="not strict JSON") from None
    if not isinstance(found, dict):
        raise InvalidToken(detail="not an object")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member came twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


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
