"""keys.ring — the living keys in this process.

A key is imported once; signing imports nothing. Once a second somebody's call looks at the table (one small read), so a rotation by another worker
is seen within a second or so; meanwhile everybody else goes on with what is there, also while the database is away.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import field
from types import MappingProxyType
from typing import Any, cast

import orjson
from flask import Flask
from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import Row, select
from sqlalchemy.exc import SQLAlchemyError

from idp import crypto, signatures, waiting
from idp.crypto import base64url
from idp.db import db
from idp.keys.algorithms import ALGORITHMS, Signer, import_private
from idp.keys.model import SIGNING_KEYS as KEYS
from idp.keys.proven import ProvenTokens
from idp.present import extension
from idp.record import Record
from idp.signatures import Verifier

LOOK_EVERY_S = 1.0
LOOK_FOR_UNKNOWN_S = 0.1  # a token of another worker may name a key that is younger than our last look

_log = logging.getLogger("idp.keys")
_KINDS: dict[str, Any] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}
_STATE = select(KEYS.c.kid, KEYS.c.alg, KEYS.c.status).order_by(KEYS.c.created_at, KEYS.c.kid)
_LIVING = KEYS.c.status != "retired"


class LiveKey(Record):
    """A key ready for use: what verifies with its public half, and a signer where we may sign."""

    kid: str
    alg: str
    jwk: dict[str, str] = field(repr=False)
    verify: Verifier = field(repr=False)
    sign: Signer | None = field(repr=False)
    _headers: dict[str, bytes] = field(default_factory=dict, repr=False)

    def header(self, typ: str) -> bytes:
        """Return the JOSE header segment for a type of token; built once."""
        found = self._headers.get(typ)
        if found is None:
            members = {"alg": self.alg, "kid": self.kid, "typ": typ}
            found = self._headers.setdefault(typ, base64url(orjson.dumps(members)).encode() + b".")
        return found


class JwksDocument(Record):
    """The published set, ready to send."""

    body: bytes
    etag: str


class Ring(Record):
    """What is alive at one moment: never changed, only replaced."""

    state: tuple[tuple[str, str, str], ...]
    by_kid: MappingProxyType[str, LiveKey]
    active: MappingProxyType[str, LiveKey]
    document: JwksDocument
    proven: ProvenTokens = field(default_factory=ProvenTokens, compare=False, repr=False)


class _Holder:
    """The present ring of one application."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ring: Ring | None = None
        self.looked_at = float("-inf")


def install(app: Flask) -> None:
    """Give the application a holder of its own."""
    app.extensions["idp.keys"] = _Holder()


def _holder() -> _Holder:
    return cast(_Holder, extension("idp.keys"))


def present(*, no_older_than_s: float = LOOK_EVERY_S) -> Ring:
    """Return the ring, looking at the table when the last look is too long ago and nobody else is looking."""
    holder = _holder()
    if holder.ring is not None and time.monotonic() - holder.looked_at < no_older_than_s:
        return holder.ring
    return waiting.away(_looked_at, holder)  # under a lock, so not aside


def _looked_at(holder: _Holder) -> Ring:
    if not holder.lock.acquire(blocking=holder.ring is None) and holder.ring is not None:
        return holder.ring
    try:
        looked_at = time.monotonic()
        holder.ring = _look(holder.ring)
        holder.looked_at = looked_at
        return holder.ring
    finally:
        holder.lock.release()


def publishing(kid: str) -> Ring | None:
    """Return the ring if it publishes this key; one that we do not know is looked for, at most ten times a second."""
    living = present()
    if kid not in living.by_kid:
        living = present(no_older_than_s=LOOK_FOR_UNKNOWN_S)
    return living if kid in living.by_kid else None


def invalidate() -> None:
    """Look again at the next call: this process has just changed something."""
    _holder().looked_at = float("-inf")


def warm() -> None:
    """Import every key now, so that the first request need not."""
    present()


def public_jwks() -> dict[str, Any]:
    """Return the published set (RFC 7517): pending, active and retiring keys, public members only."""
    return {"keys": [dict(key.jwk) for key in present().by_kid.values()]}


def jwks_document() -> JwksDocument:
    """Return the published set as bytes with an ETag, built once per change."""
    return present().document


def _look(before: Ring | None) -> Ring:
    """Read what lives; committed changes only, on a connection of its own."""
    try:
        with db.engine.connect() as connection:
            state = tuple((row.kid, row.alg, row.status) for row in connection.execute(_STATE.where(_LIVING)))
            if before is not None and state == before.state:
                return before
            known = before.by_kid if before else {}
            rows = connection.execute(_rows([kid for kid, _, _ in state])).all()
    except SQLAlchemyError as error:
        if before is None:
            raise
        _log.warning("signing keys could not be looked at, going on with those at hand: %s", type(error).__name__)
        return before
    return _build([_live(row, known.get(row.kid)) for row in rows], [(r.kid, r.alg, r.status) for r in rows])


def _rows(kids: list[str]) -> Any:
    wanted = select(KEYS.c.kid, KEYS.c.alg, KEYS.c.status, KEYS.c.sealed_private, KEYS.c.public_jwk)
    return wanted.where(KEYS.c.kid.in_(kids), _LIVING).order_by(KEYS.c.created_at, KEYS.c.kid)


def _build(keys: list[LiveKey], state: list[tuple[str, str, str]]) -> Ring:
    body = orjson.dumps({"keys": [key.jwk for key in keys]})
    by_kid = {key.kid: key for key in keys}
    return Ring(
        state=tuple(state),
        by_kid=MappingProxyType(by_kid),
        active=MappingProxyType({alg: by_kid[kid] for kid, alg, status in state if status == "active"}),
        document=JwksDocument(body, f'"{base64url(hashlib.sha256(body).digest()[:12])}"'),
    )


def _live(row: Row[Any], known: LiveKey | None) -> LiveKey:
    if known is not None and (known.sign is not None or row.status == "retiring"):
        return known
    verify = signatures.verifier(_KINDS[row.public_jwk["kty"]].import_key(row.public_jwk).public_key, row.alg)
    sign = None if row.status == "retiring" else _signer(row)
    return LiveKey(row.kid, row.alg, row.public_jwk, verify, sign)


def _signer(row: Row[Any]) -> Signer | None:
    try:
        der = crypto.unseal(row.sealed_private, aad=f"signing-key:{row.kid}")
    except crypto.SealBroken as error:
        _log.error("signing key %s does not open: %s", row.kid, error)
        return None  # still published; signing with it says that there is no key
    return ALGORITHMS[row.alg].signer(import_private(der))
