"""factors — the ways of proving who one is; each whole in its file: model, enrolment, challenge, verification.

base.py            the shape of a factor, and the one place where an attempt is limited, judged and written down
password.py        something known; the first step of every sign-in
totp.py            codes of an authenticator app (RFC 6238)
recovery_code.py   single-use codes that the person wrote down

FACTORS are the second factors, in the order in which they are offered. A new one is a file, a line here, two templates, a migration.
"""

from idp.authn.factors import recovery_code, totp
from idp.authn.factors.base import Factor

FACTORS: tuple[Factor, ...] = (totp, recovery_code)


def find(name: str) -> Factor | None:
    """Return a second factor by its name, or None."""
    return next((factor for factor in FACTORS if factor.name == name), None)
