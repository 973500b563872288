"""db.prepared — statements of SQLAlchemy Core for the busy path: compiled once a database, run on a bare line (db/lines.py).

`Prepared` reads. `inserts` writes rows of several tables, and `guarded` does so only if an UPDATE before them changed a row: each is one
statement on PostgreSQL, which is a transaction by itself, and a short transaction on SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    Dialect,
    Select,
    Table,
    Update,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    select,
    union_all,
)

from idp.db.lines import Lines

Row = Mapping[str, Any]
Rows = Sequence[tuple[Table, Row]]
_Processor = Callable[[Any], Any]
_Runs = tuple[tuple[Table, tuple[str, ...], int], ...]  # table, columns, how many rows of it follow one another


class Prepared:
    """A SELECT that is asked again and again. Its parameters are named; its rows are dicts."""

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement

    def rows(self, lines: Lines, values: Row) -> list[dict[str, Any]]:
        """Run it outside of any transaction. Raises DBAPIError."""
        compiled = _compiled(self.statement, lines.engine.dialect)
        with lines.cursor() as cursor:
            cursor.execute(compiled.sql, compiled.parameters(values))
            return [compiled.read(row) for row in cursor.fetchall()]


def write(lines: Lines, rows: Rows) -> None:
    """Insert rows, all of them or none. Raises DBAPIError."""
    _run(lines, None, {}, rows)


def write_if(lines: Lines, guard: Update, values: Row, rows: Rows) -> bool:
    """Run an UPDATE, and insert rows if it changed one; whether it did. Of any number of callers with the same guard one hears True."""
    return _run(lines, guard, values, rows)


def _run(lines: Lines, guard: Update | None, values: Row, rows: Rows) -> bool:
    if lines.engine.dialect.name == "postgresql":
        return _in_one_statement(lines, guard, values, rows)
    return _in_one_transaction(lines, guard, values, rows)


def _in_one_statement(lines: Lines, guard: Update | None, values: Row, rows: Rows) -> bool:
    compiled = _compiled(_joined(guard, _runs(rows)), lines.engine.dialect)
    named = dict(values)
    for number, (_, row) in enumerate(rows):
        named |= {f"r{number}_{name}": value for name, value in row.items()}
    with lines.cursor() as cursor:
        cursor.execute(compiled.sql, compiled.parameters(named))
        return guard is None or cursor.fetchone()[0] == 1


def _in_one_transaction(lines: Lines, guard: Update | None, values: Row, rows: Rows) -> bool:
    dialect = lines.engine.dialect
    with lines.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        if guard is not None:
            compiled = _compiled(guard, dialect)
            cursor.execute(compiled.sql, compiled.parameters(values))
            if cursor.rowcount != 1:
                cursor.execute("ROLLBACK")
                return False
        for number, (table, row) in enumerate(rows):
            compiled = _compiled(_insert_of(table, tuple(row), number, number), dialect)
            cursor.execute(compiled.sql, compiled.parameters({f"r{number}_{n}": v for n, v in row.items()}))
        cursor.execute("COMMIT")
    return True


# --- statements, built once -----------------------------------------------------------------------------------


def _runs(rows: Rows) -> _Runs:
    shapes = groupby((table, tuple(row)) for table, row in rows)
    return tuple((table, names, sum(1 for _ in run)) for (table, names), run in shapes)


@lru_cache(maxsize=256)
def _joined(guard: Update | None, runs: _Runs) -> Any:
    """All of it as one statement: each insert a WITH of its own (PostgreSQL, section 7.8.4 of its manual)."""
    if guard is None and len(runs) == 1:
        table, names, count = runs[0]
        return _insert_of(table, names, 0, count - 1)
    gate = None if guard is None else guard.returning(literal_column("1").label("done")).cte("gate")
    parts, first = [], 0
    for table, names, count in runs:
        part = _insert_of(table, names, first, first + count - 1, behind=gate)
        parts.append(part.cte(f"part{first}"))
        first += count
    last = select(literal_column("1")) if gate is None else select(func.count()).select_from(gate)
    return last.add_cte(*parts)


@lru_cache(maxsize=1024)
def _insert_of(table: Table, names: tuple[str, ...], first: int, last: int, *, behind: Any = None) -> Any:
    rows = [
        [bindparam(f"r{number}_{name}", type_=table.c[name].type) for name in names]
        for number in range(first, last + 1)
    ]
    if behind is None:
        return insert(table).values([dict(zip(names, row, strict=True)) for row in rows]).inline()
    passed = exists(literal_column("1")).select_from(behind)
    offered = [select(*row).where(passed) for row in rows]
    return insert(table).from_select(names, union_all(*offered) if len(offered) > 1 else offered[0])


class _Compiled:
    """A statement in the words of one database, and what turns values into the driver's and back."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql: str = compiled.string
        self._order: list[str] | None = compiled.positiontup
        self._fixed = {name: bind.effective_value for bind, name in compiled.bind_names.items() if not bind.required}
        found = {name: _binding(bind.type, dialect) for bind, name in compiled.bind_names.items()}
        self._bind = {name: process for name, process in found.items() if process is not None}
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        self._names = [str(column.key) for column in columns]
        self._read = [(i, p) for i, column in enumerate(columns) if (p := _reading(column.type, dialect)) is not None]

    def parameters(self, values: Row) -> Any:
        named = {**self._fixed, **values}
        for name, process in self._bind.items():
            named[name] = process(named[name])
        return named if self._order is None else [named[name] for name in self._order]

    def read(self, row: Sequence[Any]) -> dict[str, Any]:
        cells = list(row)
        for position, process in self._read:
            cells[position] = process(cells[position])
        return dict(zip(self._names, cells, strict=True))


@lru_cache(maxsize=1024)
def _compiled(statement: Any, dialect: Dialect) -> _Compiled:
    return _Compiled(statement, dialect)


def _binding(kind: Any, dialect: Dialect) -> _Processor | None:
    found: _Processor | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found


def _reading(kind: Any, dialect: Dialect) -> _Processor | None:
    found: _Processor | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return found
