"""The shape of a second factor, and what every attempt with one goes through: limit, judge, write down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Protocol

from sqlalchemy import ColumnElement, literal, select

from idp import audit, limits, web
from idp.authn import device
from idp.db import db
from idp.language import Later
from idp.record import Record
from idp.users import User
from idp.users.checks import checked_text

LABEL_CHARS = 60


class Authenticator(Record):
    """One thing that a person has bound: what may be known of it, for pages, the command line and the service desk."""

    factor: str  # the name of its factor
    public_id: str  # in forms and in the audit; opens nothing
    label: str  # what its person calls it; never in the audit
    created_at: datetime
    last_used_at: datetime | None = None
    disabled_at: datetime | None = None  # too many wrong proofs in a row (N-10)
    detail: str = ""  # one more fact for its person: synced or bound to one device; how many codes are left

    @property
    def usable(self) -> bool:
        """Whether a proof with it is accepted now."""
        return self.disabled_at is None


class Accepted(Record):
    """The proof is good; it has been spent where it can be spent. `amr` tells what it proved, where that is not always the same."""

    amr: tuple[str, ...] = ()
    authenticator: str = field(
        default="", compare=False
    )  # the public id of what it was made with; the proof is as good with another


class Refused(Record):
    """The proof is not good. `reason` is for the audit; the person hears only `retry_after_s`, if there is a wait."""

    reason: str
    retry_after_s: int | None = None


Outcome = Accepted | Refused


class Factor(Protocol):
    """A second factor. Modules have this shape."""

    name: str  # in paths, templates and the audit
    label: Later  # on the button that chooses it
    amr: tuple[str, ...]  # RFC 8176
    lasting: bool  # stays until it is removed; recovery codes run out, and alone are not enough to keep (C-15)

    def enrolled(self, user: User) -> bool:
        """Say whether the person can use it now."""

    def bound(self, user: User) -> bool:
        """Say whether the person ever had it, even if it is disabled or used up."""

    def enrolled_clause(self, user_id: ColumnElement[int]) -> ColumnElement[bool]:
        """Return `enrolled` as a part of a statement."""

    def bound_clause(self, user_id: ColumnElement[int]) -> ColumnElement[bool]:
        """Return `bound` as a part of a statement."""

    def challenge(self, user: User) -> dict[str, object]:
        """Return what its page shows beyond the common values."""

    def verify(self, user: User, form: Mapping[str, str]) -> Outcome:
        """Judge a proof and spend it, atomically. Knows nothing of limits."""

    def authenticators(self, user: User) -> list[Authenticator]:
        """Return what the person has bound, disabled ones included, the oldest first."""

    def rename(self, user: User, public_id: str, label: str) -> bool:
        """Give an authenticator of this person another name. False: they have none of that id, or it has no name."""

    def remove(self, user: User, public_id: str, *, actor: str | None, reason: str | None = None) -> bool:
        """Forget an authenticator for good and write it down. False: they have none of that id. Judges nothing (factors.remove does)."""


def holds(clause: Callable[[ColumnElement[int]], ColumnElement[bool]], user: User) -> bool:
    """Say whether something that can be said in SQL is true of a person."""
    return bool(db.session.scalar(select(clause(literal(user.id)))))


def checked_label(raw: str) -> str:
    """Return the name of an authenticator as it may be kept. Raises BadInput: missing, too long, control characters."""
    return checked_text("name", raw, limit=LABEL_CHARS, required=True)


def attempt(factor: Factor, user: User, form: Mapping[str, str]) -> Outcome:
    """Judge one proof under the limits, and write down what came of it. Raises kv.Unavailable: never unlimited (7.94)."""
    scope, address = f"factor:{factor.name}", web.context().address or ""
    verdict = limits.attempt(scope, account=user.sub, address=address, known_device=device.is_known(user.sub))
    if not verdict.allowed:
        return Refused("limited", verdict.retry_after_s)
    outcome = factor.verify(user, form)
    if isinstance(outcome, Refused):
        audit.record(
            audit.Event.FACTOR_REJECTED, subject=user.sub, actor=user.sub, reason=outcome.reason, factor=factor.name
        )
        return outcome
    limits.clear(scope, account=user.sub, known_device=device.is_known(user.sub))
    proved = outcome.amr or factor.amr
    audit.record(audit.Event.FACTOR_VERIFIED, subject=user.sub, actor=user.sub, amr=proved, factor=factor.name)
    return Accepted(proved, outcome.authenticator)
