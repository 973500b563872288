"""A person's own pages in every state: the contexts that the views of `account` promise to pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Shape
from typing import Any

NOW = datetime(2026, 3, 2, 7, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)

FRAME = Shape(idle_left_s=900, left_s=12 * 3600, is_shared=False, is_staff=False)
SHARED = Shape(idle_left_s=300, left_s=12 * 3600, is_shared=True, is_staff=True)

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
OWN_EMAIL = {
    "id": 1,
    "address": "maren.oduya@example.org",
    "is_primary": True,
    "is_proved": True,
    "recovers_at": None,
}
NEW_EMAIL = {**OWN_EMAIL, "id": 2, "address": "maren@example.com", "is_primary": False, "recovers_at": NOW + 72 * HOUR}
WAITING_EMAIL = {**NEW_EMAIL, "id": 3, "address": "m.oduya@example.net", "is_proved": False, "recovers_at": None}
EMAILS = {
    "emails": [OWN_EMAIL],
    "username": "maren.oduya@example.org",
    "may_rename": False,
    "most": 5,
    "hours": 72,
    "error": None,
    "field": None,
    "typed": "",
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

FIELDS = [
    {
        "name": name,
        "label": label,
        "type": kind,
        "autocomplete": token,
        "hint": hint,
        "value": value,
        "is_own": own,
        "invalid": False,
    }
    for name, label, kind, token, hint, value, own in (
        ("display_name", "Full name", "text", "name", None, "Dr. Maren Oduya", False),
        ("given_name", "Given name", "text", "given-name", None, "Maren", False),
        ("nickname", "What colleagues call you", "text", "nickname", None, "Mo", True),
        ("birthdate", "Date of birth", "text", "bday", "Like 1980-04-23.", "1980-04-23", True),
        (
            "website",
            "Website",
            "url",
            "url",
            "An address that begins with https://",
            'x"><script>alert(1)</script>',
            True,
        ),
        ("phone", "Telephone", "tel", "tel", "With + and the country: +1 555 0100.", "+1 555 0100", True),
        ("locale", "Language", "text", "language", None, "es-MX", True),
        ("zoneinfo", "Time zone", "text", "", "Type a city: America/Chicago.", "", True),
    )
]
PROFILE = {
    "fields": FIELDS,
    "error": None,
    "errors": [],
    "username": "maren.oduya@example.org",
    "npi": "1234567893",
    "roles": ["physician"],
    "languages": {"en": "English", "es": "Español"},
    "spoken": "es",
    "zones": ["America/Chicago", "Europe/Madrid"],
}
ENTRY = {
    "id": 9,
    "when": NOW,
    "what": "You signed in.",
    "failed": False,
    "app": "",
    "how": "Password and code",
    "device": "Firefox on Linux",
    "address": "192.0.2.7",
    "by_others": False,
}
RECORD = {
    "entries": [
        ENTRY,
        {
            **ENTRY,
            "id": 8,
            "what": "A sign-in failed.",
            "failed": True,
            "how": "",
            "address": "2001:db8:12:3456:789a:bcde:f012:3456",
        },
        {
            **ENTRY,
            "id": 7,
            "what": "You received a role.",
            "by_others": True,
            "app": "Ward <b>not markup</b>",
            "device": "",
        },
    ],
    "kinds": [("", "Everything"), ("sign-in", "Signing in and out"), ("apps", "Applications")],
}
STAFF = {
    "station": "workstation",
    "menu": [Shape(name="workstation", path="/admin/workstation", label="Shared workstation", about="", roles=())],
    "minutes": 5,
    "notice": None,
}
SENTENCE = "A date of birth looks like 1980-04-23; 0000-04-23 leaves the year out."

CASES: dict[tuple[str, str], dict[str, Any]] = {
    ("account_profile.html", "first"): PROFILE,
    ("account_profile.html", "saved"): {**PROFILE, "notice": "Your profile is saved."},
    ("account_profile.html", "closed"): {**PROFILE, "fields": FIELDS[:2], "npi": None},
    ("account_profile.html", "error"): {
        **PROFILE,
        "fields": [{**field, "invalid": field["name"] == "birthdate"} for field in FIELDS],
        "error": ("birthdate", [SENTENCE]),
        "errors": [SENTENCE],
    },
    ("account_activity.html", "first"): {
        **RECORD,
        "kind": "",
        "newer": False,
        "older_url": "/account/activity?before=7",
    },
    ("account_activity.html", "later"): {**RECORD, "kind": "apps", "newer": True, "older_url": None},
    ("account_activity.html", "empty"): {**RECORD, "entries": [], "kind": "apps", "newer": False, "older_url": None},
    ("account_not_me.html", "first"): {"notice": None},
    ("account_workstation.html", "first"): {"frame": SHARED, "notice": None},
    ("account_data.html", "shared"): {"frame": SHARED, "notice": None},
    ("account_data.html", "nobody"): {"frame": None, "notice": None},
    ("admin_workstation.html", "ordinary"): {**STAFF, "workstation": None},
    ("admin_workstation.html", "shared"): {
        **STAFF,
        "workstation": "c2hhcmVkLXdvcms0",
        "notice": "This browser is a shared workstation now.",
    },
    ("account_data.html", "first"): {"notice": "Thank you. Now do what you wanted to do once more."},
    ("account_sessions.html", "one"): {"sessions": [HERE]},
    ("account_sessions.html", "several"): {"sessions": [HERE, ELSEWHERE], "notice": "That browser is signed out."},
    ("account_emails.html", "one"): EMAILS,
    ("account_emails.html", "several"): {
        **EMAILS,
        "emails": [OWN_EMAIL, NEW_EMAIL, WAITING_EMAIL],
        "may_rename": True,
        "notice": "A message is on its way to that address. Open the link in it.",
    },
    ("account_emails.html", "full"): {**EMAILS, "emails": [OWN_EMAIL] + [{**NEW_EMAIL, "id": n} for n in range(8, 12)]},
    ("account_emails.html", "none"): {**EMAILS, "emails": [], "hours": 0},
    ("account_emails.html", "address_error"): {
        **EMAILS,
        "error": "This is not an e-mail address that we can write to.",
        "field": "email",
        "typed": "maren@",
    },
    ("account_emails.html", "username_error"): {
        **EMAILS,
        "may_rename": True,
        "error": "This username is taken.",
        "field": "username",
        "typed": "admin",
    },
    ("account_emails.html", "kept_error"): {
        **EMAILS,
        "error": "This is your only address. Add another one first: without one nobody can help you back in.",
    },
    ("account_email_confirm.html", "first"): {"address": "maren@example.com", "theirs": True},
    ("account_email_confirm.html", "spent_error"): {"address": None, "theirs": True},
    ("account_email_confirm.html", "other_error"): {"address": None, "theirs": False},
    ("account_apps.html", "none"): {"allowed": [], "ours": []},
    ("account_apps.html", "several"): {
        "allowed": [WARD, {**WARD, "client_id": "old", "name": "Old <b>one</b>", "living": 0, "last_used_at": None}],
        "ours": [CLAIMS],
    },
}
