"""Facts in the words that people use: a browser, and how somebody signed in. Never a ground for a decision."""

from __future__ import annotations

from collections.abc import Iterable

from idp.language import gettext

_HAVING = {"hwk", "swk", "sc", "pop", "face", "fpt"}


def how(amr: Iterable[str]) -> str:
    """Say how somebody signed in (RFC 8176 values)."""
    done = set(amr)
    if done & _HAVING:
        return gettext("Password and passkey") if "pwd" in done else gettext("Passkey")
    if "otp" in done:
        return gettext("Password and code")
    return gettext("Password and a second step") if "mfa" in done else gettext("Password only")
