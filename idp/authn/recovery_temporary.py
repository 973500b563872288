"""recovery_temporary — the temporary code that the help desk gives to a person whose case was agreed to.

It has 65 random bits (13 characters of Crockford's base 32), lives for minutes, works once and for one person, and never instead of
the password: it is asked for where the second step is asked for, of somebody who gave their password just now. It proves no factor
and stands in no `amr`; all it does is to let the person bind a new second factor (N-25). We keep a keyed digest of it.
"""

from __future__ import annotations

from sqlalchemy import select

from idp import audit, clock, crypto, limits, sessions, users, web
from idp.authn import factors, notices, recovery_case, recovery_review
from idp.authn.factors import recovery_code
from idp.authn.factors.base import Accepted, Outcome, Refused
from idp.authn.recovery_case import ISSUED, USED, RecoveryCase
from idp.db import db
from idp.users import User

SCOPE = "recovery:temporary"


def fresh() -> str:
    """Return a new code, in groups that can be read out."""
    return recovery_code.fresh()


def mac_of(user: User, raw_code: str) -> str:
    """Return the form in which a code of this person is kept."""
    return crypto.mac("temporary-code", _message(user, raw_code))


def attempt(user: User, raw_code: str) -> Outcome:
    """Take a code under the limits, and write down what came of it. Raises kv.Unavailable: never unlimited (7.94)."""
    verdict = limits.attempt(SCOPE, account=user.sub, address=web.context().address or "")
    if not verdict.allowed:
        return Refused("limited", verdict.retry_after_s)
    if not redeem(user, raw_code):
        audit.record(audit.Event.RECOVERY_REFUSED, subject=user.sub, actor=user.sub, reason="wrong_temporary_code")
        return Refused("wrong_code")
    limits.clear(SCOPE, account=user.sub)
    return Accepted()


def redeem(user: User, raw_code: str) -> bool:
    """Spend the code: of many who try the same one, one hears True. All sessions end; what was lost is removed (N-27).

    The person is told at every address, and looks through what was added lately once they are in.
    """
    case = _issued(user)
    if case is None:
        return False
    user = users.people.lock(user.sub)
    if not user.is_active or recovery_case.lacks_administrator(case) or not _spend(case, user, raw_code):
        return False
    if case.remove_factors:
        factors.remove_all(user, actor=case.issued_by, reason="recovery_case")
    sessions.end_all(user.sub, cause="recovered")
    audit.record(
        audit.Event.RECOVERY_CASE_USED,
        subject=user.sub,
        actor=user.sub,
        case=case.public_id,
        opened_by=case.opened_by,
        approved_by=case.approved_by,
        issued_by=case.issued_by,
    )
    recovery_review.owe(user)
    notices.tell(user, "recovery_case_used")
    return True


def _spend(case: RecoveryCase, user: User, raw_code: str) -> bool:
    macs = crypto.macs("temporary-code", _message(user, raw_code))
    good = RecoveryCase.code_mac.in_(macs) & (RecoveryCase.code_expires_at > clock.now())
    return recovery_case.move(case, (ISSUED,), good, **recovery_case.closing(USED, by=user.sub))


def _issued(user: User) -> RecoveryCase | None:
    wanted = select(RecoveryCase).where(RecoveryCase.user_id == user.id, RecoveryCase.state == ISSUED)
    return db.session.scalars(wanted, execution_options={"populate_existing": True}).one_or_none()


def _message(user: User, raw_code: str) -> str:
    return f"{user.sub}|{recovery_code.normalised(raw_code)}"
