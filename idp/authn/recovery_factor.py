"""recovery_factor — in without the second step: by a recovery code that was saved, or by the temporary code of the help desk.

Both are asked of somebody who gave their password in the same flow, so that each recovery rests on two proofs (N-25). Whoever says that
their device is lost or stolen gets rid of it at once (N-27): nothing that they had, but the recovery codes, works any more.
"""

from __future__ import annotations

from dataclasses import replace

from idp import sessions
from idp.authn import factors, flow, notices, proofs, recovery_review, recovery_temporary
from idp.authn.factors import base, recovery_code
from idp.authn.factors.base import Refused
from idp.authn.flow import LoginFlow
from idp.users import User


def by_recovery_code(found: LoginFlow, user: User, raw_code: str, *, lost: bool) -> LoginFlow | Refused:
    """Take a saved code instead of the second step; with `lost` the lasting factors are removed, and a new one is enrolled."""
    outcome = base.attempt(recovery_code, user, {"code": raw_code})
    if isinstance(outcome, Refused):
        return outcome
    if lost:
        _remove_lost(user)
    done = flow.proved(proofs.kept(found), recovery_code.name, recovery_code.amr, outcome.authenticator)
    flow.save(done)
    return done


def by_temporary_code(found: LoginFlow, user: User, raw_code: str) -> LoginFlow | Refused:
    """Take the help desk's code; it proves no factor, and lets the flow go on to the enrolment of one."""
    outcome = recovery_temporary.attempt(user, raw_code)
    if isinstance(outcome, Refused):
        return outcome
    done = replace(proofs.kept(found), may_bind=True)
    flow.save(done)
    return done


def _remove_lost(user: User) -> None:
    lasting = [one for one in factors.authenticators(user) if (kind := factors.find(one.factor)) and kind.lasting]
    for one in lasting:
        factor = factors.find(one.factor)
        if factor is not None:
            factor.remove(user, one.public_id, actor=user.sub, reason="lost")
    sessions.end_all(user.sub, cause="recovered")
    recovery_review.owe(user)
    if lasting:
        notices.tell(user, "factor_lost")
