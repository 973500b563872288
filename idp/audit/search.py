"""audit.search — finding events: filters, pages by key, and the end of the trail as it grows (standards L-4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.engine import RowMapping

from idp.audit.chain import EVENTS
from idp.audit.checkpoints import reading
from idp.audit.events import Event
from idp.audit.seal import seal
from idp.db import db
from idp.errors import BadInput

PAGE_MAX = 500
_NOUNS = frozenset(event.value.partition(".")[0] for event in Event)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to look for; every part that is given must fit. `event` is one name, or a noun with a star: `login.*`.

    `since` is included, `until` is not. Raises BadInput for what cannot be meant.
    """

    subject: str | None = None
    actor: str | None = None
    client_id: str | None = None
    sid: str | None = None
    address: str | None = None
    request_id: str | None = None
    event: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse unknown events and outcomes, and times without a zone."""
        wrong: dict[str, list[str]] = {}
        if self.event and self.event not in set(Event) and self.event.removesuffix(".*") not in _NOUNS:
            wrong["event"] = ["There is no such event."]
        if self.outcome and self.outcome not in ("success", "failure"):
            wrong["outcome"] = ["An outcome is success or failure."]
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                wrong[name] = ["A time needs a time zone."]
        if wrong:
            raise BadInput(wrong)

    def given(self) -> dict[str, Any]:
        """Return the filters that were set, for manifests and for the audit of the reading."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filters as SQL, values always bound."""
        given = self.given()
        found: list[ColumnElement[bool]] = []
        event, since, until = (given.pop(name, None) for name in ("event", "since", "until"))
        if event:
            found.append(
                EVENTS.c.event.startswith(event[:-1], autoescape=True)
                if event.endswith(".*")
                else EVENTS.c.event == event
            )
        if since:
            found.append(EVENTS.c.time >= since)
        if until:
            found.append(EVENTS.c.time < until)
        return found + [EVENTS.c[name] == value for name, value in given.items()]


@dataclass(frozen=True)
class Entry:
    """One event as people read it. `seq` is None until the sealer has numbered it."""

    id: int
    seq: int | None
    event_id: str
    time: datetime
    event: str
    outcome: str
    reason: str | None
    actor: str | None
    subject: str | None
    client_id: str | None
    sid: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    acr: str | None
    amr: tuple[str, ...]
    details: Mapping[str, Any]
    hash: str | None

    @cached_property
    def sentence(self) -> str:
        """What happened, for people."""
        known = Event.named(self.event)
        return known.sentence if known else self.event


@dataclass(frozen=True)
class Page:
    """Some events, newest first; `next` is the cursor of the page after, or None."""

    entries: tuple[Entry, ...]
    next: int | None


def search(query: Query | None = None, *, before: int | None = None, limit: int = 50) -> Page:
    """Return the newest events that fit, `before` a cursor. Keyset paging: new events do not shift the pages."""
    limit = max(1, min(limit, PAGE_MAX))
    wanted = select(EVENTS).where(*(query or Query()).conditions()).order_by(EVENTS.c.id.desc()).limit(limit + 1)
    if before is not None:
        wanted = wanted.where(EVENTS.c.id < before)
    with reading() as connection:
        rows = connection.execute(wanted).mappings().all()
    entries = tuple(entry(row) for row in rows[:limit])
    return Page(entries, entries[-1].id if len(rows) > limit else None)


_HAPPENED = select(EVENTS.c.id).where(EVENTS.c.subject == bindparam("of"), EVENTS.c.event == bindparam("what")).limit(1)


def has_happened(event: Event, *, subject: str) -> bool:
    """Say whether this has ever been written down of a person; asked in the caller's transaction, on its connection."""
    return bool(db.session.connection().execute(_HAPPENED, {"of": subject, "what": event.value}).first())


def tail(query: Query | None = None, *, after_seq: int | None = None, limit: int = 20) -> list[Entry]:
    """Return sealed events in their order: the last `limit`, or the first `limit` after a number."""
    limit = max(1, min(limit, PAGE_MAX))
    wanted = select(EVENTS).where(EVENTS.c.seq.is_not(None), *(query or Query()).conditions()).limit(limit)
    if after_seq is None:
        wanted = wanted.order_by(EVENTS.c.seq.desc())
    else:
        wanted = wanted.where(EVENTS.c.seq > after_seq).order_by(EVENTS.c.seq)
    with reading() as connection:
        rows = connection.execute(wanted).mappings().all()
    return [entry(row) for row in (reversed(rows) if after_seq is None else rows)]


def follow(
    query: Query | None = None, *, last: int = 20, poll_s: float = 1.0, stop: threading.Event | None = None
) -> Iterator[Entry]:
    """Yield the last events and then each new one, in the order of their numbers, until `stop` is set.

    Numbers what waits before each look, so it works beside a server and without one, and misses no late commit.
    """
    stop = stop or threading.Event()
    seal()
    found = tail(query, limit=last)
    seq = found[-1].seq or 0 if found else 0
    while True:
        yield from found
        if stop.wait(0 if len(found) == PAGE_MAX else poll_s):
            return
        seal()
        found = tail(query, after_seq=seq, limit=PAGE_MAX)
        seq = found[-1].seq or seq if found else seq


def entry(row: RowMapping) -> Entry:
    """Make an Entry of a row of `audit_events`."""
    plain = {name: value for name, value in row.items() if name != "prev_hash"}
    return Entry(**{**plain, "amr": tuple(row["amr"].split()), "details": orjson.loads(row["details"])})
