"""Pages and endpoints of passkeys: signing in with one, the choice of what to enrol, enrolling one.

The script of these pages asks for options (JSON, in exchange for the page's CSRF token), hands them to the browser and sends what comes
back with an ordinary form. Options change nothing but the flow's challenge.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, jsonify, request

from idp import audit, limits, users, web
from idp.authn import flow, proofs, steps, still
from idp.authn.enrol_views import at
from idp.authn.factors import passkey, password, recovery_code
from idp.authn.factors.base import Refused
from idp.authn.factors.passkey import Enrolled, Identified
from idp.authn.flow import LoginFlow
from idp.authn.steps import Step
from idp.authn.views import WAIT, found_flow, login_page, show, start_over, status_of
from idp.config import settings
from idp.errors import Conflict, NotFound
from idp.language import Later, lazy_gettext
from idp.users import User

pages = Blueprint("passkeys", __name__)

OPTIONS_OF_A_FLOW = 60  # how often its pages may ask; a person asks once or twice
WRONG = lazy_gettext("That passkey did not work here. Try again, or sign in with your password.")
REFUSED = {
    "enrolled_already": lazy_gettext("This passkey is on an account already. Use another device or security key."),
    "model_not_allowed": lazy_gettext(
        "Your organisation accepts certain security keys only, and this is not one of them. Use the key that you were given, "
        "or ask the service desk for one."
    ),
    "too_many": lazy_gettext(
        "You have as many passkeys as one account can hold. Remove one that you no longer use first."
    ),
}
NOT_ENROLLED = lazy_gettext("The passkey could not be saved. Please try again; if it fails twice, use another device.")
MOVED_ON = lazy_gettext("This page was open too long, or you have gone on elsewhere. Reload it and try again.")


# --- signing in ----------------------------------------------------------------------------------------------


@pages.post("/login/passkey/options")
@web.csrf_protected
def login_options() -> Response:
    """Hand out a challenge: for anybody's passkey at the beginning, for this person's after their password."""
    found = _flow_for_script()
    if steps.is_at(found, Step.PASSWORD):
        return jsonify(passkey.request_options(found.id))
    if steps.is_at(found, Step.SECOND) and passkey.name in steps.standing_in(found).second:
        return jsonify(passkey.request_options(found.id, user=users.get_by_sub(found.sub or "")))
    raise Conflict(str(MOVED_ON))


@pages.post("/login/passkey/sign-in")
@web.csrf_protected
def sign_in() -> Response:
    """Take a passkey in place of name and password."""
    found = found_flow()
    if found is None:
        return start_over()
    if not steps.is_at(found, Step.PASSWORD):
        return steps.proceed(found)
    outcome = _identified(found)
    if isinstance(outcome, Identified):
        return steps.proceed(flow.advance(_known(found, outcome)))
    error = WAIT if outcome.retry_after_s else WRONG
    return login_page(found, "", error=error, status=status_of(outcome), refused=outcome, error_field=None)


def _identified(found: LoginFlow) -> Identified | Refused:
    """Judge a passkey under the limit of the address. An account has none: signatures cannot be guessed, and a stranger
    who sends nonsense must not shut its owner out (attack 90). Every failure looks the same (C-24)."""
    verdict = limits.attempt("passkey", account=None, address=web.context().address or "")
    if not verdict.allowed:
        return Refused("limited", verdict.retry_after_s)
    outcome = passkey.identify(found.id, request.form.get("credential", ""))
    if isinstance(outcome, Refused):
        audit.record(audit.Event.LOGIN_FAILED, reason=outcome.reason, factor=passkey.name)
        return outcome
    user = outcome.user
    reason = "account_disabled" if not user.is_active else None
    if reason is None and passkey.name not in steps.standing_of(user).second:
        reason = "factor_not_allowed"
    if reason:
        audit.record(audit.Event.LOGIN_FAILED, subject=user.sub, reason=reason, factor=passkey.name)
        return Refused(reason)
    audit.record(
        audit.Event.FACTOR_VERIFIED, subject=user.sub, actor=user.sub, amr=outcome.amr, factor=passkey.name, first=True
    )
    return outcome


def _known(found: LoginFlow, known: Identified) -> LoginFlow:
    """Note who it is; whatever another person had proved in this flow is forgotten (7.99)."""
    stamp = password.stamp(known.user)
    since = proofs.since(known.user.sub)
    fresh = replace(flow.blank(found), sub=known.user.sub, stamp=stamp, since=since, passkey_id=known.authenticator)
    return flow.proved(fresh, passkey.name, known.amr, known.authenticator)


# --- enrolling -----------------------------------------------------------------------------------------------


@at(Step.ENROL)
def choose(found: LoginFlow, user: User) -> Response:
    """Offer what the person may enrol; what resists phishing comes first (N-13)."""
    names = steps.enrolments(found, steps.standing_of(user))
    if len(names) < 2:
        return web.see_other(steps.path_of(found, Step.ENROL))
    return show("enrol.html", found, names=names)


@pages.post("/enrol/passkey/options")
@web.csrf_protected
def enrol_options() -> Response:
    """Hand out a challenge for a new passkey to somebody who may enrol one now (7.104)."""
    found = _flow_for_script()
    if not steps.is_at(found, Step.ENROL) or passkey.name not in _enrolments(found):
        raise Conflict(str(MOVED_ON))
    user = users.get_by_sub(found.sub or "")
    return jsonify(passkey.creation_options(user, found.id, replaces=found.demand.replaces))


@at(Step.ENROL)
def enrol_passkey(found: LoginFlow, user: User) -> Response:
    """Enrol a passkey. Its person has just used it, so it counts for this sign-in."""
    if passkey.name not in _enrolments(found):
        return steps.proceed(found)
    if request.method == "GET":
        return _enrol_page(found)
    verdict = limits.attempt("enrol:passkey", account=user.sub, address=web.context().address or "")
    if not verdict.allowed:
        return _enrol_page(found, Refused("limited", verdict.retry_after_s))
    if still.locked(found) is None:
        return steps.start_over(found)
    outcome = passkey.enrol(user, found.id, request.form.get("credential", ""))
    if isinstance(outcome, Refused):
        audit.record(
            audit.Event.FACTOR_REJECTED, subject=user.sub, actor=user.sub, reason=outcome.reason, factor=passkey.name
        )
        return _enrol_page(found, outcome)
    limits.clear("enrol:passkey", account=user.sub)
    done = _with(found, outcome)
    if not recovery_code.enrolled(user):
        done = flow.seal_codes(done, recovery_code.issue(user))
    flow.save(done)
    return steps.proceed(done)


def _with(found: LoginFlow, enrolled: Enrolled) -> LoginFlow:
    done = replace(found, errands=(*found.errands, "enrol_passkey"))
    return flow.proved(done, passkey.name, enrolled.amr)


def _enrolments(found: LoginFlow) -> tuple[str, ...]:
    return steps.enrolments(found, steps.standing_in(found))


def _enrol_page(found: LoginFlow, refused: Refused | None = None) -> Response:
    error: Later | None = None
    if refused is not None:
        error = WAIT if refused.retry_after_s else REFUSED.get(refused.reason, NOT_ENROLLED)
    return show(
        "enrol_passkey.html",
        found,
        status=status_of(refused) if refused else 200,
        refused=refused,
        error=error,
        has_choice=len(_enrolments(found)) > 1,
    )


# --- scripts and other origins -------------------------------------------------------------------------------


def _flow_for_script() -> LoginFlow:
    """Return the flow of a script's request, which is answered in JSON. Raises Conflict, TooMany."""
    web.answer_json()
    found = found_flow()
    if found is None or found.finished:
        raise Conflict(str(MOVED_ON))
    limits.spend("passkey_options", found.id, count=OPTIONS_OF_A_FLOW, window_s=flow.ABSOLUTE_S).insist()
    return found


@pages.get("/.well-known/webauthn")
@web.document
def related_origins() -> Response:
    """Name the other origins that may ask for our passkeys (WebAuthn section 5.11), if the operator lists any (C-26)."""
    related = settings().factors.passkey_related_origins
    if not related:
        raise NotFound()
    return jsonify({"origins": [settings().server.issuer, *related]})


pages.add_url_rule("/enrol", view_func=choose, methods=["GET"])
pages.add_url_rule("/enrol/passkey", view_func=enrol_passkey, methods=["GET", "POST"])
