"""recovery_code — single-use codes that a person wrote down (NIST look-up secrets). Owns the table `recovery_codes`.

A code has 65 random bits: 13 characters of Crockford's base 32 in groups 5-5-3 (C-30). We keep an HMAC under a key that is not in the
database, bound to the person. A slow hash is not needed on top: without the key the table says nothing, with it 65 bits are beyond
guessing within any use of a code, and attempts are limited. So a redemption is one look-up, and one atomic UPDATE spends it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    String,
    UniqueConstraint,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clock, crypto
from idp.authn import notices
from idp.authn.factors.base import Accepted, Authenticator, Outcome, Refused, holds
from idp.config import settings
from idp.db import UtcDateTime, db
from idp.language import gettext, lazy_gettext, ngettext
from idp.users import User

name = "recovery_code"
label = lazy_gettext("Use a recovery code")
amr: tuple[str, ...] = ("otp",)
lasting = False

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 13
RUNNING_LOW = 3
THE_SET = "set"  # the public id of a person's codes: they are removed together

_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None, "\t": None})


class RecoveryCode(db.Model):  # type: ignore[name-defined,misc]
    """One code of a person's present set; spent ones stay until the set is replaced."""

    __tablename__ = "recovery_codes"
    __table_args__ = (UniqueConstraint("user_id", "code_mac"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    code_mac: Mapped[str] = mapped_column(String(43))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


def issue(user: User, *, beside_old: bool = False) -> list[str]:
    """Replace the person's codes by a new set and return it; nobody can read it again.

    `beside_old`: what is left of the old set stays good until `settle`. Who has just spent a code may have lost everything else: if
    their browser dies before they saved the new codes, the old list must still let them in.
    """
    raw_codes = [fresh() for _ in range(settings().factors.recovery_codes)]
    now = clock.now()
    if not beside_old:
        db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    rows = [{"user_id": user.id, "code_mac": _mac(user, raw), "created_at": now} for raw in raw_codes]
    db.session.execute(insert(RecoveryCode), rows)
    audit.record(audit.Event.RECOVERY_CODES_ISSUED, subject=user.sub, actor=user.sub, count=len(raw_codes))
    notices.tell(user, "recovery_codes_issued", beside_old=beside_old)
    return raw_codes


def settle(user: User) -> None:
    """Forget every set but the newest: the person has saved it."""
    mine = RecoveryCode.user_id == user.id
    newest = select(func.max(RecoveryCode.created_at)).where(mine).scalar_subquery()
    old = delete(RecoveryCode).where(mine, RecoveryCode.created_at < newest)
    db.session.execute(old.execution_options(synchronize_session=False))


def redeem(user: User, raw_code: str) -> bool:
    """Spend a code: of many who try the same one, one hears True (7.108)."""
    macs = crypto.macs("recovery-code", f"{user.sub}|{normalised(raw_code)}")
    unspent = (RecoveryCode.user_id == user.id) & RecoveryCode.code_mac.in_(macs) & RecoveryCode.used_at.is_(None)
    spend = update(RecoveryCode).where(unspent).values(used_at=clock.now())
    spent = db.session.execute(spend.execution_options(synchronize_session=False))
    return bool(spent.rowcount == 1)  # type: ignore[attr-defined]


def remaining(user: User) -> int:
    """Return how many codes the person has left."""
    mine = (RecoveryCode.user_id == user.id) & RecoveryCode.used_at.is_(None)
    return db.session.scalar(select(func.count()).select_from(RecoveryCode).where(mine)) or 0


def normalised(raw_code: str) -> str:
    """Forgive spaces, hyphens, case, and the letters that Crockford's alphabet leaves out (C-31)."""
    return raw_code.upper().translate(_FORGIVEN) if len(raw_code) <= 64 and raw_code.isascii() else ""


def enrolled(user: User) -> bool:
    """Say whether the person has a code left."""
    return holds(enrolled_clause, user)


def bound(user: User) -> bool:
    """Say whether the person ever received codes."""
    return holds(bound_clause, user)


def enrolled_clause(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the same as a part of a statement."""
    return exists().where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))


def bound_clause(user_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the same as a part of a statement."""
    return exists().where(RecoveryCode.user_id == user_id)


def challenge(user: User) -> dict[str, object]:
    """Nothing beyond the common values: how many are left is for the person's own page."""
    return {}


def verify(user: User, form: Mapping[str, str]) -> Outcome:
    """Judge a code and spend it; the person hears of it by mail."""
    if not redeem(user, form.get("code", "")):
        return Refused("wrong_code")
    left = remaining(user)
    audit.record(audit.Event.RECOVERY_CODE_USED, subject=user.sub, actor=user.sub, remaining=left)
    notices.tell(user, "recovery_code_used", left=left)
    return Accepted(authenticator=THE_SET)


def authenticators(user: User) -> list[Authenticator]:
    """Return the person's codes as one thing, or nothing if they have none, spent ones included."""
    mine = RecoveryCode.user_id == user.id
    made_at = db.session.scalar(select(func.min(RecoveryCode.created_at)).where(mine))
    if made_at is None:
        return []
    used_at = db.session.scalar(select(func.max(RecoveryCode.used_at)).where(mine))
    left = remaining(user)
    detail = ngettext("%(num)s code left", "%(num)s codes left", left) if left else gettext("No code left")
    return [Authenticator(name, THE_SET, gettext("Recovery codes"), made_at, used_at, detail=detail)]


def rename(user: User, public_id: str, label: str) -> bool:
    """Refuse: recovery codes have no name of their own."""
    return False


def remove(user: User, public_id: str, *, actor: str | None, reason: str | None = None) -> bool:
    """Forget all of the person's codes, spent ones too. False when there are none."""
    gone = delete(RecoveryCode).where(RecoveryCode.user_id == user.id)
    if public_id != THE_SET or not db.session.execute(gone).rowcount:  # type: ignore[attr-defined]
        return False
    audit.record(audit.Event.FACTOR_REMOVED, subject=user.sub, actor=actor, reason=reason, factor=name)
    return True


def fresh() -> str:
    """Return a new code of 65 random bits (C-30), in groups that can be read out."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{letters[:5]}-{letters[5:10]}-{letters[10:]}"


def _mac(user: User, raw_code: str) -> str:
    return crypto.mac("recovery-code", f"{user.sub}|{normalised(raw_code)}")
