"""Client metadata about signing out: OpenID Connect Back-Channel Logout 1.0 section 2.2, Front-Channel Logout 1.0 section 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from idp.clients import redirects

Fields = dict[str, Any]
Problems = list[tuple[str, str]]

_PORTS = {"http": 80, "https": 443}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


# `sid` goes into every ID token and logout token, and with `iss` into every front-channel request; `_session_required` is kept
# because clients register it, and changes nothing.
READERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "backchannel_logout_uri": (_text, ""),
    "backchannel_logout_session_required": (_flag, False),
    "frontchannel_logout_uri": (_text, ""),
    "frontchannel_logout_session_required": (_flag, False),
}


def _addresses(fields: Fields, loopback_names: bool) -> Problems:
    """Both are web addresses without a fragment, as redirect URIs are."""
    return [
        (name, problem)
        for name in ("backchannel_logout_uri", "frontchannel_logout_uri")
        if fields[name] and (problem := redirects.problem(fields[name], native=False, loopback_names=loopback_names))
    ]


def _at_home(fields: Fields, _loopback_names: bool) -> Problems:
    """What we open in a person's browser belongs to the application itself: scheme, host and port of a redirect URI (O-42)."""
    uri = fields["frontchannel_logout_uri"]
    if not uri or _origin(uri) in {_origin(redirect) for redirect in fields["redirect_uris"]}:
        return []
    return [("frontchannel_logout_uri", "must have the scheme, host and port of one of the redirect_uris")]


def _origin(uri: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts = urlsplit(uri)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None  # said by redirects.problem


RULES = (_addresses, _at_home)
