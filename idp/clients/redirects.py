"""Redirect URIs: which may be registered, and which one a request may name. Pure; attacks 1-4 and 69 end here.

A request is compared with the registration character by character (RFC 9700 section 4.1.3). The one exception is the port of
a native app's loopback URI, which the app learns only when it starts to listen (RFC 8252 section 7.3).
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

MAX_LENGTH = 1000

_PRINTABLE = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # visible ASCII without " < > \ ^ ` { | }
_LOOPBACK_IP = re.compile(r"http://(127\.0\.0\.1|\[::1\])(:\d{1,5})?(?=[/?]|$)")
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_REVERSE_DOMAIN = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def problem(uri: object, *, native: bool, loopback_names: bool) -> str | None:
    """Say in one sentence why a redirect URI must not be registered, or None.

    `native`: the client is an app on the person's device. `loopback_names`: development and demo, where web apps may live on
    http://localhost.
    """
    if not isinstance(uri, str) or not uri or len(uri) > MAX_LENGTH:
        return f"must be text of 1 to {MAX_LENGTH} characters"
    if not _PRINTABLE.fullmatch(uri):
        return "must hold visible ASCII characters only; percent-encode the others"
    if "#" in uri:
        return "must not have a fragment (RFC 6749 section 3.1.2)"
    if "*" in uri:
        return "must not have a wildcard; register each URI in full"
    parts = _split(uri)
    if parts is None:
        return "is not a URI"
    if parts.scheme in ("http", "https"):
        return _web_problem(parts, native=native, loopback_names=loopback_names)
    return _native_problem(parts, native=native)


def matches(registered: str, presented: str, *, native: bool) -> bool:
    """Compare a request's redirect URI with a registered one (RFC 9700 section 4.1.3, RFC 8252 section 7.3)."""
    if registered == presented:
        return True
    if not native or not _LOOPBACK_IP.match(registered) or not _LOOPBACK_IP.match(presented):
        return False
    return _without_port(registered) == _without_port(presented)


def identity_is_provable(uri: str) -> bool:
    """Say whether only the registered application can receive at this URI: https, and not a port or scheme that any
    program on the device may take (RFC 8252 section 8.6)."""
    return uri.startswith("https://")


def _web_problem(parts: SplitResult, *, native: bool, loopback_names: bool) -> str | None:
    if not parts.hostname or "@" in parts.netloc or "%" in parts.netloc:
        return "must name a host and no user (https://app.example.org/callback)"
    if parts.netloc != parts.netloc.lower():
        return "must have its host in lower case"
    if _has_dot_segment(parts.path):
        return "must not have . or .. in its path"
    if parts.scheme == "https":
        return None
    if loopback_names and parts.hostname in _LOOPBACK_HOSTS:
        return None
    if native and _LOOPBACK_IP.match(parts.geturl()):
        return None
    return "must be https; a native app may use http://127.0.0.1 or http://[::1] (RFC 8252 section 7.3)"


def _native_problem(parts: SplitResult, *, native: bool) -> str | None:
    if not native:
        return "must be https; a scheme of its own is for clients with application_type native"
    if not _REVERSE_DOMAIN.fullmatch(parts.scheme):
        return "must have a scheme that is a domain of yours in reverse, such as org.example.app (RFC 8252 section 7.1)"
    return None


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises on a port that is no number
    except ValueError:
        return None
    return parts if parts.scheme else None


def _has_dot_segment(path: str) -> bool:
    plain = re.sub("%2e", ".", path, flags=re.IGNORECASE)
    return any(segment in (".", "..") for segment in re.split("/|%2f|%5c", plain, flags=re.IGNORECASE))


def _without_port(uri: str) -> str:
    return _LOOPBACK_IP.sub(lambda found: f"http://{found[1]}", uri, count=1)
