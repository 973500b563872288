"""crypto — random values, digests, keyed digests and sealing at rest. No business, no algorithms of our own.

Sealed values look like `<key id>.<nonce and ciphertext>`: AES-256-GCM with a random 96-bit nonce; the associated data binds
a value to its row, so that a sealed secret copied to another person's row does not open there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from idp import clock
from idp.config import key_bytes, settings


class SealBroken(Exception):
    """A sealed value does not open: wrong key, wrong row, or changed bytes."""


def random_token(n_bytes: int = 32) -> str:
    """Return `n_bytes` random bytes as URL-safe text without padding (32 bytes: 256 bits, 43 characters)."""
    return base64url(os.urandom(n_bytes))


def digest(raw: str) -> str:
    """Return SHA-256 of a high-entropy secret as 43 URL-safe characters: the form in which we store and look up tokens."""
    return base64url(hashlib.sha256(raw.encode()).digest())


def same(a: str, b: str) -> bool:
    """Compare two texts without telling by time where they part."""
    return hmac.compare_digest(a.encode(), b.encode())


def mac(purpose: str, message: str) -> str:
    """Return HMAC-SHA-256 of `message` under the key of `purpose`, 43 URL-safe characters."""
    key = _purpose_key(settings().secrets.sealing_keys[0], purpose)
    return base64url(hmac.digest(key, message.encode("utf-8", "surrogatepass"), "sha256"))


def macs(purpose: str, message: str) -> tuple[str, ...]:
    """Return the keyed digest under every configured key, newest first, so that a check survives a key's rotation."""
    encoded = message.encode("utf-8", "surrogatepass")
    keys = (_purpose_key(entry, purpose) for entry in settings().secrets.sealing_keys)
    return tuple(base64url(hmac.digest(key, encoded, "sha256")) for key in keys)


def seal(plaintext: bytes, *, aad: str) -> bytes:
    """Encrypt for storage (AES-256-GCM); opens only with the same `aad`."""
    key_id, cipher = _cipher(settings().secrets.sealing_keys[0])
    nonce = secrets.token_bytes(12)
    return key_id.encode() + b"." + nonce + cipher.encrypt(nonce, plaintext, f"{key_id}|{aad}".encode())


def unseal(sealed: bytes, *, aad: str) -> bytes:
    """Decrypt what `seal` made. Raises SealBroken."""
    key_id, _, body = bytes(sealed).partition(b".")
    for entry in settings().secrets.sealing_keys:
        if entry.partition(":")[0].encode() != key_id:
            continue
        try:
            return _cipher(entry)[1].decrypt(body[:12], body[12:], f"{key_id.decode()}|{aad}".encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"a value sealed with key {key_id.decode()} does not open") from None
    raise SealBroken(f"the sealing key {key_id.decode('ascii', 'replace')[:16]!r} is not configured any more")


def uuid7() -> str:
    """Return a UUIDv7 (RFC 9562 section 5.7): sortable by time, 74 random bits. An identifier, never a secret."""
    random_bits = int.from_bytes(os.urandom(10)) >> 6
    high = (clock.milliseconds() << 16) | 0x7000 | (random_bits >> 62)
    low = (0b10 << 62) | (random_bits & ((1 << 62) - 1))
    text = f"{(high << 64) | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def base64url(raw: bytes) -> str:
    """Encode bytes as URL-safe base64 without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@lru_cache(maxsize=16)
def _cipher(entry: str) -> tuple[str, AESGCM]:
    key_id, raw = key_bytes(entry)
    return key_id, AESGCM(raw)


@lru_cache(maxsize=64)
def _purpose_key(entry: str, purpose: str) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=32, info=f"idp/mac/{purpose}".encode()).derive(key_bytes(entry)[1])
