"""audit.checkpoints — signed statements about the chain's end, in the table and in a file outside of the database (standards L-8).

Whoever can rewrite the database can rewrite the chain; nobody without the private key can rewrite a checkpoint, and nobody with
the database alone can shorten the file. Ship the file to another host, and keep the public key with whoever verifies.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import RowMapping

from idp import clock, crypto
from idp.audit.chain import CHECKPOINTS, KEYS, lock_head
from idp.audit.text import canonical, rfc3339
from idp.config import settings
from idp.db import db
from idp.record import Record

_log = logging.getLogger("idp.audit")
PublicKeys = Mapping[str, str]  # kid → raw Ed25519 public key, base64url


class Signer(Record):
    """The key that signs at present."""

    kid: str
    private_key: Ed25519PrivateKey

    def signed(self, kind: str, statement: Mapping[str, Any]) -> dict[str, Any]:
        """Return the statement with `kid` and `signature`; `kind` keeps a checkpoint from passing for a manifest."""
        whole = {**statement, "kid": self.kid}
        return {**whole, "signature": crypto.base64url(self.private_key.sign(_message(kind, whole)))}


def genuine(kind: str, statement: Mapping[str, Any], public_keys: PublicKeys) -> bool:
    """Say whether one of these keys signed the statement."""
    rest = {name: value for name, value in statement.items() if name != "signature"}
    raw_key = public_keys.get(str(rest.get("kid")))
    if raw_key is None or rest["kid"] != _kid(_unbase64(raw_key)):
        return False
    try:
        signature = _unbase64(str(statement.get("signature", "")))
        Ed25519PublicKey.from_public_bytes(_unbase64(raw_key)).verify(signature, _message(kind, rest))
    except (InvalidSignature, ValueError):
        return False
    return True


def signer(connection: Connection) -> Signer:
    """Return the newest key, making the first one. The caller holds the head row, so that there is one maker."""
    row = connection.execute(select(KEYS).order_by(KEYS.c.created_at.desc()).limit(1)).mappings().first()
    if row is None:
        return _make(connection)
    return Signer(row["kid"], Ed25519PrivateKey.from_private_bytes(_open(row)))


def ready_signer() -> Signer:
    """Return the signer in a transaction of its own, for manifests."""
    with db.engine.begin() as connection:
        lock_head(connection)
        return signer(connection)


def public_keys() -> dict[str, str]:
    """Return the public halves by kid: what an auditor keeps to verify without this database."""
    with reading() as connection:
        return {row.kid: row.public_key for row in connection.execute(select(KEYS.c.kid, KEYS.c.public_key))}


def own_public_keys() -> tuple[dict[str, str], list[str]]:
    """Return the public keys whose sealed private half opens and fits, and the kids of those that are not ours."""
    ours, foreign = {}, []
    with reading() as connection:
        rows = connection.execute(select(KEYS)).mappings().all()
    for row in rows:
        try:
            raw = Ed25519PrivateKey.from_private_bytes(_open(row)).public_key().public_bytes_raw()
        except (crypto.SealBroken, ValueError):
            raw = b""
        if crypto.base64url(raw) == row["public_key"] and _kid(raw) == row["kid"]:
            ours[row["kid"]] = row["public_key"]
        else:
            foreign.append(row["kid"])
    return ours, foreign


def sign(connection: Connection, *, seq: int, hash_: str) -> None:
    """Store a checkpoint for the present end of the chain, in the sealer's transaction."""
    statement = {"v": 1, "seq": seq, "hash": hash_, "at": rfc3339(clock.now())}
    signed = signer(connection).signed("checkpoint", statement)
    del signed["v"]
    connection.execute(insert(CHECKPOINTS).values(**signed))


def stored(after_seq: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the checkpoints of the table after a number, in order, a page at a time."""
    page = select(CHECKPOINTS).order_by(CHECKPOINTS.c.seq).limit(1000)
    while True:
        with reading() as connection:
            rows = connection.execute(page.where(CHECKPOINTS.c.seq > after_seq)).mappings().all()
        if not rows:
            return
        yield from ({"v": 1, **row} for row in rows)
        after_seq = rows[-1]["seq"]


def file_path() -> Path | None:
    """Return the configured file outside of the database, if there is one."""
    configured = settings().audit.checkpoint_file
    return Path(configured) if configured else None


def append_to_file() -> None:
    """Bring the file up to date with the table. A crash in between is made good by the next call; a full disk is logged."""
    path = file_path()
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the lock goes with the descriptor
            _append_missing(file)
    except OSError as error:
        _log.error("the audit checkpoint file %s cannot be written: %s", path, error)


def _append_missing(file: Any) -> None:
    end = _end_of_last_line(file)
    file.truncate(end)  # half a line from a crash while writing
    lines = b"".join(canonical(checkpoint) + b"\n" for checkpoint in stored(_last_seq(file, end)))
    if lines:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _end_of_last_line(file: Any) -> int:
    size: int = file.seek(0, os.SEEK_END)
    start = max(0, size - 4096)
    file.seek(start)
    return start + int(file.read().rfind(b"\n")) + 1


def _last_seq(file: Any, end: int) -> int:
    start = max(0, end - 4096)
    file.seek(start)
    lines = file.read(end - start).splitlines()
    try:
        return int(orjson.loads(lines[-1])["seq"]) if lines else 0
    except (ValueError, KeyError, TypeError):
        return 0  # a damaged line: say everything again rather than too little


def reading() -> Connection:
    """Open a connection of its own: it sees what is committed, and takes no lock."""
    return db.engine.connect()


def _make(connection: Connection) -> Signer:
    private_key = Ed25519PrivateKey.generate()
    raw_public = private_key.public_key().public_bytes_raw()
    kid = _kid(raw_public)
    sealed = crypto.seal(private_key.private_bytes_raw(), aad=f"audit-key:{kid}")
    row = {"kid": kid, "public_key": crypto.base64url(raw_public), "sealed_private": sealed, "created_at": clock.now()}
    connection.execute(insert(KEYS).values(**row))
    return Signer(kid, private_key)


def _open(row: RowMapping) -> bytes:
    return crypto.unseal(row["sealed_private"], aad=f"audit-key:{row['kid']}")


def _kid(raw_public: bytes) -> str:
    return crypto.base64url(hashlib.sha256(raw_public).digest()[:12])


def _message(kind: str, statement: Mapping[str, Any]) -> bytes:
    return f"idp audit {kind}\n".encode() + canonical(statement)


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
