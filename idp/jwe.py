"""jwe — encrypting for a public key that somebody else published (RFC 7516, RFC 7518 sections 4 and 5). We never decrypt.

RSA1_5 is not here (padding oracles at whoever decrypts), nor RSA-OAEP with SHA-1, nor anything with a shared secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

ALGS = ("RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW")
ENCS = ("A128CBC-HS256", "A128GCM", "A256GCM")  # the first is the default of OIDC Registration section 2

_KINDS: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_SIGNING_CURVES = ("Ed25519", "Ed448")


class CannotEncrypt(Exception):
    """There is no key to encrypt for, or it does not work."""


def find_key(keys: Sequence[Mapping[str, Any]], alg: str) -> Mapping[str, Any] | None:
    """Return the first key that is meant for this algorithm: one marked `enc` before one without a mark."""
    fitting = [key for key in keys if _fits(key, alg)]
    return min(fitting, key=lambda key: key.get("use") != "enc", default=None)


def encrypt(plaintext: str, keys: Sequence[Mapping[str, Any]], *, alg: str, enc: str, cty: str | None) -> str:
    """Return a compact JWE for one of these keys. Raises CannotEncrypt."""
    key = find_key(keys, alg)
    if key is None:
        raise CannotEncrypt(f"none of the client's keys is for {alg}")
    header = {"alg": alg, "enc": enc} | ({"cty": cty} if cty else {}) | ({"kid": key["kid"]} if "kid" in key else {})
    try:
        imported = _import(json.dumps(key, sort_keys=True))
        return jwe.encrypt_compact(header, plaintext.encode(), imported, algorithms=[alg, enc])
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise CannotEncrypt(f"the client's key does not work: {type(error).__name__}") from None


def _fits(key: Mapping[str, Any], alg: str) -> bool:
    if key.get("use", "enc") != "enc" or key.get("alg", alg) != alg:
        return False
    if alg == "RSA-OAEP-256":
        return key.get("kty") == "RSA"
    return key.get("kty") in ("EC", "OKP") and key.get("crv") not in _SIGNING_CURVES


@lru_cache(maxsize=256)
def _import(text: str) -> Any:
    """Import a public key once: an RSA key takes its time."""
    jwk = {name: value for name, value in json.loads(text).items() if name not in ("use", "alg", "key_ops")}
    return _KINDS[jwk["kty"]].import_key(jwk)
