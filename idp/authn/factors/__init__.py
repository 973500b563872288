"""factors — the ways of proving who one is; each whole in its file: model, enrolment, challenge, verification.

base.py            the shape of a factor and of an authenticator; the one place where an attempt is limited, judged, written down
password.py        something known; the first step of every sign-in
totp.py            codes of an authenticator app (RFC 6238)
recovery_code.py   single-use codes that the person wrote down

FACTORS are the second factors, in the order in which they are offered. A new one is a file, a line here, two templates, a migration.
Below: what a person has bound, whatever the factor.
"""

from __future__ import annotations

from idp.authn import notices
from idp.authn.factors import recovery_code, totp
from idp.authn.factors.base import Authenticator, Factor
from idp.users import User

FACTORS: tuple[Factor, ...] = (totp, recovery_code)


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


def remove_all(user: User, *, actor: str | None, reason: str | None) -> int:
    """Take every second factor from a person, recovery codes included, and tell them once; return how many there were.

    For people who prove who they are in another way (the service desk). Whoever calls this ends the sessions. The person enrols anew.
    """
    gone = [one for one in authenticators(user) if _remove(user, one, actor=actor, reason=reason)]
    if gone:
        notices.tell(user, "factors_removed")
    return len(gone)


def _remove(user: User, one: Authenticator, *, actor: str | None, reason: str | None) -> bool:
    factor = find(one.factor)
    return factor is not None and factor.remove(user, one.public_id, actor=actor, reason=reason)


__all__ = [
    "FACTORS", "Authenticator", "Factor", "authenticators", "find", "find_authenticator", "remove_all", "rename",
]  # fmt: skip
