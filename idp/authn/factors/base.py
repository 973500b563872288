"""The shape of a second factor, and what every attempt with one goes through: limit, judge, write down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from idp import audit, limits, web
from idp.authn import device
from idp.users import User


@dataclass(frozen=True)
class Accepted:
    """The proof is good; it has been spent where it can be spent."""


@dataclass(frozen=True)
class Refused:
    """The proof is not good. `reason` is for the audit; the person hears only `retry_after_s`, if there is a wait."""

    reason: str
    retry_after_s: int | None = None


Outcome = Accepted | Refused


class Factor(Protocol):
    """A second factor. Modules have this shape."""

    name: str  # in paths, templates and the audit
    label: str  # on the button that chooses it
    amr: tuple[str, ...]  # RFC 8176

    def enrolled(self, user: User) -> bool:
        """Say whether the person can use it now."""

    def bound(self, user: User) -> bool:
        """Say whether the person ever had it, even if it is disabled or used up."""

    def challenge(self, user: User) -> dict[str, object]:
        """Return what its page shows beyond the common values."""

    def verify(self, user: User, form: Mapping[str, str]) -> Outcome:
        """Judge a proof and spend it, atomically. Knows nothing of limits."""


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
    audit.record(audit.Event.FACTOR_VERIFIED, subject=user.sub, actor=user.sub, amr=factor.amr, factor=factor.name)
    return outcome
