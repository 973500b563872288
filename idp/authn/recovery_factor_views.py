"""Pages of a lost second step: /recover/factor inside a sign-in, /recover/stop for «stop this», /recover/review at the end."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, request

from idp import sessions, users, web
from idp.authn import assurance, flow, policy, proofs, recovery_case, recovery_factor, recovery_review, steps, still
from idp.authn.factors import recovery_code
from idp.authn.factors.base import Refused
from idp.authn.flow import LoginFlow
from idp.authn.recovery_case import LIVE, STOP_PATH
from idp.authn.steps import Step
from idp.authn.views import WAIT, found_flow, show, start_over, status_of
from idp.config import settings
from idp.errors import Conflict
from idp.language import Later, lazy_gettext
from idp.users import User

pages = Blueprint("recover_factor", __name__)

COOKIE = "recovery_stop"
COOKIE_S = 900
WRONG_RECOVERY = lazy_gettext("This recovery code is not right, or it was used before.")
WRONG_TEMPORARY = lazy_gettext(
    "This temporary code is not right, or it is too old. It works for a few minutes and once; the service desk can make a new one."
)
USE_OLDER = lazy_gettext("Please sign in with your password and something that you had before.")
CHOOSE = lazy_gettext("Please say which kind of code it is.")


@pages.route("/recover/factor", methods=["GET", "POST"])
@web.csrf_protected
def lost_factor() -> Response:
    """Show what somebody can do who gave their password and cannot take the second step; take either kind of code.

    A session that goes on here stands for no password: a recovery rests on two proofs of this very flow (N-25, attack 104).
    """
    found = found_flow()
    if found is None:
        return start_over()
    blocked = steps.is_at(found, Step.BLOCKED) and not assurance.has_second(found.methods)
    if not blocked and not steps.is_at(found, Step.SECOND):
        return steps.proceed(found)
    if not found.is_fresh:
        flow.save(flow.blank(found))
        return web.see_other(steps.path_of(flow.blank(found), Step.PASSWORD))
    if request.method == "GET":
        return _factor_page(found, users.get_by_sub(found.sub or ""))
    user = still.locked(found)
    if user is None:
        return steps.start_over(found)
    way, raw_code = web.single("way"), web.single("code")
    if way == "recovery_code":
        outcome = recovery_factor.by_recovery_code(found, user, raw_code, lost=bool(web.single("lost")))
        return _after(found, user, outcome, way, WRONG_RECOVERY)
    if way == "temporary":
        return _after(found, user, recovery_factor.by_temporary_code(found, user, raw_code), way, WRONG_TEMPORARY)
    return _factor_page(found, user, status=400, error=CHOOSE)


def _after(found: LoginFlow, user: User, outcome: LoginFlow | Refused, way: str, wrong: Later) -> Response:
    if isinstance(outcome, LoginFlow):
        return steps.proceed(outcome)
    error = WAIT if outcome.retry_after_s else wrong
    return _factor_page(found, user, status=status_of(outcome), refused=outcome, error=error, way=way)


def _factor_page(
    found: LoginFlow,
    user: User,
    *,
    status: int = 200,
    refused: Refused | None = None,
    error: Later | None = None,
    way: str = "",
) -> Response:
    return show(
        "recover_factor.html",
        found,
        status=status,
        refused=refused,
        error=error,
        way=way,
        has_codes=recovery_code.enrolled(user),
        has_other=steps.is_at(found, Step.SECOND),
        wait_minutes=settings().recovery.cool_off_s // 60,
        four_eyes=policy.of(user).four_eyes,
        code_minutes=settings().recovery.code_s // 60,
        can_be_told=bool(user.verified_emails),
    )


# --- «stop this» ---------------------------------------------------------------------------------------------


@pages.route(STOP_PATH, methods=["GET", "POST"])
@web.csrf_protected
def stop() -> Response:
    """Land from the mail: move the token out of the address, ask once more; only the POST stops the case (7.118)."""
    if request.method == "GET" and "token" in request.args:
        response = web.see_other(STOP_PATH)
        web.set_cookie(response, COOKIE, web.single("token")[:100], max_age_s=COOKIE_S)
        return response
    case = recovery_case.find_by_stop_token(web.read_cookie(COOKIE) or "")
    if case is None:
        return web.page("recover_stop.html", 404, state="unknown")
    if request.method == "POST":
        recovery_case.stop(case, by=case.user.sub, reason="stopped by the link in the mail")
        return web.see_other(STOP_PATH)
    stands = recovery_case.get(case.public_id).stands
    live = stands not in recovery_case.CLOSED and case.state in LIVE
    return web.page("recover_stop.html", state="live" if live else stands, opened_at=case.opened_at)


# --- was it you? ---------------------------------------------------------------------------------------------


@pages.route(recovery_review.PATH, methods=["GET", "POST"])
@web.csrf_protected
def review() -> Response:
    """Show what was added to the account lately; take away what the person does not know, and end sessions with it."""
    found = found_flow()
    if found is None:
        return start_over()
    if not steps.is_at(found, Step.REVIEW):
        return steps.proceed(found)
    if not recovery_review.may_answer(users.get_by_sub(found.sub or ""), found):
        return _in_another_way(found)
    if request.method == "POST":
        user = still.locked(found)
        return steps.start_over(found) if user is None else _reviewed(found, user)
    added = recovery_review.added(users.get_by_sub(found.sub or ""))
    return show("recover_review.html", found, added=added, ticked=(), error=None)


def _in_another_way(found: LoginFlow) -> Response:
    """Keep out who signed in with what the question is about; they start over, with something older."""
    if request.method == "GET":
        return show("recover_review_other.html", found)
    if web.single("answer") != "again":
        recovery_review.refused(users.get_by_sub(found.sub or ""))
        return show("recover_review_other.html", found, status=403)
    again = flow.blank(found, notice=str(USE_OLDER))
    flow.save(again)
    return web.see_other(steps.path_of(again, Step.PASSWORD))


def _reviewed(found: LoginFlow, user: User) -> Response:
    unknown = set(request.form.getlist("unknown")) if web.single("answer") == "remove" else set()
    try:
        removed = recovery_review.remove(user, unknown)
    except Conflict as error:
        added = recovery_review.added(user)
        return show("recover_review.html", found, status=409, added=added, ticked=unknown, error=error.public)
    if removed:
        sessions.end_all(user.sub, cause="recovered")
    recovery_review.done(user, removed=removed)
    done = replace(proofs.kept(found), sid=None) if removed else found  # theirs was among the sessions
    flow.save(done)
    return steps.proceed(done)
