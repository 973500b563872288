"""db.session — the unit of work: rows that are held back until it commits, and written in one trip.

Events and tokens are rows that nobody reads before they are committed. `stage` keeps them, in order. The commit writes them in the
transaction of whatever else the session did; where nobody has asked for a session, or it did nothing else, in a statement of their own
on a bare line (db/prepared.py). Whoever reads through the session meanwhile finds them, and a rollback drops them.
"""

from __future__ import annotations

from typing import Any, cast
from weakref import WeakKeyDictionary

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Table, event, insert

from idp import present
from idp.db.lines import Lines
from idp.db.prepared import Row, write

_STAGED = "idp_staged"  # in flask.g, which lives as long as the session
_LINES: WeakKeyDictionary[Any, Lines] = WeakKeyDictionary()

Staged = list[tuple[Table, Row]]


class Session(FlaskSession):
    """A session that knows of the rows that are held back."""

    def settle(self) -> None:
        """Write what is staged in the running transaction."""
        for table, row in take_staged():
            self.connection().execute(insert(table).inline(), dict(row))

    def commit(self) -> None:
        """Write what is staged and commit everything; or nothing, where that fails: no change without its event."""
        if not self.in_transaction():
            if staged := take_staged():
                write(lines_of(self.get_bind()), staged)
            return
        try:
            self.settle()
            super().commit()
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        """Drop everything that was not committed."""
        take_staged()
        super().rollback()

    def begin_nested(self) -> Any:
        """Begin a part that can be undone alone; what was staged before it is not of it."""
        self.settle()
        return super().begin_nested()


def staged() -> Staged:
    """Return the rows that are held back, to add to."""
    kept = present.kept()
    found: Staged | None = kept.get(_STAGED)
    if found is None:
        found = []
        setattr(kept, _STAGED, found)
    return found


def has_staged() -> bool:
    """Say whether rows are held back."""
    return bool(present.kept().get(_STAGED))


def take_staged() -> Staged:
    """Return the rows that were held back, and hold back none."""
    return cast(Staged, present.kept().pop(_STAGED, []))


def lines_of(engine: Any) -> Lines:
    """Return the bare lines of an engine."""
    kept = _LINES.get(engine)
    return kept if kept is not None else _LINES.setdefault(engine, Lines(engine))


@event.listens_for(Session, "do_orm_execute")
def _see_what_is_staged(state: Any) -> None:
    if has_staged() and not state.is_relationship_load:  # rows that are held back belong to no object
        state.session.settle()
