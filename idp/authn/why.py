"""why — why somebody who is signed in is asked again: who asks, for what, and what is missing. Told on every page of such a flow.

An application asks by `acr_values` (stronger), `max_age` (more recent), `prompt=login`, or because a service of its refused a token
(RFC 9470); pages of ours ask by the guard. What it is about comes from `authorization_details` or the scopes, as the consent page
would tell it. Whoever did not begin this is told to stop (the page is what a trick would lead to).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from idp import language, sessions
from idp.authn import assurance, policy
from idp.authn.assurance import PHISHING_RESISTANT, Demand
from idp.authn.flow import LoginFlow
from idp.language import gettext, lazy_gettext, ngettext
from idp.record import Record
from idp.sessions import SsoSession
from idp.users import User

OURS = lazy_gettext("This page of your account")  # who asks, when it is no application


class Why(Record):
    """What the page says: the reasons as sentences that name who asks, what it is about, who is signed in."""

    reasons: tuple[str, ...]
    purpose: tuple[str, ...]
    username: str


def of(found: LoginFlow, user: User | None) -> Why | None:
    """Return why the person of this browser's session is asked again; None when nobody is signed in, or it is about something else."""
    session = sessions.current()
    if session is None or user is None or user.sub != session.sub or found.sub not in (None, session.sub):
        return None
    if found.demand.then or "select_account" in found.demand.prompt or "other" in found.errands:
        return None
    reasons = tuple(_reasons(session, found.demand, user))
    return Why(reasons, found.demand.purpose, user.username) if reasons else None


def _reasons(session: SsoSession, demand: Demand, user: User) -> Iterator[str]:
    asker = _asker(demand)
    wanted = assurance.stronger(demand.acr, policy.of(user).min_acr)
    if not assurance.reaches(session.acr, wanted):
        yield _stronger(asker, wanted)
    if demand.max_age_s is not None and assurance.age_s(session) > demand.max_age_s:
        yield _recent(asker, demand.max_age_s, session)
    elif "login" in demand.prompt:
        yield gettext("%(asker)s wants you to sign in again, even if you have just done so.", asker=asker)


def _stronger(asker: str, wanted: str | None) -> str:
    if wanted == PHISHING_RESISTANT:
        return gettext("%(asker)s needs a passkey here: a proof that nobody can trick you out of.", asker=asker)
    return gettext("%(asker)s needs a second proof here, beside your password.", asker=asker)


def _recent(asker: str, max_age_s: int, session: SsoSession) -> str:
    minutes = max(1, math.ceil(max_age_s / 60))
    when = language.moment(session.auth_time)
    return ngettext(
        "%(asker)s needs a proof of the last minute. Your last one was at %(when)s.",
        "%(asker)s needs a proof of the last %(num)s minutes. Your last one was at %(when)s.",
        minutes,
        asker=asker,
        when=when,
    )


def _asker(demand: Demand) -> str:
    return demand.client_name or str(OURS)
