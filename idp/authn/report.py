"""report — whose password or second factor falls short of what they owe today, for the people who answer for it. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from idp import clock
from idp.authn import hashing, policy
from idp.authn.factors import FACTORS
from idp.authn.factors.password_table import Password
from idp.authn.policy import Policy
from idp.config import settings
from idp.db import db
from idp.language import lazy_gettext
from idp.record import Record
from idp.users import User
from idp.users.model import ACTIVE

FINDINGS = {
    "must_change": lazy_gettext("must choose a new password at the next sign-in"),
    "below_policy": lazy_gettext("the password breaks rules of today"),
    "never_judged": lazy_gettext("nobody has signed in with the password since passwords are judged at sign-in"),
    "older_rules": lazy_gettext("the password was judged under rules that have changed since"),
    "weak_hash": lazy_gettext("the stored hash is not of the present kind; a sign-in replaces it"),
    "disabled": lazy_gettext("the password is disabled after too many failures"),
    "no_second_factor": lazy_gettext("owes a second factor and has none that lasts"),
}
_PAGE = 500


class Entry(Record):
    """One person and what was found: names of FINDINGS, the rules that the password breaks, until when it may stay."""

    username: str
    sub: str
    findings: tuple[str, ...]
    failing: tuple[str, ...] = ()
    change_by: datetime | None = None


def people(*, second_factors: bool = True) -> Iterator[Entry]:
    """Yield every active person of whom something was found, by username. Second factors cost a few queries a person."""
    recipe = hashing.recipe_of(settings())
    last = ""
    while page := _page(last):
        for user, row in page:
            owed = policy.of(user)
            found = tuple(_of_password(row, owed, recipe)) if row else ()
            if second_factors and _lacks_second(user, owed):
                found = (*found, "no_second_factor")
            if found:
                failing = tuple((row.failing or "").split()) if row else ()
                yield Entry(user.username, user.sub, found, failing, row.change_by if row else None)
        last = page[-1][0].canonical_username


def _page(after: str) -> list[tuple[User, Password | None]]:
    wanted = (
        select(User, Password)
        .outerjoin(Password, Password.user_id == User.id)
        .where(User.status == ACTIVE, User.canonical_username > after)
        .options(selectinload(User.role_rows))
        .order_by(User.canonical_username)
        .limit(_PAGE)
    )
    return [(user, row) for user, row in db.session.execute(wanted)]


def _lacks_second(user: User, owed: Policy) -> bool:
    return owed.require_second and not any(factor.lasting and factor.enrolled(user) for factor in FACTORS)


def _of_password(row: Password, owed: Policy, recipe: hashing.Recipe) -> Iterator[str]:
    if row.must_change or (row.change_by and row.change_by <= clock.now()):
        yield "must_change"
    if row.failing:
        yield "below_policy"
    if row.judged_policy is None:
        yield "never_judged"
    elif row.judged_policy != owed.password.version:
        yield "older_rules"
    if hashing.is_behind(hashing.Stored("", row.scheme, row.pepper_id, row.cost), recipe):
        yield "weak_hash"
    if row.disabled_at:
        yield "disabled"
