"""A person's own pages in every state: the contexts that the views of `account` promise to pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 3, 2, 7, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)

HERE = {
    "sid": "s1",
    "is_here": True,
    "device": "Firefox on Linux",
    "address": "192.0.2.7",
    "how": "Password and code",
    "started_at": NOW,
    "seen_at": NOW,
    "proved_at": NOW,
    "expires_at": NOW + 12 * HOUR,
    "apps": ["Claims service", "Patient service"],
}
ELSEWHERE = {
    **HERE,
    "sid": "s2",
    "is_here": False,
    "device": "Safari on iPad",
    "address": "2001:db8:12:3456:789a:bcde:f012:3456",
    "proved_at": NOW + HOUR,
    "apps": [],
}
WARD = {
    "client_id": "ward",
    "name": "Ward Rounds",
    "is_ours": False,
    "scopes": ["know who you are when you sign in", "read the patients whom you may see"],
    "since": NOW,
    "last_used_at": NOW,
    "living": 1,
    "until": NOW + 12 * HOUR,
    "outlives": False,
}
CLAIMS = {**WARD, "client_id": "claims", "name": "Claims service", "is_ours": True, "outlives": True}

CASES: dict[tuple[str, str], dict[str, Any]] = {
    ("account_sessions.html", "one"): {"sessions": [HERE]},
    ("account_sessions.html", "several"): {"sessions": [HERE, ELSEWHERE], "notice": "That browser is signed out."},
    ("account_apps.html", "none"): {"allowed": [], "ours": []},
    ("account_apps.html", "several"): {
        "allowed": [WARD, {**WARD, "client_id": "old", "name": "Old <b>one</b>", "living": 0, "last_used_at": None}],
        "ours": [CLAIMS],
    },
}
