"""users.search — finding people in pages, for the console and the command line."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import selectinload

from idp.db import db
from idp.record import Record
from idp.users.model import ACTIVE, ADMINISTRATOR, User, UserEmail, UserRole
from idp.users.names import canonical_username

MAX_PAGE = 500


class Page(Record):
    """A part of what was found, and how much there is in all."""

    items: tuple[User, ...]
    total: int
    offset: int


def search(
    text: str = "", *, role: str | None = None, status: str | None = None, limit: int = 50, offset: int = 0
) -> Page:
    """Find people by a part of their username, name or address, or by their whole NPI; sorted by username.

    `limit` is at most 500 people. `%` and `_` mean themselves.
    """
    where = _conditions(text, role, status)
    total = db.session.scalar(select(func.count()).select_from(User).where(*where)) or 0
    rows = db.session.scalars(
        select(User)
        .where(*where)
        .options(selectinload(User.emails), selectinload(User.role_rows))
        .order_by(User.canonical_username)
        .limit(max(1, min(limit, MAX_PAGE)))
        .offset(max(0, offset))
    )
    return Page(tuple(rows), total, max(0, offset))


def active_administrators() -> int:
    """Return how many people could administer this installation right now."""
    held = select(UserRole.user_id).where(UserRole.role == ADMINISTRATOR)
    return (
        db.session.scalar(select(func.count()).select_from(User).where(User.status == ACTIVE, User.id.in_(held))) or 0
    )


def _conditions(text: str, role: str | None, status: str | None) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if text.strip():
        where.append(_matching(text.strip()))
    if role:
        where.append(User.id.in_(select(UserRole.user_id).where(UserRole.role == role)))
    if status:
        where.append(User.status == status)
    return where


def _matching(text: str) -> ColumnElement[bool]:
    canonical = canonical_username(text)
    shown = "".join(character for character in text if character.isprintable())[:200] or canonical
    return or_(
        User.canonical_username.contains(canonical, autoescape=True),
        User.display_name.icontains(shown, autoescape=True),
        User.npi == shown,
        User.id.in_(select(UserEmail.user_id).where(UserEmail.canonical.contains(canonical, autoescape=True))),
    )
