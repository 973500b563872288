"""The registry of clients: the only owner of the table `clients`.

Reading is by far the most frequent thing that happens to a client, so that readers get frozen values from a cache in the
process. A counter in Redis is raised after every commit that changed a client, and each process looks at it once a second:
another worker sees a rotated secret or a deleted client within a second. With Redis away the cache is passed by.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, String, bindparam, event, func, insert, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp import audit, clock, crypto, kv, present
from idp.clients import metadata as rules
from idp.clients import profiles, registration_tokens, sectors
from idp.clients.client import Client, from_row, secret_aad
from idp.config import settings
from idp.db import Json, Prepared, UtcDateTime, ask, db, is_begun
from idp.errors import BadInput, Conflict, NotFound
from idp.record import Record

MIN_SECRET_LENGTH = 32
OVERLAP_S = 24 * 3600  # how long the old secret still works after a rotation

_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{2,63}")
_CHECK_EVERY_S = 1.0
_TRUST_FOR_S = 60.0
_CACHE_SIZE = 20_000  # some 1.5 kB each
_CHANGED = "idp.clients_changed"  # set on a database session whose transaction changed a client


class ClientRow(db.Model):  # type: ignore[name-defined,misc]
    """A registered client: its metadata as normalised, and digests of its secrets."""

    __tablename__ = "clients"

    client_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_name: Mapped[str] = mapped_column(String(200), index=True)
    fields: Mapped[dict[str, Any]] = mapped_column("metadata", Json)
    secrets: Mapped[list[dict[str, Any]]] = mapped_column(Json)  # [{digest, expires_at}], newest first, at most two
    created_at: Mapped[Any] = mapped_column(UtcDateTime)
    updated_at: Mapped[Any] = mapped_column(UtcDateTime)


_TABLE = ClientRow.__table__
_FIND = Prepared(select(*_TABLE.c).where(_TABLE.c.client_id == bindparam("client_id")))


class Page(Record):
    """One page of clients, and whether there is a next one."""

    clients: tuple[Client, ...]
    total: int


# --- reading ------------------------------------------------------------------------------------------------------


def find(client_id: str) -> Client | None:
    """Return a client, or None."""
    if not _CLIENT_ID.fullmatch(client_id):
        return None
    cache = _cache()
    if _changed_here() or not cache.is_current():
        return _load(client_id)
    known = cache.clients.get(client_id)
    if known is None:
        generation = cache.generation
        known = _load(client_id)
        cache.keep(known, generation)
    return known


def _changed_here() -> bool:
    """Say whether the running transaction changed a client. Asks for no database session where there is none."""
    return is_begun() and bool(db.session.info.get(_CHANGED))


def get(client_id: str) -> Client:
    """Return a client. Raises NotFound."""
    client = find(client_id)
    if client is None:
        raise NotFound("There is no such client.")
    return client


def search(text: str = "", *, limit: int = 50, offset: int = 0) -> Page:
    """Page through clients by name; `text` is a part of the name or of the id."""
    where = _containing(text)
    found = db.session.execute(
        where(select(_TABLE)).order_by(_TABLE.c.client_name, _TABLE.c.client_id).limit(limit).offset(offset)
    )
    total = db.session.execute(where(select(func.count()).select_from(_TABLE))).scalar_one()
    return Page(tuple(from_row(row) for row in found.mappings()), total)


def _containing(text: str) -> Any:
    def where(query: Select[Any]) -> Select[Any]:
        if not text:
            return query
        return query.where(
            or_(
                _TABLE.c.client_name.icontains(text, autoescape=True),
                _TABLE.c.client_id.icontains(text, autoescape=True),
            )
        )

    return where


def _load(client_id: str) -> Client | None:
    found = ask(_FIND, {"client_id": client_id})
    return from_row(found[0]) if found else None


# --- changing -----------------------------------------------------------------------------------------------------


def create(
    metadata: Mapping[str, Any], *, client_id: str | None = None, secret: str | None = None, actor: str | None = None
) -> tuple[Client, str | None]:
    """Register a client; returns it and its secret, which nobody can read again. Public clients have none.

    Raises InvalidMetadata, BadInput (client_id, secret) or Conflict (the id is taken).
    """
    fields = _normalised(metadata)
    sectors.prove(fields)
    identifier = _checked_id(client_id) if client_id else f"c_{crypto.random_token(16).replace('-', '_')}"
    raw = _fresh_secret(fields, secret)
    now = clock.now()
    row = {
        "client_id": identifier,
        "client_name": fields["client_name"],
        "metadata": fields,
        "secrets": [_new_secret(raw, identifier, fields["token_endpoint_auth_method"])] if raw else [],
        "created_at": now,
        "updated_at": now,
    }
    if _load(identifier) is not None:
        raise Conflict(f"A client with the id {identifier} exists already.")
    try:
        with db.session.begin_nested():
            db.session.execute(insert(_TABLE).values(row))
    except IntegrityError:
        raise Conflict(f"A client with the id {identifier} exists already.") from None
    _changed(audit.Event.CLIENT_CREATED, identifier, actor=actor, **_told(fields))
    return _must_load(identifier), raw


def update_metadata(client_id: str, changes: Mapping[str, Any], *, actor: str | None = None) -> Client:
    """Change some metadata; what `changes` does not name stays. Raises NotFound or InvalidMetadata."""
    before = _must_load(client_id)
    known = {name: value for name, value in before.metadata().items() if name != "client_id"}
    fields = _normalised(known | dict(changes))
    if sectors.moves(known, fields):
        sectors.prove(fields)
    secrets = _kept_secrets(before, fields["token_endpoint_auth_method"])
    db.session.execute(
        update(_TABLE)
        .where(_TABLE.c.client_id == client_id)
        .values(client_name=fields["client_name"], metadata=fields, secrets=secrets, updated_at=clock.now())
    )
    _changed(audit.Event.CLIENT_UPDATED, client_id, actor=actor, changed=sorted(changes), **_told(fields))
    return _must_load(client_id)


def rotate_secret(client_id: str, *, overlap_s: int = OVERLAP_S, actor: str | None = None) -> str:
    """Make a new secret and return it; the present one works for `overlap_s` more seconds, older ones end at once."""
    client = _must_load(client_id)
    if client.token_endpoint_auth_method not in profiles.SECRET_METHODS:
        told = "is public and has no secret" if client.is_public else "proves itself with a key and has no secret"
        raise BadInput({"client_id": [f"This client {told}."]})
    raw = crypto.random_token(32)
    old = [
        dataclasses.asdict(secret) | {"expires_at": clock.epoch() + overlap_s}
        for secret in client.secrets
        if secret.expires_at is None and overlap_s > 0
    ]
    new = _new_secret(raw, client_id, client.token_endpoint_auth_method)
    db.session.execute(
        update(_TABLE).where(_TABLE.c.client_id == client_id).values(secrets=[new, *old], updated_at=clock.now())
    )
    _changed(audit.Event.CLIENT_SECRET_ROTATED, client_id, actor=actor, overlap_s=overlap_s)
    return raw


def delete(client_id: str, *, actor: str | None = None) -> None:
    """Forget a client; its tokens die with it, because every use of one asks for the client. Raises NotFound."""
    if db.session.execute(sql_delete(_TABLE).where(_TABLE.c.client_id == client_id)).rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound("There is no such client.")
    registration_tokens.forget_client(client_id)
    _changed(audit.Event.CLIENT_DELETED, client_id, actor=actor)


def _must_load(client_id: str) -> Client:
    client = _load(client_id)
    if client is None:
        raise NotFound("There is no such client.")
    return client


def _checked_id(client_id: str) -> str:
    if not _CLIENT_ID.fullmatch(client_id):
        raise BadInput({"client_id": ["must be 3 to 64 letters, digits and . _ ~ -, and begin with a letter or digit"]})
    return client_id


def _normalised(metadata: Mapping[str, Any]) -> dict[str, Any]:
    oauth = settings().oauth
    return rules.normalise(
        metadata,
        loopback_names=settings().development,
        signing_algs=oauth.signing_algs,
        offered=profiles.offered(oauth),
        tls_methods=profiles.tls_methods(settings().mtls),
    )


def _new_secret(raw: str, client_id: str, method: str) -> dict[str, Any]:
    """A digest; for client_secret_jwt, whose HMAC cannot be checked with a digest, a sealed copy beside it."""
    row: dict[str, Any] = {"digest": crypto.digest(raw), "expires_at": None}
    if method == profiles.CLIENT_SECRET_JWT:
        row["sealed"] = base64.b64encode(crypto.seal(raw.encode(), aad=secret_aad(client_id))).decode()
    return row


def _kept_secrets(before: Client, method: str) -> list[dict[str, Any]]:
    """What is left of the secrets under a new method: a client may go from a secret to a key or a certificate, and from the sealed copy to
    the digest; never to a method for which there is no proof yet. Raises InvalidMetadata."""
    was = before.token_endpoint_auth_method
    kept = [dataclasses.asdict(secret) for secret in before.secrets]
    if method == was:
        return kept
    if method in (profiles.PRIVATE_KEY_JWT, *profiles.TLS_METHODS) and not before.is_public:
        return []
    if {was, method} <= set(profiles.SECRET_METHODS) and method != profiles.CLIENT_SECRET_JWT:
        return [{"digest": secret["digest"], "expires_at": secret["expires_at"]} for secret in kept]
    raise rules.InvalidMetadata(
        {"token_endpoint_auth_method": [f"cannot change from {was} to {method}; register a new client"]}
    )


def _fresh_secret(fields: Mapping[str, Any], secret: str | None) -> str | None:
    method = fields["token_endpoint_auth_method"]
    if method not in profiles.SECRET_METHODS:
        if secret:
            raise BadInput({"client_secret": [f"is not for a client with token_endpoint_auth_method {method}"]})
        return None
    if secret is not None and (len(secret) < MIN_SECRET_LENGTH or not secret.isascii() or not secret.isprintable()):
        raise BadInput({"client_secret": [f"must be {MIN_SECRET_LENGTH} or more visible ASCII characters"]})
    return secret or crypto.random_token(32)


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What an auditor wants to know of a registration: who is trusted more than usual."""
    names = ("client_name", "redirect_uris", "scope", "first_party", "require_pkce", "security_profile")
    return {name: list(fields[name]) if isinstance(fields[name], tuple) else fields[name] for name in names}


def _changed(what: audit.Event, client_id: str, *, actor: str | None, **details: Any) -> None:
    audit.record(what, actor=actor, client_id=client_id, **details)
    _cache().forget()
    db.session.info[_CHANGED] = True


# --- the cache ----------------------------------------------------------------------------------------------------


@dataclass
class _Cache:
    """Clients known to this process, as of one value of the counter in Redis."""

    clients: dict[str, Client] = field(default_factory=dict)
    version: str | None = None
    generation: int = 0  # rises whenever the cache is emptied, so that a slow reader cannot put an old value back
    checked_at: float = -_TRUST_FOR_S
    filled_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_current(self) -> bool:
        """Look at the counter at most once a second; False when Redis cannot say."""
        now = time.monotonic()
        if now - self.checked_at < _CHECK_EVERY_S:
            return True
        try:
            version = str(kv.client().get(kv.key("clients", "version")) or "0")
        except kv.Unavailable:
            return False
        with self.lock:
            if version != self.version or now - self.filled_at > _TRUST_FOR_S:
                self._empty(now)
            self.version, self.checked_at = version, now
        return True

    def keep(self, client: Client | None, generation: int) -> None:
        """Remember a client that was read while the cache had this generation."""
        with self.lock:
            if client is None or generation != self.generation:
                return
            if len(self.clients) >= _CACHE_SIZE:
                self.clients.pop(next(iter(self.clients)))  # the one that came first
            self.clients[client.client_id] = client

    def forget(self) -> None:
        """Empty the cache and look at the counter at the next use."""
        with self.lock:
            self._empty(time.monotonic())
            self.checked_at = -_TRUST_FOR_S

    def _empty(self, now: float) -> None:
        self.clients = {}
        self.generation += 1
        self.filled_at = now


def _cache() -> _Cache:
    known = present.app().extensions
    cache: _Cache = known.get("idp.clients") or known.setdefault("idp.clients", _Cache())
    return cache


@event.listens_for(Session, "after_commit")
def _tell_the_others(session: Session) -> None:
    """After the commit, not before: a worker that looked earlier would keep the old row under the new number."""
    if session.info.pop(_CHANGED, False):
        _cache().forget()
        with contextlib.suppress(*kv.Unavailable):  # the others then learn it within _TRUST_FOR_S
            kv.client().incr(kv.key("clients", "version"))


@event.listens_for(Session, "after_rollback")
def _nothing_changed(session: Session) -> None:
    if session.info.pop(_CHANGED, False):
        _cache().forget()
