"""totp — codes of an authenticator app (RFC 6238: SHA-1, six digits, steps of 30 s). Owns the table `totp_authenticators`.

We match steps ourselves: pyotp says only yes or no, has no memory, and takes digits of any script. A code counts for one step, a step
is spent by one atomic UPDATE, and steps only grow; so a code is good once, whoever else is trying (RFC 6238 section 5.2).

The secret is sealed at rest and bound to its person and row; until a first code confirms it, it exists only in Redis (totp_pending).
Failures in a row are counted in the database and, at the hard limit, disable the authenticator
until it is bound anew (N-10); only a good code of the same authenticator resets the count (N-11).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyotp
from sqlalchemy import ColumnElement, ForeignKey, LargeBinary, String, case, delete, exists, literal, select, update
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clock, crypto
from idp.authn import notices, proofs
from idp.authn.factors import totp_pending
from idp.authn.factors.base import Accepted, Authenticator, Outcome, Refused, checked_label, holds
from idp.config import settings
from idp.db import UtcDateTime, db
from idp.errors import Conflict
from idp.language import gettext, lazy_gettext
from idp.users import User

name = "totp"
label = lazy_gettext("Use my authenticator app")
amr: tuple[str, ...] = ("otp",)
lasting = True

STEP_S = 30
MOST = 10  # apps of one person
Pending = totp_pending.Pending
find_pending = totp_pending.find

_CODE = re.compile(r"[0-9]{6}", re.ASCII)


class TotpAuthenticator(db.Model):  # type: ignore[name-defined,misc]
    """One enrolled authenticator app; a person may have several."""

    __tablename__ = "totp_authenticators"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    public_id: Mapped[str] = mapped_column(String(36), unique=True)
    label: Mapped[str] = mapped_column(String(100))
    sealed_secret: Mapped[bytes] = mapped_column(LargeBinary)  # AES-256-GCM; opened only in this file
    last_step: Mapped[int] = mapped_column(default=0)  # highest accepted step; it only grows
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


# --- enrolment -----------------------------------------------------------------------------------------------


def begin_enrolment(user: User) -> totp_pending.Pending:
    """Make a secret that is good for nothing until a code confirms it."""
    return totp_pending.begin(user, taken=[one.label for one in authenticators(user)])


def confirm(user: User, pending_id: str, code: str, *, label: str = "") -> bool:
    """Enrol the pending authenticator if `code` proves that the app has its secret. It is enrolled at most once.

    Raises BadInput for a `label` that cannot be kept (none: the proposed one); Conflict for somebody who has too many apps.
    """
    pending = find_pending(user, pending_id)
    step = match_step(pending.secret_base32, _typed(code)) if pending else None
    if pending is None or step is None:
        return False
    name_it = checked_label(label.strip() or pending.label)
    if len(authenticators(user)) >= MOST:
        raise Conflict(gettext("You have as many authenticator apps as one account can hold. Remove one first."))
    if not totp_pending.take(pending_id):
        return False
    bind(user, pending.secret_base32, actor=user.sub, label=name_it, last_step=step)
    notices.tell(user, "factor_enrolled")
    return True


def bind(
    user: User, secret_base32: str, *, actor: str | None, label: str = "Authenticator app", last_step: int = 0
) -> TotpAuthenticator:
    """Give a person an authenticator with a known secret: after its first code, or from provisioning.

    Raises ValueError for a secret below 112 bits (RFC 4226 section 4): no code of it could be checked later.
    """
    code_at(secret_base32, 0)
    public_id = crypto.uuid7()
    bound_now = TotpAuthenticator(
        user_id=user.id,
        public_id=public_id,
        label=label,
        sealed_secret=crypto.seal(secret_base32.encode(), aad=_aad(user.sub, public_id)),
        last_step=last_step,
        created_at=clock.now(),
    )
    db.session.add(bound_now)
    db.session.flush()
    audit.record(audit.Event.FACTOR_ENROLLED, subject=user.sub, actor=actor, factor=name, authenticator=public_id)
    return bound_now


# --- what a person has bound ---------------------------------------------------------------------------------


def authenticators(user: User) -> list[Authenticator]:
    """Return the person's apps, disabled ones included, the oldest first."""
    rows: list[TotpAuthenticator] = list(db.session.scalars(_of(user).execution_options(populate_existing=True)).all())
    return [
        Authenticator(name, row.public_id, row.label, row.created_at, row.last_used_at, row.disabled_at) for row in rows
    ]


def rename(user: User, public_id: str, label: str) -> bool:
    """Give an app another name. False: this person has none of that id. Raises BadInput for a name that cannot be kept."""
    renamed = update(TotpAuthenticator).where(_one(user, public_id)).values(label=checked_label(label))
    if not _changed(renamed):
        return False
    audit.record(audit.Event.FACTOR_RENAMED, subject=user.sub, actor=user.sub, factor=name, authenticator=public_id)
    return True


def remove(user: User, public_id: str, *, actor: str | None, reason: str | None = None) -> bool:
    """Forget an app and its secret. False: this person has none of that id; of many who try, one hears True."""
    if not _changed(delete(TotpAuthenticator).where(_one(user, public_id))):
        return False
    proofs.revoke(user.sub)
    what = {"factor": name, "authenticator": public_id}
    audit.record(audit.Event.FACTOR_REMOVED, subject=user.sub, actor=actor, reason=reason, **what)
    return True


def _one(user: User, public_id: str) -> Any:
    return (TotpAuthenticator.user_id == user.id) & (TotpAuthenticator.public_id == public_id)


def _changed(statement: Any) -> bool:
    """Say whether one row was changed. The rows of a session that was read before are stale then, and are read anew."""
    done = db.session.execute(statement.execution_options(synchronize_session="fetch"))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


# --- proof ---------------------------------------------------------------------------------------------------


def enrolled(user: User) -> bool:
    """Say whether the person has an authenticator that is not disabled."""
    return holds(enrolled_clause, user)


def bound(user: User) -> bool:
    """Say whether the person ever enrolled one."""
    return holds(bound_clause, user)


def enrolled_clause(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the same as a part of a statement."""
    return exists().where(TotpAuthenticator.user_id == user_id, TotpAuthenticator.disabled_at.is_(None))


def bound_clause(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the same as a part of a statement."""
    return exists().where(TotpAuthenticator.user_id == user_id)


def challenge(user: User) -> dict[str, object]:
    """Nothing beyond the common values."""
    return {}


def verify(user: User, form: Mapping[str, str]) -> Outcome:
    """Judge a code against each of the person's authenticators and spend its step."""
    code = _typed(form.get("code", ""))
    if not _CODE.fullmatch(code):
        return Refused("malformed")
    usable = db.session.scalars(_of(user).where(TotpAuthenticator.disabled_at.is_(None))).all()
    matching = [(found, step) for found in usable if (step := match_step(_secret(user, found), code)) is not None]
    for found, step in matching:
        if claim_step(found.id, step):
            return Accepted(authenticator=found.public_id)
    if matching:
        return Refused("replayed")
    _count_failure(user)
    return Refused("wrong_code" if usable else "not_enrolled")


def match_step(secret_base32: str, code: str, *, window: int | None = None) -> int | None:
    """Return the step around now whose code this is, or None. Takes six ASCII digits and nothing else (C-12)."""
    if not _CODE.fullmatch(code):
        return None
    if window is None:
        window = settings().factors.totp_window_steps
    now = clock.epoch() // STEP_S
    steps = [step for step in range(now - window, now + window + 1) if step >= 0]
    hits = [step for step in steps if hmac.compare_digest(code_at(secret_base32, step), code)]
    return hits[-1] if hits else None


def code_at(secret_base32: str, step: int, *, digits: int = 6, digest: Any = None) -> str:
    """Return the code of one step (RFC 4226 section 5.3)."""
    return str(pyotp.HOTP(secret_base32, digits=digits, digest=digest).at(step))


def claim_step(authenticator_id: int, step: int) -> bool:
    """Accept a step at most once, whoever else is trying (RFC 6238 section 5.2). A good code ends a row of failures."""
    unused = (
        (TotpAuthenticator.id == authenticator_id)
        & (TotpAuthenticator.last_step < step)
        & TotpAuthenticator.disabled_at.is_(None)
    )
    spend = update(TotpAuthenticator).where(unused).values(last_step=step, failures=0, last_used_at=clock.now())
    claimed = db.session.execute(spend.execution_options(synchronize_session=False))
    return bool(claimed.rowcount == 1)  # type: ignore[attr-defined]


def _count_failure(user: User) -> None:
    """Count a wrong code on every authenticator it may have been meant for; disable those at the hard limit (N-10)."""
    mine = (TotpAuthenticator.user_id == user.id) & TotpAuthenticator.disabled_at.is_(None)
    counted = TotpAuthenticator.failures + 1
    at_limit = counted >= settings().factors.failure_hard_limit
    disabled_at = case((at_limit, literal(clock.now(), UtcDateTime())))
    statement = update(TotpAuthenticator).where(mine).values(failures=counted, disabled_at=disabled_at)
    counted_on = statement.execution_options(synchronize_session=False).returning(
        TotpAuthenticator.public_id, TotpAuthenticator.disabled_at
    )
    for public_id, when in db.session.execute(counted_on).all():
        if when is not None:
            audit.record(audit.Event.FACTOR_DISABLED, subject=user.sub, factor=name, authenticator=public_id)
            notices.tell(user, "factor_disabled")


def _of(user: User) -> Any:
    return select(TotpAuthenticator).where(TotpAuthenticator.user_id == user.id).order_by(TotpAuthenticator.id)


def _secret(user: User, authenticator: TotpAuthenticator) -> str:
    return crypto.unseal(authenticator.sealed_secret, aad=_aad(user.sub, authenticator.public_id)).decode()


def _typed(code: str) -> str:
    """Apps show codes as 123 456; nothing else is forgiven."""
    return code.replace(" ", "")


def _aad(sub: str, public_id: str) -> str:
    return f"totp|{sub}|{public_id}"
