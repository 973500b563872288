"""A person's own record: everything that was written down about them, and what to do about what was not them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Response

from idp import audit, clients, limits, web
from idp.account import told
from idp.account.frame import mine, page, pages
from idp.account.words import how
from idp.audit import Entry, Query
from idp.authn import browsers, guard
from idp.errors import BadInput, NotFound
from idp.language import gettext

PAGE = "/account/activity"
NOT_ME = "/account/not-me"
A_PAGE = 30
DISPUTES_PER_DAY = 50
_NOUNS = frozenset(event.value.partition(".")[0] for event in audit.Event)


@pages.get(PAGE)
@guard.login_required
def activity_page() -> Response:
    """Show a page of the person's own record, newest first; `kind` filters, `before` goes on."""
    _, user = mine()
    kind, before = web.single("kind"), _cursor(web.single("before"))
    if kind and kind not in told.KINDS:
        raise NotFound()
    found, following = _search(user.sub, kind, before)
    names: dict[str, str] = {}
    return page(
        "account_activity.html",
        "activity",
        entries=[_shown(entry, names) for entry in found],
        kinds=[("", gettext("Everything")), *((name, str(label)) for name, (label, _) in told.KINDS.items())],
        kind=kind,
        newer=bool(before),
        older_url=f"{PAGE}?{urlencode({'kind': kind, 'before': following})}" if following else None,
    )


@pages.post(NOT_ME)
@web.csrf_protected
@guard.login_required
def dispute() -> Response:
    """Write down that an event of the person's own record was not them, for who watches, and lead to what helps."""
    here, user = mine()
    entry = _find(user.sub, _cursor(web.single("entry")))
    if entry is None:
        raise NotFound(gettext("There is no such entry in your record."))
    limits.spend("dispute", user.sub, count=DISPUTES_PER_DAY, window_s=86400).insist()
    audit.record(
        audit.Event.ACTIVITY_DISPUTED,
        subject=user.sub,
        actor=user.sub,
        sid=here.sid,
        disputed_event=entry.event,
        disputed_id=entry.event_id,
        disputed_sid=entry.sid,
    )
    return web.see_other(NOT_ME)


@pages.get(NOT_ME)
@guard.login_required
def not_me_page() -> Response:
    """Say what to do when somebody else is at work in the account, step by step, each a click away."""
    mine()
    return page("account_not_me.html", "activity")


def _search(sub: str, kind: str, before: int | None) -> tuple[list[Entry], int | None]:
    """Return a page of events and the cursor of the next; several nouns are several searches, merged by the events' order."""
    if not kind:
        whole = audit.search(Query(subject=sub), before=before, limit=A_PAGE)
        return list(whole.entries), whole.next
    nouns = [noun for noun in told.KINDS[kind][1] if noun in _NOUNS]
    parts = [audit.search(Query(subject=sub, event=f"{noun}.*"), before=before, limit=A_PAGE) for noun in nouns]
    merged = sorted((entry for part in parts for entry in part.entries), key=lambda entry: -entry.id)
    more = len(merged) > A_PAGE or any(part.next for part in parts)
    shown = merged[:A_PAGE]
    return shown, shown[-1].id if more and shown else None


def _find(sub: str, number: int | None) -> Entry | None:
    """Find an event of this person. Somebody else's is as unknown as none (7.126)."""
    found = audit.search(Query(subject=sub), before=number + 1, limit=1).entries if number else ()
    return found[0] if found and found[0].id == number else None


def _cursor(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise BadInput(public=gettext("There is no such page."))
    return int(text)


def _shown(entry: Entry, names: dict[str, str]) -> dict[str, Any]:
    if entry.client_id and entry.client_id not in names:
        client = clients.find(entry.client_id)
        names[entry.client_id] = client.client_name if client else ""
    return {
        "id": entry.id,
        "when": entry.time,
        "what": told.sentence(entry),
        "failed": entry.outcome == "failure",
        "app": names.get(entry.client_id or "", ""),
        "how": how(entry.amr, entry.details) if entry.event == audit.Event.LOGIN_SUCCEEDED else "",
        "device": browsers.described(entry.user_agent) if entry.user_agent else "",
        "address": entry.address or "",
        "by_others": entry.actor not in (None, entry.subject, entry.client_id),
    }
