"""keys.algorithms — what differs between ES256, ES384, RS256, PS256 and EdDSA (RFC 7518 section 3, RFC 8037), on `cryptography`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from idp.crypto import base64url
from idp.record import Record

RSA_BITS = 2048
PrivateKey = Any  # ec, rsa or ed25519: told apart by the algorithm
Signer = Callable[[bytes], bytes]


class Algorithm(Record):
    """One JOSE signature algorithm: how to make a key, how to sign with it, what to publish of it."""

    name: str
    make: Callable[[], PrivateKey]
    signer: Callable[[PrivateKey], Signer]
    public: Callable[[PrivateKey], dict[str, str]]


def private_bytes(key: PrivateKey) -> bytes:
    """Return a private key as PKCS#8, to be sealed."""
    found: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return found


def import_private(der: bytes) -> PrivateKey:
    """Return the private key in PKCS#8 bytes that we sealed ourselves.

    The seal proves the bytes, so the 40 ms consistency check of RSA keys is left out.
    """
    return load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)


def public_jwk(algorithm: Algorithm, key: PrivateKey) -> dict[str, str]:
    """Return what may be published (RFC 7517); `kid` is the key's thumbprint (RFC 7638)."""
    members = algorithm.public(key)
    thumbprint = base64url(hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest())
    return {**members, "kid": thumbprint, "use": "sig", "alg": algorithm.name}


def _ecdsa(digest: hashes.HashAlgorithm, size: int) -> Callable[[PrivateKey], Signer]:
    scheme = ec.ECDSA(digest)

    def bind(key: PrivateKey) -> Signer:
        def sign(message: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(message, scheme))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")

        return sign

    return bind


def _rsa(scheme: padding.AsymmetricPadding) -> Callable[[PrivateKey], Signer]:
    def bind(key: PrivateKey) -> Signer:
        return lambda message: key.sign(message, scheme, hashes.SHA256())

    return bind


def _ec_public(curve: str, size: int) -> Callable[[PrivateKey], dict[str, str]]:
    def write(key: PrivateKey) -> dict[str, str]:
        point = key.public_key().public_numbers()
        x, y = (base64url(number.to_bytes(size, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": curve, "x": x, "y": y}

    return write


def _rsa_public(key: PrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    n, e = (base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
    return {"kty": "RSA", "n": n, "e": e}


def _ed_public(key: PrivateKey) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key().public_bytes_raw())}


def _make_rsa() -> PrivateKey:
    return rsa.generate_private_key(65537, RSA_BITS)


_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "ES256",
            lambda: ec.generate_private_key(ec.SECP256R1()),
            _ecdsa(hashes.SHA256(), 32),
            _ec_public("P-256", 32),
        ),
        Algorithm(
            "ES384",
            lambda: ec.generate_private_key(ec.SECP384R1()),
            _ecdsa(hashes.SHA384(), 48),
            _ec_public("P-384", 48),
        ),
        Algorithm("RS256", _make_rsa, _rsa(padding.PKCS1v15()), _rsa_public),
        Algorithm("PS256", _make_rsa, _rsa(_PSS), _rsa_public),
        Algorithm("EdDSA", ed25519.Ed25519PrivateKey.generate, lambda key: key.sign, _ed_public),
    )
}
