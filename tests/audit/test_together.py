"""audit.record_apart: events without a change share a transaction, and no answer leaves before its event is durable (L-2, L-3)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, clock, crypto, waiting
from idp.audit import Event
from idp.audit.together import Committer, Row
from idp.audit.trail import AuditEvent
from idp.db import db, prepared
from idp.db.session import lines_of
from tests.conftest import in_threads

REFUSE = {
    "sqlite": ["CREATE TRIGGER full BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'disk full'); END"],
    "postgresql": [
        "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE 'disk full'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER full_disk BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION full_disk()",
    ],
}


@pytest.fixture
def with_issuing_view(app: Flask) -> Flask:
    """An endpoint that issues something and writes it down apart."""

    def issue() -> str:
        audit.record_apart(
            Event.TOKEN_ISSUED, client_id="claims", actor="claims", audience="https://claims.example.org"
        )
        return "issued"

    app.add_url_rule("/issue", view_func=issue, methods=["POST"])
    return app


def test_l_3_the_event_is_there_when_the_answer_is(with_issuing_view: Flask) -> None:
    answer = with_issuing_view.test_client().post("/issue", headers={"User-Agent": "Firefox"})
    entry = audit.search().entries[0]
    assert (answer.text, entry.event, entry.client_id) == ("issued", "token.issued", "claims")
    assert (entry.request_id, entry.user_agent) == (answer.headers["X-Request-Id"], "Firefox")


def test_twenty_at_once_are_written_once_each_and_sealed(with_issuing_view: Flask) -> None:
    def work(_number: int) -> str:
        client = with_issuing_view.test_client()
        return "".join(client.post("/issue").text for _ in range(5))

    assert set(in_threads(20, with_issuing_view, work)) == {"issued" * 5}
    assert audit.seal() == 100
    assert audit.verify().ok


def test_7_138_an_event_that_cannot_be_written_takes_the_answer_with_it(with_issuing_view: Flask) -> None:
    for statement in REFUSE[db.engine.dialect.name]:
        db.session.execute(sa.text(statement))
    db.session.commit()
    answer = with_issuing_view.test_client().post("/issue")
    assert answer.status_code in (500, 503) and "issued" not in answer.text
    assert not audit.search().entries


def test_outside_a_request_it_is_part_of_the_running_transaction(app: Flask) -> None:
    audit.record_apart(Event.TOKEN_ISSUED, client_id="claims")
    db.session.rollback()
    assert not audit.search().entries


def test_while_one_group_is_committed_the_next_one_gathers(app: Flask) -> None:
    sizes: list[int] = []
    blocked, go_on = threading.Event(), threading.Event()

    lines = lines_of(db.engine)

    def write(rows: Sequence[Row]) -> None:
        blocked.set()
        go_on.wait(60)
        prepared.write(lines, [(AuditEvent.__table__, one) for one in rows])
        sizes.append(len(rows))

    committer = Committer(write)
    first = committer.add(row(0))
    assert blocked.wait(60)
    others = [committer.add(row(number)) for number in range(1, 50)]
    assert not first.done()
    go_on.set()
    wait([first, *others], timeout=60)
    assert all(done.done() and done.exception() is None for done in (first, *others))
    assert sizes == [1, 49], "one transaction for the first, one for all that came meanwhile"
    assert len(audit.search(limit=100).entries) == 50


def test_requests_of_one_loop_are_written_together_by_a_greenlet_of_it(app: Flask) -> None:
    sizes: list[int] = []
    lines = lines_of(db.engine)

    def write(rows: Sequence[Row]) -> None:
        sizes.append(len(rows))
        waiting.away(time.sleep, 0.02)  # as a database does: meanwhile the others go on
        prepared.write(lines, [(AuditEvent.__table__, one) for one in rows])

    committer = Committer(write)
    told = in_one_loop(committer, 100)
    assert sizes == [64, 36], "one transaction takes 64 at most"
    assert told == [None] * 100
    assert len(audit.search(limit=200).entries) == 100
    assert in_one_loop(committer, 1) == [None], "another loop has a greenlet of its own"


def test_what_cannot_be_written_in_a_loop_is_told_to_all_of_its_group_and_the_next_is_tried(app: Flask) -> None:
    tries: list[int] = []

    def write(rows: Sequence[Row]) -> None:
        tries.append(len(rows))
        waiting.away(time.sleep, 0.01)
        if len(tries) == 1:
            raise OSError("disk full")

    committer = Committer(write)
    told = in_one_loop(committer, 70)
    assert [type(one) for one in told] == [OSError] * 64 + [type(None)] * 6
    assert tries == [64, 6]


def in_one_loop(committer: Committer, number: int) -> list[BaseException | None]:
    """Let so many requests of one loop hand over a row each; what each was told."""

    async def crowd() -> list[BaseException | None]:
        lights, told = waiting.Lights(number), [asyncio.get_running_loop().create_future() for _ in range(number)]

        def request(place: int) -> Callable[[], None]:
            done = committer.add(row(place))
            return lambda: done.add_done_callback(lambda ended: told[place].set_result(ended.exception()))

        for place in range(number):
            lights.run(partial(request, place))
        return [await asyncio.wait_for(one, 60) for one in told]

    return asyncio.run(crowd())


def row(number: int) -> dict[str, object]:
    """What `record_apart` hands over."""
    return {
        "event_id": crypto.uuid7(), "time": clock.now(), "event": "token.issued", "outcome": "success", "amr": "",
        "details": "{}", "client_id": f"c{number}",
    }  # fmt: skip
