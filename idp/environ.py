"""environ — a request as WSGI has it (PEP 3333), made of what the parser found."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

Environ = dict[str, Any]

_USUAL, _MOST = 64, 1024  # longer names of headers are not remembered, nor more
_KNOWN: dict[bytes, str] = {}  # what WSGI calls a header


def environ_of(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]], given: Environ) -> Environ:
    """Return a request as PEP 3333 has it. Raises HttpParserError for a target that is none, ValueError for one of another form."""
    path, query, host = _target(url)
    environ = {**given, "REQUEST_METHOD": method.decode("latin-1"), "PATH_INFO": path, "QUERY_STRING": query}
    for name, value in headers:
        key = _KNOWN.get(name) or _key_of(name)
        if key in environ:
            environ[key] += f"{'; ' if key == 'HTTP_COOKIE' else ','}{value.decode('latin-1')}"
        elif key:
            environ[key] = value.decode("latin-1")
    if host is not None:  # a whole URL in the request line: it counts, not the header (RFC 9112 section 3.2.2)
        environ["HTTP_HOST"] = host
    return environ


def _target(url: bytes) -> tuple[str, str, str | None]:
    """Return path, query and, of a whole URL, host and port."""
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"#")[0].partition(b"?")
        host = None
    else:
        parts = httptools.parse_url(url)
        if not parts.schema or not parts.host:
            raise ValueError("neither a path nor a URL")
        raw_path, query = parts.path or b"/", parts.query or b""
        host = parts.host.decode("latin-1") + (f":{parts.port}" if parts.port else "")
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    return path.decode("latin-1"), query.decode("latin-1"), host


def _key_of(header: bytes) -> str:
    """Return the name that WSGI has for a header. Names with an underscore are left out, by "": in WSGI they could pass for the name
    with a hyphen that a proxy sets."""
    key = "" if b"_" in header else header.decode("latin-1").upper().replace("-", "_")
    key = key if key in ("", "CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
    if key and len(_KNOWN) < _MOST and len(header) <= _USUAL:
        _KNOWN[header] = key
    return key


def given_of(transport: Any) -> Environ:
    """Return what all requests of a connection share."""
    client, server = _address(transport, "peername"), _address(transport, "sockname")
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": server[0],
        "SERVER_PORT": server[1],
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": client[1],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _address(transport: Any, which: str) -> tuple[str, str]:
    known = transport.get_extra_info(which) or ("", "")
    return str(known[0]), str(known[1])
