"""joining.landing — the application that somebody came from, and goes on to once they can sign in."""

from __future__ import annotations

from urllib.parse import urlencode

from idp import clients
from idp.clients import Client
from idp.config import settings


def door_of(client_id: str | None) -> str | None:
    """Return where an application begins: its initiate_login_uri, told who we are (OIDC Core 4), else its client_uri; or None."""
    client = clients.find(client_id) if client_id else None
    return door(client) if client else None


def door(client: Client) -> str | None:
    """Return where this application begins, or None where it does not say."""
    if not client.initiate_login_uri:
        return client.client_uri or None
    joint = "&" if "?" in client.initiate_login_uri else "?"
    return f"{client.initiate_login_uri}{joint}{urlencode({'iss': settings().server.issuer})}"


def ours(client_id: str | None) -> str | None:
    """Return the id of an application of the house; None for any other: a stranger may have registered it to lead people there."""
    client = clients.find(client_id) if client_id else None
    return client.client_id if client and client.first_party else None


def name_of(client_id: str | None) -> str | None:
    """Return what people call the application, or None."""
    client = clients.find(client_id) if client_id else None
    return client.client_name if client else None
