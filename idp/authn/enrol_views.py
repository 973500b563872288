"""Pages of a sign-in that change something: enrolling an authenticator app, writing down recovery codes.

All of them are steps of a flow, so that they need what a sign-in needs: proof made just now (C-15, 7.96, 7.104).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

from flask import Blueprint, Response, render_template, request

from idp import clock, limits, users, web
from idp.authn import flow, steps, still
from idp.authn.factors import recovery_code, totp
from idp.authn.factors.base import Refused
from idp.authn.flow import LoginFlow
from idp.authn.steps import Step
from idp.authn.views import WAIT, found_flow, show, start_over, status_of
from idp.config import settings
from idp.errors import BadInput
from idp.language import lazy_gettext
from idp.users import User

pages = Blueprint("enrol", __name__)

WRONG_CODE = lazy_gettext(
    "This is not the code that the app should show now. Check that the clock of your phone is set automatically."
)
NOT_SAVED = lazy_gettext("Please save your recovery codes and tick the box.")
FILE = "idp-recovery-codes.txt"

StepView = Callable[[LoginFlow, User], Response]


def at(step: Step) -> Callable[[StepView], Callable[[], Response]]:
    """Decorate the page of a step: whoever is elsewhere in their flow is led there (7.98)."""

    def decorate(view: StepView) -> Callable[[], Response]:
        @wraps(view)
        @web.csrf_protected
        def guarded() -> Response:
            found = found_flow()
            if found is None:
                return start_over()
            if not steps.is_at(found, step):
                return steps.proceed(found)
            return view(found, users.get_by_sub(found.sub or ""))

        return guarded

    return decorate


@at(Step.ENROL)
def enrol_totp(found: LoginFlow, user: User) -> Response:
    """Show a secret as a picture and as text until a code proves that the app has it."""
    if totp.name not in steps.enrolments(found, steps.standing_of(user)):
        return steps.proceed(found)
    found = steps.with_pending_app(found, user)
    pending = totp.find_pending(user, found.pending_id or "")
    if pending is None:
        return steps.proceed(found)
    if request.method == "GET":
        return _enrol_page(found, pending)
    verdict = limits.attempt("enrol:totp", account=user.sub, address=web.context().address or "")
    if not verdict.allowed:
        return _enrol_page(found, pending, Refused("limited", verdict.retry_after_s))
    if still.locked(found) is None:
        return steps.start_over(found)
    try:
        enrolled = totp.confirm(user, pending.id, web.single("code"), label=web.single("label"))
    except BadInput as problem:
        return _enrol_page(found, pending, wrong_label=problem.public)
    if not enrolled:
        return _enrol_page(found, pending, Refused("wrong_code"))
    limits.clear("enrol:totp", account=user.sub)
    done = replace(found, pending_id=None, errands=(*found.errands, "enrol_totp"))
    done = flow.proved(done, totp.name, totp.amr)
    if not recovery_code.enrolled(user):
        done = flow.seal_codes(done, recovery_code.issue(user))
    flow.save(done)
    return steps.proceed(done)


@at(Step.CODES)
def recovery_codes(found: LoginFlow, user: User) -> Response:
    """Show new recovery codes until the person says that they are saved."""
    if not found.sealed_codes:
        return steps.proceed(found)
    if request.method == "POST" and web.single("saved"):
        if still.locked(found) is None:
            return steps.start_over(found)
        recovery_code.settle(user)
        done = replace(found, sealed_codes=None, errands=(*found.errands, "recovery_codes"))
        flow.save(done)
        return steps.proceed(done)
    error = NOT_SAVED if request.method == "POST" else None
    return show(
        "recovery_codes.html",
        found,
        status=400 if error else 200,
        codes=flow.open_codes(found),
        spent_one=recovery_code.name in found.factors,
        error=error,
    )


@at(Step.CODES)
def recovery_codes_file(found: LoginFlow, user: User) -> Response:
    """Give the codes that are on the page as a text file, with or without JavaScript."""
    if not found.sealed_codes:
        return steps.proceed(found)
    text = render_template(
        "recovery_codes.txt", codes=flow.open_codes(found), user=user, issuer=settings().server.issuer, now=clock.now()
    )
    headers = {"Content-Disposition": f'attachment; filename="{FILE}"', "Cache-Control": "no-store"}
    return Response(text, mimetype="text/plain", headers=headers)


def _enrol_page(
    found: LoginFlow, pending: totp.Pending, refused: Refused | None = None, *, wrong_label: str | None = None
) -> Response:
    return show(
        "enrol_totp.html",
        found,
        status=status_of(refused) if refused else 400 if wrong_label else 200,
        refused=refused,
        qr_svg=pending.qr_svg,
        secret_groups=pending.secret_groups,
        otpauth_uri=pending.otpauth_uri,
        label=web.single("label") or pending.label,
        wrong_label=wrong_label,
        error=wrong_label if refused is None else WAIT if refused.retry_after_s else WRONG_CODE,
    )


pages.add_url_rule("/enrol/totp", view_func=enrol_totp, methods=["GET", "POST"])
pages.add_url_rule("/enrol/recovery-codes", view_func=recovery_codes, methods=["GET", "POST"])
pages.add_url_rule("/enrol/recovery-codes/file", view_func=recovery_codes_file, methods=["GET"])
