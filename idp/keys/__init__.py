"""keys — the keys that sign our tokens. Owns the table `signing_keys`; has never heard of what the tokens say.

model.py       the table
algorithms.py  per algorithm: make a key, write its public JWK, sign bytes
store.py       the life of a key: pending → active → retiring → retired; made, rotated and promoted safely by several workers at once
ring.py        the living keys in this process: imported once, looked after every second; the published set as bytes
jwt.py         sign() and verify()
proven.py      tokens whose bytes were judged a moment ago

A private key is sealed at rest, opened only in ring.py, and destroyed when its key retires. Start-up calls `ensure()`, the
hourly job `keep_fresh()`; both inside a transaction that the caller commits.
"""

from flask import Flask

from idp.keys import ring
from idp.keys.jwt import InvalidToken, NoSigningKey, sign, verify
from idp.keys.ring import JwksDocument, jwks_document, public_jwks, warm
from idp.keys.store import KeyInfo, ensure, keep_fresh, promote_due, rotate, search, withdraw

__all__ = [
    "InvalidToken", "JwksDocument", "KeyInfo", "NoSigningKey", "ensure", "install", "jwks_document", "keep_fresh", "promote_due",
    "public_jwks", "rotate", "search", "sign", "verify", "warm", "withdraw",
]  # fmt: skip


def install(app: Flask) -> None:
    """Give the application its own ring. Touches no database yet."""
    ring.install(app)
