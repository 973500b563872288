"""The unit of work: rows that are held back until the commit, what is spent once, and the bare lines under both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import db as hall
from idp.db import Prepared, ask, commit_if, db, stage
from idp.db.lines import Lines
from idp.db.session import Session, lines_of
from tests.conftest import in_threads

NOTES = sa.Table(
    "notes_of_a_test",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(20), unique=True),
    sa.Column("spent_by", sa.String(20)),
    sa.Column("at", hall.UtcDateTime),
    sa.Column("facts", hall.Json),
)
BY_NAME = Prepared(sa.select(NOTES.c.name, NOTES.c.spent_by, NOTES.c.facts).where(NOTES.c.name == sa.bindparam("name")))
ALL = Prepared(sa.select(NOTES.c.name).order_by(NOTES.c.id))
SPEND = (
    sa.update(NOTES)
    .where(NOTES.c.name == sa.bindparam("which"), NOTES.c.spent_by.is_(None))
    .values(spent_by=sa.bindparam("who"))
)


@pytest.fixture(autouse=True)
def table(app: Flask) -> Iterator[None]:
    NOTES.create(db.engine)
    yield
    db.session.rollback()
    lines_of(db.engine).close()
    NOTES.drop(db.engine)


def names() -> list[str]:
    """What others see."""
    with db.engine.connect() as connection:
        return list(connection.execute(sa.select(NOTES.c.name).order_by(NOTES.c.id)).scalars())


def test_staged_rows_come_with_the_commit_in_their_order(app: Flask) -> None:
    stage(NOTES, {"name": "first", "facts": {"b": 1, "a": [2]}})
    stage(NOTES, {"name": "second", "facts": None})
    assert names() == [] and not db.session().in_transaction()
    db.session.commit()
    assert names() == ["first", "second"]
    assert ask(BY_NAME, {"name": "first"}) == [{"name": "first", "spent_by": None, "facts": {"a": [2], "b": 1}}]


def test_a_rollback_drops_them(app: Flask) -> None:
    stage(NOTES, {"name": "gone"})
    db.session.rollback()
    db.session.commit()
    assert names() == []


def test_who_reads_through_the_session_sees_them_and_nobody_else_does(app: Flask) -> None:
    stage(NOTES, {"name": "mine"})
    assert db.session.execute(sa.select(NOTES.c.name)).scalars().all() == ["mine"]
    assert names() == []
    stage(NOTES, {"name": "mine too"})
    assert [row["name"] for row in ask(ALL, {})] == ["mine", "mine too"]
    assert names() == []
    db.session.rollback()
    assert names() == []


def test_they_share_the_fate_of_everything_else(app: Flask) -> None:
    stage(NOTES, {"name": "taken"})
    db.session.commit()
    stage(NOTES, {"name": "new"})
    stage(NOTES, {"name": "taken"})
    with pytest.raises(sa.exc.IntegrityError):
        db.session.commit()
    db.session.rollback()
    assert names() == ["taken"]
    db.session.execute(sa.insert(NOTES).values(name="by hand"))
    stage(NOTES, {"name": "taken"})
    with pytest.raises(sa.exc.IntegrityError):
        db.session.commit()
    db.session.commit()  # of nothing: what failed is gone, whoever commits next
    assert names() == ["taken"]


def test_a_savepoint_takes_along_what_was_staged_in_it_alone(app: Flask) -> None:
    stage(NOTES, {"name": "before"})
    part = db.session.begin_nested()
    stage(NOTES, {"name": "within"})
    part.rollback()
    stage(NOTES, {"name": "after"})
    db.session.commit()
    assert names() == ["before", "after"]


def test_the_error_hides_the_parameters(app: Flask) -> None:
    stage(NOTES, {"name": "a secret"})
    db.session.commit()
    stage(NOTES, {"name": "a secret"})
    with pytest.raises(sa.exc.DBAPIError) as caught:
        db.session.commit()
    assert "[parameters" not in str(caught.value)


@pytest.mark.parametrize("open_before", [False, True])
def test_spending_takes_what_is_staged_along_or_drops_it(app: Flask, open_before: bool) -> None:
    stage(NOTES, {"name": "coin"})
    db.session.commit()
    for who, expected in (("ann", True), ("bob", False)):
        if open_before:
            db.session.execute(sa.select(NOTES.c.id))
        stage(NOTES, {"name": f"bought by {who}"})
        assert commit_if(SPEND, {"which": "coin", "who": who}) is expected
        db.session.commit()
    assert names() == ["coin", "bought by ann"]
    assert ask(BY_NAME, {"name": "coin"})[0]["spent_by"] == "ann"


def test_of_twenty_who_spend_at_once_one_does(app: Flask) -> None:
    stage(NOTES, {"name": "coin"})
    db.session.commit()

    def work(number: int) -> bool:
        stage(NOTES, {"name": f"bought by {number}"})
        return commit_if(SPEND, {"which": "coin", "who": str(number)})

    results = in_threads(20, app, work)
    assert sorted(results) == [False] * 19 + [True]
    assert names() == ["coin", f"bought by {results.index(True)}"]


def test_a_line_that_broke_is_replaced(app: Flask) -> None:
    stage(NOTES, {"name": "one"})
    db.session.commit()
    lines = lines_of(db.engine)
    line, used_at = lines._idle.pop()
    line.close()
    lines._idle.append((line, used_at - 60))  # it has idled, and is looked at first
    stage(NOTES, {"name": "two"})
    db.session.commit()
    line, used_at = lines._idle.pop()
    line.close()
    lines._idle.append((line, used_at))  # it has just been used, and nobody looks
    stage(NOTES, {"name": "three"})
    with pytest.raises(sa.exc.DBAPIError):
        db.session.commit()
    db.session.rollback()
    stage(NOTES, {"name": "four"})
    db.session.commit()
    assert names() == ["one", "two", "four"]


def test_attack_138_a_page_whose_event_cannot_be_written_changes_nothing(app: Flask) -> None:
    def change() -> str:
        db.session.execute(sa.insert(NOTES).values(name="changed"))
        stage(NOTES, {"name": "told"})
        return "done"

    app.add_url_rule("/change", view_func=change, methods=["POST"])
    stage(NOTES, {"name": "told"})  # so that the second one is refused
    db.session.commit()
    answer = app.test_client().post("/change")
    assert answer.status_code == 500 and "done" not in answer.text
    assert names() == ["told"]


@pytest.mark.parametrize("busy", [False, True])
def test_attack_94_a_database_that_is_away_at_the_commit_of_a_page_is_told_with_a_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    def change() -> str:
        if busy:
            db.session.execute(sa.select(NOTES.c.id))
        stage(NOTES, {"name": "told"})
        return "done"

    def away(*_: object) -> None:
        raise sa.exc.OperationalError("", {}, Exception("could not connect"))

    app.add_url_rule("/change", view_func=change, methods=["POST"])
    monkeypatch.setattr(Lines, "_take", away)
    monkeypatch.setattr(Session, "settle", away)
    answer = app.test_client().post("/change")
    assert answer.status_code == 503 and answer.headers["Retry-After"]


def test_attack_94_a_server_that_is_gone_is_told_as_the_session_tells_it(postgres: str) -> None:
    nowhere = sa.make_url(postgres).set(host="127.0.0.1", port=1, query={})
    lines = Lines(sa.create_engine(nowhere))
    with pytest.raises(sa.exc.OperationalError) as caught, lines.cursor():
        pass
    assert hall.is_unreachable(caught.value)


def test_lines_that_a_rush_left_behind_go_one_by_one(app: Flask) -> None:
    lines = lines_of(db.engine)
    with lines.cursor(), lines.cursor(), lines.cursor():
        pass
    assert len(lines._idle) == 3
    ask(ALL, {})
    assert len(lines._idle) == 3, "who was used a moment ago stays"
    aged = [(line, used_at - 61) for line, used_at in lines._idle]
    lines._idle.clear()
    lines._idle.extend(aged)
    for left in (2, 1, 1):
        ask(ALL, {})
        assert len(lines._idle) == left


def test_lines_end_with_their_engine(app: Flask) -> None:
    assert ask(ALL, {}) == []
    assert len(lines_of(db.engine)._idle) == 1
    db.engine.dispose()
    assert len(lines_of(db.engine)._idle) == 0
