"""users.facts — what may be told of a person, in one read: UserInfo and ID tokens are asked for it all day."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, func, literal_column, select

from idp.db import Prepared, ask
from idp.users.model import ACTIVE, User, UserEmail, UserRole

_PEOPLE: Table = User.__table__
_ADDRESSES: Table = UserEmail.__table__
_ROLES: Table = UserRole.__table__

# As `User.email`: the primary address if it is verified, else the oldest verified one.
_EMAIL = (
    select(_ADDRESSES.c.address)
    .where(_ADDRESSES.c.user_id == _PEOPLE.c.id, _ADDRESSES.c.verified_at.is_not(None))
    .order_by(_ADDRESSES.c.is_primary.desc(), _ADDRESSES.c.id)
    .limit(1)
    .scalar_subquery()
)
_SPACE: Any = literal_column("' '")
_ROLE_NAMES = (
    select(func.aggregate_strings(_ROLES.c.role, _SPACE)).where(_ROLES.c.user_id == _PEOPLE.c.id).scalar_subquery()
)
_NAMES = (
    "username", "display_name", "given_name", "family_name", "npi", "locale", "zoneinfo", "contact", "traits", "updated_at",
)  # fmt: skip

# For another room's statement: what to select, from where, and who.
COLUMNS: tuple[Any, ...] = (*(_PEOPLE.c[name] for name in _NAMES), _EMAIL.label("email"), _ROLE_NAMES.label("roles"))
TABLE = _PEOPLE


def is_active(sub: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition under which a row of `TABLE` is of this subject and active."""
    return (_PEOPLE.c.sub == sub) & (_PEOPLE.c.status == ACTIVE)


_FIND = Prepared(select(*COLUMNS).where(is_active(bindparam("sub"))))


def of_active(sub: str) -> dict[str, Any] | None:
    """Return what is known of an active person by the names of the columns, `email` and `roles` (sorted) among it; None for nobody."""
    found = ask(_FIND, {"sub": sub})
    return told(found[0]) if found else None


def told(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a person, from a row with `COLUMNS` in it."""
    return {**row, "roles": sorted((row["roles"] or "").split())}
