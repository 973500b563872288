"""db.straight: what goes straight to libpq is what psycopg would have sent, read and refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
import sqlalchemy as sa

from idp import db as hall
from idp.db import straight
from idp.db.lines import Lines

SELECTED = (
    "SELECT %(text)s::VARCHAR AS a, %(number)s::INTEGER, %(at)s::TIMESTAMP WITH TIME ZONE, %(nothing)s::TEXT, %(text)s::VARCHAR || '100%%', "
    "true, 1.5::float8, 12345678901234::bigint, 3.14::numeric, '{\"a\": [1]}'::json, '\\x00ff'::bytea, ARRAY[1, 2], now() < now()"
)
VALUES = {
    "text": "a'b\\é $1 %(x)s 🙂",
    "number": -7,
    "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "nothing": None,
}


@pytest.fixture
def lines(postgres):
    engine = sa.create_engine(postgres)
    yield Lines(engine)
    engine.dispose()


def fetched(lines, sql, values):
    with lines.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def by_psycopg(lines, sql, values):
    with lines.cursor() as cursor, cursor._line.cursor() as plain:
        plain.execute(sql, values)
        return plain.fetchall()


def how_many_known(lines):
    return len(lines._idle[-1][0].straight._known)


@pytest.mark.parametrize(
    "text", ["", "é", "NULL", "x" * 100_000, "\\x41", "$1", "%s", "\x01\x7f\u2028", VALUES["text"]]
)
def test_values_arrive_and_come_back_as_with_psycopg(lines, text):
    values = VALUES | {"text": text}
    for _ in range(2):
        assert fetched(lines, SELECTED, values) == by_psycopg(lines, SELECTED, values)
    assert fetched(lines, SELECTED, values)[0][:4] == (text, -7, VALUES["at"], None)
    assert how_many_known(lines) == 1


@pytest.mark.parametrize("offset_h", [-11, 0, 5.5])
def test_a_time_means_the_same_moment_in_every_zone(lines, offset_h):
    at = VALUES["at"].astimezone(timezone(timedelta(hours=offset_h)))
    assert fetched(lines, "SELECT %(at)s::TIMESTAMP WITH TIME ZONE", {"at": at}) == [(VALUES["at"],)]


@pytest.mark.parametrize("value", [b"\x00\xff", True, 1.5, ["a", "b"], datetime(2026, 1, 2), timedelta(1)])
def test_unusual_values_take_psycopg_s_own_way(lines, value):
    assert fetched(lines, "SELECT %(value)s", {"value": value}) == by_psycopg(
        lines, "SELECT %(value)s", {"value": value}
    )


@pytest.mark.parametrize("text", ["alice\0", "\0", "a\ud800"])
def test_attack_144_a_text_that_postgresql_cannot_hold_is_refused_and_not_cut(lines, text):
    with pytest.raises((sa.exc.DataError, UnicodeEncodeError)):
        fetched(lines, "SELECT %(text)s::VARCHAR", {"text": text})
    assert fetched(lines, "SELECT %(text)s::VARCHAR", {"text": "alice"}) == [("alice",)]


def test_attack_95_parameters_are_no_sql(lines):
    evil = "'; DROP TABLE users; --"
    assert fetched(lines, "SELECT %(evil)s::VARCHAR, 'a%%b'", {"evil": evil}) == [(evil, "a%b")]


def test_what_the_server_refuses_is_told_as_the_engine_tells_it(lines):
    fetched(lines, "CREATE TABLE only_once (name VARCHAR PRIMARY KEY)", {})
    try:
        insert = "INSERT INTO only_once VALUES (%(name)s::VARCHAR)"
        assert fetched(lines, insert, {"name": "a"}) == []
        with pytest.raises(sa.exc.IntegrityError) as caught:
            fetched(lines, insert, {"name": "a"})
        assert isinstance(caught.value.orig, psycopg.errors.UniqueViolation) and not hall.is_unreachable(caught.value)
        for wrong in ("SELEC 1", "SELECT %(name)s::INTEGER"):
            with pytest.raises(sa.exc.DBAPIError):
                fetched(lines, wrong, {"name": "a"})
        assert fetched(lines, "SELECT count(*) FROM only_once", {}) == [(1,)]
    finally:
        fetched(lines, "DROP TABLE only_once", {})


@pytest.mark.parametrize("known_before", [False, True])
def test_attack_94_a_line_that_the_server_ended_is_told_as_unreachable_and_replaced(lines, known_before):
    if known_before:
        fetched(lines, "SELECT %(a)s::VARCHAR", {"a": "x"})
    (pid,) = fetched(lines, "SELECT pg_backend_pid()", {})[0]
    other = Lines(lines.engine)
    assert fetched(other, "SELECT pg_terminate_backend(%(pid)s::INTEGER, 5000)", {"pid": pid}) == [(True,)]
    with pytest.raises(sa.exc.DBAPIError) as caught:
        fetched(lines, "SELECT %(a)s::VARCHAR", {"a": "x"})
    assert caught.value.connection_invalidated and hall.is_unreachable(caught.value)
    assert not lines._idle
    assert fetched(lines, "SELECT %(a)s::VARCHAR", {"a": "x"}) == [("x",)]
    other.close()


def test_a_line_keeps_so_many_statements_and_no_more(lines, monkeypatch):
    monkeypatch.setattr(straight, "_AT_MOST", 2)
    for number in range(4):
        assert fetched(lines, f"SELECT {number}, %(a)s::VARCHAR", {"a": "x"}) == [(number, "x")]
    assert how_many_known(lines) == 2
    assert fetched(lines, "SELECT 0, %(a)s::VARCHAR", {"a": "y"}) == [(0, "y")]


def test_a_server_that_writes_times_in_another_way_is_read_by_psycopg(lines):
    with lines.cursor() as cursor:
        cursor.execute("SET DateStyle = 'SQL, DMY'", {})
        other = straight.Straight(cursor._line)
    other.execute("SELECT %(a)s::VARCHAR", {"a": "x"})
    assert other.fetchone() == ("x",) and other._known == {}
    lines.close()
