"""audit.record_apart: events without a change share a transaction, and no answer leaves before its event is durable (L-2, L-3)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import wait

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, clock, crypto
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


def row(number: int) -> dict[str, object]:
    """What `record_apart` hands over."""
    return {
        "event_id": crypto.uuid7(), "time": clock.now(), "event": "token.issued", "outcome": "success", "amr": "",
        "details": "{}", "client_id": f"c{number}",
    }  # fmt: skip
