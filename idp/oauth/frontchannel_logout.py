"""Telling applications in the browser that its session ended: OpenID Connect Front-Channel Logout 1.0 (O-42).

The page that says «you are signed out» opens each application's `frontchannel_logout_uri` in a hidden frame, with `iss` and `sid`,
and goes on to where the person was to return when all have loaded, after three seconds, or by the link that is there in any case.
Only a sign-out in this browser can do that; where a session ends otherwise, and where browsers withhold cookies from frames,
only the back channel helps.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response

from idp import web
from idp.config import settings
from idp.oauth import backchannel


def frames(sid: str) -> list[str]:
    """Return the addresses to open for the applications that took part in this session."""
    said = urlencode({"iss": settings().server.issuer, "sid": sid})
    uris = (client.frontchannel_logout_uri for client in backchannel.participants(sid))
    return [f"{uri}{'&' if '?' in uri else '?'}{said}" for uri in uris if uri]


def page(addresses: list[str], *, client_name: str | None, return_url: str | None) -> Response:
    """Say that it is done, and let these applications know."""
    return web.page(
        "signed_out.html",
        client_name=client_name,
        return_url=return_url,
        frames=addresses,
        frame_sources=tuple(sorted({web.origin_of(address) for address in addresses})),
    )
