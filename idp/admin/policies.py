"""What people owe by their roles, where that departs from NIST, and whose password falls short (X-6): for reading only."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from flask import Blueprint, Response

from idp import audit
from idp.admin.guard import require_role, staff
from idp.admin.menu import page
from idp.authn import deviations, password_policy, policy, report
from idp.config import settings

pages = Blueprint("admin_policies", __name__)

SHOWN = 100  # people on the page; `idp report passwords` names all, and who lacks a second factor


@pages.get("/admin/policy")
@require_role("administrator", "auditor")
def show() -> Response:
    """Show every policy, and people below theirs; that somebody looked is written down."""
    found = list(islice(report.people(second_factors=False), SHOWN + 1))
    counted = Counter(name for entry in found[:SHOWN] for name in entry.findings)
    audit.record(audit.Event.USER_LOOKED_UP, actor=staff().sub, reason="password_report", people=len(found[:SHOWN]))
    return page(
        "admin_policy.html",
        "policy",
        policies=[
            {
                "roles": roles,
                "policy": owed,
                "rules": password_policy.describe(owed.password),
                "deviations": deviations.of_policy(owed),
            }
            for roles, owed in policy.tables(settings())
        ],
        people=found[:SHOWN],
        more=len(found) > SHOWN,
        counts=[(str(report.FINDINGS[name]), count) for name, count in counted.most_common()],
        findings=report.FINDINGS,
    )
