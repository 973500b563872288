"""recovery_desk — what the help desk does with a recovery case: open, approve, deny, stop, issue a temporary code.

Nobody helps themselves. With four eyes (the default) somebody else than who opened a case approves it (ASVS 2.3.5). A case of somebody
who has rights over others needs an administrator: to approve it, or with two eyes to open it. An operator on the machine counts as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError

from idp import audit, clock, users
from idp.authn import policy, recovery_case, recovery_temporary
from idp.authn.recovery_case import APPROVED, DENIED, ISSUED, OPEN, PRIVILEGED, PROOFS, RecoveryCase
from idp.config import settings
from idp.db import db
from idp.errors import BadInput, Conflict, Forbidden
from idp.language import Later, lazy_gettext
from idp.record import Record
from idp.users import User
from idp.users.checks import checked_text

NOT_YOURSELF = lazy_gettext("Nobody can recover their own account here. Ask somebody else of the help desk.")
NOT_THE_SAME = lazy_gettext("Whoever opened a case cannot approve it. Ask somebody else of the help desk.")
ADMINISTRATOR_NEEDED = lazy_gettext("This person has rights over others. An administrator has to agree to this case.")
BECAME_PRIVILEGED = lazy_gettext(
    "This person has rights over others by now. Stop this case and open another: an administrator has to agree to it."
)
TOO_LATE = lazy_gettext("This case has moved on in the meantime.")
ONE_ALREADY = lazy_gettext("There is a case for this person already.")


class Desk(Record):
    """Who acts: a `sub`, or "cli:…" for an operator on the machine."""

    actor: str
    is_administrator: bool


def four_eyes(user: User) -> bool:
    """Say whether the policy wants a second person to agree before this one is let back in."""
    return policy.of(user).four_eyes


def desk_of(user: User) -> Desk:
    """Return a person of the staff as one who acts."""
    return Desk(user.sub, users.ADMINISTRATOR in user.roles)


def open_case(
    user: User, *, by: Desk, reason: str, proof: str, proof_note: str, remove_factors: bool = True
) -> RecoveryCase:
    """Open a case and tell the person at every verified address, with a link that stops it.

    Raises BadInput without a reason or without how the identity was checked; Forbidden; Conflict for a second case of one person.
    """
    told = _checked(reason, proof, proof_note)
    needs_second = four_eyes(user)
    refuse(opening(user, by, four_eyes=needs_second))
    recovery_case.expire_overdue()
    now = clock.now()
    case = RecoveryCase(
        user_id=user.id,
        remove_factors=remove_factors,
        four_eyes=needs_second,
        opened_by=by.actor,
        expires_at=now + timedelta(seconds=settings().recovery.case_s),
        **told,
    )
    if not needs_second:
        case.state, case.ready_at = APPROVED, _ready_at()
    with _alone():
        db.session.add(case)
    audit.record(
        audit.Event.RECOVERY_CASE_OPENED,
        subject=user.sub,
        actor=by.actor,
        reason=told["reason"][:255],
        case=case.public_id,
        proof=proof,
        remove_factors=remove_factors,
        four_eyes=needs_second,
    )
    recovery_case.tell(case, "recovery_case_opened" if needs_second else "recovery_case_approved")
    return case


def approve(case: RecoveryCase, *, by: Desk) -> None:
    """Agree to a case, as the second pair of eyes; the cool-off begins. Raises Forbidden; Conflict when somebody was faster."""
    refuse(approving(case, by))
    values = {"state": APPROVED, "approved_by": by.actor, "approved_at": clock.now(), "ready_at": _ready_at()}
    if not recovery_case.move(case, (OPEN,), RecoveryCase.opened_by != by.actor, **values):
        raise Conflict(str(TOO_LATE))
    audit.record(audit.Event.RECOVERY_CASE_APPROVED, subject=case.user.sub, actor=by.actor, case=case.public_id)
    recovery_case.tell(case, "recovery_case_approved")


def deny(case: RecoveryCase, *, by: Desk, reason: str) -> None:
    """Refuse a case that waits for approval. Raises BadInput without a reason; Forbidden; Conflict."""
    told = checked_text("reason", reason, limit=500, required=True)
    refuse(NOT_YOURSELF if by.actor == case.user.sub else None)
    if not recovery_case.move(case, (OPEN,), **recovery_case.closing(DENIED, by=by.actor, reason=told)):
        raise Conflict(str(TOO_LATE))
    what = {"subject": case.user.sub, "actor": by.actor, "reason": told[:255], "case": case.public_id}
    audit.record(audit.Event.RECOVERY_CASE_DENIED, **what)


def stop(case: RecoveryCase, *, by: Desk, reason: str) -> None:
    """Stop a case, however far it is. Raises BadInput without a reason; Conflict when nothing is left to stop."""
    told = checked_text("reason", reason, limit=500, required=True)
    if not recovery_case.stop(case, by=by.actor, reason=told):
        raise Conflict(str(TOO_LATE))


def issue(case: RecoveryCase, *, by: Desk) -> str:
    """Make the temporary code of a case whose cool-off is over, and return it: nobody can read it again.

    An earlier code of the case is dead with it. Raises Forbidden, also for somebody who came to rights over others after the case
    was agreed to; Conflict before the cool-off is over, or when the case is closed.
    """
    users.lock(case.user.sub)  # their roles as they are now
    refuse(NOT_YOURSELF if by.actor == case.user.sub else None)
    refuse(BECAME_PRIVILEGED if recovery_case.lacks_administrator(case) else None)
    raw_code, now = recovery_temporary.fresh(), clock.now()
    values = {
        "state": ISSUED,
        "issued_by": by.actor,
        "issued_at": now,
        "code_mac": recovery_temporary.mac_of(case.user, raw_code),
        "code_expires_at": now + timedelta(seconds=settings().recovery.code_s),
    }
    if not recovery_case.move(case, (APPROVED, ISSUED), RecoveryCase.ready_at <= now, **values):
        raise Conflict(str(TOO_LATE))
    audit.record(audit.Event.RECOVERY_CASE_ISSUED, subject=case.user.sub, actor=by.actor, case=case.public_id)
    return raw_code


# --- who may (pure) ------------------------------------------------------------------------------------------


def opening(user: User, by: Desk, *, four_eyes: bool) -> Later | None:
    """Say what keeps somebody from opening a case for this person, or None."""
    if by.actor == user.sub:
        return NOT_YOURSELF
    return ADMINISTRATOR_NEEDED if not four_eyes and _needs_administrator(user, by) else None


def approving(case: RecoveryCase, by: Desk) -> Later | None:
    """Say what keeps somebody from approving this case, or None."""
    if by.actor == case.user.sub:
        return NOT_YOURSELF
    if by.actor == case.opened_by:
        return NOT_THE_SAME
    return ADMINISTRATOR_NEEDED if _needs_administrator(case.user, by) else None


def refuse(why: Later | None) -> None:
    """Raise Forbidden if there is a reason to."""
    if why is not None:
        raise Forbidden(str(why))


def _needs_administrator(user: User, by: Desk) -> bool:
    return bool(PRIVILEGED & set(user.roles)) and not by.is_administrator


def _checked(reason: str, proof: str, proof_note: str) -> dict[str, str]:
    wrong: dict[str, list[str]] = {}
    told = {"proof": proof}
    for name, text in (("reason", reason), ("proof_note", proof_note)):
        try:
            told[name] = checked_text(name, text, limit=500, required=True)
        except BadInput as bad:
            wrong |= bad.fields
    if proof not in PROOFS:
        wrong["proof"] = [str(lazy_gettext("Say how you made sure who this is."))]
    if wrong:
        raise BadInput(wrong)
    return told


def _ready_at() -> datetime:
    return clock.now() + timedelta(seconds=settings().recovery.cool_off_s)


@contextmanager
def _alone() -> Iterator[None]:
    try:
        with db.session.begin_nested():
            yield
            db.session.flush()
    except IntegrityError:
        raise Conflict(str(ONE_ALREADY)) from None
