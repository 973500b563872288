"""What is owed next in a sign-in, and how it ends. Steps never send to one another: each comes back to `proceed`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from flask import Response

from idp import audit, clock, sessions, users, web
from idp.authn import assurance, device, flow
from idp.authn.assurance import Demand
from idp.authn.factors import FACTORS, password, recovery_code, totp
from idp.authn.flow import LoginFlow
from idp.config import settings
from idp.db import db
from idp.users import User

FIRST = "first"  # in the address of a flow that was begun for a browser without our cookie
STARTED_OVER = "Something about your account has changed. Please sign in again."


class Step(StrEnum):
    """The stations of a sign-in; the value is the path of its page."""

    PASSWORD = "/login"  # noqa: S105
    SECOND = "/login/second"
    BLOCKED = "/login/blocked"
    ENROL = "/enrol/totp"
    CODES = "/enrol/recovery-codes"
    CHANGE = "/password/change"
    FINISH = "/login/finish"


@dataclass(frozen=True)
class Standing:
    """What a person owes and has, as far as the order of steps depends on it."""

    require_second: bool
    second: tuple[str, ...] = ()  # names of the second factors that can be used now
    has_app: bool = False  # one of them is an authenticator app that lasts
    ever_bound: bool = False  # had a second factor once; a password alone does not replace it
    must_change: bool = False


def next_step(found: LoginFlow, standing: Standing) -> Step:
    """Decide what comes next. Pure; the table of cases is in tests/authn/test_steps.py.

    A password alone enrols a first second factor, and never replaces one that was lost or disabled (7.104, N-25). Whoever
    came in with a recovery code and has no app left enrols one. The password is changed last, fully signed in.
    """
    if found.sub is None or "pwd" not in found.methods:
        return Step.PASSWORD
    wants_two = found.demand.acr == assurance.TWO_FACTORS
    owes_second = standing.require_second or wants_two or bool(standing.second)
    if owes_second and not assurance.has_second(found.methods):
        if standing.second:
            return Step.SECOND
        return Step.BLOCKED if standing.ever_bound else Step.ENROL
    if (owes_second and not standing.has_app) or _owes(found, "enrol_totp"):
        return Step.ENROL
    if found.sealed_codes or _owes(found, "recovery_codes"):
        return Step.CODES
    if standing.must_change or _owes(found, "password_change"):
        return Step.CHANGE
    return Step.FINISH


def begin(demand: Demand, *, notice: str | None = None) -> Response:
    """Answer a demand: 303 to the sign-in page of a new flow, which goes on from the browser's session where it may."""
    found = flow.begin(demand, notice=notice)
    session = sessions.current()
    user = users.find_by_sub(session.sub) if session else None
    if session and user and user.is_active:
        has_second = any(factor.enrolled(user) for factor in FACTORS)
        if flow.continues(session, demand, has_second=has_second):
            found = _continued(found, session, user)
            flow.save(found)
    return web.see_other(path_of(found, Step.PASSWORD) + ("" if web.context().browser_id else f"&{FIRST}=1"))


def _continued(found: LoginFlow, session: sessions.SsoSession, user: User) -> LoginFlow:
    """Let the session stand in for the first steps; not where it would open the way to a new factor or new codes by itself."""
    further = flow.continued(found, session, stamp=password.stamp(user))
    opens = next_step(further, standing_of(user)) in (Step.ENROL, Step.CODES)
    return found if opens and assurance.age_s(session) > flow.PROOF_S else further


def standing_of(user: User) -> Standing:
    """Look up what a person owes and has."""
    return Standing(
        require_second=settings().factors.require_second,
        second=tuple(factor.name for factor in FACTORS if factor.enrolled(user)),
        has_app=totp.enrolled(user),
        ever_bound=any(factor.bound(user) for factor in FACTORS),
        must_change=password.must_change(user),
    )


def step_of(flow: LoginFlow) -> Step:
    """Return the step that a flow is at."""
    return Step.PASSWORD if flow.sub is None else next_step(flow, standing_of(users.get_by_sub(flow.sub)))


def proceed(found: LoginFlow) -> Response:
    """Send the browser to what comes next; the only place that knows the way."""
    if found.finished or is_settled(found):
        flow.take(found)
        return web.see_other(found.demand.return_to)
    step = step_of(found)
    if step is Step.FINISH:
        return finish(found)
    return web.see_other(path_of(_prepared(found, step), step))


def path_of(found: LoginFlow, step: Step) -> str:
    """Return the local address of a step's page."""
    path = second_path(found) if step is Step.SECOND else step.value
    return f"{path}?flow={found.id}"


def second_path(found: LoginFlow) -> str:
    """Return the page of the first second factor that the person can use."""
    user = users.get_by_sub(found.sub or "")
    return next(f"/login/{factor.name}" for factor in FACTORS if factor.enrolled(user))


def finish(found: LoginFlow) -> Response:
    """End a flow whose demand is met: a session with a new secret, and on to where the person was going.

    A person who was disabled, or whose password was replaced, since they gave it starts over.
    """
    user = users.get_by_sub(found.sub or "")
    db.session.refresh(user, with_for_update=True)  # whoever disables them meanwhile ends this session too
    if not user.is_active or password.stamp(user) != found.stamp:
        flow.save(flow.blank(found, notice=STARTED_OVER))
        return web.see_other(path_of(found, Step.PASSWORD))
    if flow.take(found):
        _sign_in(user, found)
    return web.see_other(found.demand.return_to)


def _sign_in(user: User, found: LoginFlow) -> None:
    amr = assurance.amr_of([found.methods])
    acr, auth_time = assurance.acr_of(amr), found.auth_time or clock.now()
    before = sessions.current()
    session = None
    if before and before.sub == user.sub:
        session = sessions.renew(before, acr=acr, amr=amr, auth_time=auth_time)
    if session is None:
        session = sessions.start(user.sub, acr=acr, amr=amr, auth_time=auth_time)
    if found.is_fresh or (before and before.acr != acr):
        audit.record(audit.Event.LOGIN_SUCCEEDED, subject=user.sub, actor=user.sub, sid=session.sid, acr=acr, amr=amr)
    device.remember(user.sub)


def is_at(found: LoginFlow, step: Step) -> bool:
    """Say whether a flow is at this step and still has to take it."""
    return not found.finished and not is_settled(found) and step_of(found) is step


def is_settled(found: LoginFlow) -> bool:
    """Say whether this browser's session meets the demand by now: another tab was faster, or the person chose to go on.

    Never for somebody who is proving to be another person than the session's.
    """
    session = sessions.current()
    if session is None or found.demand.then or found.sub not in (None, session.sub):
        return False
    return assurance.satisfied(session, found.demand)


def _prepared(found: LoginFlow, step: Step) -> LoginFlow:
    """Make what the step's page needs to show, once for the flow."""
    user = users.find_by_sub(found.sub) if found.sub else None
    if user and step is Step.ENROL and not (found.pending_id and totp.find_pending(user, found.pending_id)):
        found = replace(found, pending_id=totp.begin_enrolment(user).id)
        flow.save(found)
    if user and step is Step.CODES and not found.sealed_codes:
        found = flow.seal_codes(found, recovery_code.issue(user))
        flow.save(found)
    return found


def _owes(found: LoginFlow, errand: str) -> bool:
    return errand in found.demand.then and errand not in found.errands
