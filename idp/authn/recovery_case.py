"""recovery_case — help-desk recovery as it is kept: the table, the states, finding. Owns `recovery_cases`.

Somebody who lost their second step and has no code left is helped by people. Each such case is one row; each transition is one atomic
UPDATE that names the states it may leave, so that of many who try one succeeds:

    open ──approve──▶ approved ──(cool-off)──issue──▶ issued ──redeem──▶ used
      └──deny──▶ denied    └──────── stop ────────▶ stopped      any of the first three, too late ──▶ expired

Transitions by the staff are in recovery_desk.py, those by the person in recovery_temporary.py and here (`stop`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, String, exists, func, literal, select, text, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp import audit, clock, crypto, users
from idp.authn import notices
from idp.config import settings
from idp.db import UtcDateTime, db
from idp.errors import NotFound
from idp.language import lazy_gettext
from idp.record import Record
from idp.users import User

OPEN, APPROVED, ISSUED = "open", "approved", "issued"
USED, DENIED, STOPPED, EXPIRED = "used", "denied", "stopped", "expired"
COOLING, READY = "cooling", "ready"  # how an approved case stands now
LIVE = (OPEN, APPROVED, ISSUED)
CLOSED = (USED, DENIED, STOPPED, EXPIRED)

PRIVILEGED = frozenset({"administrator", "auditor", "help_desk"})  # who has rights over others

STOP_PATH = "/recover/stop"
MAX_PAGE = 200
_LIVE = text("state IN ('open', 'approved', 'issued')")

PROOFS = {  # how the desk made sure whom it helps (ASVS 6.4.4); never what only the person should know (6.4.2)
    "in_person": lazy_gettext("In person, with a photo ID"),
    "video": lazy_gettext("By video, with a photo ID"),
    "callback": lazy_gettext("Called back on the number in the staff directory"),
    "supervisor": lazy_gettext("Their supervisor vouched for them"),
}


class RecoveryCase(db.Model):  # type: ignore[name-defined,misc]
    """One request to be let back in. Actors are a `sub`, or "cli:…" for an operator; the code is kept as a keyed digest."""

    __tablename__ = "recovery_cases"
    __table_args__ = (
        Index("ix_recovery_cases_state_opened_at", "state", "opened_at"),
        Index("uq_recovery_cases_live", "user_id", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(36), unique=True, default=crypto.uuid7)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default=OPEN)
    reason: Mapped[str] = mapped_column(String(500))  # what happened, in the words of the desk
    proof: Mapped[str] = mapped_column(String(32))  # one of PROOFS
    proof_note: Mapped[str] = mapped_column(String(500))  # which document, which number, who
    remove_factors: Mapped[bool]  # what they had is lost or stolen, and goes when the code is used
    four_eyes: Mapped[bool]  # whether a second person has to approve
    opened_by: Mapped[str] = mapped_column(String(255))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    approved_by: Mapped[str | None] = mapped_column(String(255))
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ready_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # end of the cool-off
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_by: Mapped[str | None] = mapped_column(String(255))
    issued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    code_mac: Mapped[str | None] = mapped_column(String(43))
    code_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(String(255))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_reason: Mapped[str | None] = mapped_column(String(500))

    user: Mapped[User] = relationship()

    @property
    def stands(self) -> str:
        """How the case stands at this moment: its state, but an approved one is cooling or ready, and an overdue one has expired."""
        now = clock.now()
        if self.state in LIVE and self.expires_at <= now:
            return EXPIRED
        if self.state == APPROVED and self.ready_at is not None:
            return COOLING if now < self.ready_at else READY
        return self.state


class Page(Record):
    """A part of what was found, and how much there is in all."""

    items: tuple[RecoveryCase, ...]
    total: int
    offset: int


def get(public_id: str) -> RecoveryCase:
    """Return a case as the database has it now. Raises NotFound."""
    wanted = select(RecoveryCase).where(RecoveryCase.public_id == public_id)
    found = db.session.scalars(wanted, execution_options={"populate_existing": True}).one_or_none()
    if found is None:
        raise NotFound("There is no such case.")
    return found


def search(*, states: Sequence[str] = (), user: User | None = None, limit: int = 50, offset: int = 0) -> Page:
    """List cases, the newest first; `limit` is at most 200."""
    where: list[Any] = [RecoveryCase.state.in_(states)] if states else []
    if user is not None:
        where.append(RecoveryCase.user_id == user.id)
    total = db.session.scalar(select(func.count()).select_from(RecoveryCase).where(*where)) or 0
    newest = select(RecoveryCase).where(*where).order_by(RecoveryCase.id.desc())
    rows = db.session.scalars(newest.limit(max(1, min(limit, MAX_PAGE))).offset(max(0, offset)))
    return Page(tuple(rows), total, max(0, offset))


def was_helped(user: User) -> bool:
    """Say whether a case of this person was ever used: they had a second factor once, even if all of it was removed since."""
    return bool(db.session.scalar(select(helped_clause(literal(user.id)))))


def helped_clause(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the same as a part of a statement."""
    return exists().where(RecoveryCase.user_id == user_id, RecoveryCase.state == USED)


def lacks_administrator(case: RecoveryCase) -> bool:
    """Say whether this person has rights over others by now, and no administrator agreed to the case. Operators count as such."""
    if not PRIVILEGED & set(case.user.roles):
        return False
    agreed = (case.approved_by if case.four_eyes else case.opened_by) or ""
    staff = None if agreed.startswith("cli:") else users.find_by_sub(agreed)
    is_administrator = staff is not None and staff.is_active and users.ADMINISTRATOR in staff.roles
    return not (agreed.startswith("cli:") or is_administrator)


def move(case: RecoveryCase, sources: Sequence[str], *conditions: Any, **values: Any) -> bool:
    """Change a case that is in one of these states and not overdue, in one statement. Of many who try, one hears True."""
    still = (RecoveryCase.id == case.id) & RecoveryCase.state.in_(sources) & (RecoveryCase.expires_at > clock.now())
    changed = update(RecoveryCase).where(still, *conditions).values(**values)
    moved = db.session.execute(changed.execution_options(synchronize_session=False))
    db.session.expire(case)
    return bool(moved.rowcount == 1)  # type: ignore[attr-defined]


def closing(state: str, *, by: str | None, reason: str | None = None) -> dict[str, Any]:
    """Return what a transition to a final state writes; the code is forgotten with it."""
    return {"state": state, "closed_by": by, "closed_at": clock.now(), "closed_reason": reason, "code_mac": None}


def expire_overdue(*, limit: int = 200) -> int:
    """Close cases that nobody finished in time; returns how many. Work of a job, and of whoever opens the next case."""
    late = (RecoveryCase.state.in_(LIVE)) & (RecoveryCase.expires_at <= clock.now())
    due = db.session.scalars(select(RecoveryCase).where(late).order_by(RecoveryCase.id).limit(limit)).all()
    return sum(_expire(case) for case in due)


def _expire(case: RecoveryCase) -> bool:
    late = (RecoveryCase.id == case.id) & RecoveryCase.state.in_(LIVE) & (RecoveryCase.expires_at <= clock.now())
    changed = update(RecoveryCase).where(late).values(**closing(EXPIRED, by=None))
    closed = db.session.execute(changed.execution_options(synchronize_session=False)).rowcount == 1  # type: ignore[attr-defined]
    db.session.expire(case)
    if closed:
        audit.record(audit.Event.RECOVERY_CASE_EXPIRED, subject=case.user.sub, case=case.public_id)
    return bool(closed)


# --- the person's own «stop this» ----------------------------------------------------------------------------


def stop_token(case: RecoveryCase) -> str:
    """Return what the link «stop this» carries: the case and a keyed digest over it; it can do nothing else."""
    return f"{case.public_id}.{crypto.mac('recovery-stop', case.public_id)}"


def find_by_stop_token(raw_token: str) -> RecoveryCase | None:
    """Return the case that a «stop this» link is about, or None for a forged one. Changes nothing (7.118)."""
    public_id, _, seal = raw_token.partition(".")
    if len(raw_token) > 100 or not raw_token.isascii():
        return None
    if not any(crypto.same(seal, good) for good in crypto.macs("recovery-stop", public_id)):
        return None
    return db.session.scalars(select(RecoveryCase).where(RecoveryCase.public_id == public_id)).one_or_none()


def stop(case: RecoveryCase, *, by: str, reason: str | None = None) -> bool:
    """Stop a case that has not been used, whatever its state; False when there is nothing left to stop. Everybody involved is told."""
    if not move(case, LIVE, **closing(STOPPED, by=by, reason=reason)):
        return False
    audit.record(audit.Event.RECOVERY_CASE_STOPPED, subject=case.user.sub, actor=by, reason=reason, case=case.public_id)
    notices.tell(case.user, "recovery_case_stopped")
    return True


def tell(case: RecoveryCase, template: str) -> None:
    """Tell the person at every verified address, with the link that stops the case (N-26)."""
    link = f"{settings().server.issuer}{STOP_PATH}?token={stop_token(case)}"
    notices.tell(case.user, template, link=link, ready_at=case.ready_at, opened_at=case.opened_at)
