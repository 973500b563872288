"""users.model — the tables of people: the person, their addresses, their roles, and the names that one may sign in with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp import clock, crypto
from idp.db import Json, UtcDateTime, db

ACTIVE = "active"
DISABLED = "disabled"
ADMINISTRATOR = "administrator"
SUBJECT_PREFIX = (
    "_"  # a client id begins with a letter or digit, so that no client can pose as a person (RFC 9700 section 4.15)
)


def fresh_subject() -> str:
    """Return a new subject: opaque, 192 random bits, never a client id, never given to anybody else (H-29, F-14)."""
    return SUBJECT_PREFIX + crypto.random_token(24)


class User(db.Model):  # type: ignore[name-defined,misc]
    """One person. Rows are never deleted and `sub` never changes, so that a subject names one person for ever (H-29)."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    sub: Mapped[str] = mapped_column(String(64), unique=True, default=fresh_subject)
    username: Mapped[str] = mapped_column(String(254))  # as its owner writes it
    canonical_username: Mapped[str] = mapped_column(String(254), unique=True)
    display_name: Mapped[str] = mapped_column(String(200))
    given_name: Mapped[str] = mapped_column(String(100), default="")
    family_name: Mapped[str] = mapped_column(String(100), default="")
    npi: Mapped[str | None] = mapped_column(String(10), unique=True)
    locale: Mapped[str | None] = mapped_column(String(35))  # BCP 47
    zoneinfo: Mapped[str | None] = mapped_column(String(64))  # IANA name
    contact: Mapped[dict[str, Any] | None] = mapped_column(Json)  # phone_number, address …: see contact.py
    traits: Mapped[dict[str, Any] | None] = mapped_column(Json)  # nickname, birthdate …: see traits.py
    status: Mapped[str] = mapped_column(String(16), default=ACTIVE)
    status_reason: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    emails: Mapped[list[UserEmail]] = relationship(
        back_populates="user", order_by="UserEmail.id", cascade="all, delete-orphan"
    )
    role_rows: Mapped[list[UserRole]] = relationship(order_by="UserRole.role", cascade="all, delete-orphan")

    @property
    def is_active(self) -> bool:
        """Whether this person may sign in."""
        return self.status == ACTIVE

    @property
    def roles(self) -> list[str]:
        """Names of the person's roles, sorted."""
        return sorted(row.role for row in self.role_rows)

    @property
    def email(self) -> str | None:
        """The primary address, if it is verified; else the oldest verified one; else None."""
        verified = [address for address in self.emails if address.verified_at]
        chosen = next((address for address in verified if address.is_primary), verified[0] if verified else None)
        return chosen.address if chosen else None

    @property
    def recovery_email(self) -> str | None:
        """The address that a way back in goes to: the primary one, else the oldest; never one that is too new (attack 114)."""
        now = clock.now()
        able = [one for one in self.emails if one.verified_at and (one.recovers_at is None or one.recovers_at <= now)]
        chosen = next((one for one in able if one.is_primary), able[0] if able else None)
        return chosen.address if chosen else None

    @property
    def verified_emails(self) -> list[str]:
        """Every address that the person has proved to be theirs, for notices."""
        return [address.address for address in self.emails if address.verified_at]


class UserEmail(db.Model):  # type: ignore[name-defined,misc]
    """An address of a person. Only a verified one is exclusive and good for signing in (attack 115)."""

    __tablename__ = "user_emails"
    __table_args__ = (
        UniqueConstraint("user_id", "canonical"),
        Index(
            "uq_user_emails_primary",
            "user_id",
            unique=True,
            sqlite_where=text("is_primary = 1"),
            postgresql_where=text("is_primary"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    address: Mapped[str] = mapped_column(String(254))  # mail goes to this spelling, never to one that somebody typed
    canonical: Mapped[str] = mapped_column(String(320), index=True)
    is_primary: Mapped[bool] = mapped_column(default=False)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    recovers_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # no way back in goes there before (attack 114)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    user: Mapped[User] = relationship(back_populates="emails")


class UserRole(db.Model):  # type: ignore[name-defined,misc]
    """A role of a person."""

    __tablename__ = "user_roles"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True, index=True)


class LoginName(db.Model):  # type: ignore[name-defined,misc]
    """What one may type to sign in: usernames and verified addresses in one namespace.

    One table, so that no username can ever be somebody else's address: its primary key decides, also between two writers.
    """

    __tablename__ = "login_names"

    name: Mapped[str] = mapped_column(String(320), primary_key=True)  # canonical
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
