"""audit.verify — reads the whole chain and names the first event that does not fit, and why (standards L-6, L-8; attack 135).

What each check catches: the number — a deleted or inserted event; the link — reordering; the hash — an edit; the one spelling of what
is stored — an edit that means the same and hides an event from filters; a signed checkpoint — a chain that was computed anew; the
checkpoint file — a tail that was cut off together with its checkpoints in the database.
What nothing can catch: events removed before the sealer saw them (a few seconds), and a file and database changed together with
the private key.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.engine import RowMapping

from idp.audit import checkpoints
from idp.audit.chain import EVENTS, GENESIS, HEAD, link, sealed_facts
from idp.audit.checkpoints import PublicKeys, genuine
from idp.audit.events import Event
from idp.audit.text import canonical, spaced
from idp.audit.trail import record
from idp.db import db
from idp.record import Record

_PAGE = 1000
_AS_STORED = [type_coerce(column, String).label("time") if column.name == "time" else column for column in EVENTS.c]


class Report(Record):
    """What a verification found. `first_bad_seq` is the first event that cannot be believed."""

    ok: bool
    events: int
    checkpoints: int
    first_bad_seq: int | None = None
    problem: str | None = None
    unsealed: int = 0
    warnings: tuple[str, ...] = ()


class Broken(Exception):
    """The chain does not hold at `seq`."""

    def __init__(self, seq: int, problem: str) -> None:
        self.seq, self.problem = seq, problem
        super().__init__(problem)


@dataclass
class Walk:
    """One pass along the chain, event by event, with the signed checkpoints beside it."""

    statements: Iterator[dict[str, Any]]
    public_keys: PublicKeys
    seq: int = 0
    hash: str = GENESIS
    proven: int = 0  # last event under a checkpoint that fits
    checkpoints: int = 0
    events: int = 0
    _next: dict[str, Any] | None = field(default=None, repr=False)

    def step(self, covered: Mapping[str, Any], prev_hash: str | None, hash_: str | None) -> None:
        """Check one event. Raises Broken."""
        expected, seq = self.seq + 1, covered["seq"]
        if seq > expected:
            raise Broken(expected, f"event {expected} is missing: event {self.seq or 'none'} is followed by {seq}")
        if seq < expected:
            raise Broken(seq, f"event {seq} stands twice in the trail")
        if link(self.hash, covered) != hash_:
            problem = (
                "was edited after it was sealed" if prev_hash == self.hash else "does not follow the event before it"
            )
            raise Broken(seq, f"event {seq} {problem}")
        if prev_hash != self.hash:
            raise Broken(seq, f"event {seq} names a wrong predecessor")
        self.seq, self.hash = seq, str(hash_)
        self.events += 1
        self._compare()

    def jump(self, seq: int, hash_: str) -> None:
        """Go on behind a gap that is meant: checkpoints inside it say nothing about what we hold."""
        while (statement := self._peek()) is not None and statement["seq"] <= seq:
            self._next = None
        self.seq, self.hash, self.proven = seq, hash_, seq

    def finish(self) -> None:
        """Check that no checkpoint speaks of events beyond the end. Raises Broken."""
        late = self._peek()
        if late is not None:
            self._believe(late)
            raise Broken(
                self.seq + 1,
                f"the tail was cut off: a checkpoint of {late['at']} knows {late['seq']} events, {self.seq} are left",
            )

    def _compare(self) -> None:
        while (statement := self._peek()) is not None and statement["seq"] <= self.seq:
            self._believe(statement)
            if statement["seq"] < self.seq or statement["hash"] != self.hash:
                raise Broken(
                    self.proven + 1,
                    f"the chain was computed anew: checkpoint {statement['seq']} of {statement['at']} was signed over another"
                    f" history; events {self.proven + 1} to {statement['seq']} cannot be believed",
                )
            self.proven, self._next = self.seq, None
            self.checkpoints += 1

    def _believe(self, statement: dict[str, Any]) -> None:
        if not genuine("checkpoint", statement, self.public_keys):
            raise Broken(statement["seq"], f"checkpoint {statement['seq']} is forged: its signature does not hold")

    def _peek(self) -> dict[str, Any] | None:
        if self._next is None:
            self._next = next(self.statements, None)
        return self._next


def verify(*, checkpoint_file: Path | None = None, actor: str | None = None) -> Report:
    """Verify the chain in the database against the checkpoints in it and in the file outside of it; stages `audit.verified`.

    Reads page by page in short transactions and blocks no writer. `checkpoint_file` is a copy kept elsewhere, instead
    of the configured file. The caller commits.
    """
    report = _report(checkpoint_file or checkpoints.file_path())
    record(
        Event.AUDIT_VERIFIED,
        actor=actor,
        outcome="success" if report.ok else "failure",
        reason=report.problem,
        events=report.events,
        checkpoints=report.checkpoints,
        first_bad_seq=report.first_bad_seq,
    )
    return report


def verify_tail(events: int = 1000) -> Report:
    """Verify only the newest events and their checkpoints, in bounded time, for a look every now and then. Audits nothing.

    It trusts the hash of the event before them; what lies further back is for `verify`.
    """
    keys, foreign = checkpoints.own_public_keys()
    head = _head()
    start = max(0, head["seq"] - events)
    walk = Walk((known for known in checkpoints.stored(start) if known["seq"] <= head["seq"]), keys)
    walk.jump(start, _hash_of(start))
    try:
        if foreign:
            raise Broken(1, f"a checkpoint key is not ours or does not open: {', '.join(foreign)}")
        _walk_to_the_end(walk, head, after=start)
    except Broken as broken:
        return _broken(walk, broken, ())
    return Report(True, walk.events, walk.checkpoints, unsealed=_unsealed())


def _hash_of(seq: int) -> str:
    with checkpoints.reading() as connection:
        found = connection.execute(select(EVENTS.c.hash).where(EVENTS.c.seq == seq)).scalar()
    return found or GENESIS


def file_statements(lines: Iterable[bytes], *, name: str = "the checkpoint file") -> Iterator[dict[str, Any]]:
    """Parse the lines of a checkpoint file; half a last line (a crash while writing) is left out. Raises Broken."""
    before = 0
    for number, line in enumerate(lines, 1):
        try:
            statement = orjson.loads(line)
            if type(statement["seq"]) is not int or statement["seq"] <= before:
                raise ValueError
            _ = statement["hash"], statement["at"]
        except (ValueError, KeyError, TypeError):
            if not line.endswith(b"\n"):
                return
            raise Broken(before + 1, f"{name} is damaged in line {number}") from None
        before = statement["seq"]
        yield statement


def _report(path: Path | None) -> Report:
    keys, foreign = checkpoints.own_public_keys()
    head = _head()  # before the events are read: the chain grows while we read
    warnings = [f"{count} events wait for their number" for count in [_unsealed()] if count]
    external: Iterator[dict[str, Any]] = iter(())
    if path is not None and path.exists():
        external = file_statements(_lines(path), name=str(path))
    else:
        warnings.append("there is no checkpoint file outside of the database: a missing tail would not be noticed")
    walk = Walk(_upto(head["seq"], external), keys)
    try:
        if foreign:
            raise Broken(1, f"a checkpoint key is not ours or does not open: {', '.join(foreign)}")
        _walk_to_the_end(walk, head, after=0)
    except Broken as broken:
        return _broken(walk, broken, tuple(warnings))
    return Report(True, walk.events, walk.checkpoints, unsealed=_unsealed(), warnings=tuple(warnings))


def _walk_to_the_end(walk: Walk, head: RowMapping, *, after: int) -> None:
    before = 0
    for row in _sealed(head["seq"], after=after):
        covered = _readable(row)
        walk.step(covered, row["prev_hash"], row["hash"])
        if covered["v"] == 1 and not _may_follow(row["id"], before):
            raise Broken(row["seq"], f"event {row['seq']} was edited after it was sealed: its id is out of order")
        before = row["id"]
    walk.finish()
    _meets(head, walk)


def _may_follow(id_: int, before: int) -> bool:
    """Judge an id that no hash covers: it counts arrivals, and where there is one writer at a time it only grows."""
    return id_ > (before if db.engine.dialect.name == "sqlite" else 0)


def _broken(walk: Walk, broken: Broken, warnings: tuple[str, ...]) -> Report:
    return Report(False, walk.events, walk.checkpoints, broken.seq, broken.problem, _unsealed(), warnings)


def _readable(row: RowMapping) -> dict[str, Any]:
    """Return the facts of a sealed event. Raises Broken for what has no meaning, or another spelling than the one that we write."""
    try:
        read = {**row, "time": _moment(row["time"])}
        covered = sealed_facts(read)
    except (ValueError, TypeError, AttributeError):
        raise Broken(row["seq"], f"event {row['seq']} was edited after it was sealed: it cannot be read") from None
    spelled = {
        "time": row["time"] if isinstance(row["time"], datetime) else read["time"].isoformat(timespec="microseconds"),
        "amr": spaced(row["amr"]),
        "details": canonical(covered["details"]).decode(),
    }
    for name, spelling in spelled.items():
        if row[name] != spelling:
            problem = f"event {row['seq']} was edited after it was sealed: {name} is not spelled as we write it"
            raise Broken(row["seq"], problem)
    return covered


def _moment(stored: Any) -> datetime:
    """Read a time as the driver gives it: SQLite keeps text, and only that can be spelled in more than one way."""
    parsed = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    if parsed.tzinfo is None:
        raise ValueError("a time without a zone")
    return parsed.astimezone(UTC)


def _meets(head: RowMapping, walk: Walk) -> None:
    if walk.seq < head["seq"]:
        raise Broken(walk.seq + 1, f"the tail was cut off: {head['seq']} events were sealed, {walk.seq} are left")
    if walk.hash != head["hash"]:
        raise Broken(walk.seq, "the chain does not end in the hash that the sealer left")
    with checkpoints.reading() as connection:
        last = connection.execute(select(func.max(EVENTS.c.seq))).scalar() or 0
    if last > _head()["seq"]:  # read later than `last`, so the sealer cannot be the one who wrote it
        raise Broken(head["seq"] + 1, f"event {last} was inserted beyond the end of the chain")


def _upto(seq: int, external: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Merge both sources. Checkpoints of the table may be younger than our view of the head; those of the file are older than it
    or speak of a lost tail: the file is written after the table, and read here after the head."""
    known = (statement for statement in checkpoints.stored() if statement["seq"] <= seq)
    return heapq.merge(known, _settled(seq, external), key=lambda statement: statement["seq"])


def _settled(seq: int, external: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Leave out lines that the sealer wrote since we began: the head has reached them by now."""
    now = seq
    for statement in external:
        if statement["seq"] > now:
            now = _head()["seq"]
        if statement["seq"] <= seq or statement["seq"] > now:
            yield statement


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _head() -> RowMapping:
    with checkpoints.reading() as connection:
        return connection.execute(select(HEAD)).mappings().one()


def _unsealed() -> int:
    with checkpoints.reading() as connection:
        counted = connection.execute(select(func.count()).select_from(EVENTS).where(EVENTS.c.seq.is_(None)))
        return int(counted.scalar_one())


def _sealed(upto: int, *, after: int) -> Iterator[RowMapping]:
    """Yield the numbered events by number, `after` a number; a page is one short transaction."""
    page = select(*_AS_STORED).where(EVENTS.c.seq.is_not(None)).order_by(EVENTS.c.seq, EVENTS.c.id).limit(_PAGE)
    while True:
        with checkpoints.reading() as connection:
            rows = connection.execute(page.where(EVENTS.c.seq > after)).mappings().all()
        for row in rows:
            if row["seq"] > upto:
                return
            yield row
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]
