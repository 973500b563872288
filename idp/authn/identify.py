"""The first step: a username or address, and the password that belongs to it.

Every failure is the same to whoever tries: same words, same status, same work (C-7, 7.86). Attempts on a name that nobody has are
counted like any others, and written down only as a keyed digest, for people type passwords into the wrong field (7.133).
"""

from __future__ import annotations

from dataclasses import dataclass

from idp import audit, crypto, limits, users, web
from idp.authn import device
from idp.authn.factors import password
from idp.authn.factors.base import Refused
from idp.users import User

SCOPE = "password"


@dataclass(frozen=True)
class Known:
    """The person whose password this was."""

    user: User
    stamp: str


def identify(identifier: str, raw_password: str) -> Known | Refused:
    """Say who this is, under the limits. Raises kv.Unavailable when attempts cannot be counted (7.94)."""
    user = users.find_by_login(identifier)
    account = user.sub if user else account_of_nobody(identifier)
    known_device = user is not None and device.is_known(user.sub)
    verdict = limits.attempt(SCOPE, account=account, address=web.context().address or "", known_device=known_device)
    if not verdict.allowed:
        return Refused("limited", verdict.retry_after_s)
    right = password.verify(user, raw_password)
    if user is None or not right or not user.is_active:
        return _refused(user, right=right, account=account)
    limits.clear(SCOPE, account=account, known_device=known_device)
    audit.record(audit.Event.PASSWORD_VERIFIED, subject=user.sub, actor=user.sub, amr=("pwd",))
    return Known(user, password.stamp(user))


def account_of_nobody(identifier: str) -> str:
    """Name the counter of an identifier that belongs to nobody, without keeping the identifier."""
    return "?" + crypto.mac("identifier", users.canonical_username(identifier))


def _refused(user: User | None, *, right: bool, account: str) -> Refused:
    if user is None:
        audit.record(
            audit.Event.LOGIN_FAILED, reason="unknown_identifier", factor="password", identifier_digest=account
        )
        return Refused("unknown_identifier")
    reason = "account_disabled" if right else "wrong_password"
    audit.record(audit.Event.LOGIN_FAILED, subject=user.sub, reason=reason, factor="password")
    return Refused(reason)
