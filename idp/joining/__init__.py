"""joining — how people come in: invited by somebody, or asking for an account themselves. Owns Redis `joining:*`.

Until a link that was mailed has come back, there is nothing that could sign in: an invited person has no password, and a
stranger's request is no person at all.

invitations.py        single-use links to a first password; sent, sent again, withdrawn, accepted
invitation_views.py   /invitation, and where an accepted one leads
landing.py            the application that somebody came from
requests.py           asking for an account: the address is proved first, then somebody may have to agree
request_views.py      /sign-up
"""

from __future__ import annotations

from flask import Flask

from idp.joining import invitation_views, invitations, landing, request_views, requests

__all__ = ["install", "invitations", "landing", "prune", "requests"]


def install(app: Flask) -> None:
    """Hang the pages of coming in on the application."""
    for blueprint in (invitation_views.pages, request_views.pages):
        app.register_blueprint(blueprint)
    app.jinja_env.globals["sign_up_path"] = (
        requests.PATH if app.extensions["idp.settings"].registration.enabled else None
    )


def prune() -> int:
    """Forget what is long over; returns the number of rows."""
    return invitations.prune() + requests.prune()
