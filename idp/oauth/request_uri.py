"""Request objects by reference: `request_uri` names a document of the client's that holds the request (OIDC Core 6.2, RFC 9101 5.2).

Off unless the operator switches it on (`request_uri_by_reference`), because a stranger's link then makes this server go and ask
somebody (X-4, attacks 20, 62, 63). So nothing is fetched but what the client registered in its `request_uris`: https, the same character by
character up to the fragment; through the guard of idp/outbound.py, so many a minute, and only a few at a time in a process,
so that slow addresses hold no threads that others need. What comes back is judged by request_object.py like any other.

The fragment is the hash of the document, if it is one (OIDC Core 6.2): a document that fits it cannot change under that name and is
kept for KEPT_S. Any other is fetched for every request.
"""

from __future__ import annotations

import hashlib
import threading

from idp import crypto, kv, limits, outbound, web
from idp.clients import Client
from idp.config import settings
from idp.oauth import request_object
from idp.oauth.errors import Overloaded, UnusableRequestUri
from idp.oauth.params import Params

KEPT_S = 300
WINDOW_S = 60
AT_ONCE, PATIENCE_S = 2, 1.0

_turns = threading.BoundedSemaphore(AT_ONCE)


def is_on() -> bool:
    """Say whether the operator lets requests be fetched."""
    return settings().oauth.request_uri_by_reference != "off"


def unfold(sent: Params, client: Client) -> Params:
    """Return the parameters inside the document that `request_uri` names, or the parameters themselves if it names none.

    Raises UnusableRequestUri, InvalidRequestObject or Overloaded. While it is off, `request_uri` stays where it is and is refused.
    """
    uri = sent.get("request_uri")
    if uri is None or not is_on() or sent.get("request") is not None:
        return sent
    if not _is_registered(uri, client):
        raise UnusableRequestUri("request_uri is not among the request_uris that the client registered.")
    return request_object.opened(_document(uri, client).strip(), sent, client, fetched=True)


def _is_registered(uri: str, client: Client) -> bool:
    address = uri.partition("#")[0]
    return any(address == registered.partition("#")[0] for registered in client.request_uris)


def _document(uri: str, client: Client) -> str:
    """Return what is there now, or what was there and cannot have changed."""
    key = kv.key("request_uri", crypto.digest(f"{client.client_id} {uri}"))
    kept = kv.client().get(key)
    if kept:
        return str(kept)
    raw_object, may_be_kept = _fetched(uri, client)
    if may_be_kept and _fits(raw_object, uri.partition("#")[2]):
        kv.client().set(key, raw_object, ex=KEPT_S)
    return raw_object


def _fetched(uri: str, client: Client) -> tuple[str, bool]:
    """Fetch it. How often: for one client as much from one address as people may sign in from one network."""
    most, key = settings().limits.network_per_minute, f"{client.client_id} {web.context().address or ''}"
    if not limits.spend("request_uri", key, count=most, window_s=WINDOW_S).allowed or not _turns.acquire(
        timeout=PATIENCE_S
    ):
        raise Overloaded("Too many requests are being fetched; try again in a minute.")
    try:
        found = outbound.fetch_jwt(uri.partition("#")[0])
    except outbound.Unreachable as trouble:
        raise UnusableRequestUri(f"request_uri cannot be fetched: {trouble}.") from None
    finally:
        _turns.release()
    return found.value, found.max_age_s != 0


def _fits(raw_object: str, fragment: str) -> bool:
    digest = hashlib.sha256(raw_object.encode()).digest()
    return crypto.same(crypto.base64url(digest), fragment)
