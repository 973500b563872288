"""The first step: a username or address, and the password that belongs to it.

Every failure is the same to whoever tries: same words, same status, same work (C-7, 7.86). Attempts on a name that nobody has are
counted like any others, and written down only as a keyed digest, for people type passwords into the wrong field (7.133).

A wait that can be seen hangs on the name as it was typed, whether or not somebody has it; or who fails on a username and then tries an
address would learn whether they belong together (7.86). Guesses under all names of a person are counted beside it, and a refusal by
this count is shown as a wrong password, without judging the one that was given. So the rightful owner, too, may read that the right
password is wrong while a stranger is guessing under another name; the page says what helps: to wait, or to choose a new password by
mail, which ends every wait. On a device where they signed in before, people have one open count of their own and meet none of this.
"""

from __future__ import annotations

from idp import audit, crypto, limits, users, web
from idp.authn import device, spray
from idp.authn.factors import password
from idp.authn.factors.base import Refused
from idp.limits import Verdict
from idp.record import Record
from idp.users import User

SCOPE = "password"
SILENT_SCOPE = "password:all-names"


class Known(Record):
    """The person whose password this was."""

    user: User
    stamp: str


def identify(identifier: str, raw_password: str) -> Known | Refused:
    """Say who this is, under the limits. Raises kv.Unavailable when attempts cannot be counted (7.94)."""
    user = users.find_by_login(identifier)
    known_device = user is not None and device.is_known(user.sub)
    seen, silent = _counted(user, identifier, known_device=known_device)
    if not seen.allowed:
        return Refused("limited", seen.retry_after_s)
    typed = account_of_nobody(identifier)
    spread = Verdict(True) if known_device else spray.count(raw_password, typed)
    if not spread.allowed:
        return Refused("limited", spread.retry_after_s)
    stamp = password.accepted(user if silent.allowed else None, raw_password)
    if not silent.allowed:
        return _refused(user, "limited", identifier)
    if user is None or stamp is None or not user.is_active:
        return _refused(user, "wrong_password" if stamp is None else "account_disabled", identifier)
    _forget(user, [identifier], known_device=known_device)
    spray.forgive(raw_password, typed)
    audit.record(audit.Event.PASSWORD_VERIFIED, subject=user.sub, actor=user.sub, amr=("pwd",))
    return Known(user, stamp)


def account_of_nobody(identifier: str) -> str:
    """Name the counter of an identifier, without keeping the identifier."""
    return "?" + crypto.mac("identifier", users.canonical_username(identifier))


def forgive(user: User) -> None:
    """End every wait of a person: under each of their names, and the silent one."""
    _forget(user, [user.username, *user.verified_emails], known_device=False)


def _counted(user: User | None, identifier: str, *, known_device: bool) -> tuple[Verdict, Verdict]:
    """Count a guess; say what may be seen of it, and what may not. The same work for somebody and nobody."""
    address = web.context().address or ""
    if user and known_device:
        return limits.attempt(SCOPE, account=user.sub, address=address, known_device=True), Verdict(True)
    typed = account_of_nobody(identifier)
    seen = limits.attempt(SCOPE, account=typed, address=address)
    silent = limits.count(SILENT_SCOPE, account=user.sub if user else typed) if seen.allowed else Verdict(True)
    return seen, silent


def _forget(user: User, names: list[str], *, known_device: bool) -> None:
    if known_device:
        limits.clear(SCOPE, account=user.sub, known_device=True)
        return
    for name in names:
        limits.clear(SCOPE, account=account_of_nobody(name))
    limits.clear(SILENT_SCOPE, account=user.sub)


def _refused(user: User | None, reason: str, identifier: str) -> Refused:
    spray.failed(account_of_nobody(identifier))
    if user is None:
        reason, typed = "unknown_identifier", account_of_nobody(identifier)
        audit.record(audit.Event.LOGIN_FAILED, reason=reason, factor="password", identifier_digest=typed)
    else:
        audit.record(audit.Event.LOGIN_FAILED, subject=user.sub, reason=reason, factor="password")
    return Refused(reason)
