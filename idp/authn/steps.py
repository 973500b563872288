"""What is owed next in a sign-in, and how it ends. Steps never send to one another: each comes back to `proceed`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from flask import Response

from idp import audit, clock, sessions, users, web
from idp.authn import (
    assurance,
    device,
    factors,
    flow,
    left_open,
    new_device,
    policy,
    proofs,
    still,
    trusted,
    workstation,
)
from idp.authn.assurance import PHISHING_RESISTANT, Demand
from idp.authn.factors import passkey, password, recovery_code, totp
from idp.authn.flow import LoginFlow
from idp.authn.standing import Standing
from idp.authn.standing import standing_of as standing_of
from idp.users import User

PASSKEY = passkey.name  # the one factor that reaches PHISHING_RESISTANT
CHANGE_LATER = "password_later"  # an errand that is done: the person was told, and keeps the password for now
FIRST = "first"  # in the address of a flow that was begun for a browser without our cookie


class Step(StrEnum):
    """The stations of a sign-in; the value is the path of its page."""

    PASSWORD = "/login"  # noqa: S105
    SECOND = "/login/second"
    BLOCKED = "/login/blocked"
    ENROL = "/enrol"
    CODES = "/enrol/recovery-codes"
    CHANGE = "/password/change"
    REVIEW = "/recover/review"
    FINISH = "/login/finish"


def next_step(found: LoginFlow, standing: Standing) -> Step:
    """Decide what comes next. Pure; the table of cases is in tests/authn/test_steps.py.

    A password alone enrols a first second factor, and never replaces one that was lost or disabled (7.104, N-25), unless a
    recovery said so (`may_bind`). Whoever came in with a recovery code and has nothing lasting left enrols something. Where
    a passkey is demanded, nothing weaker ends the flow (7.103). Who spent a recovery code receives new ones (N-23). The password is changed last, fully signed in, by who used it.
    """
    if found.sub is None or not assurance.has_first(found.methods):
        return Step.PASSWORD
    if _owes_second(found, standing) and not (assurance.has_second(found.methods) or leans_on_trust(found, standing)):
        if found.may_bind:
            return Step.ENROL
        if standing.second:
            return Step.SECOND
        return Step.BLOCKED if standing.ever_bound else Step.ENROL
    if _owes_passkey(found, standing):
        if PASSKEY in standing.second and not found.may_bind:
            return Step.SECOND
        return Step.ENROL if PASSKEY in standing.may_enrol else Step.BLOCKED
    if (_owes_second(found, standing) and not standing.lasting) or _enrolment_errands(found, standing):
        return Step.ENROL
    if found.sealed_codes or _owes(found, "recovery_codes") or _spent_a_code(found):
        return Step.CODES
    if _owes_change(found, standing):
        return Step.CHANGE
    return Step.REVIEW if standing.review else Step.FINISH


def enrolments(found: LoginFlow, standing: Standing) -> tuple[str, ...]:
    """Return the names of the factors that this flow may enrol, in the order of the policy. Pure."""
    if _owes_passkey(found, standing):
        return (PASSKEY,)
    return _enrolment_errands(found, standing) or standing.may_enrol


def _owes_change(found: LoginFlow, standing: Standing) -> bool:
    duty = standing.must_change and "pwd" in found.methods
    return duty or _owes(found, "password_change") or may_wait(found, standing)


def may_wait(found: LoginFlow, standing: Standing) -> bool:
    """Say whether a new password is asked for, and may still be put off: once in each sign-in with it. Pure."""
    asked = standing.should_change and not standing.must_change and not _owes(found, "password_change")
    return asked and "pwd" in found.methods and found.is_fresh and CHANGE_LATER not in found.errands


def leans_on_trust(found: LoginFlow, standing: Standing) -> bool:
    """Say whether a trusted device stands in for the second factor here (N-29). Pure."""
    bare = not assurance.has_second(found.methods) and not found.may_bind
    return bare and standing.trusted and standing.lasting and trusted.counts(found.demand)


def _spent_a_code(found: LoginFlow) -> bool:
    return recovery_code.name in found.factors and "recovery_codes" not in found.errands


def _owes_second(found: LoginFlow, standing: Standing) -> bool:
    wants_two = assurance.reaches(_goal(found, standing), assurance.TWO_FACTORS)
    return standing.require_second or wants_two or bool(standing.second)


def _owes_passkey(found: LoginFlow, standing: Standing) -> bool:
    reached = assurance.acr_of(assurance.amr_of([found.methods]))
    return _goal(found, standing) == PHISHING_RESISTANT and not assurance.reaches(reached, PHISHING_RESISTANT)


def _goal(found: LoginFlow, standing: Standing) -> str:
    return assurance.stronger(found.demand.acr, standing.min_acr) or assurance.ONE_FACTOR


def _enrolment_errands(found: LoginFlow, standing: Standing) -> tuple[str, ...]:
    return tuple(name for name in standing.may_enrol if _owes(found, f"enrol_{name}"))


def begin(demand: Demand, *, notice: str | None = None) -> Response:
    """Answer a demand: 303 to the sign-in page of a new flow, which goes on from the browser's session where it may."""
    session = sessions.current()
    late = str(left_open.EXPIRED) if web.single(left_open.LATE) else None
    found = flow.begin(demand, notice=notice or late)
    user = users.find_by_sub(session.sub) if session else None
    if session and user and user.is_active:
        found = _continued(found, session, user)
        flow.save(found)
    return web.see_other(f"{Step.PASSWORD}?flow={found.id}" + ("" if web.context().browser_id else f"&{FIRST}=1"))


def resume(user: User, demand: Demand, *, methods: tuple[str, ...], may_bind: bool = False) -> Response:
    """Start a flow for somebody who has just proved something elsewhere, and send them to what is owed next.

    `methods` are the RFC 8176 values of that proof: ("pwd",) for who has just chosen a password by an invitation. `may_bind`: they may
    bind a second factor although they had one before. The flow dies with the password's present stamp.
    """
    begun = flow.begin(demand)
    since = proofs.since(user.sub)
    found = replace(begun, sub=user.sub, stamp=password.stamp(user), since=since, methods=methods, may_bind=may_bind)
    flow.save(found)
    return proceed(found)


def _continued(found: LoginFlow, session: sessions.SsoSession, user: User) -> LoginFlow:
    """Let the session stand in for the first steps; not where it would open the way to a new factor or new codes by itself."""
    further = flow.continued(found, session, stamp=password.stamp(user), since=proofs.since(user.sub))
    step = next_step(further, standing_of(user))
    if not flow.continues(session, found.demand, steps_up=step is Step.SECOND):
        return found
    opens = step in (Step.ENROL, Step.CODES)
    return found if opens and assurance.age_s(session) > flow.PROOF_S else further


def standing_in(found: LoginFlow) -> Standing:
    """Look up what the person of a flow owes and has."""
    return standing_of(users.get_by_sub(found.sub or ""))


def step_of(flow: LoginFlow) -> Step:
    """Return the step that a flow is at."""
    return Step.PASSWORD if flow.sub is None else next_step(flow, standing_in(flow))


def proceed(found: LoginFlow) -> Response:
    """Send the browser to what comes next; the only place that knows the way."""
    if found.finished or is_settled(found):
        flow.take(found)
        return web.see_other(found.demand.return_to)
    step = step_of(found)
    if step is Step.FINISH:
        return finish(found)
    if step is Step.CODES and not found.sealed_codes and still.locked(found) is None:
        return start_over(found)
    return web.see_other(path_of(_prepared(found, step), step))


def path_of(found: LoginFlow, step: Step) -> str:
    """Return the local address of a step's page: where several factors would do, that of the best or of the choice."""
    path: str = step.value
    if step is Step.SECOND:
        path = f"/login/{_second(found, standing_in(found))}"
    if step is Step.ENROL:
        names = enrolments(found, standing_in(found))
        path = f"{path}/{names[0]}" if len(names) == 1 else path
    return f"{path}?flow={found.id}"


def _second(found: LoginFlow, standing: Standing) -> str:
    """Return the first second factor that the person can use; where a passkey is all that is missing, the passkey."""
    missing = assurance.has_second(found.methods) and _owes_passkey(found, standing)
    return PASSKEY if missing else standing.second[0]


def finish(found: LoginFlow) -> Response:
    """End a flow whose demand is met: a session with a new secret, and on to where the person was going.

    A person who was disabled, or whose password was replaced or passkey removed, since they gave it starts over.
    """
    user = still.locked(found)  # whoever disables them meanwhile ends this session too
    if user is None:
        return start_over(found)
    standing = standing_of(user)
    leans = leans_on_trust(found, standing)
    trust = trusted.use(user) if leans else None
    if leans and trust is None:  # another tab was let in with the same cookie just now
        standing = standing_of(user)
    if trust is None and next_step(found, standing) is not Step.FINISH:
        return proceed(found)
    if flow.take(found):
        _sign_in(user, found, trust)
        _replace_old(user, found)
    return web.see_other(found.demand.return_to)


def start_over(found: LoginFlow) -> Response:
    """Send a flow that may not go on back to its beginning."""
    return web.see_other(path_of(still.over(found), Step.PASSWORD))


def _sign_in(user: User, found: LoginFlow, trust: trusted.TrustedDevice | None) -> None:
    amr = assurance.amr_of([found.methods])
    acr, auth_time = assurance.acr_of(amr), found.auth_time or (trust.proved_at if trust else clock.now())
    before = sessions.current() or sessions.locked()
    session = None
    if before and before.sub == user.sub:
        session = sessions.renew(before, acr=acr, amr=amr, auth_time=auth_time)
    if session is None:
        owed = policy.of(user)
        idle_s = workstation.idle_s(owed.idle_s)
        session = sessions.start(
            user.sub, acr=acr, amr=amr, auth_time=auth_time, idle_s=idle_s, absolute_s=owed.absolute_s
        )
    if found.is_fresh or (before and before.acr != acr):
        more = {"deviation": "trusted_device", "device": trust.public_id} if trust else {}
        if found.is_fresh and new_device.is_new(user):
            more["new_device"] = "yes"
            new_device.tell(user)
        audit.record(
            audit.Event.LOGIN_SUCCEEDED, subject=user.sub, actor=user.sub, sid=session.sid, acr=acr, amr=amr,
            factors=list(found.factors), **more,
        )  # fmt: skip
    device.remember(user.sub)


def _replace_old(user: User, found: LoginFlow) -> None:
    """Remove what the new authenticator takes the place of: it is enrolled, so it is not the last (C-15)."""
    if found.demand.replaces and any(done.startswith("enrol_") for done in found.errands):
        factors.remove(user, found.demand.replaces, actor=user.sub, reason="replaced")


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
    if user and step is Step.ENROL and enrolments(found, standing_of(user)) == (totp.name,):
        found = with_pending_app(found, user)
    if user and step is Step.CODES and not found.sealed_codes:
        found = flow.seal_codes(found, recovery_code.issue(user, beside_old=_spent_a_code(found)))
        flow.save(found)
    return found


def with_pending_app(found: LoginFlow, user: User) -> LoginFlow:
    """Make the secret of an authenticator app that is to be enrolled, once for the flow."""
    if found.pending_id and totp.find_pending(user, found.pending_id):
        return found
    found = replace(found, pending_id=totp.begin_enrolment(user).id)
    flow.save(found)
    return found


def _owes(found: LoginFlow, errand: str) -> bool:
    return errand in found.demand.then and errand not in found.errands
