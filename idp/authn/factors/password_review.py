"""password_review — a password that somebody has, judged against the rules of today whenever it is accepted (peers 3.16).

Only then is it in our hands. A password that attackers would try, that has come of age under PCI DSS, or that is too short to stand
alone by NIST (N-1) must be replaced before its person goes on (N-5: on evidence of compromise). One that merely falls short of newer rules may stay for `passwords.grace_days`;
its person is told at each sign-in until when. What was found is kept with the password: the version of the rules, and which it breaks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, update

from idp import audit, clock
from idp.authn import breaches, password_policy, policy
from idp.authn.factors.password_table import Password, changed
from idp.config import settings
from idp.record import Record
from idp.users import User

GUESSABLE = frozenset({"blocklist", "username"})  # rules whose breach is evidence of compromise
AGE = "age"
ALONE = "alone"  # too short by NIST's measure for a password without a second factor (N-1)


class Review(Record):
    """What came of judging one password: under which rules, and which of them it breaks."""

    version: str
    failing: tuple[str, ...]
    asked_service: bool = False

    @property
    def compromised(self) -> bool:
        """Whether somebody who guesses would try this password soon."""
        return bool(GUESSABLE & set(self.failing))

    @property
    def must_go(self) -> bool:
        """Whether it is good for nothing more than to be replaced."""
        return self.compromised or bool({AGE, ALONE} & set(self.failing))


def judge(user: User, row: Password, raw: str) -> Review:
    """Judge a password that was right. Changes nothing; may ask the range service, so it comes before the first write."""
    owed = policy.of(user)
    rules = owed.password
    found = [violation.rule for violation in password_policy.violations(raw, user=user, policy=rules)]
    ask_service = _service_is_due(row)
    if "blocklist" not in found and breaches.known(raw, ask_service=ask_service):
        found.append("blocklist")
    elif row.failing and not ask_service and "blocklist" in row.failing.split():
        found.append("blocklist")  # what the service said stays said
    if rules.preset == "nist_800_63b_4" and not owed.require_second and "length" in found:
        found.append(ALONE)
    if rules.max_age_days and clock.now() - row.changed_at >= timedelta(days=rules.max_age_days):
        found.append(AGE)
    return Review(rules.version, tuple(dict.fromkeys(found)), ask_service)


def keep(user: User, row: Password, review: Review) -> None:
    """Write down what was found, if it is news: of many who find the same, one changes the row and records the event."""
    failing = " ".join(review.failing) or None
    if (row.judged_policy, row.failing) == (review.version, failing):
        if review.asked_service:
            changed(update(Password).where(_as_read(row)).values(judged_at=clock.now()))
        return
    change_by = None if review.must_go or not failing else row.change_by or _deadline()
    values = {"judged_policy": review.version, "judged_at": clock.now(), "failing": failing, "change_by": change_by}
    if review.must_go:
        values["must_change"] = True
    if changed(update(Password).where(_as_read(row)).values(**values)) == 1 and failing:
        _write_down(user, review, change_by)


def clean(user: User) -> dict[str, object]:
    """Return the columns of a password that was judged before it was taken."""
    version = policy.of(user).password.version
    return {"judged_policy": version, "judged_at": clock.now(), "failing": None, "change_by": None}


def _service_is_due(row: Password) -> bool:
    """The range service is asked once a day about a password, not at every sign-in: it is somebody else's, and takes time."""
    if not settings().passwords.range_service_url:
        return False
    return row.judged_at is None or clock.now() - row.judged_at >= timedelta(days=1)


def _as_read(row: Password) -> ColumnElement[bool]:
    return (
        (Password.user_id == row.user_id)
        & (Password.stamp == row.stamp)
        & Password.judged_policy.is_not_distinct_from(row.judged_policy)
        & Password.failing.is_not_distinct_from(row.failing)
    )


def _deadline() -> datetime:
    return clock.now() + timedelta(days=settings().passwords.grace_days)


def _write_down(user: User, review: Review, change_by: datetime | None) -> None:
    event = audit.Event.PASSWORD_COMPROMISED if review.compromised else audit.Event.PASSWORD_BELOW_POLICY
    audit.record(
        event,
        subject=user.sub,
        reason=" ".join(review.failing),
        policy=review.version,
        change_by=change_by.isoformat(timespec="seconds") if change_by else None,
    )
