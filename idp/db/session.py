"""db.session — a session that holds rows back until it commits, and writes them in one trip.

Events and tokens are rows that nobody reads before they are committed. `stage` keeps them; `commit` writes them all, in order, in the
transaction of whatever else the session did; where it did nothing else, in a statement of their own on a bare line (db/prepared.py).
Whoever reads through the session meanwhile finds them, and a rollback drops them.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Table, Update, event, insert

from idp.db import prepared
from idp.db.lines import Lines
from idp.db.prepared import Prepared, Row

_STAGED = "idp.staged"
_ALL: WeakKeyDictionary[Any, Lines] = WeakKeyDictionary()


class Session(FlaskSession):
    """The unit of work of one request."""

    def stage(self, table: Table, row: Row) -> None:
        """Insert a row when this commits. All rows of a table must name the same columns."""
        if self.in_nested_transaction():  # it may be rolled back alone
            self.connection().execute(insert(table), dict(row))
        else:
            self.info.setdefault(_STAGED, []).append((table, row))

    def settle(self) -> None:
        """Write what is staged in the running transaction."""
        for table, row in self.info.pop(_STAGED, ()):
            self.connection().execute(insert(table).inline(), dict(row))

    def ask(self, statement: Prepared, values: Row) -> list[dict[str, Any]]:
        """Run a prepared SELECT: in the running transaction if there is one, else alone, which costs one trip."""
        if self.info.get(_STAGED):
            self.settle()
        if self.in_transaction():
            return [dict(row) for row in self.connection().execute(statement.statement, dict(values)).mappings()]
        return statement.rows(self._lines(), values)

    def commit(self) -> None:
        """Write what is staged and commit everything."""
        if self.info.get(_STAGED) and not self.in_transaction():
            prepared.write(self._lines(), self.info.pop(_STAGED))
            return
        self.settle()
        super().commit()

    def commit_if(self, guard: Update, values: Row) -> bool:
        """Commit everything if this UPDATE changes one row, in one atomic step; else drop what is staged, and say so.

        For what may happen once: of any number of callers with the same guard one hears True, and only that one's rows are written.
        """
        staged = self.info.pop(_STAGED, [])
        if not self.in_transaction():
            return prepared.write_if(self._lines(), guard, values, staged)
        if self.connection().execute(guard, dict(values)).rowcount != 1:
            return False
        self.info[_STAGED] = staged
        self.commit()
        return True

    def rollback(self) -> None:
        """Drop everything that was not committed."""
        self.info.pop(_STAGED, None)
        super().rollback()

    def begin_nested(self) -> Any:
        """Begin a part that can be undone alone; what was staged before it is not of it."""
        self.settle()
        return super().begin_nested()

    def _lines(self) -> Lines:
        return lines_of(self.get_bind())


def lines_of(engine: Any) -> Lines:
    """Return the bare lines of an engine."""
    kept: Lines | None = _ALL.get(engine)
    return kept if kept is not None else _ALL.setdefault(engine, Lines(engine))


@event.listens_for(Session, "do_orm_execute")
def _see_what_is_staged(state: Any) -> None:
    if state.session.info.get(_STAGED):
        state.session.settle()
