"""audit.export — taking events out: JSON Lines, CSV, OCSF; each with a signed manifest (standards L-11).

JSON Lines carry what the chain hashes, so `verify_export` proves them without this installation; their manifest is the last line.
CSV and OCSF are for spreadsheets and SIEMs, which expect nothing but events: their manifest is a file of its own.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.engine import RowMapping

from idp import clock
from idp.audit import checkpoints
from idp.audit.chain import EVENTS, GENESIS, HEAD, sealed_facts
from idp.audit.checkpoints import PublicKeys, Signer, genuine
from idp.audit.events import Event
from idp.audit.ocsf import ocsf
from idp.audit.search import Query
from idp.audit.text import canonical, rfc3339
from idp.audit.trail import record
from idp.audit.verify import Broken, Report, Walk, file_statements
from idp.errors import BadInput

_PAGE = 500
COLUMNS = (
    "seq", "time", "event", "outcome", "reason", "subject", "actor", "client_id", "sid", "address", "user_agent",
    "request_id", "acr", "amr", "details", "event_id", "prev_hash", "hash",
)  # fmt: skip
_ENDINGS = {"jsonl": "jsonl", "csv": "csv", "ocsf": "ocsf.jsonl"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "|", "＝", "＋", "－", "＠")


@dataclass
class Export:
    """Events on their way out; iterate once (needs the application's context), then read `manifest`."""

    format: str
    query: Query
    upto: int
    signer: Signer = field(repr=False)
    manifest: dict[str, Any] | None = None

    @property
    def content_type(self) -> str:
        """Media type of the content."""
        return "text/csv; charset=utf-8; header=present" if self.format == "csv" else "application/x-ndjson"

    @property
    def filename(self) -> str:
        """A name for the download."""
        return f"audit-{self.upto}.{_ENDINGS[self.format]}"

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content in pieces; afterwards the manifest is ready."""
        digest = hashlib.sha256()
        seen: dict[str, Any] = {"first_seq": None, "last_seq": None, "first_hash": None, "last_hash": None, "count": 0}
        for chunk in self._content(seen):
            digest.update(chunk)
            yield chunk
        self.manifest = self.signer.signed("manifest", self._statement(seen, digest.hexdigest()))
        if self.format == "jsonl":
            yield canonical({"manifest": self.manifest}) + b"\n"

    def save(self, path: Path) -> Path:
        """Write the content to `path` (readable by us only) and the manifest beside it; returns the manifest's path."""
        beside = path.with_name(f"{path.name}.manifest.json")
        path.touch(mode=0o600)
        with path.open("wb") as file:
            file.writelines(self)
        beside.write_bytes(canonical(self.manifest or {}) + b"\n")
        return beside

    def _content(self, seen: dict[str, Any]) -> Iterator[bytes]:
        line = _LINES[self.format]
        if self.format == "csv":
            yield _csv_line(COLUMNS)
        for row in _rows(self.query, self.upto):
            if not seen["count"]:
                seen.update(first_seq=row["seq"], first_hash=row["hash"])
            seen.update(last_seq=row["seq"], last_hash=row["hash"], count=seen["count"] + 1)
            yield line(row)

    def _statement(self, seen: Mapping[str, Any], content_sha256: str) -> dict[str, Any]:
        return {
            "v": 1,
            "format": self.format,
            "filters": _spelled(self.query),
            "chain_seq": self.upto,
            **seen,
            "content_sha256": content_sha256,
            "created_at": rfc3339(clock.now()),
        }


def export(format: str = "jsonl", query: Query | None = None, *, actor: str | None = None) -> Export:
    """Prepare an export of the sealed events that fit, up to the present end; stages `audit.exported`.

    The caller commits before the first byte leaves. Raises BadInput for an unknown format.
    """
    if format not in _LINES:
        raise BadInput({"format": [f"A format is one of {', '.join(_LINES)}."]})
    query = query or Query()
    signer = checkpoints.ready_signer()
    with checkpoints.reading() as connection:
        upto = connection.execute(select(HEAD.c.seq)).scalar_one()
        fitting = select(func.count()).select_from(EVENTS).where(EVENTS.c.seq <= upto, *query.conditions())
        count = connection.execute(fitting).scalar_one()
    record(Event.AUDIT_EXPORTED, actor=actor, format=format, filters=_spelled(query), events=count, upto_seq=upto)
    return Export(format, query, upto, signer)


def verify_export(lines: Iterable[bytes], *, public_keys: PublicKeys, checkpoint_lines: Iterable[bytes] = ()) -> Report:
    """Verify a JSON Lines export away from the database, with the public key and, if at hand, the checkpoint file.

    A whole export is walked like the chain itself. One with filters has gaps by design: there every event is checked against
    its own hash, and the manifest's signature covers the content.
    """
    check = _ExportCheck(public_keys, file_statements(checkpoint_lines))
    try:
        for line in lines:
            check.line(line)
        check.end()
    except Broken as broken:
        return Report(False, check.events, check.walk.checkpoints, broken.seq, broken.problem)
    return Report(True, check.events, check.walk.checkpoints)


class _ExportCheck:
    """State of one pass over an export."""

    def __init__(self, public_keys: PublicKeys, statements: Iterator[dict[str, Any]]) -> None:
        self.public_keys = public_keys
        self.walk = Walk(statements, public_keys)
        self.digest = hashlib.sha256()
        self.events = 0
        self.first: dict[str, Any] | None = None
        self.manifest: dict[str, Any] | None = None
        self.gaps = False

    def line(self, line: bytes) -> None:
        """Take one line: an event, or the manifest that must be the last."""
        parsed = self._parsed(line)
        if self.manifest is not None:
            raise Broken(self.walk.seq + 1, "something was added after the manifest")
        if "manifest" in parsed:
            self.manifest = parsed["manifest"]
            return
        self.digest.update(line)
        prev_hash, hash_ = parsed.pop("prev_hash"), parsed.pop("hash")
        if self.first is None:
            self._begin(parsed, prev_hash)
        elif parsed["seq"] > self.walk.seq + 1:
            self.gaps = True
            self.walk.jump(parsed["seq"] - 1, prev_hash)
        self.walk.step(parsed, prev_hash, hash_)
        self.events += 1

    def end(self) -> None:
        """Check the manifest against what was read. Raises Broken."""
        if self.manifest is None:
            raise Broken(self.walk.seq + 1, "the export has no manifest: its end is missing")
        stated = self.manifest
        if not genuine("manifest", stated, self.public_keys):
            raise Broken(1, "the manifest is forged: its signature does not hold")
        if stated["count"] != self.events or stated["content_sha256"] != self.digest.hexdigest():
            raise Broken(1, "the content is not what the manifest was signed for")
        if not stated["filters"]:
            self._whole(stated["chain_seq"])

    def _whole(self, chain_seq: int) -> None:
        if self.gaps or self.walk.seq != chain_seq or (self.first and self.first["seq"] != 1):
            raise Broken(self.walk.seq + 1, "events are missing from an export that claims to be whole")

    def _begin(self, parsed: dict[str, Any], prev_hash: str) -> None:
        self.first = parsed
        if parsed["seq"] == 1 and prev_hash != GENESIS:
            raise Broken(1, "the first event does not begin the chain")
        self.walk.jump(parsed["seq"] - 1, prev_hash)

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            parsed = orjson.loads(line)
            if not isinstance(parsed, dict) or ("manifest" not in parsed and not isinstance(parsed["seq"], int)):
                raise ValueError
            if "manifest" not in parsed:
                _ = parsed["prev_hash"], parsed["hash"]
        except (ValueError, KeyError):
            raise Broken(self.walk.seq + 1, "a line is not an event") from None
        return parsed


def _rows(query: Query, upto: int) -> Iterator[RowMapping]:
    after = 0
    page = select(EVENTS).where(EVENTS.c.seq <= upto, *query.conditions()).order_by(EVENTS.c.seq).limit(_PAGE)
    while True:
        with checkpoints.reading() as connection:
            rows = connection.execute(page.where(EVENTS.c.seq > after)).mappings().all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]


def _json_line(row: RowMapping) -> bytes:
    return canonical({**sealed_facts(row), "prev_hash": row["prev_hash"], "hash": row["hash"]}) + b"\n"


def _ocsf_line(row: RowMapping) -> bytes:
    return canonical(ocsf(row)) + b"\n"


def _csv_row(row: RowMapping) -> bytes:
    return _csv_line([_cell(row[column]) for column in COLUMNS])


def _csv_line(cells: Iterable[Any]) -> bytes:
    """One record of RFC 4180: CRLF, quotes doubled."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    """Keep a spreadsheet from running what an attacker wrote: such text gets an apostrophe in front (attack 136)."""
    if value is None or isinstance(value, int):
        return value
    text = rfc3339(value) if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _spelled(query: Query) -> dict[str, Any]:
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in query.given().items()}


_LINES: dict[str, Callable[[RowMapping], bytes]] = {"jsonl": _json_line, "csv": _csv_row, "ocsf": _ocsf_line}
