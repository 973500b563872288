"""password — something known: kept, checked, changed. Owns `passwords` and `password_history` (see password_table).

A hash is made by `hashing` (keyed pre-hash, then bcrypt) and then sealed like every secret at rest (AES-256-GCM). The two keys do
different things (C-5): the pepper is part of the hash and only changes when its person signs in; the sealing key can be changed
offline for everybody at once, binds a hash to its person (a row copied onto somebody else's does not open), and protects foreign
hashes that came without any pepper.

The `stamp` names one choice of a password: recovery links and unfinished sign-ins hang on it. It changes when the password does
and not when the same password is merely hashed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from flask import current_app
from sqlalchemy import bindparam, case, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from idp import audit, clock, crypto, web
from idp.authn import breaches, foreign_hashes, hashing, password_policy, policy
from idp.authn.factors import password_review
from idp.authn.factors.password_table import EarlierPassword, Password, changed, columns, row_of, unsealed
from idp.authn.hash_pool import HashPool, sizes
from idp.authn.hashing import Checked, Recipe, Stored
from idp.authn.password_policy import Violation
from idp.config import settings
from idp.db import Prepared, UtcDateTime, ask, db
from idp.errors import BadInput, Conflict
from idp.limits import address_bucket
from idp.record import Record
from idp.users import User, read_status

T = TypeVar("T")

name = "password"
amr: tuple[str, ...] = ("pwd",)

TEMPORARY_LIFE_S = 72 * 3600  # what an administrator hands over is good for three days (ASVS 6.4.1)
_POOL = "idp.hash_pool"
_STAMP = Prepared(select(Password.__table__.c.stamp).where(Password.__table__.c.user_id == bindparam("user_id")))
_TABLE = Password.__table__.c
_ACCEPT = (
    update(Password.__table__)
    .where(_TABLE.user_id == bindparam("of_user"), _TABLE.stamp == bindparam("as_read"), _TABLE.disabled_at.is_(None))
    .where(_TABLE.expires_at.is_(None) | (_TABLE.expires_at > bindparam("now", type_=UtcDateTime())))
    .values(failures=0, last_used_at=bindparam("now", type_=UtcDateTime()))
)


class PasswordRefused(BadInput):
    """The new password breaks rules; `violations` names every one."""

    code = "password_refused"

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = list(violations)
        super().__init__({"new_password": [violation.message for violation in violations]})


class WrongPassword(BadInput):
    """The present password was asked for, and this is not it."""

    code = "wrong_password"

    def __init__(self) -> None:
        super().__init__({"current_password": ["This is not your present password."]})


class State(Record):
    """What may be known of a password: for pages, the command line and the doctor."""

    stamp: str
    scheme: str
    must_change: bool  # before its person goes on
    expires_at: datetime | None
    changed_at: datetime
    failures: int
    disabled_at: datetime | None
    failing: tuple[str, ...] = ()  # the rules that it breaks, as the last review found
    change_by: datetime | None = None  # it may stay until then although it breaks some


# --- checking ------------------------------------------------------------------------------------------------


def verify(user: User | None, raw: str) -> bool:
    """Say whether this is the person's password: `accepted`, for whoever needs no more than that."""
    return accepted(user, raw) is not None


def accepted(user: User | None, raw: str) -> str | None:
    """Return the stamp of the password if it is this one, and count it: a failure towards the hard limit, a success back to none.

    Whether the person may sign in at all (`user.is_active`, reloaded here) is for the caller to ask, after this: nobody, a disabled
    person, one without a password and a wrong password all take the same path and the same time (C-7). Raises Unavailable when
    too many sign-ins wait.
    """
    row = row_of(user)
    stored = unsealed(user, row) if user and row else None
    checked = _in_pool(partial(hashing.check, raw, stored, _recipe()))
    read_status(user)
    review = password_review.judge(user, row, raw) if checked.right and user and row else None  # before the first write
    right = checked.right and _accept(row, checked)
    if not right:
        _count_failure(user, row)
    if checked.problem and user:
        audit.record(
            audit.Event.PASSWORD_UNREADABLE,
            subject=user.sub,
            reason=checked.problem,
            scheme=row.scheme if row else None,
        )
    if right and user and row and checked.fresh:
        _upgrade(user, row, checked.fresh)
    if right and user and row and review:
        password_review.keep(user, row, review)
    return row.stamp if right and row else None


def enrolled(user: User) -> bool:
    """Say whether the person has a password that can be used."""
    row = row_of(user)
    return row is not None and row.disabled_at is None


def state(user: User) -> State | None:
    """Return what may be known of the person's password, or None if they have none."""
    row = row_of(user)
    if row is None:
        return None
    return State(
        stamp=row.stamp,
        scheme=row.scheme,
        must_change=_must_change(row),
        expires_at=row.expires_at,
        changed_at=row.changed_at,
        failures=row.failures,
        disabled_at=row.disabled_at,
        failing=tuple((row.failing or "").split()),
        change_by=row.change_by,
    )


def stamp(user: User | None) -> str:
    """Return the name of the present choice; "" without a password, and for nobody, after the same work."""
    rows = ask(_STAMP, {"user_id": user.id if user else 0})
    return str(rows[0]["stamp"]) if rows else ""


def must_change(user: User) -> bool:
    """Say whether the person has to choose a new password before they go on: somebody else knows this one, or its time is over."""
    row = row_of(user)
    return row is not None and _must_change(row)


def should_change(user: User) -> bool:
    """Say whether the password falls short of newer rules and may still stay for a while."""
    row = row_of(user)
    return row is not None and row.change_by is not None and not _must_change(row)


# --- changing ------------------------------------------------------------------------------------------------


def violations(user: User, raw: str) -> list[Violation]:
    """Return every rule that a new password would break, the history included. Costs up to five hashes (C-9)."""
    rules = policy.of(user).password
    found = password_policy.violations(raw, user=user, policy=rules)
    if any(violation.rule in ("length", "characters") for violation in found):
        return found
    reused = _in_pool(partial(hashing.among, raw, _earlier(user), _recipe()))
    breached = not any(violation.rule == "blocklist" for violation in found) and breaches.known(raw)
    return password_policy.violations(raw, user=user, policy=rules, reused=reused, breached=breached)


def set_password(
    user: User,
    raw: str,
    *,
    actor: str | None,
    must_change: bool | None = None,
    vetted: bool = False,
    expected_stamp: str | None = None,
) -> None:
    """Replace the password; it counts as new in every way: failures are forgotten, a disabled one works again.

    Set by anybody but the person (`actor` is not their `sub`), it is good for 72 hours and has to be changed at the first sign-in,
    for nobody else should know it; `must_change` says otherwise. `vetted`: the caller has just called `violations` and got none.
    Ending sessions is the caller's. Raises PasswordRefused; Conflict when the password was replaced meanwhile, or is not that of
    `expected_stamp`; Unavailable.
    """
    found = violations(user, raw) if not vetted or not raw else []
    if found:
        raise PasswordRefused(found)
    row = row_of(user)
    if expected_stamp is not None and expected_stamp != (row.stamp if row else ""):
        raise Conflict("The password has been changed in the meantime.")
    fresh = _in_pool(partial(hashing.make, raw, _recipe()))
    handed_over = actor != user.sub if must_change is None else must_change
    _replace(user, row, fresh, handed_over=handed_over)
    event = audit.Event.PASSWORD_CHANGED if row else audit.Event.PASSWORD_SET
    audit.record(audit.Event.PASSWORD_ISSUED if handed_over else event, subject=user.sub, actor=actor)


def change_password(user: User, current_raw: str, new_raw: str, *, actor: str | None) -> None:
    """Replace the password of a person who shows that they know the present one (attack 96).

    Raises WrongPassword (counted like a failed sign-in), PasswordRefused, Conflict, Unavailable.
    """
    before = stamp(user)
    if not verify(user, current_raw) or not user.is_active:
        raise WrongPassword
    set_password(user, new_raw, actor=actor, expected_stamp=before)


def issue_temporary(user: User, *, actor: str | None) -> str:
    """Give the person a random password to be changed within 72 hours, and return it: shown once, kept nowhere in the clear."""
    raw = password_policy.generate(policy.of(user).password, user=user)
    set_password(user, raw, actor=actor, must_change=True, vetted=True)
    return raw


# --- hashes of other systems ---------------------------------------------------------------------------------


def check_foreign_hash(text: str) -> None:
    """Raise BadInput, naming what is supported, for a hash that could not be verified later."""
    foreign_hashes.recognise(text)


def import_hash(user: User, foreign_hash: str, *, actor: str | None = None) -> None:
    """Keep the password hash of another system; it is replaced by ours at the first sign-in.

    Raises BadInput that names the supported kinds; Conflict for somebody who has a password.
    """
    if row_of(user) is not None:
        raise Conflict("This person has a password already.")
    import_hashes([(user, foreign_hash)], actor=actor)


def import_hashes(hashes: Sequence[tuple[User, str]], *, actor: str | None = None) -> None:
    """Keep the hashes of many people who have no password yet. Raises BadInput."""
    rows = [_foreign_row(user, foreign_hashes.recognise(text)) for user, text in hashes]
    if rows:
        db.session.execute(insert(Password), rows)
    for (user, _), row in zip(hashes, rows, strict=True):
        audit.record(audit.Event.PASSWORD_IMPORTED, subject=user.sub, actor=actor, scheme=row["scheme"])


def _foreign_row(user: User, normal: str) -> dict[str, object]:
    stored = Stored(normal, foreign_hashes.scheme_of(normal))
    return {"user_id": user.id, **columns(user, stored), "stamp": crypto.random_token(12), "changed_at": clock.now()}


# --- rows ----------------------------------------------------------------------------------------------------


def _must_change(row: Password) -> bool:
    return row.must_change or (row.change_by is not None and row.change_by <= clock.now())


def _accept(row: Password | None, checked: Checked) -> bool:
    """Take a right password for good: only the one that was read, only while it is neither disabled nor expired.

    One statement, so that a guess that is right but comes after the hard limit was reached, or after the password was changed
    while it was being checked, is refused.
    """
    if row is None:
        return False
    values = {"of_user": row.user_id, "as_read": row.stamp, "now": clock.now()}
    return db.session.connection().execute(_ACCEPT, values).rowcount == 1


def _count_failure(user: User | None, row: Password | None) -> None:
    """Count a failure where it outlives Redis, and disable the password at the hard limit (N-10)."""
    limit, now = settings().factors.failure_hard_limit, clock.now()
    more = Password.failures + 1
    counted = db.session.execute(
        update(Password)
        .where(Password.user_id == (row.user_id if row else 0), Password.disabled_at.is_(None))
        .values(failures=more, disabled_at=case((more >= limit, literal(now, UtcDateTime())), else_=None))
        .returning(Password.disabled_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if counted and counted.disabled_at and user:
        audit.record(audit.Event.FACTOR_DISABLED, subject=user.sub, reason="too_many_failures", factor=name)


def _upgrade(user: User, row: Password, fresh: Stored) -> None:
    """Keep the present kind of hash for the same password, once, whoever else is trying (C-4)."""
    same = (Password.user_id == row.user_id) & (Password.sealed_hash == row.sealed_hash)
    if changed(update(Password).where(same).values(**columns(user, fresh))) == 1:
        audit.record(
            audit.Event.PASSWORD_REHASHED, subject=user.sub, before=row.scheme, after=fresh.scheme, cost=fresh.cost
        )


def _replace(user: User, row: Password | None, fresh: Stored, *, handed_over: bool) -> None:
    now = clock.now()
    values = {
        **columns(user, fresh),
        **password_review.clean(user),
        "stamp": crypto.random_token(12),
        "must_change": handed_over,
        "expires_at": now + timedelta(seconds=TEMPORARY_LIFE_S) if handed_over else None,
        "changed_at": now,
        "failures": 0,
        "disabled_at": None,
    }
    if row is None:
        _insert(user, values)
        return
    if changed(update(Password).where(Password.user_id == user.id, Password.stamp == row.stamp).values(**values)) != 1:
        raise Conflict("The password has been changed in the meantime.")
    _remember(user, row)


def _insert(user: User, values: dict[str, object]) -> None:
    try:
        with db.session.begin_nested():
            db.session.execute(insert(Password).values(user_id=user.id, **values))
    except IntegrityError:
        raise Conflict("The password has been set in the meantime.") from None


def _remember(user: User, row: Password) -> None:
    """Put the replaced hash into the history, and forget what is too old to matter."""
    keep = max(0, policy.of(user).password.history - 1)
    kept = {"scheme": row.scheme, "pepper_id": row.pepper_id, "cost": row.cost, "sealed_hash": row.sealed_hash}
    db.session.execute(insert(EarlierPassword).values(user_id=user.id, replaced_at=clock.now(), **kept))
    newest = select(EarlierPassword.id).where(EarlierPassword.user_id == user.id)
    newest = newest.order_by(EarlierPassword.id.desc()).limit(keep)
    ids = db.session.scalars(newest).all()
    db.session.execute(
        delete(EarlierPassword).where(EarlierPassword.user_id == user.id, EarlierPassword.id.not_in(ids))
    )


def _earlier(user: User) -> list[Stored]:
    """Return the present hash and the earlier ones that still count, newest first; the present one always does."""
    keep = max(0, policy.of(user).password.history - 1)
    wanted = select(EarlierPassword).where(EarlierPassword.user_id == user.id)
    rows = db.session.scalars(wanted.order_by(EarlierPassword.id.desc()).limit(keep)).all()
    present = row_of(user)
    return [unsealed(user, row) for row in ([present] if present else []) + list(rows)]


# --- the pool ------------------------------------------------------------------------------------------------


def pool() -> HashPool:
    """Return the application's pool for slow work on passwords."""
    chosen = settings().passwords
    concurrency, queue = sizes(
        threads=settings().server.threads, concurrency=chosen.hash_concurrency, queue=chosen.hash_queue
    )
    found: HashPool = current_app.extensions.setdefault(_POOL, HashPool(concurrency=concurrency, queue=queue))
    return found


def insist_on_room() -> None:
    """Raise Unavailable if a check of this visitor's would find no room in the pool now, so that a flood costs next to nothing."""
    pool().insist_on_room(_lane())


def _in_pool(work: Callable[[], T]) -> T:
    return pool().run(work, lane=_lane())


def _lane() -> str:
    return address_bucket(web.context().address or "")


def _recipe() -> Recipe:
    return hashing.recipe_of(settings())
