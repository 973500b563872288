"""GET /policy — what anybody may know of our password rules, for programs: the general preset, its rules, where it departs from NIST (X-6)."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response, jsonify

from idp import web
from idp.authn import deviations, password_policy
from idp.config import settings

pages = Blueprint("policy", __name__)


@pages.get("/policy")
@web.document
def policy() -> Response:
    """Tell the rules that hold for everybody; what some roles owe beyond them is nobody else's business."""
    rules = [asdict(rule) for rule in password_policy.rules(password_policy.policy_of(settings()))]
    return jsonify(**deviations.report(settings()), rules=rules)
