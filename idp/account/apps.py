"""What applications may do in a person's name, and taking it back (ASVS 10.7.3)."""

from __future__ import annotations

from typing import Any

from flask import Response

from idp import clients, clock, oauth, web
from idp.account.frame import mine, page, pages
from idp.authn import guard
from idp.errors import NotFound
from idp.language import gettext
from idp.oauth.reach import Reach

PAGE = "/account/apps"


@pages.get(PAGE)
@guard.login_required
def apps_page() -> Response:
    """List applications of others that this person allowed something, and the services of the house that hold tokens now."""
    _, user = mine()
    shown = [told for one in oauth.reach.of(user.sub, now=clock.now()) if (told := _told(one))]
    return page(
        "account_apps.html",
        "apps",
        allowed=[one for one in shown if not one["is_ours"]],
        ours=[one for one in shown if one["is_ours"]],
    )


@pages.post(f"{PAGE}/revoke")
@web.csrf_protected
@guard.login_required
def revoke_consent() -> Response:
    """Take back what an application was allowed; all that it was given ends at once (7.55)."""
    _, user = mine()
    if not oauth.consent.revoke(user.sub, web.single("client_id"), actor=user.sub):
        raise NotFound(gettext("This application has no access any more."))
    return web.see_other(f"{PAGE}?done=revoked")


def _told(one: Reach) -> dict[str, Any] | None:
    """Put an application into words; None for one that was deleted."""
    client = clients.find(one.client_id)
    if client is None:
        return None
    return {
        "client_id": one.client_id,
        "name": client.client_name,
        "is_ours": client.first_party,
        "scopes": [oauth.resources.sentence(scope) for scope in one.scopes],
        "since": one.allowed_at or min((held.created_at for held in one.living), default=None),
        "last_used_at": one.last_used_at,
        "living": len(one.living),
        "until": max((held.expires_at for held in one.living), default=None),
        "outlives": any(held.offline for held in one.living),
    }
