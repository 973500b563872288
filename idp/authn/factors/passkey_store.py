"""What is kept of passkeys. Owns the tables `passkeys` and `passkey_handles`; has never heard of WebAuthn's wire.

A person has one handle, 64 random bytes that say nothing about them (C-22), and any number of passkeys. A credential id belongs to one
person in all the installation.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, LargeBinary, String, delete, exists, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp import clock
from idp.db import UtcDateTime, db
from idp.users import User

HANDLE_BYTES = 64
MOST_ID_BYTES = 1023  # WebAuthn section 7.1


class Passkey(db.Model):  # type: ignore[name-defined,misc]
    """One passkey: a public key, and what its authenticator said of itself when it was enrolled."""

    __tablename__ = "passkeys"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    public_id: Mapped[str] = mapped_column(String(36), unique=True)
    label: Mapped[str] = mapped_column(String(100))
    webauthn_id: Mapped[bytes] = mapped_column(LargeBinary(MOST_ID_BYTES), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)  # COSE
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0)  # it only grows; 0 for ever where nobody counts
    aaguid: Mapped[str] = mapped_column(String(36))  # the model of the authenticator, if it says so
    attestation: Mapped[str] = mapped_column(String(32))  # format of the statement that came with it
    backup_eligible: Mapped[bool]  # can be synced to other devices; never changes
    backed_up: Mapped[bool]  # is synced just now
    uv_initialized: Mapped[bool]  # it verified its person when it was enrolled
    transports: Mapped[str] = mapped_column(String(100))  # separated by spaces
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class PasskeyHandle(db.Model):  # type: ignore[name-defined,misc]
    """The `user.id` of a person towards authenticators."""

    __tablename__ = "passkey_handles"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    handle: Mapped[bytes] = mapped_column(LargeBinary(HANDLE_BYTES), unique=True)


def handle_of(user: User) -> bytes:
    """Return the person's handle; the first call makes it, and of two first calls one."""
    found = find_handle(user)
    if found is not None:
        return found
    try:
        with db.session.begin_nested():
            db.session.add(PasskeyHandle(user_id=user.id, handle=secrets.token_bytes(HANDLE_BYTES)))
    except IntegrityError:
        pass  # somebody was faster
    return find_handle(user) or b""


def find_handle(user: User) -> bytes | None:
    """Return the person's handle, or None if no authenticator ever heard of them."""
    return db.session.scalar(select(PasskeyHandle.handle).where(PasskeyHandle.user_id == user.id))


def find(webauthn_id: bytes) -> tuple[Passkey, User] | None:
    """Return the passkey with this credential id, and its person."""
    wanted = select(Passkey, User).join(User, User.id == Passkey.user_id).where(Passkey.webauthn_id == webauthn_id)
    row = db.session.execute(wanted.execution_options(populate_existing=True)).one_or_none()
    return (row[0], row[1]) if row else None


def of(user: User) -> Sequence[Passkey]:
    """Return the person's passkeys, disabled ones included, the oldest first."""
    mine = select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.id)
    return db.session.scalars(mine.execution_options(populate_existing=True)).all()


def has_usable(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Say in SQL whether a person has a passkey that is not disabled."""
    return exists().where(Passkey.user_id == user_id, Passkey.disabled_at.is_(None))


def has_any(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Say in SQL whether a person has a passkey, be it disabled."""
    return exists().where(Passkey.user_id == user_id)


def add(passkey: Passkey) -> bool:
    """Keep a new passkey. False: somebody has enrolled this credential id already."""
    try:
        with db.session.begin_nested():
            db.session.add(passkey)
    except IntegrityError:
        return False
    return True


def claim_count(passkey: Passkey, count: int, *, backed_up: bool) -> bool:
    """Note a use whose count is higher than every earlier one, whoever else is trying (C-21). 0 and 0: nobody counts."""
    grows = Passkey.sign_count < count if count else Passkey.sign_count == 0
    return _noted(passkey, grows, sign_count=count, backed_up=backed_up)


def note_use(passkey: Passkey, *, backed_up: bool) -> bool:
    """Note a use whose count did not grow, where the settings let that pass. The highest count stays."""
    return _noted(passkey, true(), backed_up=backed_up)


def rename(user: User, public_id: str, label: str) -> bool:
    """Give a passkey of this person another name."""
    return _changed(update(Passkey).where(_one(user, public_id)).values(label=label))


def remove(user: User, public_id: str) -> bytes | None:
    """Forget a passkey and return its credential id; of many who try, one gets it."""
    found = db.session.scalar(select(Passkey.webauthn_id).where(_one(user, public_id)))
    return found if found and _changed(delete(Passkey).where(_one(user, public_id))) else None


def _noted(passkey: Passkey, condition: Any, **values: Any) -> bool:
    usable = (Passkey.id == passkey.id) & Passkey.disabled_at.is_(None)
    return _changed(update(Passkey).where(usable, condition).values(last_used_at=clock.now(), **values))


def _one(user: User, public_id: str) -> Any:
    return (Passkey.user_id == user.id) & (Passkey.public_id == public_id)


def _changed(statement: Any) -> bool:
    done = db.session.execute(statement.execution_options(synchronize_session=False))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]
