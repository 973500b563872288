"""The page of a new password: because its person wants one, must have one, or is asked to have one soon. Tells which, and what is wrong.

It is a step of a flow like those of enrol_views, and comes last: whoever is here is who they say (7.96).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flask import Blueprint, Response, request

from idp import audit, language, limits, sessions, web
from idp.authn import device, flow, notices, password_policy, policy, proofs, steps, still
from idp.authn.enrol_views import at
from idp.authn.factors import password, password_review
from idp.authn.factors.base import Refused
from idp.authn.flow import LoginFlow
from idp.authn.steps import Step
from idp.authn.views import WAIT, show, status_of
from idp.db import db
from idp.errors import Conflict
from idp.language import gettext, lazy_gettext
from idp.users import User

pages = Blueprint("change", __name__)

WRONG_PRESENT = lazy_gettext("This is not your present password.")
SIGNED_OUT = lazy_gettext("Your other sessions will be signed out.")
HANDED_OVER = lazy_gettext("Somebody else has known your present password. Choose one that only you know.")
LEAKED = lazy_gettext(
    "Your present password is one that attackers try first: it was leaked somewhere, or many people use it. "
    "Please choose another before you go on. If you use it elsewhere too, change it there as well."
)
TOO_NEAR = lazy_gettext(
    "Your present password is made from your name, username or address, which is what attackers try first. "
    "Please choose another before you go on."
)
TOO_OLD = lazy_gettext("Your present password has reached the age at which your organisation has it replaced.")
TOO_SHORT_ALONE = lazy_gettext("You sign in with your password alone now, so it has to be longer.")
TIME_IS_UP = lazy_gettext(
    "Your present password does not meet the rules of today, and the time to change it is over. Please choose another now."
)
WORST_FIRST = (
    ("blocklist", LEAKED),
    ("username", TOO_NEAR),
    (password_review.AGE, TOO_OLD),
    (password_review.ALONE, TOO_SHORT_ALONE),
)


@at(Step.CHANGE)
def password_change(found: LoginFlow, user: User) -> Response:
    """Replace the password of a person who knows the present one; their other sessions end. Or put it off, where that may be."""
    if request.method == "GET":
        return _page(found, user)
    if web.single("later") and steps.may_wait(found, steps.standing_of(user)):
        return _go_on(found, user, steps.CHANGE_LATER)
    refused = _present_password(user, request.form.get("current_password", "")) if _asks_present(found) else None
    if refused:
        return _page(found, user, refused=refused)
    raw_password = request.form.get("new_password", "")
    violations = password.violations(user, raw_password)
    if violations:
        return _page(found, user, violations=violations)
    db.session.refresh(user, with_for_update=True)  # on PostgreSQL; no write may be open on SQLite while it is hashed
    if not still.good(found, user):
        return steps.start_over(found)
    password.set_password(user, raw_password, actor=user.sub, vetted=True, expected_stamp=found.stamp)
    if still.locked(replace(found, stamp=password.stamp(user))) is None:
        raise Conflict(str(still.STARTED_OVER))  # nothing is kept
    here = sessions.current()
    sessions.end_all(user.sub, cause="password_changed", except_sid=here.sid if here else None)
    notices.tell(user, "password_changed")
    return _go_on(found, user, "password_change")


def _go_on(found: LoginFlow, user: User, errand: str) -> Response:
    done = replace(proofs.kept(found), stamp=password.stamp(user), errands=(*found.errands, errand))
    flow.save(done)
    return steps.proceed(done)


def _asks_present(found: LoginFlow) -> bool:
    """Say whether the present password is asked for: always (ASVS 6.2.3), but from who had to give it in this very flow."""
    return "password_change" in found.demand.then or not found.is_fresh


def _present_password(user: User, raw_password: str) -> Refused | None:
    """Judge the present password under limits of its own; None when it is right. The session may be in other hands (attack 96)."""
    scope, known_device = "password:change", device.is_known(user.sub)
    verdict = limits.attempt(scope, account=user.sub, address=web.context().address or "", known_device=known_device)
    if not verdict.allowed:
        return Refused("limited", verdict.retry_after_s)
    if not password.verify(user, raw_password):
        audit.record(
            audit.Event.FACTOR_REJECTED, subject=user.sub, actor=user.sub, reason="wrong_password", factor=password.name
        )
        return Refused("wrong_password")
    limits.clear(scope, account=user.sub, known_device=known_device)
    db.session.commit()  # the proof is a fact, and no write may be open while the new password is hashed
    return None


def _page(
    found: LoginFlow,
    user: User,
    *,
    violations: Sequence[password_policy.Violation] = (),
    refused: Refused | None = None,
) -> Response:
    rules, state = password_policy.rules(policy.of(user).password), password.state(user)
    failing = state.failing if state else ()
    return show(
        "password_change.html",
        found,
        status=status_of(refused) if refused else 400 if violations else 200,
        refused=refused,
        rules=rules,
        violations=violations,
        username=user.username,
        asks_present=_asks_present(found),
        error=None if refused is None else WAIT if refused.retry_after_s else WRONG_PRESENT,
        reason=_reason(found, state) if state else None,
        lacking=[rule.text for rule in rules if rule.rule in failing and rule.rule not in password_review.GUESSABLE],
        may_wait=steps.may_wait(found, steps.standing_of(user)),
    )


def _reason(found: LoginFlow, state: password.State) -> str:
    """Say why the person is here, in the words of the worst that is wrong with the present password."""
    if "password_change" in found.demand.then:
        return str(SIGNED_OUT)
    for rule, told in WORST_FIRST:
        if rule in state.failing:
            return str(told)
    if not state.failing:
        return str(HANDED_OVER)
    if state.must_change or state.change_by is None:
        return str(TIME_IS_UP)
    until = language.moment(state.change_by)
    return gettext(
        "The rules for passwords are stricter now. Yours works until %(until)s; please change it by then.", until=until
    )


pages.add_url_rule("/password/change", view_func=password_change, methods=["GET", "POST"])
