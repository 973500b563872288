"""standing — what a person owes and has, as far as the order of steps depends on it: one question to the database for all of it.

Each factor says in SQL what it means to have it (`enrolled_clause`, `bound_clause`); here these are put together. A sign-in asks once to know
what comes next and once more under the person's lock (still.py), so it matters that it is one trip and not a dozen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, bindparam, or_, select

from idp import clock
from idp.authn import assurance, policy, recovery_case, recovery_review, trusted
from idp.authn.factors import FACTORS
from idp.authn.factors.password_table import Password
from idp.db import Prepared, ask, db
from idp.record import Record
from idp.users import User


class Standing(Record):
    """What a person owes and has, as far as the order of steps depends on it."""

    require_second: bool
    min_acr: str = assurance.ONE_FACTOR  # of every sign-in of theirs
    second: tuple[str, ...] = ()  # names of the second factors that can be used now
    lasting: bool = False  # one of them lasts, as recovery codes do not, and is one that the policy allows
    may_enrol: tuple[str, ...] = ("passkey", "totp")  # names of the factors that the policy lets them bind
    ever_bound: bool = False  # had a second factor once; a password alone does not replace it
    must_change: bool = False
    should_change: bool = False  # the password falls short of newer rules; it may stay for now
    review: bool = False  # has recovered, and not yet looked through what was added lately
    trusted: bool = False  # this browser may skip the second factor, where nothing more is demanded


def standing_of(user: User) -> Standing:
    """Look up what a person owes and has. A factor that the policy does not allow any more still opens the way to one that it does."""
    owed, has = policy.of(user), _holdings(user)
    enrolled = [factor for factor in FACTORS if has[f"enrolled_{factor.name}"]]
    allowed = [factor for factor in enrolled if factor.name in owed.factors or not factor.lasting]
    lasting = any(factor.lasting for factor in allowed)
    must_change = bool(has["must_change"]) or (has["change_by"] is not None and has["change_by"] <= clock.now())
    return Standing(
        require_second=owed.require_second,
        min_acr=owed.min_acr,
        second=tuple(factor.name for factor in (allowed if lasting else enrolled)),
        lasting=lasting,
        may_enrol=tuple(factor.name for factor in FACTORS if factor.lasting and factor.name in owed.factors),
        ever_bound=bool(has["ever_bound"]),
        review=bool(has["review"]),
        must_change=must_change,
        should_change=has["change_by"] is not None and not must_change,
        trusted=trusted.find(user) is not None,
    )


def _holdings(user: User) -> dict[str, Any]:
    db.session.flush()
    return ask(_statement(), {"user_id": user.id})[0]


@lru_cache(maxsize=1)
def _statement() -> Prepared:
    person = bindparam("user_id", type_=Integer)
    mine = Password.__table__.c.user_id == person
    bound = or_(*(factor.bound_clause(person) for factor in FACTORS), recovery_case.helped_clause(person))
    parts: list[ColumnElement[Any]] = [
        *(factor.enrolled_clause(person).label(f"enrolled_{factor.name}") for factor in FACTORS),
        bound.label("ever_bound"),
        recovery_review.owed_clause(person).label("review"),
        *(select(Password.__table__.c[name]).where(mine).scalar_subquery().label(name) for name in _OF_PASSWORD),
    ]
    return Prepared(select(*parts))


_OF_PASSWORD = ("must_change", "change_by")
