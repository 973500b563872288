"""db.straight — statements that PostgreSQL has prepared, sent by libpq itself.

For each execution psycopg finds out anew how a query is written, what its parameters are and whether to prepare it. The statements of the
busy path come back thousands of times with texts, numbers and times, and every answer is the same: finding out costs four times
what the rest does. So a line keeps what it found out. Anything unusual takes psycopg's own way, and fails as it fails there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from idp import waiting
from idp.record import Record

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import Transformer

_COMMAND_OK, _TUPLES_OK = 1, 2  # PGRES_COMMAND_OK and PGRES_TUPLES_OK of libpq
_AT_MOST = 100  # statements that a line keeps prepared; psycopg keeps as many of its own
_PLACE = re.compile(r"%(?:%|\((.+?)\)s)")


class _Unusual(Exception):
    """A parameter that psycopg knows how to send, or to refuse."""


class _Known(Record):
    """A statement that this line has prepared: its name, its parameters in their order, and what reads its rows."""

    name: bytes
    order: tuple[str, ...]
    reader: Transformer


class Straight:
    """The cursor of one line in autocommit, as far as db/prepared.py needs one (PEP 249); one thread has it at a time."""

    def __init__(self, line: psycopg.Connection[Any]) -> None:
        self._line, self._known = line, dict[str, _Known]()
        self._rows: list[tuple[Any, ...]] = []
        style = line.pgconn.parameter_status(b"DateStyle") or b""
        self._is_usual = line.info.encoding == "utf-8" and style.startswith(b"ISO")

    def execute(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement with named parameters (`%(name)s`). Raises what psycopg raises."""
        try:
            known = self._known.get(sql) or self._prepared(sql)
            sent: list[Any] = [_as_text(values[name]) for name in known.order]
        except (_Unusual, UnicodeEncodeError):
            self._by_psycopg(sql, values)
            return
        result = self._good(self._ran(known.name, sent))
        if result.status == _TUPLES_OK:
            known.reader.set_pgresult(result)
            self._rows = known.reader.load_rows(0, result.ntuples, tuple)
        else:
            self._rows = []

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement."""
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first of them."""
        return self._rows[0] if self._rows else None

    def _prepared(self, sql: str) -> _Known:
        if not self._is_usual or len(self._known) >= _AT_MOST:
            raise _Unusual
        from psycopg import adapt  # is loaded by then, and is not where there is SQLite

        numbered, order = _numbered(sql)
        name = f"idp{len(self._known)}".encode()
        self._good(self._told(name, numbered.encode()))
        return self._known.setdefault(sql, _Known(name, order, adapt.Transformer(self._line)))

    def _ran(self, name: bytes, sent: list[Any]) -> Any:
        to = self._line.pgconn
        if waiting.light() is None:
            return to.exec_prepared(name, sent)
        to.send_query_prepared(name, sent)
        return self._waited()

    def _told(self, name: bytes, sql: bytes) -> Any:
        to = self._line.pgconn
        if waiting.light() is None:
            return to.prepare(name, sql)
        to.send_prepare(name, sql)
        return self._waited()

    def _waited(self) -> Any:
        from psycopg import generators

        return self._line.wait(generators.execute(self._line.pgconn))[-1]

    def _by_psycopg(self, sql: str, values: Mapping[str, Any]) -> None:
        with self._line.cursor() as cursor:
            cursor.execute(sql, values)
            self._rows = cursor.fetchall() if cursor.description else []

    def _good(self, result: Any) -> Any:
        if result.status in (_TUPLES_OK, _COMMAND_OK):
            return result
        import psycopg  # is loaded by then, and is not where there is SQLite

        error = psycopg.errors.error_from_result(result)
        raise psycopg.OperationalError(str(error)) if self._line.broken else error


def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """Write parameters as PostgreSQL itself has them ($1), and return their names in that order."""
    order: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        return "%" if found[1] is None else f"${order.setdefault(found[1], len(order) + 1)}"

    return _PLACE.sub(place, sql), tuple(order)


def _as_text(value: Any) -> bytes | None:
    kind = type(value)
    if kind is str and "\0" not in value:  # libpq would end the text there
        return value.encode()  # type: ignore[no-any-return]
    if kind is int:
        return b"%d" % value
    if kind is datetime and value.tzinfo is not None:
        return value.isoformat().encode()  # type: ignore[no-any-return]
    if value is None:
        return None
    raise _Unusual
