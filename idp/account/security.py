"""Sign-in and security: the password, passkeys, authenticator apps, recovery codes, trusted browsers, and what is demanded.

Every action is a form of its own. What adds or replaces something is an errand of a sign-in (`authn.demand`), which asks for a proof of
the last minute; what takes something away has a page that says what it means, and asks for a proof of the last minutes (C-15, ASVS 7.5.1).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Response

from idp import authn, sessions, web
from idp.account.frame import mine, pages
from idp.authn import Demand, assurance, browsers, factors, flow, guard, policy, trusted
from idp.authn.factors import Authenticator, passkey, password, recovery_code, totp
from idp.authn.policy import Policy
from idp.authn.trusted import TrustedDevice
from idp.errors import BadInput, NotFound
from idp.language import gettext, lazy_gettext, ngettext
from idp.sessions import SsoSession
from idp.users import User

PAGE = "/account/security"
CHANGED = "factor_changed"  # why sessions and trusts end

DONE = {
    "added": lazy_gettext("Your new second step is ready."),
    "replaced": lazy_gettext("Your new second step is ready, and the old one is gone."),
    "removed": lazy_gettext("It is removed, and no longer signs you in."),
    "renamed": lazy_gettext("The new name is saved."),
    "codes": lazy_gettext("Your new recovery codes count now; the old ones are gone."),
    "password": lazy_gettext("Your password is changed."),
    "untrusted": lazy_gettext("That browser asks for your second step again."),
    "untrusted-all": lazy_gettext("Every browser asks for your second step again."),
}
CHANGES = ("added", "replaced")  # after these, the page offers to sign out elsewhere (ASVS 7.4.3)
GONE = lazy_gettext("This is gone already. Your page shows what there is now.")


@pages.get(PAGE)
@guard.login_required
def security() -> Response:
    """Show how this person signs in, and what they can change about it."""
    here, user = mine()
    return _page(here, user)


@pages.post(f"{PAGE}/add")
@web.csrf_protected
@guard.login_required
def add_authenticator() -> Response:
    """Lead to a new passkey or authenticator app, by way of a fresh proof."""
    _, user = mine()
    name = web.single("factor")
    if name not in _may_add(user):
        raise NotFound()
    return authn.demand(Demand(return_to=f"{PAGE}?done=added", then=(f"enrol_{name}",)))


@pages.post(f"{PAGE}/replace")
@web.csrf_protected
@guard.login_required
def replace_authenticator() -> Response:
    """Lead to a new one of the same kind; when it works, the old one is removed."""
    _, user = mine()
    old = _lasting(user, web.single("id"))
    if old.factor not in _may_add(user):
        raise NotFound()
    return authn.demand(
        Demand(return_to=f"{PAGE}?done=replaced", then=(f"enrol_{old.factor}",), replaces=old.public_id)
    )


@pages.post(f"{PAGE}/rename")
@web.csrf_protected
@guard.login_required
def rename_authenticator() -> Response:
    """Give an authenticator another name; the page says what is wrong with one that cannot be kept."""
    here, user = mine()
    one = _lasting(user, web.single("id"))
    try:
        factors.rename(user, one.public_id, web.single("label"))
    except BadInput as problem:
        return _page(here, user, wrong={"id": one.public_id, "label": web.single("label"), "why": problem.public})
    return web.see_other(f"{PAGE}?done=renamed")


@pages.get(f"{PAGE}/remove")
@guard.login_required
def ask_to_remove() -> Response:
    """Say what removing an authenticator means, or why it must stay and what to do instead (C-15)."""
    here, user = mine()
    one = _lasting(user, web.single("id"))
    if factors.must_stay(user, one.public_id):
        return _removal_page(user, one)
    return _proof_owed(here, user, one) or _removal_page(user, one)


@pages.post(f"{PAGE}/remove")
@web.csrf_protected
@guard.login_required
def remove_authenticator() -> Response:
    """Remove an authenticator; trusted browsers end with it, and the person's other sessions if they say so (ASVS 7.4.3)."""
    here, user = mine()
    one = _lasting(user, web.single("id"))
    if owed := _proof_owed(here, user, one):
        return owed
    try:
        removed = factors.remove(user, one.public_id, actor=user.sub)
    except factors.LastFactor:
        return _removal_page(user, one, status=409)
    if not removed:
        raise NotFound(str(GONE))
    trusted.end_all(user, actor=user.sub, reason=CHANGED)
    if web.single("end_others"):
        sessions.end_all(user.sub, cause=CHANGED, except_sid=here.sid)
    return web.see_other(f"{PAGE}?done=removed")


@pages.post(f"{PAGE}/codes")
@web.csrf_protected
@guard.login_required
def new_codes() -> Response:
    """Lead to a new set of recovery codes, which replaces the old one."""
    return authn.demand(Demand(return_to=f"{PAGE}?done=codes", then=("recovery_codes",)))


@pages.post(f"{PAGE}/password")
@web.csrf_protected
@guard.login_required
def new_password() -> Response:
    """Lead to a new password (7.96)."""
    return authn.demand(Demand(return_to=f"{PAGE}?done=password", then=("password_change",)))


@pages.post(f"{PAGE}/untrust")
@web.csrf_protected
@guard.login_required
def untrust() -> Response:
    """End one trusted browser. That of somebody else is as unknown as none."""
    _, user = mine()
    if not trusted.end(user, web.single("id"), actor=user.sub, reason="user"):
        raise NotFound(str(GONE))
    return web.see_other(f"{PAGE}?done=untrusted")


@pages.post(f"{PAGE}/untrust-all")
@web.csrf_protected
@guard.login_required
def untrust_all() -> Response:
    """End every trusted browser of this person."""
    _, user = mine()
    trusted.end_all(user, actor=user.sub, reason="user")
    return web.see_other(f"{PAGE}?done=untrusted-all")


def _page(here: SsoSession, user: User, *, wrong: dict[str, str] | None = None) -> Response:
    owed, done = policy.of(user), web.single("done")
    mine_now = factors.authenticators(user)
    return web.page(
        "account_security.html",
        400 if wrong else 200,
        station="security",
        notice=None if wrong else DONE.get(done),
        wrong=wrong,
        offer_end=done in CHANGES and len(sessions.of(user.sub)) > 1,
        username=user.username,
        password=password.state(user),
        passkeys=[_shown(user, one) for one in mine_now if one.factor == passkey.name],
        apps=[_shown(user, one) for one in mine_now if one.factor == totp.name],
        may_add=_may_add(user),
        codes=_codes(user),
        browsers=[_shown_browser(row) for row in trusted.of(user)],
        trust_days=owed.trusted_device_s // 86400,
        demanded=_demanded(owed),
        signals=passkey.signals(user),
    )


def _removal_page(user: User, one: Authenticator, *, status: int = 200) -> Response:
    return web.page(
        "account_remove_factor.html",
        status,
        station="security",
        one=_shown(user, one),
        is_only=not [other for other in _all_lasting(user) if other.public_id != one.public_id],
        others=len(sessions.of(user.sub)) - 1,
        may_add=_may_add(user),
    )


def _proof_owed(here: SsoSession, user: User, one: Authenticator) -> Response | None:
    """Lead to a fresh proof and back to the question: of both factors where there is a second one, made in the last minutes (N-20)."""
    acr = assurance.TWO_FACTORS if any(one.usable for one in factors.authenticators(user)) else None
    if assurance.reaches(here.acr, acr) and assurance.age_s(here) <= flow.FRESH_S:
        return None
    purpose = (gettext("Remove “%(name)s”", name=one.label),)
    back = f"{PAGE}/remove?{urlencode({'id': one.public_id})}"
    return authn.demand(Demand(return_to=back, acr=acr, max_age_s=flow.FRESH_S, purpose=purpose))


def _all_lasting(user: User) -> list[Authenticator]:
    return [one for one in factors.authenticators(user) if one.factor in (passkey.name, totp.name)]


def _lasting(user: User, public_id: str) -> Authenticator:
    """Return what this person has bound under that id. Somebody else's is as unknown as none. Raises NotFound."""
    found = next((one for one in _all_lasting(user) if one.public_id == public_id), None)
    if found is None:
        raise NotFound(str(GONE))
    return found


def _may_add(user: User) -> tuple[str, ...]:
    """Return the names of the factors that the policy lets them enrol and of which they have not too many."""
    counts = {passkey.name: (passkey, passkey.MOST), totp.name: (totp, totp.MOST)}
    allowed = [name for name in policy.of(user).factors if name in counts]
    return tuple(name for name in allowed if len(counts[name][0].authenticators(user)) < counts[name][1])


def _shown(user: User, one: Authenticator) -> dict[str, Any]:
    return {
        "id": one.public_id,
        "factor": one.factor,
        "label": one.label,
        "detail": one.detail,
        "created_at": one.created_at,
        "last_used_at": one.last_used_at,
        "usable": one.usable,
        "allowed": one.factor in policy.of(user).factors,
        "must_stay": factors.must_stay(user, one.public_id),
    }


def _shown_browser(row: TrustedDevice) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "device": browsers.described(row.user_agent),
        "address": row.address,
        "last_used_at": row.last_used_at,
        "expires_at": row.expires_at,
        "is_here": trusted.is_here(row),
    }


def _codes(user: User) -> dict[str, Any] | None:
    """Return how many codes are left, or None where there is nothing that they could stand in for."""
    found = recovery_code.authenticators(user)
    if found:
        return {"left": recovery_code.remaining(user), "made_at": found[0].created_at}
    return {"left": 0, "made_at": None} if _all_lasting(user) else None


def _demanded(owed: Policy) -> list[str]:
    """Say in sentences what the policy demands of this person."""
    told = []
    if owed.min_acr == assurance.PHISHING_RESISTANT:
        told.append(gettext("Every sign-in needs a passkey, because it cannot be given away to a false page."))
    elif owed.require_second:
        told.append(gettext("Every sign-in needs a second step beside the password."))
    else:
        told.append(gettext("A second step is up to you. We recommend one: a stolen password is then not enough."))
    if len(owed.factors) == 1:
        told.append(_only(owed.factors[0]))
    minutes, hours = owed.idle_s // 60, max(1, owed.absolute_s // 3600)
    told.append(
        ngettext(
            "After %(num)s minute without use you are signed out.",
            "After %(num)s minutes without use you are signed out.",
            minutes,
        )
    )
    told.append(
        ngettext(
            "After %(num)s hour you sign in again in any case.",
            "After %(num)s hours you sign in again in any case.",
            hours,
        )
    )
    return told


def _only(name: str) -> str:
    if name == passkey.name:
        return gettext("The second step has to be a passkey.")
    return gettext("The second step has to be an authenticator app.")
