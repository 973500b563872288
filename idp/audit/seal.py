"""audit.seal — gives new events their numbers and links them into the chain.

Writers never wait for the chain: `record` inserts rows without a number, and one sealer at a time numbers what has been
committed since. An event whose transaction ends late simply gets a later number. Runs in transactions of its own, from the background job,
from `idp audit seal` and before reading; call it with nothing pending in the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import JSON, BigInteger, Connection, String, Text, bindparam, cast, column, func, insert, select, update
from sqlalchemy.engine import RowMapping

from idp import clock, crypto
from idp.audit import checkpoints
from idp.audit.chain import EVENTS, HEAD, facts, link, lock_head
from idp.audit.events import Event
from idp.config import settings
from idp.db import db

BATCH = 500
STEP_BACK = timedelta(seconds=60)

_UNSEALED = select(EVENTS).where(EVENTS.c.seq.is_(None)).order_by(EVENTS.c.id)
_NUMBER = (
    update(EVENTS)
    .where(EVENTS.c.id == bindparam("row_id"), EVENTS.c.seq.is_(None))
    .values(seq=bindparam("new_seq"), prev_hash=bindparam("new_prev"), hash=bindparam("new_hash"))
)
_LINKS = (
    func.json_to_recordset(cast(bindparam("links", type_=Text()), JSON))
    .table_valued(
        column("row_id", BigInteger), column("new_seq", BigInteger),
        column("new_prev", String), column("new_hash", String), name="links",
    )
    .render_derived(with_types=True)
)  # fmt: skip
_NUMBER_ALL = (  # PostgreSQL: one statement and one text, however many there are; a statement for each costs this process thrice as much
    update(EVENTS)
    .where(EVENTS.c.id == _LINKS.c.row_id, EVENTS.c.seq.is_(None))
    .values(seq=_LINKS.c.new_seq, prev_hash=_LINKS.c.new_prev, hash=_LINKS.c.new_hash)
)


class ChainMoved(Exception):
    """Another sealer moved the head although we hold it: the database gave no lock. Nothing was written."""


def seal() -> int:
    """Number and link every committed event; sign a checkpoint every so many events and at the end. Returns how many."""
    sealed = 0
    while _work_waits():
        with db.engine.begin() as connection:
            count, more = _seal_batch(connection)
        sealed += count
        if not more:
            break
    checkpoints.append_to_file()
    return sealed


def _work_waits() -> bool:
    """Look without a lock, so that an idle sealer disturbs nobody."""
    with checkpoints.reading() as connection:
        if connection.execute(_UNSEALED.with_only_columns(EVENTS.c.id).limit(1)).first():
            return True
        return bool(connection.execute(select(HEAD.c.id).where(HEAD.c.checkpoint_seq < HEAD.c.seq)).first())


def _seal_batch(connection: Connection) -> tuple[int, bool]:
    every = settings().audit.checkpoint_events
    size = min(BATCH, every)
    head = lock_head(connection)
    rows = connection.execute(_UNSEALED.limit(size)).mappings().all()
    seq, hash_ = _number(connection, head, rows)
    more = len(rows) == size
    due = seq > head["checkpoint_seq"] and (not more or seq - head["checkpoint_seq"] >= every)
    if due:
        checkpoints.sign(connection, seq=seq, hash_=hash_)
    newest = rows[-1]["time"] if rows else head["newest_at"]
    _move(
        connection, head, seq=seq, hash=hash_, checkpoint_seq=seq if due else head["checkpoint_seq"], newest_at=newest
    )
    _watch_clock(connection, head["newest_at"], rows)
    return len(rows), more


def _number(connection: Connection, head: RowMapping, rows: Sequence[RowMapping]) -> tuple[int, str]:
    seq, hash_ = head["seq"], head["hash"]
    changes = []
    for row in rows:
        seq += 1
        before, hash_ = hash_, link(hash_, facts({**row, "seq": seq}))
        changes.append({"row_id": row["id"], "new_seq": seq, "new_prev": before, "new_hash": hash_})
    if changes:
        _write(connection, changes)
    return seq, hash_


def _write(connection: Connection, changes: list[dict[str, Any]]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_NUMBER_ALL, {"links": orjson.dumps(changes).decode()})
    else:
        connection.execute(_NUMBER, changes)


def _move(connection: Connection, head: RowMapping, **to: Any) -> None:
    unmoved = (HEAD.c.seq == head["seq"]) & (HEAD.c.hash == head["hash"])
    if connection.execute(update(HEAD).where(unmoved).values(**to)).rowcount != 1:
        raise ChainMoved


def _watch_clock(connection: Connection, newest: datetime | None, rows: Sequence[RowMapping]) -> None:
    """Write down that time ran backwards: a clock was set back, or a transaction stayed open for long (attack 139)."""
    for row in rows:
        if newest is not None and row["time"] < newest - STEP_BACK:
            connection.execute(insert(EVENTS).values(**_step_back(row, newest)))
            return
        newest = row["time"]


def _step_back(row: RowMapping, newest: datetime) -> dict[str, Any]:
    event = Event.CLOCK_STEPPED_BACK
    seconds = int((newest - row["time"]).total_seconds())
    return {
        "event_id": crypto.uuid7(),
        "time": clock.now(),
        "event": event.value,
        "outcome": event.outcome,
        "amr": "",
        "details": f'{{"event_id":"{row["event_id"]}","seconds":{seconds}}}',
    }
