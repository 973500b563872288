"""Everything that is held about a person, as one JSON file for them (GDPR article 15 and 20, HIPAA access): streamed, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson
from flask import Response, stream_with_context

from idp import audit, clock, oauth, sessions, users, web
from idp.account.frame import mine, page, pages, proof_owed
from idp.audit import Entry, Query
from idp.authn import factors, guard
from idp.authn.factors import password
from idp.sessions import SsoSession
from idp.users import User

PAGE = "/account/data"
_BATCH = 500


@pages.get(PAGE)
@guard.login_required
def data_page() -> Response:
    """Say what the file holds."""
    mine()
    return page("account_data.html", "data")


@pages.post(f"{PAGE}/download")
@web.csrf_protected
@guard.login_required
def download() -> Response:
    """Send the file, after a proof of the last minutes; that it was taken is written down."""
    here, user = mine()
    if owed := proof_owed(here, PAGE):
        return owed
    facts = _facts(user)
    audit.record(audit.Event.DATA_DOWNLOADED, subject=user.sub, actor=user.sub, sid=here.sid)
    answer = Response(stream_with_context(_written(facts, user.sub)), content_type="application/json; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="my-data-{clock.now():%Y-%m-%d}.json"'
    return answer


def _facts(user: User) -> dict[str, Any]:
    """Return everything but the record, as plain values. Secrets, their digests and sealed keys are not among them."""
    state = password.state(user)
    return {
        "made_at": clock.now(),
        "person": {
            "subject": user.sub,
            "username": user.username,
            "display_name": user.display_name,
            "given_name": user.given_name,
            "family_name": user.family_name,
            **users.traits.of(user),
            "npi": user.npi,
            "roles": user.roles,
            "language": user.locale,
            "time_zone": user.zoneinfo,
            **(user.contact or {}),
            "status": user.status,
            "status_reason": user.status_reason,
            "created_at": user.created_at,
            "updated_at": user.updated_at,
        },
        "email_addresses": [
            {
                "address": one.address,
                "primary": one.is_primary,
                "verified_at": one.verified_at,
                "added_at": one.created_at,
            }
            for one in user.emails
        ],
        "password": {"changed_at": state.changed_at} if state else None,
        "second_steps": [asdict(one) for one in factors.authenticators(user)],
        "sessions": [_session(one) for one in sessions.of(user.sub)],
        "permissions": [asdict(one) for one in oauth.consent.of(user.sub)],
        "authorizations": [asdict(one) for one in oauth.reach.authorizations_of(user.sub)],
    }


def _session(one: SsoSession) -> dict[str, Any]:
    return {
        "id": one.sid,
        "started_at": one.started_at,
        "last_used_at": one.seen_at,
        "proved_at": one.auth_time,
        "ends_at": one.expires_at,
        "how": list(one.amr),
        "level": one.acr,
        "network_address": one.address,
        "browser": one.user_agent,
    }


def _written(facts: dict[str, Any], sub: str) -> Iterator[bytes]:
    """Yield the file: the facts, then the record page by page, so that years of it need no memory."""
    yield orjson.dumps(facts, option=orjson.OPT_INDENT_2, default=str)[:-2] + b',\n  "record": ['
    before: int | None = None
    joint = b"\n    "
    while True:
        found = audit.search(Query(subject=sub), before=before, limit=_BATCH)
        for entry in found.entries:
            yield joint + orjson.dumps(_event(entry), default=str)
            joint = b",\n    "
        before = found.next
        if before is None:
            break
    yield b"\n  ]\n}\n"


def _event(entry: Entry) -> dict[str, Any]:
    kept: dict[str, Any] = {
        name: getattr(entry, name)
        for name in ("event_id", "event", "outcome", "reason", "actor", "client_id", "sid", "address", "user_agent")
    }
    when: datetime = entry.time
    return {"time": when, "what": entry.sentence, **kept, "details": dict(entry.details)}
