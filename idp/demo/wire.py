"""wire — what a relying service knows of the identity provider: its metadata, its public keys, how to read its JWTs."""

from __future__ import annotations

import base64
import binascii
import functools
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from joserfc import jwk, jws
from joserfc.errors import JoseError

ALGORITHMS = ("ES256", "RS256")
MAX_JWT_CHARS = 8192
LEEWAY_S = 10  # clocks of two machines
MAX_LIFETIME_S = 24 * 3600
METADATA_S = 3600
TIMEOUT_S = 10.0


class Refused(Exception):
    """A token, or an answer of the provider, that we do not believe. `reason` is one word, for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ProviderAway(Exception):
    """The identity provider does not answer, or does not answer what its standards promise."""


@dataclass(frozen=True, kw_only=True)
class Jwt:
    """A JWT whose signature was checked with a key of the provider."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def audience(self) -> tuple[str, ...]:
        aud = self.claims.get("aud", ())
        members = (aud,) if isinstance(aud, str) else tuple(aud) if isinstance(aud, list) else ()
        return tuple(member for member in members if isinstance(member, str))


@dataclass
class _Cache:
    metadata: dict[str, Any] | None = None
    metadata_at: float = 0.0
    keys: dict[str, Any] = field(default_factory=dict)
    keys_at: float = float("-inf")


class Provider:
    """The identity provider as seen from outside (OpenID Connect Discovery 1.0, RFC 7517). Safe for threads."""

    def __init__(self, issuer: str, *, refetch_s: float = 10.0) -> None:
        self.issuer = issuer
        self.http = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=_tls())
        self._refetch_s = refetch_s  # an unknown kid costs the provider at most one request in this time
        self._cache = _Cache()
        self._lock = threading.Lock()

    def metadata(self) -> Mapping[str, Any]:
        """The discovery document; refused when it speaks for another issuer (Discovery §4.3)."""
        with self._lock:
            return self._metadata()

    def endpoint(self, name: str) -> str:
        """The URL of an endpoint by its name in the metadata."""
        url = self.metadata().get(name)
        if not isinstance(url, str):
            raise ProviderAway(f"The identity provider does not announce {name}.")
        return url

    def offers(self, name: str) -> bool:
        """Whether the metadata announces this endpoint."""
        return name in self.metadata()

    def key(self, kid: str) -> Any:
        """The public key with this id; the key set is read again when it is unknown, but not at every call."""
        with self._lock:
            if kid not in self._cache.keys and time.monotonic() - self._cache.keys_at >= self._refetch_s:
                document = self._get(str(self._metadata().get("jwks_uri")))
                self._cache.keys = _import_keys(document)
                self._cache.keys_at = time.monotonic()
            if kid not in self._cache.keys:
                raise Refused("key", "The token is signed with a key that the identity provider does not publish.")
            return self._cache.keys[kid]

    def read(self, raw_jwt: str) -> Jwt:
        """Check form, algorithm, signature and issuer of a JWT. Type, audience and times are the caller's to check."""
        header, claims = parse(raw_jwt)
        if header.get("alg") not in ALGORITHMS:
            raise Refused("alg", f"Tokens must be signed with one of {', '.join(ALGORITHMS)}.")
        if "crit" in header or "b64" in header:
            raise Refused("crit", "The token demands an extension that this service does not know.")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise Refused("key", "The token does not say which key signed it.")
        _check_signature(raw_jwt, self.key(kid), str(header["alg"]))
        if claims.get("iss") != self.issuer:
            raise Refused("iss", f"The token was not issued by {self.issuer}.")
        return Jwt(header=header, claims=claims)

    def _metadata(self) -> dict[str, Any]:
        cache = self._cache
        if cache.metadata is None or time.monotonic() - cache.metadata_at > METADATA_S:
            document = self._get(f"{self.issuer}/.well-known/openid-configuration")
            if document.get("issuer") != self.issuer:
                raise ProviderAway("The discovery document speaks for another issuer.")
            cache.metadata, cache.metadata_at = document, time.monotonic()
        return cache.metadata

    def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = self.http.get(url)
            answer.raise_for_status()
            document = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as trouble:
            raise ProviderAway(f"The identity provider does not answer at {url}.") from trouble
        if not isinstance(document, dict):
            raise ProviderAway(f"The identity provider's answer at {url} is not a JSON object.")
        return document


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's trusted certificates, read once: that takes longer than everything else here."""
    return ssl.create_default_context()


def check_times(claims: Mapping[str, Any], *, now: float | None = None) -> None:
    """`exp` and `iat` are owed, `nbf` is honoured; whole numbers only, and no lifetime beyond a day."""
    at = time.time() if now is None else now
    exp, iat, nbf = (_numeric_date(claims, name) for name in ("exp", "iat", "nbf"))
    if exp is None or iat is None:
        raise Refused("malformed", "The token does not say when it was issued and when it expires.")
    if exp - iat > MAX_LIFETIME_S:
        raise Refused("malformed", "The token claims to live longer than a day.")
    if at >= exp + LEEWAY_S:
        raise Refused("expired", "The token has expired.")
    if max(iat, nbf or 0) > at + LEEWAY_S:
        raise Refused("not_yet_valid", "The token is not valid yet.")


def parse(raw_jwt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a compact JWS, nothing verified. Refuses duplicate members, NaN and oversize."""
    parts = raw_jwt.split(".")
    if len(raw_jwt) > MAX_JWT_CHARS or len(parts) != 3:
        raise Refused("malformed", "This is not a signed JWT.")
    return _parse_part(parts[0]), _parse_part(parts[1])


def _parse_part(part: str) -> dict[str, Any]:
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = json.loads(raw, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (binascii.Error, ValueError, RecursionError):
        raise Refused("malformed", "The token is not well-formed.") from None
    if not isinstance(value, dict):
        raise Refused("malformed", "The token is not well-formed.")
    return value


def _check_signature(raw_jwt: str, key: Any, alg: str) -> None:
    try:
        jws.deserialize_compact(raw_jwt, key, algorithms=[alg])
    except (JoseError, ValueError):
        raise Refused("signature", "The signature does not belong to this token.") from None


def _import_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    """Signature keys by kid; what we cannot read is skipped, a symmetric key is never believed."""
    found: dict[str, Any] = {}
    members = document.get("keys")
    for member in members if isinstance(members, list) else []:
        if not isinstance(member, dict) or member.get("use", "sig") != "sig" or "kid" not in member:
            continue
        if member.get("kty") in ("EC", "RSA"):
            try:
                found[str(member["kid"])] = jwk.import_key(member)
            except (JoseError, ValueError, KeyError):
                continue
    return found


def _numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
        raise Refused("malformed", f"The token's {name} is not a point in time.")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(name)
