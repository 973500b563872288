"""keys.model — the table `signing_keys`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String, Table, text
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Json, UtcDateTime, db


def _one_per_algorithm(status: str) -> Index:
    only = text(f"status = '{status}'")
    return Index(f"uq_signing_keys_{status}", "alg", unique=True, sqlite_where=only, postgresql_where=only)


class SigningKey(db.Model):  # type: ignore[misc,name-defined]
    """One signing key. `kid` is its RFC 7638 thumbprint; `sealed_private` is PKCS#8, sealed to the kid."""

    __tablename__ = "signing_keys"
    __table_args__ = (_one_per_algorithm("active"), _one_per_algorithm("pending"))

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    alg: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    sealed_private: Mapped[bytes | None] = mapped_column(LargeBinary)
    public_jwk: Mapped[dict[str, str]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    activates_at: Mapped[datetime] = mapped_column(UtcDateTime)
    activated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


SIGNING_KEYS: Table = SigningKey.__table__
