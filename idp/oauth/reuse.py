"""A replaced refresh token came back: its family ends, security staff and the person learn of it, once (RFC 9700 section 4.14.2)."""

from __future__ import annotations

from idp import audit, clients, clock, users
from idp.authn import notices
from idp.oauth import tokens

EVENT = audit.Event.REFRESH_TOKEN_REUSED


def stop(family_id: str) -> None:
    """End a family because a token of it was used twice. Of many who notice at once, one writes it down and tells the person."""
    family = tokens.find_family(family_id)
    if family is None or not tokens.revoke_family(family_id, because=str(EVENT)):
        return
    audit.record(EVENT, subject=family.sub, client_id=family.client_id, sid=family.sid, family=family.id)
    person, client = users.find_by_sub(family.sub), clients.find(family.client_id)
    if person is not None:
        name = client.client_name if client else family.client_id
        notices.tell(person, "refresh_token_reused", client_name=name, at=clock.now())
