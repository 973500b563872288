"""audit.search: filters, pages by key, the growing end (L-4; attack 137)."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from idp import audit, clock
from idp.audit import Event, Query
from idp.db import committing
from idp.errors import BadInput


@pytest.fixture
def trail(app):
    with committing():
        audit.record(Event.LOGIN_FAILED, subject="alice", client_id="claims", sid="s1", reason="wrong password")
        audit.record(Event.LOGIN_SUCCEEDED, subject="alice", client_id="claims", sid="s1", actor="a")
        audit.record(Event.LOGIN_SUCCEEDED, subject="bob", client_id="patients")
        audit.record(Event.TOKEN_ISSUED, client_id="claims")
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": "192.0.2.9"}), committing():
        audit.record(Event.SESSION_ENDED, subject="bob")


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 5),
        ({"subject": "alice"}, 2),
        ({"client_id": "claims"}, 3),
        ({"sid": "s1"}, 2),
        ({"actor": "a"}, 1),
        ({"address": "192.0.2.9"}, 1),
        ({"event": "login.succeeded"}, 2),
        ({"event": "login.*"}, 3),
        ({"outcome": "failure"}, 1),
        ({"subject": "alice", "outcome": "success"}, 1),
        ({"subject": "alice' OR 1=1 --"}, 0),
        ({"subject": "%"}, 0),
    ],
)
def test_l_4_filters_narrow(trail, filters, count):
    assert len(audit.search(Query(**filters)).entries) == count


def test_l_4_time_filters_include_the_beginning_and_not_the_end(app):
    at = clock.now().replace(microsecond=250)
    with clock.freeze(at), committing():
        audit.record(Event.LOGIN_FAILED)
    moment = audit.search().entries[0].time
    assert len(audit.search(Query(since=moment)).entries) == 1
    assert len(audit.search(Query(until=moment)).entries) == 0
    assert len(audit.search(Query(until=moment + timedelta(microseconds=1))).entries) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "login.teleported"},
        {"event": "*"},
        {"event": "login.%"},
        {"outcome": "maybe"},
        {"since": datetime(2026, 1, 1)},
    ],
)
def test_attack_137_filters_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(BadInput):
        Query(**wrong)


def test_pages_do_not_shift_when_events_arrive(app, recorded):
    recorded(10)
    first = audit.search(limit=4)
    recorded(3)
    second = audit.search(before=first.next, limit=4)
    third = audit.search(before=second.next, limit=4)
    numbers = [entry.details["number"] for page in (first, second, third) for entry in page.entries]
    assert numbers == list(range(9, -1, -1))
    assert third.next is None


def test_attack_137_a_page_is_bounded(app, recorded):
    recorded(510, sealed=False)
    assert len(audit.search(limit=10**9).entries) == 500
    assert len(audit.search(limit=-1).entries) == 1


def test_tail_is_in_the_order_of_the_chain(app, recorded):
    recorded(5)
    assert [entry.seq for entry in audit.tail(limit=3)] == [3, 4, 5]
    assert [entry.seq for entry in audit.tail(after_seq=1, limit=2)] == [2, 3]


def test_follow_numbers_what_waits_and_then_yields_what_comes(app, recorded):
    recorded(3, sealed=False)
    stop = threading.Event()
    seen = []
    for entry in audit.follow(poll_s=0.01, stop=stop):
        seen.append(entry.seq)
        if len(seen) == 3:
            recorded(2, sealed=False)
        if len(seen) == 5:
            stop.set()
    assert seen == [1, 2, 3, 4, 5]
