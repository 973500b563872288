"""password_table — the tables `passwords` and `password_history`, and how a hash is sealed into them. For `password` and `review`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CursorResult, ForeignKey, LargeBinary, String, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from idp import crypto
from idp.authn.hashing import Stored
from idp.db import UtcDateTime, db
from idp.users import User


class Password(db.Model):  # type: ignore[name-defined,misc]
    """The present password of a person."""

    __tablename__ = "passwords"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    scheme: Mapped[str] = mapped_column(String(32))
    pepper_id: Mapped[str] = mapped_column(String(16))
    cost: Mapped[int]
    sealed_hash: Mapped[bytes] = mapped_column(LargeBinary)
    stamp: Mapped[str] = mapped_column(String(32))
    must_change: Mapped[bool] = mapped_column(default=False)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # of a temporary one
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)  # in a row (N-10)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # after too many of them
    judged_policy: Mapped[str | None] = mapped_column(String(16))  # version of the rules that it was last judged under
    judged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failing: Mapped[str | None] = mapped_column(String(120))  # the rules that it breaks, separated by spaces
    change_by: Mapped[datetime | None] = mapped_column(UtcDateTime)  # until then it may stay although it breaks some


class EarlierPassword(db.Model):  # type: ignore[name-defined,misc]
    """A password that a person had before; only compared with (C-9)."""

    __tablename__ = "password_history"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    scheme: Mapped[str] = mapped_column(String(32))
    pepper_id: Mapped[str] = mapped_column(String(16))
    cost: Mapped[int]
    sealed_hash: Mapped[bytes] = mapped_column(LargeBinary)
    replaced_at: Mapped[datetime] = mapped_column(UtcDateTime)


_OF = select(Password).where(Password.user_id == bindparam("user_id")).execution_options(populate_existing=True)


def row_of(user: User | None) -> Password | None:
    """Return the person's present password as the database has it now; None for nobody. The same statement for both (C-7)."""
    return db.session.scalars(_OF, {"user_id": user.id if user else 0}).one_or_none()


def columns(user: User, stored: Stored) -> dict[str, object]:
    """Return the columns of a hash, sealed for its person."""
    sealed = crypto.seal(stored.text.encode(), aad=_aad(user, stored.scheme, stored.pepper_id))
    return {"scheme": stored.scheme, "pepper_id": stored.pepper_id, "cost": stored.cost, "sealed_hash": sealed}


def unsealed(user: User, row: Password | EarlierPassword) -> Stored:
    """Open a hash; one that does not open becomes one that nothing matches (C-6)."""
    try:
        text = crypto.unseal(row.sealed_hash, aad=_aad(user, row.scheme, row.pepper_id)).decode()
    except (crypto.SealBroken, UnicodeDecodeError):
        return Stored("", "unreadable")
    return Stored(text, row.scheme, row.pepper_id, row.cost)


def _aad(user: User, scheme: str, pepper_id: str) -> str:
    return f"password|{user.sub}|{scheme}|{pepper_id}"


def changed(statement: object) -> int:
    """Run an update and say how many rows it changed."""
    result = db.session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return result.rowcount
