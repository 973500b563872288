"""Parked authorization requests: in Redis for `oauth.request_s` (two hours) while the person signs in or decides, known to the browser by a `txn`.

What was validated is what is granted: neither the form nor the address can change a parked request (attack 15). It is bound to
the browser that brought it, so that a `txn` opened in somebody else's browser leads nowhere (attack 17). A request that came by
POST from another site is bound when that browser comes back with a GET, because its cookies did not travel with the POST.

Whoever comes later still, or again, is not left alone: the `txn` itself says which application it belongs to, under a seal for the browser
that it was made in, so that nobody can send others a page of ours that leads to an application of theirs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
from authlib.oauth2 import OAuth2Error

from idp import clients, clock, crypto, kv, limits, web
from idp.clients import Client
from idp.config import settings
from idp.errors import IdpError
from idp.language import marked
from idp.oauth.authorization_request import AuthorizationRequest, Refused, ReplyTo
from idp.record import Record

_SEAL = "parked"


class Gone(IdpError):
    """The parked request has expired, was answered, or belongs to another browser."""

    code = "request_expired"
    public = marked(
        "This sign-in has expired or was finished already. Go back to the service that you wanted to use and start again."
    )

    def __init__(self, client: Client | None = None) -> None:
        super().__init__()
        self.client = client  # the application that it was for, where that is certain


class Parked(Record):
    """A request that waits, or a refusal that waits until the person has signed in (F-3)."""

    txn: str
    asked_at: float
    browser: str | None
    request: AuthorizationRequest | None = None
    refusal: Refused | None = None
    shown_to: str | None = None  # the subject who saw the consent page
    agreed: str | None = None  # the subject who said yes on it
    offered: bool = False  # an account was offered (prompt=create)

    @property
    def reply(self) -> ReplyTo:
        """Where and how the client is answered. Raises Gone for what is neither a request nor a refusal."""
        what = self.request or self.refusal
        if what is None:
            raise Gone()
        return what.reply


def park(what: AuthorizationRequest | Refused, *, asked_at: float, browser: str | None) -> Parked:
    """Keep a request or a refusal and give it a name. Raises TooMany for a browser or address with too many of them (attack 141)."""
    limits.visit("parked_request")
    kept = {"request": what} if isinstance(what, AuthorizationRequest) else {"refusal": what}
    parked = Parked(_name(what.reply.client_id, browser), asked_at, browser, **kept)
    save(parked)
    return parked


def save(parked: Parked) -> None:
    """Write a parked request; it keeps the age that it has."""
    lifetime_s = max(1, int(parked.asked_at + settings().oauth.request_s - clock.now().timestamp()))
    kv.client().set(_key(parked.txn), _pack(parked), ex=lifetime_s)


def find(txn: str) -> Parked:
    """Return what was parked under this name by this browser. Raises Gone."""
    kept = kv.client().get(_key(txn)) if txn else None
    parked = _unpack(txn, str(kept)) if kept else None
    if parked is None or clock.now().timestamp() > parked.asked_at + settings().oauth.request_s:
        raise Gone(_client_of(txn))
    if parked.browser is None:
        parked = dataclasses.replace(parked, browser=web.browser_id())
        save(parked)
    if not crypto.same(parked.browser or "", web.browser_id()):
        raise Gone()
    return parked


def take(txn: str) -> None:
    """Take a parked request out of circulation: it is answered once. Raises Gone for whoever comes second."""
    if not kv.client().delete(_key(txn)):
        raise Gone(_client_of(txn))


def _name(client_id: str, browser: str | None) -> str:
    unique = crypto.random_token(24)
    return f"{unique}.{crypto.mac(_SEAL, _sealed(unique, client_id, browser))}.{client_id}"


def _client_of(txn: str) -> Client | None:
    """Return the application that a name of ours belongs to. Where the browser was not known yet, only one of the house is told."""
    unique, seal, client_id = txn.split(".", 2) if txn.isascii() and txn.count(".") >= 2 else ("", "", "")
    bound = _is_good(seal, _sealed(unique, client_id, web.browser_id()))
    if not bound and not _is_good(seal, _sealed(unique, client_id, None)):
        return None
    client = clients.find(client_id)
    return client if client is not None and (bound or client.first_party) else None


def _sealed(unique: str, client_id: str, browser: str | None) -> str:
    return f"{unique}|{browser or ''}|{client_id}"


def _is_good(seal: str, sealed: str) -> bool:
    return any(crypto.same(seal, good) for good in crypto.macs(_SEAL, sealed))


def _key(txn: str) -> str:
    return kv.key("authz", crypto.digest(txn))


def _pack(parked: Parked) -> bytes:
    kept: dict[str, Any] = {
        name: getattr(parked, name) for name in ("asked_at", "browser", "shown_to", "agreed", "offered")
    }
    if parked.request is not None:
        kept["request"] = dataclasses.asdict(parked.request)
    if parked.refusal is not None:
        error = parked.refusal.error
        kept["refusal"] = {
            "error": error.error,
            "description": error.get_error_description(),
            "reply": dataclasses.asdict(parked.refusal.reply),
        }
    return orjson.dumps(kept)


def _unpack(txn: str, kept: str) -> Parked:
    fields = orjson.loads(kept)
    if "request" in fields:
        fields["request"] = _request(fields["request"])
    if "refusal" in fields:
        fields["refusal"] = _refusal(fields["refusal"])
    return Parked(txn=txn, **fields)


def _request(fields: dict[str, Any]) -> AuthorizationRequest:
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return AuthorizationRequest(**fields | lists | {"reply": ReplyTo(**fields["reply"])})


def _refusal(fields: dict[str, Any]) -> Refused:
    error = OAuth2Error(fields["description"], error=fields["error"])
    return Refused(error, ReplyTo(**fields["reply"]), is_silent=False)
