"""The dispatcher of /authorize: validate → sign-in owed? → consent owed? → issue.

`proceed` is the only place that knows this order. Whoever is sent away, to sign in or to decide, comes back to it through
`resume`, and everything is decided anew from what the parked request says and who is signed in then.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError
from flask import Response

from idp import audit, authn, clients, clock, joining, sessions, web
from idp.clients import Client
from idp.config import settings
from idp.db import db
from idp.oauth import (
    answers,
    authorization_details,
    authorization_request,
    codes,
    consent,
    front_channel,
    once,
    par,
    parked,
    refusals,
    request_object,
    resources,
    response_types,
    session_bond,
    session_management,
    subjects,
    tokens,
)
from idp.oauth.authorization_request import CREATE, AuthorizationRequest, Refused
from idp.oauth.codes import CodeGrant
from idp.oauth.errors import InvalidRequestObject, UnmetAuthenticationRequirements, Unproven
from idp.oauth.params import Params
from idp.oauth.parked import Parked
from idp.record import Record
from idp.sessions import SsoSession

RESUME = "/authorize/resume"


class Asking(Record):
    """A request on its way: what is asked, since when, and whether it is parked already."""

    request: AuthorizationRequest
    asked_at: datetime
    parked: Parked | None = None


def begin(params: Params) -> Response:
    """Answer a GET /authorize. Raises Unproven for what may not be answered anywhere else."""
    request = _read(params)
    if isinstance(request, Refused):
        return _refuse(request)
    return proceed(Asking(request, clock.now()))


def begin_from_elsewhere(params: Params) -> Response:
    """Answer a POST /authorize: park it, and let the browser come back with a GET that carries its cookies (O-9).

    Another site's POST arrives without our SameSite cookies, and would look like a browser where nobody is signed in.
    """
    request = _read(params)
    waiting = parked.park(request, asked_at=clock.now().timestamp(), browser=None)
    return web.see_other(f"{RESUME}?txn={waiting.txn}")


def resume(txn: str) -> Response:
    """Go on with a parked request. Raises parked.Gone."""
    waiting = _waiting(txn)
    if waiting.refusal is not None:
        return _refuse(waiting.refusal, waiting)
    return proceed(_asking(waiting))


def proceed(asking: Asking) -> Response:
    """Decide what is owed next, and answer when nothing is."""
    session, request = sessions.current(), asking.request
    web.suggest_language(list(request.ui_locales))
    client = clients.get(request.client_id)
    if CREATE in request.prompt and not (asking.parked and asking.parked.offered):
        return _offer_account(asking)
    try:
        demand = _sign_in_owed(asking, client, session)
        if demand is not None or session is None:
            return _demand_sign_in(asking, client, demand or _demand(asking, client))
        if _consent_owed(asking, client, session, about_to_issue=True):
            return _ask_consent(asking)
        return _issue(asking, client, session)
    except OAuth2Error as error:
        return _refuse(Refused(error, request.reply, is_silent=request.is_silent), asking.parked)


def question(txn: str) -> tuple[AuthorizationRequest, Client, SsoSession] | None:
    """Return what the consent page shows; None when nothing is to be decided (any more), and the browser should resume."""
    waiting = _waiting(txn)
    session = sessions.current()
    if waiting.request is None or session is None:
        return None
    asking, client = _asking(waiting), clients.get(waiting.request.client_id)
    if _sign_in_owed(asking, client, session) or not _consent_owed(asking, client, session):
        return None
    parked.save(dataclasses.replace(waiting, shown_to=session.sub))
    return waiting.request, client, session


def decide(txn: str, *, allowed: bool) -> Response:
    """Take the person's decision about a parked request; the form says yes or no and nothing else (attack 15)."""
    waiting = _waiting(txn)
    session = sessions.current()
    if waiting.request is None or session is None or waiting.shown_to != session.sub:
        return web.see_other(f"{RESUME}?txn={txn}")  # somebody else signed in meanwhile: ask them
    if not allowed:
        _burn(waiting.request)
        consent.deny(session.sub, waiting.request, sid=session.sid)
        told = AccessDeniedError("The person did not allow this.")
        return _answer_no(Refused(told, waiting.request.reply, is_silent=False), waiting, session)
    consent.grant(session.sub, waiting.request, sid=session.sid)
    return proceed(_asking(dataclasses.replace(waiting, agreed=session.sub)))


# --- what is owed -------------------------------------------------------------------------------------------------


def _sign_in_owed(asking: Asking, client: Client, session: SsoSession | None) -> authn.Demand | None:
    """Return what the person must still prove, or None. Raises OAuth2Error where only the client can help."""
    request, demand = asking.request, _demand(asking, client)
    owes = not authn.satisfied(session, demand)
    hinted = request.hinted_sub
    if session is not None and hinted is not None and not subjects.names(client, hinted, session.sub):
        if session.auth_time >= asking.asked_at:
            raise LoginRequiredError("Somebody else signed in than the one whom the request is about.")
        owes, demand = True, dataclasses.replace(demand, prompt=demand.prompt | {"login"})
    if owes and request.is_silent:
        raise LoginRequiredError("Nobody is signed in here as the request demands, and prompt is none.")
    return demand if owes else None


def _demand(asking: Asking, client: Client) -> authn.Demand:
    """Translate the request for the rooms that sign people in and have never heard of OAuth."""
    request = asking.request
    prompt = frozenset(request.prompt) & {"login", "select_account"}
    return authn.Demand(
        return_to=RESUME,
        acr=_acr(request),
        max_age_s=request.max_age_s,
        prompt=prompt | ({"login"} if request.max_age_s == 0 else set()),
        login_hint=request.login_hint,
        client_name=client.client_name,
        asked_at=asking.asked_at,
        form_targets=(web.origin_of(request.reply.redirect_uri),),
        purpose=_purpose(request),
    )


def _purpose(request: AuthorizationRequest) -> tuple[str, ...]:
    """Say what a step up is about: the details of the request (RFC 9396), else what its scopes open at services."""
    lines = [
        line for detail in authorization_details.shown(request.authorization_details) for line in _lines_of(detail)
    ]
    identity = (None, resources.userinfo())
    lines = lines or [resources.sentence(scope) for scope in request.scopes if resources.owner(scope) not in identity]
    return tuple(line[:200] for line in lines[:12])


def _lines_of(detail: authorization_details.Shown) -> list[str]:
    return [detail.sentence, *(f"{name}: {value}" for name, value in detail.facts)]


def _acr(request: AuthorizationRequest) -> str | None:
    """Return the first requested acr that can be reached here. Raises UnmetAuthenticationRequirements for an essential one.

    A passkey is demanded only where nothing weaker would do: named among others it is a wish, and who has one is asked for it first anyway.
    """
    reachable = [value for value in request.acr_values if value in authn.SUPPORTED]
    if not reachable and request.acr_is_essential:
        raise UnmetAuthenticationRequirements("None of the essential acr values can be reached here.")
    softer = [value for value in reachable if value != authn.PHISHING_RESISTANT]
    return next(iter(softer or reachable), None)


def _consent_owed(asking: Asking, client: Client, session: SsoSession, *, about_to_issue: bool = False) -> bool:
    agreed = asking.parked is not None and asking.parked.agreed == session.sub
    if agreed or client.first_party:
        return False
    look = consent.hold if about_to_issue else consent.remembered
    return consent.owed(asking.request, client, look(session.sub, client.client_id), agreed=False)


# --- where it goes next -------------------------------------------------------------------------------------------


def _demand_sign_in(asking: Asking, client: Client, demand: authn.Demand) -> Response:
    session = sessions.current()
    if session is not None and asking.parked is None:
        audit.record(
            audit.Event.STEP_UP_REQUIRED,
            subject=session.sub,
            client_id=client.client_id,
            sid=session.sid,
            acr=demand.acr,
            max_age_s=demand.max_age_s,
            prompt=" ".join(sorted(demand.prompt)) or None,
        )
    waiting = _parked(asking)
    return authn.demand(dataclasses.replace(demand, return_to=f"{RESUME}?txn={waiting.txn}"))


def _offer_account(asking: Asking) -> Response:
    """Lead somebody to where an account is asked for (prompt=create), once; they come back if they have one after all."""
    waiting = _parked(asking)
    parked.save(dataclasses.replace(waiting, offered=True))
    where = urlencode({"client": asking.request.client_id, "txn": waiting.txn})
    return web.see_other(f"{joining.requests.PATH}?{where}")


def _ask_consent(asking: Asking) -> Response:
    if asking.request.is_silent:
        raise ConsentRequiredError("The person has not allowed this yet, and prompt is none.")
    return web.see_other(f"/consent?txn={_parked(asking).txn}")


def _issue(asking: Asking, client: Client, session: SsoSession) -> Response:
    """Begin a token family and send its code; a request is answered once."""
    request = asking.request
    _use_up(request)
    if asking.parked is not None:
        parked.take(asking.parked.txn)
    granted = resources.Asked(request.scopes, request.resources)
    family = tokens.open_family(
        session,
        client_id=client.client_id,
        granted=granted,
        claims=request.claims or {},
        offline=resources.OFFLINE in request.scopes,
        authorization_details=request.authorization_details,
    )
    _write_down(asking, session, family)
    if response_types.by_browser(request.answered_with):
        _outlast(family)
    sent = _code(request, family) if response_types.CODE in request.answered_with else {}
    if response_types.by_browser(request.answered_with):
        sent |= front_channel.tokens_for(request, client, family, raw_code=sent.get("code"))
    sent |= session_management.answered_with(client, request.reply.redirect_uri, session)
    return answers.succeed(request.reply, sent)


def _outlast(family: tokens.Family) -> None:
    """Commit the family before tokens of it leave by the browser, so that no end of the session misses it; codes are judged when they
    are redeemed. Raises LoginRequiredError when it has ended."""
    db.session.commit()
    if not session_bond.holds(family):
        raise LoginRequiredError("The person has signed out meanwhile.")


def _code(request: AuthorizationRequest, family: tokens.Family) -> dict[str, str]:
    grant = CodeGrant(
        family_id=family.id,
        client_id=family.client_id,
        redirect_uri=request.reply.redirect_uri,
        redirect_uri_sent=request.redirect_uri_sent,
        challenge=request.challenge,
        nonce=request.nonce,
        issued_at=clock.epoch(),
    )
    return {"code": codes.issue(grant)}


def _use_up(request: AuthorizationRequest) -> None:
    """What was pushed or signed for one use ends when the request is answered, not when a page loads (RFC 9126 section 7.3)."""
    if not _burn(request):
        raise InvalidRequestObject("The request was answered before; begin a new one.")


def _burn(request: AuthorizationRequest) -> bool:
    lifetime_s = request_object.MAX_AHEAD_S + settings().oauth.request_s
    return not request.once or once.burn(request.once, lifetime_s=lifetime_s)


def _write_down(asking: Asking, session: SsoSession, family: tokens.Family) -> None:
    seen = {"subject": session.sub, "client_id": family.client_id, "sid": session.sid, "acr": session.acr}
    if session.auth_time < asking.asked_at:
        audit.record(audit.Event.SESSION_PRESENTED, actor=session.sub, amr=session.amr, **seen)
    audit.record(
        audit.Event.AUTHORIZATION_GRANTED,
        actor=session.sub,
        amr=session.amr,
        family=family.id,
        scope=family.scope,
        resources=list(family.resources),
        **seen,
    )


# --- saying no ----------------------------------------------------------------------------------------------------


def _read(params: Params) -> AuthorizationRequest | Refused:
    try:
        return authorization_request.read(par.unfold(params))
    except Refused as refused:
        return refused
    except Unproven as unproven:
        verdict = refusals.record(
            audit.Event.AUTHORIZATION_DENIED,
            reason=unproven.reason,
            asked_client=refusals.named(params.get("client_id")) or "",
            asked_redirect_uri=(params.get("redirect_uri") or "")[:200],
        )
        verdict.insist()
        raise


def _refuse(refused: Refused, waiting: Parked | None = None) -> Response:
    """Tell the client, but only a browser where somebody is signed in is sent on with an error: else a link to us with a
    crafted error would be a free ride to the client's site (F-3, RFC 9700 section 4.11). prompt=none is the exception."""
    session = sessions.current()
    if session is None and not refused.is_silent:
        waiting = waiting or parked.park(refused, asked_at=clock.now().timestamp(), browser=web.browser_id())
        client = clients.get(refused.reply.client_id)
        return authn.demand(
            authn.Demand(
                return_to=f"{RESUME}?txn={waiting.txn}",
                client_name=client.client_name,
                form_targets=(web.origin_of(refused.reply.redirect_uri),),
            )
        )
    return _answer_no(refused, waiting, session)


def _answer_no(refused: Refused, waiting: Parked | None, session: SsoSession | None) -> Response:
    if waiting is not None:
        parked.take(waiting.txn)
    if session is not None or not refused.is_silent:  # asking silently whether anybody is there is no event
        refusals.record(
            audit.Event.AUTHORIZATION_DENIED,
            subject=session.sub if session else None,
            sid=session.sid if session else None,
            client_id=refused.reply.client_id,
            reason=f"{refused.error.error}: {refused.error.get_error_description()}",
        )
    return answers.fail(refused.reply, refused.error)


# --- parked -------------------------------------------------------------------------------------------------------


def _waiting(txn: str) -> Parked:
    """Return what this browser has parked. Raises parked.Gone; Unproven where its client has given up the address to answer to since."""
    waiting = parked.find(txn)
    reply = waiting.reply
    client = clients.get(reply.client_id)
    if client.find_redirect_uri(reply.redirect_uri) is None:
        raise Unproven(authorization_request.UNREGISTERED, app=client.client_name)
    return waiting


def _parked(asking: Asking) -> Parked:
    if asking.parked is not None:
        return asking.parked
    return parked.park(asking.request, asked_at=asking.asked_at.timestamp(), browser=web.browser_id())


def _asking(waiting: Parked) -> Asking:
    if waiting.request is None:
        raise parked.Gone()
    return Asking(waiting.request, datetime.fromtimestamp(waiting.asked_at, UTC), waiting)
