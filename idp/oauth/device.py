"""Device authorization: a device without a keyboard is allowed from a browser (RFC 8628).

The device asks at /device_authorization and shows eight letters. The person types them at /device, signs in if that is owed, and is
shown what will be able to do what, as whom, and where it was started. That page is owed always: also for our own applications, whose
consent nobody asks, and also when the letters came with the address. For whoever sends a stranger a link or a code hopes that it is
followed without a thought (RFC 8628 section 5.4), and this page is the only place where the stranger can notice.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import orjson
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import UnauthorizedClientError
from flask import Response

from idp import audit, authn, clients, clock, crypto, kv, limits, sessions, web
from idp.authn import guard
from idp.clients import Client
from idp.config import settings
from idp.errors import IdpError
from idp.language import gettext, lazy_gettext, marked
from idp.oauth import authorization_details, client_auth, consent, device_codes, params, resources, server, tokens
from idp.oauth.authorization_request import AuthorizationRequest, ReplyTo
from idp.oauth.device_codes import DeviceGrant
from idp.oauth.grants.device_code import DeviceCodeGrant
from idp.oauth.params import Params
from idp.record import Record
from idp.sessions import SsoSession
from idp.web import Answer

ENTRY, CONFIRM = "/device", "/device/confirm"
STARTS, STARTS_WINDOW_S = 120, 60  # device authorizations of one client and address
GUESSES_OF_BROWSER, GUESSES_OF_ADDRESS, GUESSES_OF_ALL, GUESSES_WINDOW_S = 10, 60, 3000, 600

WRONG_CODE = lazy_gettext(
    "This code is not right, or it has expired. Check the letters on your device, or let it show a new code."
)


class Over(IdpError):
    """The code was decided on, has expired, or was typed into another browser."""

    code = "device_code_expired"
    public = marked("This code has expired or was used already. Let your device show a new one, then type that.")


class Pending(Record):
    """A code that this browser's person typed and has not decided on."""

    txn: str
    digest: str
    browser: str
    asked_at: float
    shown_to: str | None = None  # the subject who saw the confirmation


# --- the device ---------------------------------------------------------------------------------------------------


def start() -> Answer:
    """POST /device_authorization (RFC 8628 section 3.1): the client authenticates as it registered."""
    sent = Params({})
    try:
        sent = params.of_form()
        client = client_auth.authenticate(sent, web.call().header("AUTHORIZATION"))
        if not client.check_grant_type(DeviceCodeGrant.GRANT_TYPE):
            raise UnauthorizedClientError("The client is not registered for the device code grant.")
        asked = resources.allowed(client, sent.words("scope"), sent.resources)
        details, asked = authorization_details.read(sent, client, asked)
    except OAuth2Error as error:
        return server.refuse(error, sent)
    address = web.context().address or "unknown"
    limits.spend(
        "device_authorization", f"{client.client_id} {address}", count=STARTS, window_s=STARTS_WINDOW_S
    ).insist()
    started = device_codes.start(client.client_id, asked, address=address, details=details)
    audit.record(audit.Event.DEVICE_STARTED, client_id=client.client_id, scopes=list(asked.scopes))
    return server.answer(_told(started))


def _told(started: device_codes.Started) -> dict[str, str | int]:
    uri = f"{settings().server.issuer}{ENTRY}"
    return {
        "device_code": started.raw_device_code,
        "user_code": started.user_code,
        "verification_uri": uri,
        "verification_uri_complete": f"{uri}?{urlencode({'user_code': started.user_code})}",
        "expires_in": device_codes.EXPIRES_S,
        "interval": device_codes.INTERVAL_S,
    }


# --- the person ---------------------------------------------------------------------------------------------------


def entry() -> Response:
    """GET /device: ask for the letters; those of verification_uri_complete stand in the field already (section 3.3.1)."""
    code = device_codes.read(web.single("user_code"))
    return web.page("device_code.html", user_code=device_codes.shown(code) if code else "", error=None)


def enter() -> Response:
    """POST /device: look the letters up and go on to the confirmation. Guesses are counted before they are judged."""
    typed = web.single("user_code")[:64]
    _count_guess()
    grant = device_codes.find_by_user_code(typed)
    if grant is None or clients.find(grant.client_id) is None:
        audit.record(audit.Event.DEVICE_CODE_REJECTED)
        return web.page("device_code.html", 400, user_code=typed, error=WRONG_CODE)
    pending = Pending(crypto.random_token(24), grant.digest, web.browser_id(), clock.now().timestamp())
    _save(pending)
    return web.see_other(f"{CONFIRM}?txn={pending.txn}")


def question() -> Response:
    """GET /device/confirm: sign in if that is owed; then say who asks for what, from where, and as whom."""
    pending, grant, client = _asked()
    signed_in = guard.signed_in()
    demand = _demand(pending, client)
    if signed_in is None or not authn.satisfied(signed_in[0], demand):
        return authn.demand(demand)
    session, user = signed_in
    _save(replace(pending, shown_to=session.sub))
    return web.page(
        "device_confirm.html",
        txn=pending.txn,
        client_name=client.client_name,
        user_code=grant.user_code,
        display_name=user.display_name,
        username=user.username,
        scopes=[{"name": name, "sentence": resources.sentence(name)} for name in grant.asked.scopes],
        details=authorization_details.shown(grant.authorization_details),
        lifetime=_lifetime(grant),
        address=grant.address,
        near=limits.network_bucket(grant.address) == limits.network_bucket(web.context().address or ""),
        started_at=datetime.fromtimestamp(grant.started_at, UTC),
    )


def decide() -> Response:
    """POST /device/confirm: take the decision of the person who saw the question, once."""
    decision = web.single("decision")
    pending, grant, client = _asked()
    session = sessions.current()
    if decision not in ("allow", "deny") or session is None or session.sub != pending.shown_to:
        return web.see_other(f"{CONFIRM}?txn={pending.txn}")  # somebody else signed in meanwhile: ask them
    if not authn.satisfied(session, _demand(pending, client)):
        return web.see_other(f"{CONFIRM}?txn={pending.txn}")
    if decision == "deny":
        _deny(grant, session)
    else:
        _approve(grant, client, session)
    kv.client().delete(_key(pending.txn))
    return web.page("device_done.html", client_name=client.client_name, allowed=decision == "allow")


# --- inside -------------------------------------------------------------------------------------------------------


def _lifetime(grant: DeviceGrant) -> str:
    return (
        gettext("Until you withdraw it")
        if resources.OFFLINE in grant.asked.scopes
        else gettext("Until you sign out here")
    )


def _approve(grant: DeviceGrant, client: Client, session: SsoSession) -> None:
    """Begin the family, then let the device have it. Raises Over for whoever comes second; their family is dead."""
    family = tokens.open_family(
        session,
        client_id=client.client_id,
        granted=grant.asked,
        claims={},
        offline=resources.OFFLINE in grant.asked.scopes,
        authorization_details=grant.authorization_details,
    )
    if not device_codes.approve(grant, family_id=family.id):
        tokens.revoke_family(family.id, because="device_code_over")
        raise Over()
    if not client.first_party:
        consent.grant(session.sub, _as_request(grant), sid=session.sid)
    _write_down(audit.Event.DEVICE_APPROVED, grant, session, family=family.id)


def _deny(grant: DeviceGrant, session: SsoSession) -> None:
    if not device_codes.deny(grant):
        raise Over()
    _write_down(audit.Event.DEVICE_DENIED, grant, session)


def _write_down(event: audit.Event, grant: DeviceGrant, session: SsoSession, **details: str) -> None:
    audit.record(
        event,
        subject=session.sub,
        actor=session.sub,
        client_id=grant.client_id,
        sid=session.sid,
        acr=session.acr,
        amr=session.amr,
        scopes=list(grant.asked.scopes),
        device_address=grant.address,
        **details,
    )


def _as_request(grant: DeviceGrant) -> AuthorizationRequest:
    """The consent that is remembered is about a client and scopes, and no redirect URI."""
    reply = ReplyTo(grant.client_id, "", "query", None)
    return AuthorizationRequest(reply, False, grant.asked.scopes, grant.asked.resources)


def _count_guess() -> None:
    """Eight letters are 34 bits: so few guesses leave nothing to hope for (RFC 8628 section 5.1). Raises TooMany."""
    here = limits.address_bucket(web.context().address or "")
    for name, key, count in (
        ("device_user_code:browser", web.browser_id(), GUESSES_OF_BROWSER),
        ("device_user_code:address", here, GUESSES_OF_ADDRESS),
        ("device_user_code:all", "all", GUESSES_OF_ALL),
    ):
        limits.spend(name, key, count=count, window_s=GUESSES_WINDOW_S).insist()


def _demand(pending: Pending, client: Client) -> authn.Demand:
    return authn.Demand(
        return_to=f"{CONFIRM}?txn={pending.txn}",
        acr=next((value for value in client.default_acr_values if value in authn.SUPPORTED), None),
        max_age_s=client.default_max_age,
        client_name=client.client_name,
        asked_at=datetime.fromtimestamp(pending.asked_at, UTC),
    )


def _asked() -> tuple[Pending, DeviceGrant, Client]:
    """Return what this browser is to decide on. Raises Over."""
    txn = web.single("txn")
    kept = kv.client().get(_key(txn)) if txn else None
    pending = Pending(txn=txn, **orjson.loads(str(kept))) if kept else None
    if pending is None or not crypto.same(pending.browser, web.browser_id()):
        raise Over()
    grant = device_codes.find(pending.digest)
    client = clients.find(grant.client_id) if grant else None
    if grant is None or client is None or grant.status != "pending":
        raise Over()
    return pending, grant, client


def _save(pending: Pending) -> None:
    kept = {name: value for name, value in asdict(pending).items() if name != "txn"}
    kv.client().set(_key(pending.txn), orjson.dumps(kept), ex=device_codes.EXPIRES_S)


def _key(txn: str) -> str:
    return kv.key("device", "txn", crypto.digest(txn))
