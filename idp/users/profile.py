"""users.profile — changing what is known of a person: names, NPI, roles, addresses.

The audit says which fields changed, and for roles from what to what; names and addresses themselves stay out of the trail, so
that a person can be forgotten without breaking the chain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import delete, select

from idp import audit, clock
from idp.db import db
from idp.errors import BadInput, Conflict, NotFound
from idp.language import gettext
from idp.users import traits
from idp.users.checks import checked_locale, checked_npi, checked_roles, checked_text, checked_zoneinfo
from idp.users.model import ADMINISTRATOR, LoginName, User, UserEmail, UserRole
from idp.users.names import checked_email, checked_username
from idp.users.people import keep_an_administrator, lock, login_names, unique

_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "display_name": lambda raw: checked_text("display_name", raw, limit=200, required=True),
    "given_name": lambda raw: checked_text("given_name", raw, limit=100),
    "family_name": lambda raw: checked_text("family_name", raw, limit=100),
    "npi": checked_npi,
    "locale": checked_locale,
    "zoneinfo": checked_zoneinfo,
}
_TRAITS: dict[str, Callable[[Any], Any]] = {name: functools.partial(traits.checked, name) for name in traits.TRAITS}
_CHECKS = _COLUMNS | _TRAITS


def checked(field: str, raw: str) -> str:
    """Return what may be stored for a field that is given. Raises BadInput."""
    return str(_CHECKS[field](raw))


def update(sub: str, /, *, actor: str | None, **changes: str | None) -> User:
    """Change display_name, given_name, family_name, npi, locale, zoneinfo or a trait; other fields have functions of their own.

    Raises NotFound, BadInput (also for any other field: attack 127), Conflict for an NPI that somebody has.
    """
    strangers = sorted(changes.keys() - _CHECKS.keys())
    if strangers:
        raise BadInput({field: [f"{field} cannot be changed here."] for field in strangers})
    wanted = {field: _CHECKS[field](raw) for field, raw in changes.items()}
    user = lock(sub)
    had = {field: getattr(user, field) for field in wanted if field not in traits.TRAITS}
    had |= {field: traits.of(user).get(field, "") for field in wanted if field in traits.TRAITS}
    changed = sorted(field for field, value in wanted.items() if had[field] != value)
    if changed:
        with unique(sub, npi=wanted.get("npi")):
            _assign(user, {field: wanted[field] for field in changed})
        audit.record(audit.Event.USER_UPDATED, subject=sub, actor=actor, fields=changed)
    return user


def rename(sub: str, username: str, *, actor: str | None) -> User:
    """Give a person another username; the subject stays. Raises NotFound, BadInput, Conflict."""
    name = checked_username(username)
    user = lock(sub)
    if (name.display, name.canonical) != (user.username, user.canonical_username):
        with unique(sub, username=name.canonical, names=[name.canonical]):
            _write(user, username=name.display, canonical_username=name.canonical)
        audit.record(audit.Event.USER_UPDATED, subject=sub, actor=actor, fields=["username"])
    return user


def rename_oneself(sub: str, username: str) -> User:
    """Give oneself another username: of addresses only one's own, proved ones (attack 115).

    Somebody else's would take from its owner what it signs in to. Raises NotFound, BadInput, Conflict.
    """
    name = checked_username(username)
    user = lock(sub)
    mine = {email.canonical for email in user.emails if email.verified_at}
    if "@" in name.canonical and name.canonical not in mine | {user.canonical_username}:
        raise BadInput({"username": [gettext("An e-mail address can be your username only if it is one of yours.")]})
    return rename(sub, username, actor=sub)


def set_roles(sub: str, roles: Iterable[str], *, actor: str | None) -> User:
    """Give a person exactly these roles. Raises NotFound, BadInput; Conflict for the last active administrator."""
    wanted = set(checked_roles(roles))
    if ADMINISTRATOR not in wanted:
        keep_an_administrator(sub)
    user = lock(sub)
    had = set(user.roles)
    if wanted == had:
        return user
    user.role_rows = [row for row in user.role_rows if row.role in wanted] + [
        UserRole(role=role) for role in sorted(wanted - had)
    ]
    user.updated_at = clock.now()
    db.session.flush()
    for event, roles_moved in ((audit.Event.ROLE_GRANTED, wanted - had), (audit.Event.ROLE_REVOKED, had - wanted)):
        for role in sorted(roles_moved):
            audit.record(event, subject=sub, actor=actor, role=role, before=sorted(had), after=sorted(wanted))
    return user


def add_email(sub: str, raw: str, *, actor: str | None, verified: bool = False) -> UserEmail:
    """Add an address; it is good for nothing before it is verified, and so may be somebody else's too (attack 115).

    Raises NotFound, BadInput; Conflict when the person has it already, or when a verified one belongs to another.
    """
    name = checked_email(raw)
    user = lock(sub)
    if any(email.canonical == name.canonical for email in user.emails):
        raise Conflict(gettext("This address is there already."))
    email = UserEmail(address=name.display, canonical=name.canonical, is_primary=not user.emails)
    _write(user, emails=[*user.emails, email])
    audit.record(audit.Event.EMAIL_CHANGED, subject=sub, actor=actor, change="added", email_id=email.id)
    if verified:
        verify_email(sub, email.id, actor=actor)
    return email


def verify_email(sub: str, email_id: int, *, actor: str | None = None) -> UserEmail:
    """Note that an address has proved to be the person's; from now on they may sign in with it.

    Raises NotFound; Conflict when it belongs to somebody else by now.
    """
    user = lock(sub)
    email = email_of(user, email_id)
    if email.verified_at is None:
        with unique(sub, names=[email.canonical]):
            email.verified_at = clock.now()
            _write(user)
        audit.record(audit.Event.EMAIL_VERIFIED, subject=sub, actor=actor, email_id=email.id)
    return email


def make_primary(sub: str, email_id: int, *, actor: str | None) -> UserEmail:
    """Make a verified address the primary one. Raises NotFound; Conflict while it is not verified."""
    user = lock(sub)
    chosen = email_of(user, email_id)
    if chosen.verified_at is None:
        raise Conflict(gettext("Only a verified address can be the primary one."))
    if not chosen.is_primary:
        for email in user.emails:
            email.is_primary = False
        db.session.flush()
        chosen.is_primary = True
        user.updated_at = clock.now()
        db.session.flush()
        audit.record(audit.Event.EMAIL_CHANGED, subject=sub, actor=actor, change="primary", email_id=chosen.id)
    return chosen


def remove_email(sub: str, email_id: int, *, actor: str | None) -> User:
    """Remove an address. Raises NotFound; Conflict for the primary one while there are others."""
    user = lock(sub)
    email = email_of(user, email_id)
    if email.is_primary and len(user.emails) > 1:
        raise Conflict(gettext("Make another address the primary one first."))
    _write(user, emails=[other for other in user.emails if other.id != email_id])
    audit.record(audit.Event.EMAIL_CHANGED, subject=sub, actor=actor, change="removed", email_id=email_id)
    return user


def _assign(user: User, changes: dict[str, Any]) -> None:
    """Write columns as columns, and traits into theirs."""
    columns = {field: value for field, value in changes.items() if field not in traits.TRAITS}
    if len(columns) < len(changes):
        columns["traits"] = traits.merged(user, {name: changes[name] for name in changes.keys() - columns.keys()})
    _write(user, **columns)


def _write(user: User, **changes: Any) -> None:
    for field, value in changes.items():
        setattr(user, field, value)
    user.updated_at = clock.now()
    _rewrite_login_names(user)


def _rewrite_login_names(user: User) -> None:
    db.session.flush()
    wanted = set(login_names(user))
    have = set(db.session.scalars(select(LoginName.name).where(LoginName.user_id == user.id)))
    if have - wanted:
        db.session.execute(delete(LoginName).where(LoginName.user_id == user.id, LoginName.name.in_(have - wanted)))
    db.session.add_all(LoginName(name=name, user_id=user.id) for name in sorted(wanted - have))
    db.session.flush()


def email_of(user: User, email_id: int) -> UserEmail:
    """Return one of a person's addresses. Raises NotFound."""
    for email in user.emails:
        if email.id == email_id:
            return email
    raise NotFound(gettext("There is no such address."))
