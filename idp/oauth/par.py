"""Pushed authorization requests (RFC 9126): the request comes from the client itself, and the browser carries only its name.

What was pushed is checked as at /authorize, kept for PUSHED_S under a name of 256 random bits, and bound to its client. Pages may
be loaded again meanwhile; the name is used up when the authorization is answered (F-29). A `request_uri` of anybody else's is never fetched.
"""

from __future__ import annotations

import dataclasses

import orjson
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError

from idp import audit, clients, clock, crypto, kv, limits, web
from idp.clients import Client
from idp.language import marked
from idp.oauth import authorization_request, client_auth, once, params, request_object, server
from idp.oauth.authorization_request import Refused
from idp.oauth.errors import InvalidRequestObject, Unproven, quotable
from idp.oauth.params import Params
from idp.web import Answer

PREFIX = "urn:ietf:params:oauth:request_uri:"
PUSHED_S = 90

_PROOFS = ("client_secret", "client_assertion", "client_assertion_type", "request")


class InvalidRequestUri(Unproven):
    """The request_uri is unknown, expired, used up, or another client's (attack 20)."""

    code = "invalid_request_uri"
    public = marked(
        "This sign-in has expired or was finished already. Go back to the service that you wanted to use and start again."
    )

    def __init__(self, client: Client | None = None) -> None:
        super().__init__()
        self.client = client if client is not None and client.first_party else None  # anybody can write such an address


def respond() -> Answer:
    """POST /par."""
    sent = Params({})
    try:
        sent = params.of_form()
        client = client_auth.authenticate(sent, web.call().header("AUTHORIZATION"))
        if client.is_public:
            limits.visit("pushed_request")
        if sent.get("request_uri"):
            raise InvalidRequestError("request_uri has no place in a pushed request (RFC 9126 section 2.1).")
        request_uri = _keep(_checked(sent, client), client)
        audit.record(audit.Event.AUTHORIZATION_PUSHED, client_id=client.client_id, actor=client.client_id)
        return server.answer({"request_uri": request_uri, "expires_in": PUSHED_S}, status=201)
    except OAuth2Error as error:
        return server.refuse(error, sent)


def unfold(sent: Params) -> Params:
    """Return what was pushed under `request_uri`, or the parameters themselves where it names nothing of ours.

    Whatever stands beside it but client_id is not looked at. Raises InvalidRequestUri.
    """
    request_uri = sent.get("request_uri") or ""
    if not request_uri.startswith(PREFIX):
        return sent
    gone = InvalidRequestUri(clients.find(sent.get("client_id") or ""))
    kept = kv.client().get(_key(request_uri))
    pushed = orjson.loads(str(kept)) if kept else None
    if pushed is None or clock.epoch() >= pushed["expires_at"] or pushed["client_id"] != sent.get("client_id"):
        raise gone
    name = _name(request_uri)
    if once.is_burnt(name):
        raise gone
    return Params(pushed["one"], tuple(pushed["resources"]), pushed=True, signed=pushed["signed"], once=name)


def _checked(sent: Params, client: Client) -> Params:
    """Judge the request as /authorize will, so that the client learns now what is wrong. Raises OAuth2Error."""
    inside = request_object.unfold(sent, client)
    own = {name: value for name, value in inside.one.items() if name not in _PROOFS} | {"client_id": client.client_id}
    whole = dataclasses.replace(inside, one=own, pushed=True, once="")
    try:
        authorization_request.read(whole)
    except Refused as refused:
        raise refused.error from None
    except Unproven as unproven:
        raise InvalidRequestError(quotable(unproven.reason, 300)) from None
    if inside.once and not once.burn(inside.once, lifetime_s=request_object.MAX_AHEAD_S + 60):
        raise InvalidRequestObject("The jti of the request object was used before.")
    return whole


def _keep(whole: Params, client: Client) -> str:
    request_uri = PREFIX + crypto.random_token()
    kept = {
        "client_id": client.client_id,
        "one": dict(whole.one),
        "resources": whole.resources,
        "signed": whole.signed,
        "expires_at": clock.epoch() + PUSHED_S,
    }
    kv.client().set(_key(request_uri), orjson.dumps(kept), ex=PUSHED_S)
    return request_uri


def _key(request_uri: str) -> str:
    return kv.key("pushed", crypto.digest(request_uri))


def _name(request_uri: str) -> str:
    return f"pushed {request_uri}"
