"""outbound — going to an address that an application chose: to fetch what it published, to tell it something (attacks 37, 62, 63).

Whoever registers a URL must not use us to look into our own network. So a name is resolved first, every address must be a
public one, or of a network in `outbound.allowed_networks`, and the connection goes to the address that was judged: a second answer
of the DNS changes nothing. Link-local addresses, where clouds keep their credentials, and this machine are refused whatever is allowed.
No redirect is followed, no proxy of the environment is used, and one deadline covers name, connection, TLS and body, however slowly
they drip. In development and demo, loopback is accepted too, by plain http.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from idp import waiting
from idp.config import settings
from idp.record import Record

if TYPE_CHECKING:  # loaded with the first document that is fetched: most installations fetch none
    import httpcore

DEADLINE_S = 3.0
MAX_BYTES = 64 * 1024

_METADATA = frozenset(  # where clouds answer from outside 169.254.0.0/16 with what only the machine itself may know
    ipaddress.ip_address(address) for address in ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")
)
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_JSON = re.compile(r"application/(json|[\w.-]+\+json)")
_TEXT = re.compile(r"text/plain")
_JWT = re.compile(r"application/(oauth-authz-req\+jwt|jwt|jose)")
_NAMED = {_JSON: "JSON", _JWT: "that of a JWT", _TEXT: "text/plain"}
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])")
_NO_CACHE = re.compile(r"\bno-(?:store|cache)\b")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Found = list[tuple[Any, ...]]  # what getaddrinfo answers


class Unreachable(Exception):
    """The document cannot be had: forbidden address, no answer in time, too large, or not what it should be."""


class Document(Record):
    """JSON or a JWT that came back, and how long its owner wants it kept (None: did not say)."""

    value: Any
    max_age_s: int | None


def fetch_json(url: str, *, max_bytes: int = MAX_BYTES) -> Document:
    """GET a JSON document within DEADLINE_S. Raises Unreachable."""
    body, max_age_s = _fetch(url, "application/json", _JSON, max_bytes)
    try:
        return Document(json.loads(body), max_age_s)
    except (ValueError, RecursionError):
        raise Unreachable("the body is not JSON") from None


def fetch_jwt(url: str, *, max_bytes: int = MAX_BYTES) -> Document:
    """GET a JWT as text within DEADLINE_S; RFC 9101 section 10.3.2 names its media type. Raises Unreachable."""
    body, max_age_s = _fetch(url, "application/oauth-authz-req+jwt, application/jwt, application/jose", _JWT, max_bytes)
    if not body.isascii():
        raise Unreachable("the body is not a JWT")
    return Document(body.decode("ascii"), max_age_s)


def fetch_text(url: str, *, max_bytes: int = MAX_BYTES) -> str:
    """GET plain text within DEADLINE_S. Raises Unreachable."""
    body, _ = _fetch(url, "text/plain", _TEXT, max_bytes)
    return body.decode("utf-8", "replace")


def _fetch(url: str, accept: str, media_types: re.Pattern[str], max_bytes: int) -> tuple[bytes, int | None]:
    return waiting.away(_fetched, url, accept, media_types, max_bytes)


def _fetched(url: str, accept: str, media_types: re.Pattern[str], max_bytes: int) -> tuple[bytes, int | None]:
    ends_at = time.monotonic() + DEADLINE_S
    parts = _checked(url)
    target = _Target(_resolve(parts, ends_at), ends_at)
    headers = [("Host", parts.netloc), ("Accept", accept), ("Accept-Encoding", "identity")]
    httpcore = _http()
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=target, retries=0) as pool,
            pool.stream("GET", url, headers=headers) as response,
        ):
            return _answer(response, media_types, max_bytes)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, ssl.SSLError) as error:
        raise Unreachable(f"no answer: {type(error).__name__}") from None


def _answer(response: httpcore.Response, media_types: re.Pattern[str], max_bytes: int) -> tuple[bytes, int | None]:
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status != 200:
        raise Unreachable(f"status {response.status}")
    media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if not media_types.fullmatch(media_type):
        raise Unreachable(f"the content type is not {_NAMED[media_types]}")
    if headers.get(b"content-encoding", "identity") != "identity":
        raise Unreachable("the body is compressed")
    return _body(response.iter_stream(), max_bytes), _max_age_s(headers.get(b"cache-control", "").lower())


def _body(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            raise Unreachable(f"larger than {max_bytes} bytes")
    return body


def _max_age_s(cache_control: str) -> int | None:
    if _NO_CACHE.search(cache_control):
        return 0
    found = _MAX_AGE.search(cache_control)
    return int(found[1]) if found else None


# --- where it may go ----------------------------------------------------------------------------------------------


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Unreachable("not a URL") from None
    schemes = ("https", "http") if settings().development else ("https",)
    if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc or not url.isascii():
        raise Unreachable("only https URLs without a user are fetched")
    return parts


def _resolve(parts: SplitResult, ends_at: float) -> str:
    try:
        found = _look_up(parts).result(timeout=max(0.0, ends_at - time.monotonic()))
    except TooSlow:
        raise Unreachable("the name was not resolved in time") from None
    except (OSError, UnicodeError):
        raise Unreachable("the name does not resolve") from None
    return _judged(found, parts)


async def address_of(url: str) -> str:
    """Return the judged address to which a connection for this URL must go, for whoever speaks to it otherwise. Raises Unreachable."""
    parts = _checked(url)
    try:
        found = await asyncio.wrap_future(_look_up(parts))
    except (OSError, UnicodeError):
        raise Unreachable("the name does not resolve") from None
    return _judged(found, parts)


def _look_up(parts: SplitResult) -> Future[_Found]:
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    return _resolver().submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)


def _judged(found: _Found, parts: SplitResult) -> str:
    """Return the address to connect to. One forbidden address among several forbids them all: names that mix are traps."""
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses or not all(_may_go_to(address, plain=parts.scheme == "http") for address in addresses):
        raise Unreachable("the name leads into a network that is not public; see outbound.allowed_networks")
    return str(addresses[0])


def _may_go_to(address: _Address, *, plain: bool) -> bool:
    if settings().development and address.is_loopback:
        return True
    return not plain and (is_public(address) or _is_allowed(address))


def _is_allowed(address: _Address) -> bool:
    """Say whether the operator listed a private network that holds this address; never this machine, nor a cloud's metadata."""
    if address.is_link_local or address.is_loopback or address in _METADATA:
        return False
    return any(address in network for network in _networks(settings().outbound.allowed_networks))


@lru_cache(maxsize=8)
def _networks(listed: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(entry) for entry in listed)


def is_public(address: _Address) -> bool:
    """Say whether an address is on the open internet, looking through what wraps an IPv4 address in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NAT64) or address.teredo or address.ipv4_mapped:
            return False
        if address.sixtofour is not None:
            return False
    return address.is_global and not address.is_multicast and address not in _METADATA


@lru_cache(maxsize=1)
def _resolver() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=32, thread_name_prefix="resolve")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


# --- one connection, one deadline ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _http() -> Any:
    import httpcore

    return httpcore


class _Target:
    """A httpcore.NetworkBackend that connects to the address that was judged, whatever the name says now."""

    def __init__(self, address: str, ends_at: float) -> None:
        self.address, self.ends_at, self.real = address, ends_at, _http().SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> _Stream:
        """Open the connection; TLS still proves the name."""
        stream = self.real.connect_tcp(self.address, port, _left(self.ends_at, _http().ConnectTimeout))
        return _Stream(stream, self.ends_at)


class _Stream:
    """A httpcore.NetworkStream whose every step may take what is left of the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float) -> None:
        self.stream, self.ends_at = stream, ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes."""
        return self.stream.read(max_bytes, _left(self.ends_at, _http().ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write bytes."""
        self.stream.write(buffer, _left(self.ends_at, _http().WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        """Begin TLS with the name of the URL."""
        left = _left(self.ends_at, _http().ConnectTimeout)
        return _Stream(self.stream.start_tls(ssl_context, server_hostname, left), self.ends_at)

    def get_extra_info(self, info: str) -> Any:
        """Tell what the real stream tells."""
        return self.stream.get_extra_info(info)


def _left(ends_at: float, too_late: type[Exception]) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise too_late("the deadline has passed")
    return left
