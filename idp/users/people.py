"""users.people — making a person, finding them, stopping them. Functions flush; the edge commits (house.md, rule 1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import ColumnElement, bindparam, exists, false, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import set_committed_value

from idp import audit, clock, sessions
from idp.db import Prepared, ask, db
from idp.errors import Conflict, NotFound
from idp.language import gettext
from idp.users.checks import Draft, checked_text, draft
from idp.users.model import ACTIVE, ADMINISTRATOR, DISABLED, LoginName, User, UserEmail, UserRole, fresh_subject
from idp.users.names import canonical_username
from idp.users.npi import valid_npi

_BLIND = {"synchronize_session": False}

_FEW = 50  # objects of a unit of work among which a person is looked for, before the database is asked
_OWNER = select(LoginName.user_id).where(LoginName.name == bindparam("name")).scalar_subquery()
_BY_LOGIN = select(User).where(User.id == _OWNER)
_BY_SUB = select(User).where(User.sub == bindparam("sub"))
_LOCKED = _BY_SUB.with_for_update().execution_options(populate_existing=True)
_STATUS_OF = Prepared(select(User.__table__.c.status).where(User.__table__.c.id == bindparam("id")))
_STATUS = Prepared(select(User.__table__.c.status).where(User.__table__.c.sub == bindparam("sub")))


def create(
    *,
    username: str,
    display_name: str,
    given_name: str = "",
    family_name: str = "",
    emails: Sequence[str] = (),
    roles: Iterable[str] = (),
    npi: str | None = None,
    email_verified: bool = False,
    actor: str | None = None,
) -> User:
    """Add a person; the first address becomes the primary one. `actor` is the administrator's `sub`, or "cli".

    Raises BadInput that names every field that cannot be used, and Conflict when the username, a verified address or the NPI
    belongs to somebody already, also when two create them at the same moment.
    """
    wanted = draft(
        username=username,
        display_name=display_name,
        given_name=given_name,
        family_name=family_name,
        emails=emails,
        roles=roles,
        npi=npi,
    )
    user = from_draft(wanted, email_verified=email_verified)
    with unique(user.sub, username=user.canonical_username, names=login_names(user), npi=user.npi):
        add([user])
    audit.record(audit.Event.USER_CREATED, subject=user.sub, actor=actor, roles=user.roles)
    return user


def from_draft(wanted: Draft, *, email_verified: bool) -> User:
    """Return the row of a new person with a new subject (H-29); nothing is stored yet."""
    now = clock.now()
    addresses = [
        UserEmail(
            address=email.display,
            canonical=email.canonical,
            is_primary=place == 0,
            verified_at=now if email_verified else None,
        )
        for place, email in enumerate(wanted.emails)
    ]
    return User(
        sub=fresh_subject(),
        username=wanted.username.display,
        canonical_username=wanted.username.canonical,
        display_name=wanted.display_name,
        given_name=wanted.given_name,
        family_name=wanted.family_name,
        npi=wanted.npi,
        emails=addresses,
        role_rows=[UserRole(role=role) for role in wanted.roles],
    )


def add(users: Sequence[User]) -> None:
    """Store new people and the names that they sign in with. Raises IntegrityError when any of them collides."""
    db.session.add_all(users)
    db.session.flush()
    db.session.execute(
        insert(LoginName), [{"name": name, "user_id": user.id} for user in users for name in login_names(user)]
    )


def find_by_login(identifier: str) -> User | None:
    """Return whom a typed username or verified address belongs to. Any spelling that canonicalises to it will do (W-9)."""
    return db.session.scalars(_BY_LOGIN, {"name": canonical_username(identifier)}).one_or_none()


def find_by_sub(sub: str) -> User | None:
    """Return the person with this subject, or None."""
    if not sub.isascii() or not sub.isprintable():
        return None
    return _known(sub) or db.session.scalars(_BY_SUB, {"sub": sub}).one_or_none()


def _known(sub: str) -> User | None:
    """Return the person if this unit of work has read them: a second question would bring the same object, as it is."""
    kept = db.session.identity_map
    if len(kept) > _FEW:
        return None
    return next((one for one in kept.values() if isinstance(one, User) and vars(one).get("sub") == sub), None)


def find_by_npi(text: str) -> User | None:
    """Return the person with this National Provider Identifier, or None."""
    return db.session.scalars(select(User).where(User.npi == text)).one_or_none() if valid_npi(text) else None


def get_by_sub(sub: str) -> User:
    """Return the person with this subject. Raises NotFound."""
    return _found(find_by_sub(sub))


def is_active(sub: str) -> bool:
    """Say whether this subject is a person who may sign in: one small read for the busy path of tokens, no objects."""
    return any(row["status"] == ACTIVE for row in ask(_STATUS, {"sub": sub}))


def is_active_clause(sub: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the same as a part of another room's statement, for the subject in a column of its."""
    people = User.__table__
    return exists(people.c.id).where(people.c.sub == sub, people.c.status == ACTIVE)


def read_status(user: User | None) -> None:
    """Read anew whether this person may sign in: it can have changed during something slow. The same work for nobody (C-7)."""
    rows = ask(_STATUS_OF, {"id": user.id if user else 0})
    if user is not None:
        set_committed_value(user, "status", rows[0]["status"] if rows else DISABLED)


def disable(sub: str, *, reason: str, actor: str | None) -> User:
    """Stop a person from signing in and end all their sessions at once (H-34, attack 119).

    Raises NotFound; Conflict for the last active administrator (attack 130); BadInput without a reason.
    """
    told = checked_text("reason", reason, limit=200, required=True)
    keep_an_administrator(sub)
    user = lock(sub)
    if user.is_active:
        _switch(user, DISABLED, told)
        audit.record(audit.Event.USER_DISABLED, subject=sub, actor=actor, reason=told, before=ACTIVE, after=DISABLED)
    sessions.end_all(sub, cause="user_disabled")
    return user


def enable(sub: str, *, actor: str | None) -> User:
    """Let a person sign in again; their credentials are as they were. Raises NotFound."""
    user = lock(sub)
    if not user.is_active:
        _switch(user, ACTIVE, None)
        audit.record(audit.Event.USER_ENABLED, subject=sub, actor=actor, before=DISABLED, after=ACTIVE)
    return user


def _switch(user: User, status: str, reason: str | None) -> None:
    user.status, user.status_reason, user.updated_at = status, reason, clock.now()
    db.session.flush()


# --- shared with the other files of this room ----------------------------------------------------------------


def lock(sub: str) -> User:
    """Return the person as the database has them now, and keep other writers away until the commit. Raises NotFound."""
    _begin_to_write()
    return _found(db.session.scalars(_LOCKED, {"sub": sub}).one_or_none())


def hold_active(sub: str) -> bool:
    """Say whether a person is active, and keep the answer true until the commit. Any number may hold it; whoever changes it waits."""
    _begin_to_write()
    wanted = select(User.status).where(User.sub == sub).with_for_update(read=True)
    return db.session.scalar(wanted) == ACTIVE


def keep_an_administrator(sub: str) -> None:
    """Refuse to lose the last active administrator, also when two administrators remove each other at once (attack 130).

    Locks all of them, in one order, before any other row. Raises Conflict.
    """
    _begin_to_write()
    active = (
        select(User.sub)
        .join(UserRole, UserRole.user_id == User.id)
        .where(UserRole.role == ADMINISTRATOR, User.status == ACTIVE)
        .order_by(User.id)
        .with_for_update()
    )
    if db.session.scalars(active).all() == [sub]:
        raise Conflict(gettext("This is the last active administrator. Make somebody else an administrator first."))


def _begin_to_write() -> None:
    """Take SQLite's one lock, which it has instead of row locks: a first write that changes nothing. Nothing on PostgreSQL."""
    if db.engine.dialect.name == "sqlite":
        db.session.execute(update(User).where(false()).values(status=User.status), execution_options=_BLIND)


def login_names(user: User) -> list[str]:
    """Return what this person may sign in with: the username and every verified address, canonical."""
    return sorted({user.canonical_username} | {email.canonical for email in user.emails if email.verified_at})


@contextmanager
def unique(
    sub: str, *, username: str | None = None, names: Sequence[str] = (), npi: str | None = None
) -> Iterator[None]:
    """A savepoint around a change that must not collide with another person; flushes at its end.

    What is claimed (canonical names, NPI) only serves the message. Raises Conflict that says with what it collided.
    """
    try:
        with db.session.begin_nested():
            yield
            db.session.flush()
    except IntegrityError as clash:
        raise _conflict(sub, username, names, npi) from clash


def _conflict(sub: str, username: str | None, names: Sequence[str], npi: str | None) -> Conflict:
    others = select(LoginName.name).join(User, User.id == LoginName.user_id).where(User.sub != sub)
    taken = db.session.scalars(others.where(LoginName.name.in_(names))).all()
    if username in taken:
        return Conflict(gettext("This username is taken."))
    if taken:
        return Conflict(gettext("This e-mail address belongs to somebody already."))
    if npi and db.session.scalar(select(User.id).where(User.npi == npi, User.sub != sub)):
        return Conflict(gettext("This NPI belongs to somebody already."))
    return Conflict()


def _found(user: User | None) -> User:
    if user is None:
        raise NotFound("There is no such person.")
    return user
