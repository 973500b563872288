"""db.prepared — statements of SQLAlchemy Core for the busy path: compiled once a database, run on a bare line (db/lines.py).

`Prepared` reads. `write` inserts rows of several tables, and `write_if` does so only if an UPDATE before them changed a row: each is one
statement on PostgreSQL, which is a transaction by itself, and a short transaction on SQLite. To PostgreSQL the rows of a table travel
as one JSON text, however many they are: that costs this process a tenth of what a parameter for each cell does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    Dialect,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    column,
    exists,
    func,
    insert,
    literal_column,
    select,
)

from idp.db.lines import Lines

Row = Mapping[str, Any]
Rows = Sequence[tuple[Table, Row]]
_Processor = Callable[[Any], Any]
_Shape = tuple[Table, tuple[str, ...]]  # rows of one table that name the same columns


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
    dialect, named = lines.engine.dialect, dict(values)
    shapes: list[_Shape] = []
    for shape, run in groupby(rows, _shape):
        named[f"rows{len(shapes)}"] = _as_json(shape, [row for _, row in run], dialect)
        shapes.append(shape)
    compiled = _compiled(_joined(guard, tuple(shapes)), dialect)
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
        for table, row in rows:
            compiled = _compiled(_one_of(table, tuple(row)), dialect)
            cursor.execute(compiled.sql, compiled.parameters(row))
        cursor.execute("COMMIT")
    return True


def _shape(row: tuple[Table, Row]) -> _Shape:
    return row[0], tuple(row[1])


def _as_json(shape: _Shape, rows: Sequence[Row], dialect: Dialect) -> str:
    binding = _bindings(shape, dialect)
    if binding:
        rows = [{**row, **{name: process(row[name]) for name, process in binding}} for row in rows]
    return orjson.dumps(rows).decode()


# --- statements, built once -----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _joined(guard: Update | None, shapes: tuple[_Shape, ...]) -> Any:
    """All of it as one statement: each insert a WITH of its own (PostgreSQL, section 7.8.4 of its manual)."""
    gate = None if guard is None else guard.returning(literal_column("1").label("done")).cte("gate")
    parts = [_many_of(table, names, f"rows{number}", gate) for number, (table, names) in enumerate(shapes)]
    if gate is None and len(parts) == 1:
        return parts[0]
    last = select(literal_column("1")) if gate is None else select(func.count()).select_from(gate)
    return last.add_cte(*(part.cte(f"part{number}") for number, part in enumerate(parts)))


def _many_of(table: Table, names: tuple[str, ...], parameter: str, gate: Any) -> Any:
    sent = cast(bindparam(parameter, type_=Text()), JSON)
    cells = [column(name, table.c[name].type) for name in names]
    given = func.json_to_recordset(sent).table_valued(*cells, name=f"{parameter}_given").render_derived(with_types=True)
    offered = select(*(given.c[name] for name in names))
    if gate is not None:
        offered = offered.where(exists(literal_column("1")).select_from(gate))
    return insert(table).from_select(names, offered)


@lru_cache(maxsize=256)
def _one_of(table: Table, names: tuple[str, ...]) -> Any:
    return insert(table).values({name: bindparam(name, type_=table.c[name].type) for name in names}).inline()


@lru_cache(maxsize=256)
def _bindings(shape: _Shape, dialect: Dialect) -> list[tuple[str, _Processor]]:
    """What turns values of some columns into plain ones."""
    found = ((name, _binding(shape[0].c[name].type, dialect)) for name in shape[1])
    return [(name, process) for name, process in found if process is not None]


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
