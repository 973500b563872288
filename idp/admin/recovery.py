"""The help desk's recovery cases: the list, one case with what may be done now, a new one. Rules are in authn/recovery_desk.py."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from flask import Blueprint, Response, request

from idp import crypto, kv, users, web
from idp.admin.guard import require_role, staff
from idp.admin.menu import page
from idp.authn import recovery_case, recovery_desk
from idp.authn.recovery_case import CLOSED, COOLING, ISSUED, LIVE, OPEN, PROOFS, READY, RecoveryCase
from idp.config import settings
from idp.errors import BadInput, Conflict, Forbidden, IdpError
from idp.language import Later, lazy_gettext

pages = Blueprint("admin_recovery", __name__)

PER_PAGE = 50
SHOWN_S = 300  # how long a code that was just made can be read on the page of the case
SHELVES = {"waiting": (OPEN,), "running": LIVE, "closed": CLOSED}

STATES: dict[str, Later] = {
    "open": lazy_gettext("Waits for a second person"),
    "cooling": lazy_gettext("Cooling off"),
    "ready": lazy_gettext("Ready for a code"),
    "issued": lazy_gettext("Code given out"),
    "used": lazy_gettext("Used"),
    "denied": lazy_gettext("Denied"),
    "stopped": lazy_gettext("Stopped"),
    "expired": lazy_gettext("Expired"),
}
UNKNOWN_ACTION = lazy_gettext("Please choose what to do.")


@pages.get("/admin/recovery")
@require_role("help_desk", "administrator", "auditor")
def cases() -> Response:
    """List cases: those that wait for a second person, those under way, those that are over."""
    shelf = web.single("show") if web.single("show") in SHELVES else "running"
    offset = int(web.single("from")) if web.single("from").isascii() and web.single("from").isdigit() else 0
    found = recovery_case.search(states=SHELVES[shelf], limit=PER_PAGE, offset=min(offset, 10**6))
    names = _names(case.opened_by for case in found.items)
    return page(
        "admin_recovery.html",
        "recovery",
        shelf=shelf,
        found=found,
        names=names,
        states=STATES,
        waiting=recovery_case.search(states=(OPEN,), limit=1).total,
        next=found.offset + PER_PAGE if found.offset + PER_PAGE < found.total else None,
    )


@pages.route("/admin/people/<sub>/recover", methods=["GET", "POST"])
@web.csrf_protected
@require_role("help_desk", "administrator")
def begin(sub: str) -> Response:
    """Open a case for a person, with a reason and how their identity was checked."""
    user = users.get_by_sub(sub)
    if request.method == "GET":
        return _form(user, {})
    given = {name: web.single(name) for name in ("reason", "proof", "proof_note")}
    keep = web.single("factors") == "keep"
    try:
        case = recovery_desk.open_case(user, by=recovery_desk.desk_of(staff()), remove_factors=not keep, **given)
    except BadInput as wrong:
        return _form(user, {**given, "keep": keep}, fields=wrong.fields, status=400)
    except (Conflict, Forbidden) as refused:
        return _form(user, {**given, "keep": keep}, error=refused.public, status=refused.status)
    return web.see_other(f"/admin/recovery/{case.public_id}")


@pages.route("/admin/recovery/<public_id>", methods=["GET", "POST"])
@web.csrf_protected
@require_role("help_desk", "administrator", "auditor")
def one(public_id: str) -> Response:
    """Show a case and do what its state allows."""
    case = recovery_case.get(public_id)
    if request.method == "GET":
        return _case_page(case)
    try:
        _act(case, web.single("action"))
    except IdpError as refused:
        return _case_page(recovery_case.get(public_id), error=refused.public, status=refused.status)
    return web.see_other(f"/admin/recovery/{public_id}")


def _act(case: RecoveryCase, action: str) -> None:
    if not {"help_desk", "administrator"} & set(staff().roles):
        raise Forbidden(str(lazy_gettext("An auditor looks on and changes nothing.")))
    by, reason = recovery_desk.desk_of(staff()), web.single("reason")
    if action == "approve":
        recovery_desk.approve(case, by=by)
    elif action == "deny":
        recovery_desk.deny(case, by=by, reason=reason)
    elif action == "stop":
        recovery_desk.stop(case, by=by, reason=reason)
    elif action == "issue":
        _show_for_a_while(case, recovery_desk.issue(case, by=by))
    elif action == "hide":
        kv.client().delete(_code_key(case))
    else:
        raise BadInput(public=str(UNKNOWN_ACTION))


def _form(
    user: users.User,
    given: dict[str, object],
    *,
    fields: dict[str, list[str]] | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    four_eyes = recovery_desk.four_eyes(user)
    return page(
        "admin_recovery_new.html",
        "people",
        status,
        user=user,
        given=given,
        fields=fields or {},
        error=error,
        proofs=PROOFS,
        four_eyes=four_eyes,
        minutes=settings().recovery.cool_off_s // 60,
    )


def _case_page(case: RecoveryCase, *, error: str | None = None, status: int = 200) -> Response:
    by, acts = recovery_desk.desk_of(staff()), bool({"help_desk", "administrator"} & set(staff().roles))
    stands = case.stands
    yourself = by.actor == case.user.sub
    return page(
        "admin_recovery_case.html",
        "recovery",
        status,
        case=case,
        stands=stands,
        state=STATES[stands],
        proof=PROOFS.get(case.proof, case.proof),
        names=_names([case.opened_by, case.approved_by, case.issued_by, case.closed_by]),
        error=error,
        acts=acts,
        may_approve=acts and stands == OPEN and recovery_desk.approving(case, by) is None,
        why_not=recovery_desk.approving(case, by) if acts and stands == OPEN else None,
        may_deny=acts and stands == OPEN and not yourself,
        may_issue=acts and stands in (READY, ISSUED) and not yourself,
        may_stop=acts and stands in (COOLING, READY, ISSUED),
        raw_code=_shown_code(case) if acts and stands == ISSUED else None,
        code_minutes=settings().recovery.code_s // 60,
        unreachable=not case.user.verified_emails,
    )


def _names(actors: Iterable[str | None]) -> dict[str, str]:
    """Return whom each actor is: a person's name, or the operator as they are written down."""
    known = {actor: users.find_by_sub(actor) for actor in set(actors) if actor}
    return {actor: user.display_name if user else actor for actor, user in known.items()}


# --- a code that was just made: readable for five minutes, in the browser that made it ------------------------


def _show_for_a_while(case: RecoveryCase, raw_code: str) -> None:
    sealed = crypto.seal(raw_code.encode(), aad=_aad(case))
    kv.client().set(_code_key(case), base64.b64encode(sealed).decode(), ex=SHOWN_S)


def _shown_code(case: RecoveryCase) -> str | None:
    kept = kv.client().get(_code_key(case))
    if not kept:
        return None
    try:
        raw_code = crypto.unseal(base64.b64decode(str(kept)), aad=_aad(case)).decode()
    except crypto.SealBroken:
        return None
    return raw_code


def _code_key(case: RecoveryCase) -> str:
    return kv.key("admin", "code", case.public_id, crypto.digest(f"{staff().sub}|{web.browser_id()}"))


def _aad(case: RecoveryCase) -> str:
    """Bind a shown code to its case and its making: one that a newer code replaced does not open."""
    return f"shown-code:{case.public_id}:{case.code_mac}"
