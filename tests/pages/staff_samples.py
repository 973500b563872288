"""The staff's pages in every state: see samples.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Shape
from typing import Any

from idp.authn import deviations, password_policy, policy, report
from idp.config import RolePolicy, Settings

MENU = [
    Shape(
        name="recovery",
        path="/admin/recovery",
        label="Recovery",
        about="Help somebody who lost their second step back in.",
    ),
]
STAFF: dict[str, Any] = {"menu": MENU, "notice": None}
NOW = datetime(2026, 3, 2, 7, 4, tzinfo=UTC)
NOOR = Shape(
    public_id="r1",
    display_name="Noor Ebele",
    address="noor.ebele@example.org",
    note="I bill for the night clinic from March on.",
    created_at=NOW,
)
MAREN = Shape(
    sub="_maren",
    display_name="Dr. Maren Oduya",
    username="maren.oduya@example.org",
    is_active=True,
    roles=["physician"],
    npi="1234567893",
    created_at=NOW - timedelta(days=400),
    emails=[
        Shape(address="maren.oduya@example.org", verified_at=NOW),
        Shape(address="maren@example.com", verified_at=None),
    ],
    verified_emails=["maren.oduya@example.org"],
)
UNREACHABLE = Shape(
    **{**vars(MAREN), "emails": [], "verified_emails": [], "npi": None, "roles": [], "is_active": False}
)
APP = Shape(
    label="Authenticator app",
    factor="totp",
    detail="",
    created_at=NOW - timedelta(days=3),
    last_used_at=NOW,
    disabled_at=None,
)
OFF = Shape(**{**vars(APP), "label": "Old phone", "disabled_at": NOW, "last_used_at": None, "detail": "Synced"})
CASE = Shape(
    public_id="01a208fd-87ca-7640-8c79-f63b38b2189b",
    user=MAREN,
    reason="The phone was stolen from the locker room, with the list of codes in its cover.",
    proof_note="Staff card 20417; her face fits the picture.",
    remove_factors=True,
    four_eyes=True,
    opened_by="_priya",
    opened_at=NOW,
    approved_by=None,
    approved_at=None,
    ready_at=NOW + timedelta(minutes=30),
    expires_at=NOW + timedelta(days=1),
    issued_by=None,
    issued_at=None,
    closed_by=None,
    closed_at=None,
    closed_reason=None,
    stands="open",
)
AGREED = Shape(**{**vars(CASE), "approved_by": "_sol", "approved_at": NOW, "stands": "cooling"})
GIVEN = Shape(**{**vars(AGREED), "issued_by": "_priya", "issued_at": NOW, "stands": "issued"})
STOPPED = Shape(
    **{**vars(GIVEN), "closed_by": "_maren", "closed_at": NOW, "closed_reason": "It was not me", "stands": "stopped"}
)
NAMES = {"_priya": "Priya Raman", "_sol": "Sol Mbeki", "_maren": "Dr. Maren Oduya", "cli:root": "cli:root"}
STATES = {
    "open": "Waits for a second person",
    "cooling": "Cooling off",
    "issued": "Code given out",
    "stopped": "Stopped",
}
ONE: dict[str, Any] = {
    **STAFF,
    "station": "recovery",
    "case": CASE,
    "stands": "open",
    "state": STATES["open"],
    "proof": "In person, with a photo ID",
    "names": NAMES,
    "error": None,
    "acts": True,
    "may_approve": False,
    "why_not": None,
    "may_deny": False,
    "may_issue": False,
    "may_stop": False,
    "raw_code": None,
    "code_minutes": 10,
    "unreachable": False,
}
PROOFS = {
    "in_person": "In person, with a photo ID",
    "video": "By video, with a photo ID",
    "callback": "Called back on the number in the staff directory",
    "supervisor": "Their supervisor vouched for them",
}
NEW: dict[str, Any] = {
    **STAFF,
    "station": "people",
    "user": MAREN,
    "given": {},
    "fields": {},
    "error": None,
    "proofs": PROOFS,
    "four_eyes": True,
    "minutes": 30,
}
PERSON: dict[str, Any] = {**STAFF, "station": "people", "user": MAREN, "authenticators": [APP, OFF], "cases": []}
LIST: dict[str, Any] = {
    **STAFF,
    "station": "recovery",
    "shelf": "running",
    "names": NAMES,
    "states": STATES,
    "waiting": 1,
    "next": None,
}
LOST: dict[str, Any] = {
    "flow_id": "f1",
    "error": None,
    "way": "",
    "has_codes": True,
    "has_other": True,
    "wait_minutes": 30,
    "four_eyes": True,
    "code_minutes": 10,
    "can_be_told": True,
}
ADDED = [
    Shape(key="totp:1", label="Another phone", at=NOW, last_used_at=NOW, is_address=False),
    Shape(key="address:7", label="someone@example.com", at=NOW, last_used_at=None, is_address=True),
]

CASES: dict[tuple[str, str], dict[str, Any]] = {
    ("admin_home.html", "first"): {**STAFF, "station": "home", "name": "Priya Raman"},
    ("admin_home.html", "nothing"): {**STAFF, "menu": [], "station": "home", "name": "Priya Raman"},
    ("admin_refused.html", "error"): {"names": ["Help desk", "Administrator"], "username": "maren.oduya@example.org"},
    ("admin_registrations.html", "several"): {
        **STAFF,
        "station": "registrations",
        "requests": [
            NOOR,
            Shape(**{**vars(NOOR), "public_id": "r2", "note": "", "display_name": "Ivo <b>not markup</b>"}),
        ],
        "error": None,
        "denying": None,
    },
    ("admin_registrations.html", "error"): {
        **STAFF,
        "station": "registrations",
        "requests": [NOOR],
        "error": "The reason is missing.",
        "denying": "r1",
    },
    ("admin_registrations.html", "none"): {
        **STAFF,
        "station": "registrations",
        "requests": [],
        "error": None,
        "denying": None,
    },
    ("admin_policy.html", "first"): {
        **STAFF,
        "station": "policy",
        "policies": [
            {
                "roles": roles,
                "policy": owed,
                "rules": password_policy.describe(owed.password),
                "deviations": deviations.of_policy(owed),
            }
            for roles, owed in policy.tables(
                Settings(policies=(RolePolicy(roles=("physician", "nurse"), idle_s=1800),))
            )
        ],
        "people": [
            Shape(username="maren.oduya@example.org", findings=("must_change", "below_policy")),
            Shape(username="rn-20417", findings=("never_judged",)),
        ],
        "more": True,
        "counts": [("the password breaks rules of today", 1)],
        "findings": report.FINDINGS,
    },
    ("admin_policy.html", "none"): {
        **STAFF,
        "station": "policy",
        "policies": [],
        "people": [],
        "more": False,
        "counts": [],
        "findings": {},
    },
    ("admin_people.html", "first"): {**STAFF, "station": "people", "text": "", "error": None},
    ("admin_people.html", "error"): {
        **STAFF,
        "station": "people",
        "text": "maren",
        "error": "Nobody has exactly this username, verified e-mail address or NPI. Check the spelling.",
    },
    ("admin_person.html", "first"): {**PERSON, "live": None, "refused": None},
    ("admin_person.html", "case"): {**PERSON, "cases": [GIVEN, STOPPED], "live": GIVEN, "refused": None},
    ("admin_person.html", "refused"): {
        **PERSON,
        "user": UNREACHABLE,
        "authenticators": [],
        "cases": [STOPPED],
        "live": None,
        "refused": "Nobody can recover their own account here. Ask somebody else of the help desk.",
    },
    ("admin_recovery_new.html", "first"): NEW,
    ("admin_recovery_new.html", "alone"): {**NEW, "user": UNREACHABLE, "four_eyes": False, "minutes": 0},
    ("admin_recovery_new.html", "error-fields"): {
        **NEW,
        "given": {"reason": "", "proof": "video", "proof_note": "Passport", "keep": True},
        "fields": {"reason": ["The reason is missing."]},
    },
    ("admin_recovery_new.html", "error"): {**NEW, "error": "There is a case for this person already."},
    ("admin_recovery.html", "first"): {
        **LIST,
        "found": Shape(items=[CASE, AGREED, GIVEN], total=3, offset=0),
    },
    ("admin_recovery.html", "closed"): {
        **LIST,
        "shelf": "closed",
        "found": Shape(items=[STOPPED], total=80, offset=0),
        "next": 50,
    },
    ("admin_recovery.html", "empty"): {**LIST, "shelf": "waiting", "found": Shape(items=[], total=0, offset=0)},
    ("admin_recovery_case.html", "approve"): {**ONE, "may_approve": True, "may_deny": True},
    ("admin_recovery_case.html", "own"): {
        **ONE,
        "why_not": "Whoever opened a case cannot approve it. Ask somebody else of the help desk.",
        "may_deny": True,
        "unreachable": True,
    },
    ("admin_recovery_case.html", "cooling"): {
        **ONE,
        "case": AGREED,
        "stands": "cooling",
        "state": STATES["cooling"],
        "may_stop": True,
    },
    ("admin_recovery_case.html", "code"): {
        **ONE,
        "case": GIVEN,
        "stands": "issued",
        "state": STATES["issued"],
        "may_issue": True,
        "may_stop": True,
        "raw_code": "7QK4X-M2XA9-FHD",
    },
    ("admin_recovery_case.html", "error"): {
        **ONE,
        "case": STOPPED,
        "stands": "stopped",
        "state": STATES["stopped"],
        "error": "This case has moved on in the meantime.",
    },
    ("recover_factor.html", "first"): LOST,
    ("recover_factor.html", "no_codes"): {
        **LOST,
        "has_codes": False,
        "has_other": False,
        "wait_minutes": 0,
        "four_eyes": False,
        "can_be_told": False,
    },
    ("recover_factor.html", "error"): {**LOST, "way": "recovery_code", "error": "This recovery code is not right."},
    ("recover_factor.html", "error-temporary"): {
        **LOST,
        "way": "temporary",
        "error": "There were too many attempts.",
        "retry_after_s": 30,
    },
    ("recover_stop.html", "first"): {"state": "live", "opened_at": NOW},
    ("recover_stop.html", "stopped"): {"state": "stopped", "opened_at": NOW},
    ("recover_stop.html", "used"): {"state": "used", "opened_at": NOW},
    ("recover_stop.html", "error"): {"state": "unknown"},
    ("recover_review.html", "first"): {"flow_id": "f1", "added": ADDED, "ticked": (), "error": None},
    ("recover_review.html", "error"): {
        "flow_id": "f1",
        "added": ADDED,
        "ticked": (ADDED[0].key,),
        "error": "One address that can let you back in has to stay. Untick one, or ask the service desk for help.",
    },
    ("recover_review_other.html", "first"): {"flow_id": "f1"},
}
