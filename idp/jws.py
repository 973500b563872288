"""jws — signed JSON that others made (RFC 7515, RFC 7517, RFC 8725): read strictly, verified with exactly the keys we were given.

The header chooses nothing but which of the known keys to try: `jku`, `x5u`, `jwk` and `x5c` in it are never looked at, and
nothing is fetched because of them (attack 37). Public keys are imported once and kept.
"""

from __future__ import annotations

import binascii
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp import signatures, strict_json
from idp.record import Record
from idp.signatures import Verifier

MAX_CHARS = 16_384
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
ASYMMETRIC = ("ES256", "ES384", "RS256", "RS384", "PS256", "EdDSA")

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_UNSIGNED = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.")
_KINDS: dict[str, tuple[str, str | None]] = {  # alg: kty, crv
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "PS256": ("RSA", None),
    "EdDSA": ("OKP", "Ed25519"),
    "HS256": ("oct", None),
}
_KEYS: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519", "X25519")}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MATERIAL = ("kty", "crv", "x", "y", "n", "e")  # what of a public key decides about a signature
_TRIED_AT_MOST = 4
_LAST_SECOND = 2**53
_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/  ")  # the standard's own two are no letters of base64url


class BadSignature(Exception):
    """Not a strict JWS, or not signed by one of the keys; the text says why, for the client's developer."""


class Unverified(Record):
    """A JWS that was taken apart. Nothing in it is true before `verify`."""

    raw: str
    header: dict[str, Any]
    claims: dict[str, Any]
    body: bytes  # the claims as they were written
    signature: bytes

    @property
    def message(self) -> bytes:
        """What was signed (RFC 7515 section 5.2)."""
        return self.raw.rpartition(".")[0].encode()


def read(raw: str) -> Unverified:
    """Take a compact JWS apart. Raises BadSignature for anything loose: size, base64, doubled members, `crit`, `b64`."""
    if len(raw) > MAX_CHARS or not _SHAPE.fullmatch(raw):
        raise BadSignature("it is not a signed JWT in compact form")
    head, body, signature = map(_unbase64, raw.split("."))
    header = _json(head)
    if "crit" in header or "b64" in header or not isinstance(header.get("alg"), str):
        raise BadSignature("its header has no alg, or extensions that are not supported")
    if not isinstance(header.get("kid", ""), str) or not isinstance(header.get("typ", ""), str):
        raise BadSignature("kid and typ must be texts")
    return Unverified(raw, header, _json(body), body, signature)


def read_unsigned(raw: str) -> Unverified:
    """Take apart what says itself that nobody signed it (`alg` none, no signature). Raises BadSignature.

    Only for what came from a place that is proven otherwise; nothing that `verify` is meant for gets here.
    """
    if len(raw) > MAX_CHARS or not _UNSIGNED.fullmatch(raw):
        raise BadSignature("it is not an unsigned JWT in compact form")
    head, body, nothing = map(_unbase64, raw.split("."))
    header = _json(head)
    if header.get("alg") != "none" or "crit" in header or "b64" in header:
        raise BadSignature("its header must say alg none, and nothing that is not supported")
    return Unverified(raw, header, _json(body), body, nothing)


def verify(found: Unverified, keys: Sequence[Mapping[str, Any]], *, algs: Sequence[str]) -> None:
    """Check the signature with one of these public keys. Raises BadSignature.

    `algs` is what this client may use; the key's kind, and its `use`, `alg` and `kid` where given, must fit the header.
    """
    alg = found.header["alg"]
    if alg not in algs or alg not in ASYMMETRIC:
        raise BadSignature(f"alg must be one of {', '.join(algs)}")
    fitting = [key for key in keys if _fits(key, alg, found.header.get("kid"))]
    if not fitting:
        raise BadSignature("none of the keys registered for it has this kid and fits this alg")
    if not any(_is_signed_by(found, key, alg) for key in fitting[:_TRIED_AT_MOST]):
        raise BadSignature("the signature is not by a key registered for it")


def verify_hmac(found: Unverified, secrets: Sequence[bytes]) -> None:
    """Check an HS256 signature with one of these secrets. Raises BadSignature."""
    if found.header["alg"] != "HS256":
        raise BadSignature("alg must be HS256")
    made = (hmac.digest(secret, found.message, "sha256") for secret in secrets if secret)
    if not any(hmac.compare_digest(signature, found.signature) for signature in made):
        raise BadSignature("the signature is not by the client's secret")


def whole_seconds(claims: Mapping[str, Any], name: str) -> int | None:
    """Return a time in the claims, None if it is not there. Raises BadSignature for anything but whole seconds."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is not int or not 0 <= value < _LAST_SECOND:
        raise BadSignature(f"{name} must be a time in whole seconds")
    return value


def has_key_for(found: Unverified, keys: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether one of the keys is named by the header; if none is, the set may be old."""
    return any(_fits(key, found.header["alg"], found.header.get("kid")) for key in keys)


# --- keys ---------------------------------------------------------------------------------------------------------


def key_problem(key: object) -> str | None:
    """Say why a JWK must not be registered by a client, or None (attack 52, F-34): private, symmetric, weak, or broken."""
    if not isinstance(key, dict) or not all(isinstance(key.get(name, ""), str) for name in ("kid", "use", "alg")):
        return "must be an object with kid, use and alg as texts"
    kty = key.get("kty")
    if kty not in ("RSA", "EC", "OKP"):
        return "must have kty RSA, EC or OKP; shared secrets do not belong into a key set"
    if _PRIVATE & key.keys():
        return "must not hold the private half of a key; make a new key, this one is known now"
    if kty != "RSA" and key.get("crv") not in _CURVES[kty]:
        return f"must be on one of the curves {', '.join(_CURVES[kty])}"
    try:
        if kty == "RSA" and (weakness := _weak_rsa(key)):
            return weakness
        _import(json.dumps(key, sort_keys=True))
    except (JoseError, BadSignature, ValueError, TypeError, KeyError):
        return "is not a public key (RFC 7518 section 6)"
    return None


def public_key_der(key: Mapping[str, Any]) -> bytes | None:
    """Return a JWK as SubjectPublicKeyInfo, to compare it with a certificate's; None for a key that cannot be read."""
    try:
        raw: bytes = _import(json.dumps(dict(key), sort_keys=True)).as_der(private=False)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return raw


def _weak_rsa(key: Mapping[str, Any]) -> str | None:
    n, e = (int.from_bytes(_unbase64(key[name])) for name in ("n", "e"))
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
        return f"must be an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
    if e < 65537 or e % 2 == 0 or e.bit_length() > 256:
        return "must have the RSA exponent 65537 or a larger odd one"
    return None


def _fits(key: Mapping[str, Any], alg: str, kid: str | None) -> bool:
    kty, crv = _KINDS.get(alg, ("", None))
    return (
        key.get("kty") == kty
        and (crv is None or key.get("crv") == crv)
        and key.get("use", "sig") == "sig"
        and key.get("alg", alg) == alg
        and (kid is None or key.get("kid") == kid)
    )


def _is_signed_by(found: Unverified, key: Mapping[str, Any], alg: str) -> bool:
    try:
        verify = _verifier(tuple(map(key.get, _MATERIAL)), alg)
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return verify(found.message, found.signature)


@lru_cache(maxsize=2048)
def _verifier(material: tuple[str | None, ...], alg: str) -> Verifier:
    """Import a public key once: another key in its place is other material."""
    members = {name: value for name, value in zip(_MATERIAL, material, strict=True) if value is not None}
    return signatures.verifier(_KEYS[members["kty"]].import_key(members).public_key, alg)


@lru_cache(maxsize=256)
def _import(jwk: str) -> Any:
    """Import a public key; its use and operations are judged by `_fits`, not by the library."""
    members = {name: value for name, value in json.loads(jwk).items() if name not in ("use", "key_ops", "alg")}
    return _KEYS[members["kty"]].import_key(members)


# --- strictness ---------------------------------------------------------------------------------------------------


def _unbase64(segment: str) -> bytes:
    """Decode base64url, exactly as it is encoded: no padding, nothing between, no loose bits at the end (RFC 7515 section 2)."""
    standard = (segment + "=" * (-len(segment) % 4)).encode().translate(_TO_STANDARD)
    try:
        raw = binascii.a2b_base64(standard)
    except binascii.Error:
        raise BadSignature("a part of it is not base64url") from None
    if binascii.b2a_base64(raw, newline=False) != standard:
        raise BadSignature("a part of it is not strict base64url")
    return raw


def _json(raw: bytes) -> dict[str, Any]:
    try:
        found = strict_json.loads(raw)
    except ValueError:
        raise BadSignature("header and claims must be JSON without repeated members") from None
    if not isinstance(found, dict):
        raise BadSignature("header and claims must be JSON objects")
    return found
