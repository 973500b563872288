"""signatures — checking JWS signatures with `cryptography` itself (RFC 7518 section 3, RFC 8037): one key, one algorithm, yes or no.

A verifier is made once for a key and an algorithm, and only where they belong together: kind, curve, digest and padding are fixed by
then, so nothing that a token says can choose them (RFC 8725 sections 3.1 and 3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

Verifier = Callable[[bytes, bytes], bool]  # message, signature

_EC: dict[str, tuple[type[ec.EllipticCurve], hashes.HashAlgorithm, int]] = {  # curve, digest, bytes of a half
    "ES256": (ec.SECP256R1, hashes.SHA256(), 32),
    "ES384": (ec.SECP384R1, hashes.SHA384(), 48),
}
_RSA: dict[str, tuple[padding.AsymmetricPadding, hashes.HashAlgorithm]] = {
    "RS256": (padding.PKCS1v15(), hashes.SHA256()),
    "RS384": (padding.PKCS1v15(), hashes.SHA384()),
    "PS256": (padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256()),
}


def verifier(key: Any, alg: str) -> Verifier:
    """Return what checks signatures of this algorithm with this public key. Raises ValueError where the two do not belong together."""
    if alg in _EC and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _EC[alg][0]):
        return _ecdsa(key, *_EC[alg][1:])
    if alg in _RSA and isinstance(key, rsa.RSAPublicKey):
        scheme, digest = _RSA[alg]
        return lambda message, signature: _passes(key.verify, signature, message, scheme, digest)
    if alg == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey):
        return lambda message, signature: _passes(key.verify, signature, message)
    raise ValueError(f"no key for {alg}")


def _ecdsa(key: ec.EllipticCurvePublicKey, digest: hashes.HashAlgorithm, size: int) -> Verifier:
    scheme = ec.ECDSA(digest)

    def verify(message: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * size:
            return False
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        return _passes(key.verify, encode_dss_signature(r, s), message, scheme)

    return verify


def _passes(check: Callable[..., None], *sent: Any) -> bool:
    try:
        check(*sent)
    except InvalidSignature:
        return False
    return True
