"""factors — the ways of proving who one is; each whole in its file: model, enrolment, challenge, verification.

base.py            the shape of a factor and of an authenticator; the one place where an attempt is limited, judged, written down
password.py        something known; the first step of every sign-in
totp.py            codes of an authenticator app (RFC 6238)
passkey.py         WebAuthn credentials; with user verification, both factors at once
recovery_code.py   single-use codes that the person wrote down

FACTORS are the second factors, in the order in which they are offered. A new one is a file, a line here, two templates, a migration.
Below: what a person has bound, whatever the factor.
"""

from __future__ import annotations

from idp import users
from idp.authn import assurance, notices, policy
from idp.authn.factors import passkey, recovery_code, totp
from idp.authn.factors.base import Authenticator, Factor
from idp.errors import Conflict
from idp.language import marked
from idp.users import User

FACTORS: tuple[Factor, ...] = (passkey, totp, recovery_code)


def find(name: str) -> Factor | None:
    """Return a second factor by its name, or None."""
    return next((factor for factor in FACTORS if factor.name == name), None)


def authenticators(user: User) -> list[Authenticator]:
    """Return everything that a person has bound, disabled ones included, factor by factor."""
    return [one for factor in FACTORS for one in factor.authenticators(user)]


def find_authenticator(user: User, public_id: str) -> Authenticator | None:
    """Return what this person has bound under that id, or None."""
    return next((one for one in authenticators(user) if one.public_id == public_id), None)


def rename(user: User, public_id: str, label: str) -> bool:
    """Give an authenticator of this person another name. False: nothing to rename. Raises BadInput for a name that cannot be."""
    return any(factor.rename(user, public_id, label) for factor in FACTORS)


class LastFactor(Conflict):
    """The last second factor of somebody who needs one cannot be removed (C-15)."""

    code = "last_factor"
    public = marked(
        "This is your last second step, and your organisation demands one. Add another first, then remove this one."
    )


def must_stay(user: User, public_id: str) -> bool:
    """Say whether a person must keep this authenticator: their policy demands a second factor, and nothing else of theirs would do."""
    owed = policy.of(user)
    good = ("passkey",) if owed.min_acr == assurance.PHISHING_RESISTANT else owed.factors
    others = [one for one in authenticators(user) if one.public_id != public_id and one.usable and one.factor in good]
    return owed.require_second and not others


def remove(user: User, public_id: str, *, actor: str | None, reason: str | None = None, by_force: bool = False) -> bool:
    """Take an authenticator from a person and tell them. With the last one that lasts, the recovery codes go too: they stand in for nothing.

    `by_force`: even the last one, for operators. Whoever calls this has asked for a fresh proof. False: they have none of that id.
    Raises LastFactor; of two who remove the last two at once, one hears it.
    """
    users.lock(user.sub)
    one = find_authenticator(user, public_id)
    if one is None or not _lasts(one):
        return False
    if not by_force and must_stay(user, public_id):
        raise LastFactor
    if not _remove(user, one, actor=actor, reason=reason):
        return False
    left = authenticators(user)
    for rest in left if not any(_lasts(other) for other in left) else []:
        _remove(user, rest, actor=actor, reason=reason)
    notices.tell(user, "factor_removed")
    return True


def remove_all(user: User, *, actor: str | None, reason: str | None) -> int:
    """Take every second factor from a person, recovery codes included, and tell them once; return how many there were.

    For people who prove who they are in another way (the service desk). Whoever calls this ends the sessions. The person enrols anew.
    """
    gone = [one for one in authenticators(user) if _remove(user, one, actor=actor, reason=reason)]
    if gone:
        notices.tell(user, "factors_removed")
    return len(gone)


def _lasts(one: Authenticator) -> bool:
    factor = find(one.factor)
    return factor is not None and factor.lasting


def _remove(user: User, one: Authenticator, *, actor: str | None, reason: str | None) -> bool:
    factor = find(one.factor)
    return factor is not None and factor.remove(user, one.public_id, actor=actor, reason=reason)


__all__ = [
    "FACTORS", "Authenticator", "Factor", "LastFactor", "authenticators", "find", "find_authenticator", "must_stay", "remove",
    "remove_all", "rename",
]  # fmt: skip
