"""The page of sign-in and security, and that of removing something, in every state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Shape
from typing import Any

NOW = datetime(2026, 3, 2, 7, 4, tzinfo=UTC)
DAY = timedelta(days=1)

PHONE = {
    "id": "0195-phone",
    "factor": "totp",
    "label": "My phone",
    "detail": "",
    "created_at": NOW - 90 * DAY,
    "last_used_at": NOW - DAY,
    "usable": True,
    "allowed": True,
    "must_stay": True,
}
OLD_PHONE = {
    **PHONE,
    "id": "0195-old",
    "label": "Old <b>phone</b> " + "with a long name" * 3,
    "last_used_at": None,
    "usable": False,
    "must_stay": False,
}
LAPTOP = {
    **PHONE,
    "id": "0195-laptop",
    "factor": "passkey",
    "label": "iCloud Keychain",
    "detail": "Synced between your devices",
    "must_stay": False,
}
KEY = {**LAPTOP, "id": "0195-key", "label": "Security key", "detail": "Stays on one device", "allowed": False}
BROWSER = {
    "id": "0195-here",
    "device": "Firefox on Linux",
    "address": "192.0.2.7",
    "last_used_at": NOW,
    "expires_at": NOW + 14 * DAY,
    "is_here": True,
}
ELSEWHERE = {
    **BROWSER,
    "id": "0195-there",
    "device": "Safari on iPad",
    "address": "2001:db8:12:3456::1",
    "is_here": False,
}
SECURITY = {
    "username": "maren.oduya@example.org",
    "notice": None,
    "wrong": None,
    "offer_end": False,
    "password": Shape(changed_at=NOW - 200 * DAY),
    "passkeys": [],
    "apps": [PHONE],
    "may_add": ("passkey", "totp"),
    "codes": {"left": 8, "made_at": NOW - 90 * DAY},
    "browsers": [],
    "trust_days": 0,
    "demanded": [
        "Every sign-in needs a second step beside the password.",
        "After 15 minutes without use you are signed out.",
        "After 12 hours you sign in again in any case.",
    ],
    "signals": None,
}
REMOVAL = {"one": {**PHONE, "must_stay": False}, "is_only": False, "others": 0, "may_add": ("passkey", "totp")}

CASES: dict[tuple[str, str], dict[str, Any]] = {
    ("account_security.html", "first"): SECURITY,
    ("account_security.html", "full"): {
        **SECURITY,
        "notice": "Your new second step is ready.",
        "offer_end": True,
        "passkeys": [LAPTOP, KEY],
        "apps": [{**PHONE, "must_stay": False}, OLD_PHONE],
        "browsers": [BROWSER, ELSEWHERE],
        "trust_days": 14,
        "signals": {"rpId": "id.example.org", "userId": "dQ", "name": "maren", "accepted": [], "removed": ['a"><b>']},
    },
    ("account_security.html", "bare"): {
        **SECURITY,
        "password": None,
        "passkeys": [{**LAPTOP, "must_stay": True}],
        "apps": [],
        "may_add": ("passkey",),
        "codes": {"left": 0, "made_at": None},
        "trust_days": 14,
    },
    ("account_security.html", "error-name"): {
        **SECURITY,
        "wrong": {"id": "0195-phone", "label": "", "why": "The name is missing."},
    },
    ("account_remove_factor.html", "first"): {**REMOVAL, "others": 2},
    ("account_remove_factor.html", "only"): {**REMOVAL, "one": LAPTOP, "is_only": True},
    ("account_remove_factor.html", "last_error"): {**REMOVAL, "one": PHONE, "is_only": True},
}
