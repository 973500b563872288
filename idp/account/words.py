"""Facts in the words that people use: a browser, and how somebody signed in. Never a ground for a decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from idp.language import gettext

_HAVING = {"hwk", "swk", "sc", "pop", "face", "fpt"}


def how(amr: Iterable[str], details: Mapping[str, Any] | None = None) -> str:
    """Say how somebody signed in: RFC 8176 values, and what the event knows beyond them."""
    done, more = set(amr), details or {}
    if "recovery_code" in more.get("factors", ()):
        return gettext("Password and recovery code")
    if more.get("deviation") == "trusted_device":
        return gettext("Password, on a browser that you trust")
    if done & _HAVING:
        return gettext("Password and passkey") if "pwd" in done else gettext("Passkey")
    if "otp" in done:
        return gettext("Password and code")
    return gettext("Password and a second step") if "mfa" in done else gettext("Password only")
